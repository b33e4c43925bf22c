"""Did the change help? ``A``, ``B``, and every row shows the difference."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from driving import Screen, shown
from fake_feed import MS, PG, FakeFeed, key, second, stats

from zfstop.player import Player
from zfstop.screen import demo_recording
from zfstop.ui.app import ZfstopApp
from zfstop.ui.exporting import Export
from zfstop.ui.lens import Lens

DD = key("write", 25686, "dd", "tank/bak", "data1")
BORG = key("read", 18820, "borg", "tank/home", "chunks")


def changed_feed() -> FakeFeed:
    """A minute in which postgres syncs in 80 ms and dd writes; then one in which it takes 20 ms, and borg reads."""
    slow = [second([(PG, stats(*[80 * MS] * 4)), (DD, stats(30 * MS))], at) for at in range(60)]
    fast = [second([(PG, stats(*[20 * MS] * 4)), (BORG, stats(30 * MS))], at) for at in range(60, 120)]
    return FakeFeed([*slow, *fast])


async def compared(screen: Screen) -> None:
    """A a minute ago, B now."""
    await screen.press("{", "A", "L", "B")


def line_of(screen: Screen, name: str) -> str:
    return next(line for line in screen.table[1:] if name in line)


def said(screen: Screen) -> str:
    return next((line for line in screen.lines if " COMPARE" in line or " is before " in line), "")


async def test_rows_and_operations_show_what_changed_and_what_is_compared_is_said() -> None:
    async with shown(changed_feed(), 160, 40) as screen:
        await screen.press("{", "A")
        assert "A 13:59:59-14:00:59 is before" in said(screen)
        assert "make the change, then B compares" in said(screen)
        await screen.press("L", "B")
        assert "COMPARE: A 13:59:59-14:00:59 before, B 14:00:59-14:01:59 after" in said(screen)
        assert "0.080   ↓ -75% better" in line_of(screen, "postgres")
        assert line_of(screen, "postgres").count("↓ -75%") == 3
        assert " new " in line_of(screen, "borg")
        assert " gone " in line_of(screen, "dd")
        fsync = next(line for line in screen.lines if " fsync " in line and "│" not in line and "▕" in line)
        assert "↓ -75%" in fsync
        assert "all, A to B" in screen.text


async def test_grouping_filter_and_enter_go_on_within_the_comparison() -> None:
    async with shown(changed_feed(), 120, 40) as screen:
        await compared(screen)
        await screen.press("g")
        assert "by process" in screen.text
        assert "better" in line_of(screen, "postgres")
        await screen.press("slash", *"comm:borg", "enter")
        assert [line for line in screen.table[1:] if line.strip()] == [line_of(screen, "borg")]
        assert "2 of 3 rows hidden by /" in screen.text
        await screen.press("x", "up", "up", "enter")
        assert "COMPARE" in said(screen)
        for _ in range(3):
            await screen.press("enter")
        assert any("single calls cannot be compared" in note.message for note in screen.app._notifications)
        await screen.press("backspace", "backspace", "backspace", ">", "r")
        assert "COMPARE" in said(screen)


@pytest.mark.parametrize("leave", ["escape", "A"])
async def test_escape_or_a_leaves(leave: str) -> None:
    async with shown(changed_feed(), 120, 40) as screen:
        before = screen.table
        await compared(screen)
        assert screen.table != before
        await screen.press("enter", ">", leave, "backspace")
        assert said(screen) == ""
        assert screen.table == before


async def test_b_again_compares_with_what_is_shown_now_and_time_goes_on_beneath() -> None:
    feed = changed_feed()
    async with shown(feed, 120, 40) as screen:
        await compared(screen)
        rows = screen.table
        for at in range(120, 180):
            feed.history.append(second([(PG, stats(*[160 * MS] * 4))], at))
        await screen.look()
        assert screen.table == rows
        await screen.press("B")
        assert "↑ +100%" in line_of(screen, "postgres")
        assert "B 14:01:59-14:02:59 after" in said(screen)


async def test_b_without_a_and_single_calls_are_told() -> None:
    async with shown(changed_feed()) as screen:
        await screen.press("B")
        assert "A marks what was before; then B compares" in await screen.toast()
        await screen.press("A", "escape")
        assert said(screen) == ""
        await screen.press("enter", "A")
        assert any("single calls cannot be compared" in note.message for note in screen.app._notifications)


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 10), (60, 16), (80, 24), (300, 90)])
async def test_every_size_says_that_it_compares_and_how_to_leave(width: int, height: int) -> None:
    async with shown(changed_feed(), width, height) as screen:
        await compared(screen)
        assert " COMPARE" in screen.text
        assert width < 40 or "Esc leaves" in screen.text or "Esc or A leaves" in screen.text
        assert len(screen.lines) == height


async def test_two_boxes_on_the_map_can_be_compared() -> None:
    async with shown(changed_feed(), 200, 60) as screen:
        await screen.press("shift+up", *["shift+left"] * 3, "enter", "A", "escape")
        assert "is before" in said(screen)
        await screen.press("B")
        assert "COMPARE" in said(screen)
        await screen.press("shift+up", "enter")
        assert "COMPARE" not in screen.text
        assert " BOX " in screen.text


async def test_the_comparison_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with shown(changed_feed(), 120, 40) as screen:
        await compared(screen)
        for name in ("c.csv", "c.json", "c.md"):
            await screen.press("e")
            await screen.type(name)
            for _ in range(500):
                await screen.pilot.pause()
                if not isinstance(screen.app.screen, Export):
                    break
                await asyncio.sleep(0.01)
        table = {row["comm"]: row for row in csv.DictReader(io.StringIO((tmp_path / "c.csv").read_text()))}
        assert {name: row["change"] for name, row in table.items()} == {
            "postgres": "better",
            "borg": "new",
            "dd": "gone",
        }
        assert table["postgres"]["before_wait_s_per_s"] == "0.32"
        whole = json.loads((tmp_path / "c.json").read_text())
        assert whole["compared_with"].startswith("2026-01-14 13:59:59")
        assert "↓ -75%" in (tmp_path / "c.md").read_text()


async def test_the_demo_can_be_compared_with_itself() -> None:
    player = Player(demo_recording(), autoplay=False)
    player.start()
    player.advance(60)
    app = ZfstopApp(player, look_every_s=3600)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        screen = Screen(app, pilot)
        await screen.press("A", "B")
        rows = [line for line in screen.table[1:] if line.strip()]
        assert rows
        assert all(" = " in line and " same " in line for line in rows)
        await screen.press("escape")
        await compared(screen)
        assert any(" worse " in line or " better " in line or " new " in line for line in screen.table[1:])


def test_nothing_is_compared_in_a_frame_without_marks() -> None:
    frame = Lens(changed_feed()).frame(60)
    assert (frame.before, frame.after, frame.op_pairs) == (None, None, ())
    assert replace(frame, before=None).view == frame.view
