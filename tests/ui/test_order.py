"""Rows never come under the cursor by themselves; and what is too much for one frame comes with the next ones."""

from __future__ import annotations

import gc

import pytest
from driving import Screen, shown
from fake_feed import MS, FakeFeed, key, second, stats

from zfstop.model import ranking as ranking_module
from zfstop.model.history import Second
from zfstop.ui import lens as lens_module

RED, BLUE, GREEN, LATE = (
    key(pid=pid, comm=comm) for pid, comm in enumerate(("red", "blue", "green", "late"), 1)
)


def at(number: int, **ms: int) -> Second:
    who = {item.comm: item for item in (RED, BLUE, GREEN, LATE)}
    return second([(who[comm], stats(value * MS)) for comm, value in ms.items()], number)


def comms(screen: Screen) -> list[str]:
    names = ("red", "blue", "green", "late")
    return [name for line in screen.table[1:] for name in names if f" {name} " in line]


async def come(screen: Screen, feed: FakeFeed, number: int, **ms: int) -> None:
    feed.history.append(at(number, **ms))
    await screen.look()


@pytest.mark.parametrize(("width", "height"), [(60, 16), (80, 24), (120, 40)])
async def test_order_holds_while_a_row_is_selected_and_says_so(width: int, height: int) -> None:
    feed = FakeFeed([at(0, red=300, blue=200, green=100)])
    async with shown(feed, width, height) as screen:
        assert comms(screen) == ["red", "blue", "green"]
        assert " held" not in screen.text
        await screen.press("down")
        assert " held" in screen.text
        await come(screen, feed, 1, green=5000, late=9000)
        assert comms(screen) == ["red", "blue", "green", "late"]
        assert " blue " in screen.selected
        assert "order held, 1 outrank it" in screen.text or "held +1" in screen.text
        await screen.press("home")
        assert comms(screen) == ["late", "green", "red", "blue"]
        assert " held" not in screen.text


async def test_sorting_while_a_row_is_selected_orders_anew_and_holds_that() -> None:
    feed = FakeFeed([at(0, red=300, blue=200, green=100)])
    async with shown(feed) as screen:
        await screen.press("down")
        await come(screen, feed, 1, green=5000)
        await screen.press("r", "r")
        assert comms(screen) == ["green", "red", "blue"]
        assert " blue " in screen.selected
        await come(screen, feed, 2, blue=9000)
        assert comms(screen) == ["green", "red", "blue"]


async def test_when_rows_above_leave_the_selected_one_stays_on_its_line() -> None:
    others = [key(pid=pid, path=f"p{pid:02d}") for pid in range(40)]
    first = second([(who, stats((90 - n) * MS)) for n, who in enumerate(others)], 0)
    feed = FakeFeed([first])
    async with shown(feed) as screen:
        await screen.press("w", "w")  # 10 s
        await screen.press(*["down"] * 30)
        line, mine = screen.table.index(screen.selected), others[30]
        for number in range(1, 11):
            feed.history.append(second([(who, stats(20 * MS)) for who in others[12:]], number))
        await screen.look()
        assert f":{mine.path}" in screen.selected
        assert screen.table.index(screen.selected) == line
        assert "p11" not in screen.text


@pytest.fixture
def sorted_at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were put in order at once, each time, where only a few are known."""
    monkeypatch.setattr(ranking_module, "_KEEP", 20)
    monkeypatch.setattr(ranking_module, "_MOST", 40)
    lengths, sort = list[int](), ranking_module.in_order
    monkeypatch.setattr(
        ranking_module, "in_order", lambda *of: (found := sort(*of), lengths.append(len(found)))[0]
    )
    return lengths


async def test_the_last_of_very_many_rows_hold_their_order_too_and_the_others_are_never_sorted_for_it(
    sorted_at_once: list[int],
) -> None:
    files = [key(pid=pid, path=f"p{pid:03d}") for pid in range(200)]
    feed = FakeFeed([second([(who, stats((900 - n) * MS)) for n, who in enumerate(files)], 0)])
    async with shown(feed, 80, 16) as screen:
        await screen.press("end")
        assert ":p199" in screen.selected
        feed.history.append(second([(files[199], stats(9000 * MS))], 1))
        await screen.look()
        assert ":p199" in screen.selected
        assert [line.split(":p")[1][:3] for line in screen.table[-3:]] == ["197", "198", "199"]
        assert max(sorted_at_once) < 100
        await screen.press("home")
        assert ":p199" in screen.table[1]


def crowd(rows: int) -> FakeFeed:
    """Of so many rows the first by WAIT is the last by PID."""
    files = [key(pid=1000 - n, path=f"p{n:03d}") for n in range(rows)]
    return FakeFeed([second([(who, stats((900 - n) * MS)) for n, who in enumerate(files)], 0)])


async def test_an_order_of_a_part_says_so_and_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lens_module, "_ORDERED_NOW", 50)
    async with shown(crowd(200), 120, 40) as screen:
        app = screen.app
        monkeypatch.setattr(app, "_go_on", lambda: None)
        for _ in range(4):
            app.draw()
        await screen.press("down")
        assert "order held" in screen.text
        await screen.press("<")
        for done in (50, 100, 150):
            assert f"{done} of 200 rows in order so far" in screen.text
            assert "order held" not in screen.text
            app.draw()
            await screen.pilot.pause()
        assert "so far" not in screen.text
        assert "order held" in screen.text
        assert [line.split(":p")[1][:3] for line in screen.table[1:4]] == ["000", "001", "002"]


async def test_a_selected_row_that_went_far_down_is_told_of_and_the_others_are_not_sorted_for_it(
    sorted_at_once: list[int],
) -> None:
    feed = crowd(200)
    async with shown(feed, 80, 24) as screen:
        await screen.press("down", "r")
        assert "WAIT▲" in screen.table[0]
        assert not any(line.startswith(">") for line in screen.table)
        assert "p001" in "".join(screen.text.splitlines()[-4:])
        feed.history.append(second([], 1))
        await screen.look()
        assert "p001" in "".join(screen.text.splitlines()[-4:])
        assert max(sorted_at_once) < 100
        await screen.press("up")
        assert ":p002" in screen.selected
        assert len(screen.table) == len(set(screen.table))


async def test_while_somebody_types_memory_is_not_looked_through() -> None:
    before, found = gc.get_threshold(), []
    async with shown() as screen:
        gc.callbacks.append(lambda phase, info: found.append(info["generation"]))
        await screen.press("down")
        screen.app._tidy()
        assert 2 not in found
        screen.app._last_input -= 60
        screen.app._tidy()
        assert 2 in found
        gc.callbacks.pop()
    assert gc.get_threshold() == before


async def test_what_is_too_much_for_one_frame_is_the_newest_first_and_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lens_module, "_MOST_NOW", 100)
    files = [key(pid=pid, path=f"p{pid}") for pid in range(30)]
    feed = FakeFeed(second([(who, stats(20 * MS)) for who in files], number) for number in range(90))
    async with shown(feed, 120, 40) as screen:
        app = screen.app
        monkeypatch.setattr(app, "_go_on", lambda: None)
        while app.lens.frame(120).filling is not None:
            app.draw()
        await screen.pilot.pause()
        whole = screen.table
        app.lens.next_grouping()
        app.draw()
        await screen.pilot.pause()
        assert " 2 of 60 s so far" in screen.text
        # 30 files in each of them: rates are those of the seconds that were added up.
        assert app.lens.frame(120).rows[0].rate(app.lens._rolling.length_ns) == pytest.approx(1.0)
        for _ in range(9):
            app.lens.next_grouping()
        for _ in range(60):
            app.draw()
            await screen.pilot.pause()
        assert "so far" not in screen.text
        assert screen.table == whole
