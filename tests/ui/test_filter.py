"""The filter of ``/``, and ``f`` and ``!``: keys typed, what is shown, and what the kernel is asked for."""

from __future__ import annotations

import pytest
from driving import Screen, shown
from fake_feed import MS, FakeFeed, busy_feed, key, second, stats

from zfstop.errors import Exit, UserError
from zfstop.model.history import Second
from zfstop.model.state import Controls, Phase, Status
from zfstop.ui.query import QueryBar


def status(screen: Screen) -> str:
    return screen.lines[1]


def names(screen: Screen) -> list[str]:
    """What the rows are of: programs."""
    return [line.split()[8] for line in screen.table[1:] if line.strip()]


async def find(screen: Screen, text: str) -> None:
    await screen.press("slash", *text, "enter")


async def test_a_filter_is_in_force_while_it_is_typed_and_hidden_rows_are_counted() -> None:
    async with shown(width=160, height=40) as screen:
        assert len(names(screen)) == 10
        await screen.press("slash", *"op:write")
        assert isinstance(screen.app.screen, QueryBar)
        assert "/ op:write" in status(screen)
        assert "6 of 10 rows hidden by /" in screen.text
        assert all(" write " in line for line in screen.table[1:5])
        await screen.press(*" !comm:dd")
        assert "7 of 10 rows hidden by /" in screen.text
        assert not any(" dd " in line for line in screen.table)


async def test_enter_keeps_escape_restores_and_x_clears() -> None:
    async with shown(width=160, height=40) as screen:
        await find(screen, "postgres")
        assert "/ postgres" in status(screen)
        assert "8 of 10 rows hidden by /" in screen.text
        await screen.press("slash", *"lat>1h")
        assert "All 10 rows are hidden by /" in screen.text
        await screen.press("escape")
        assert "/ postgres" in status(screen)
        assert "8 of 10 rows hidden by /" in screen.text
        await screen.press("x")
        assert "no filter [/]" in status(screen)
        assert "hidden by /" not in screen.text


async def test_tab_completes_keys_and_values_that_are_there() -> None:
    async with shown(width=160, height=40) as screen:
        await screen.press("slash", "c", "tab")
        line = screen.lines[-1]
        assert line.startswith("/ comm:")
        assert "class:" in screen.lines[-2]
        await screen.press("backspace", ":", "tab")
        assert screen.lines[-1].rstrip() == "/ comm:postgres"
        await screen.press("tab")
        assert screen.lines[-1].rstrip() == "/ comm:dd"
        await screen.press("shift+tab")
        assert screen.lines[-1].rstrip() == "/ comm:postgres"
        await screen.press("enter")
        assert "/ comm:postgres" in status(screen)
        assert "8 of 10 rows hidden by /" in screen.text


async def test_a_mistake_is_told_with_its_position_and_the_rows_stay() -> None:
    async with shown(width=120, height=30) as screen:
        before = screen.table
        await screen.press("slash", *"pi")
        assert screen.table[1:8] == before[1:8]
        await screen.press(*"d:x")
        assert "pid: takes numbers, at 5" in screen.lines[-2]
        assert screen.table[1:8] == before[1:8]
        await screen.press("enter")
        assert isinstance(screen.app.screen, QueryBar)
        assert "pid: takes numbers, at 5" in screen.lines[-2]


async def test_what_the_kernel_can_filter_it_filters_and_no_longer_when_the_filter_is_gone() -> None:
    feed = busy_feed()
    feed.now_controls = Controls(datasets=frozenset({"tank"}))
    async with shown(feed, width=200, height=40) as screen:
        await screen.press("slash", *"pid:2431 ds:tank/pg lat>1ms")
        assert feed.controls() == Controls(datasets=frozenset({"tank"}))
        await screen.press("enter")
        assert feed.controls() == Controls(pids=frozenset({2431}), datasets=frozenset({"tank/pg"}))
        assert "pid: ds: in the kernel too" in screen.text
        assert "pid all [P]  pool tank  " in status(screen)
        await find(screen, "!pid:2431")  # added to what is there: nothing passes both
        await screen.press("slash", "ctrl+u", *"op:fsync", "enter")
        assert feed.controls() == Controls(datasets=frozenset({"tank"}), ops=frozenset({"fsync"}))
        await screen.press("+")
        assert feed.controls().ops == {"fsync"}
        assert feed.controls().threshold_ns == 20 * MS
        await screen.press("slash", "ctrl+u", "enter")
        assert feed.controls() == Controls(20 * MS, datasets=frozenset({"tank"}))


async def test_a_recording_is_not_asked_to_leave_anything_out() -> None:
    feed = busy_feed()
    feed.now_status = Status(Phase.DEMO, "recorded")
    async with shown(feed, width=160, height=40) as screen:
        await find(screen, "pid:2431")
        assert feed.controls() == Controls()
        assert "8 of 10 rows hidden by /" in screen.text
        assert "in the kernel" not in screen.text


async def test_a_dataset_the_kernel_does_not_know_is_filtered_by_the_screen_alone() -> None:
    feed = busy_feed()
    feed.refuse = UserError(Exit.UNKNOWN_NAME, "there is no pool or dataset 'tank/gone'")
    async with shown(feed, width=160, height=40) as screen:
        await find(screen, "ds:tank/gone")
        assert "All 10 rows are hidden by /" in screen.text


async def test_seconds_that_were_measured_through_a_narrower_filter_are_told() -> None:
    narrow = Controls(pids=frozenset({2431}))
    group = (key("fsync", 2431, "postgres"), stats(50 * MS))
    seconds = [second([group], at) for at in range(3)]
    seconds += [Second(s.clock, s.mono_ns + 3 * 10**9, s.length_ns, narrow, s.groups) for s in seconds]
    feed = FakeFeed(seconds)
    async with shown(feed, width=120) as screen:
        assert "3 s of 60 were measured through a narrower filter" in screen.text
        feed.now_controls = narrow
        await screen.look()
        assert "narrower" not in screen.text


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 10), (80, 24)])
async def test_at_every_size_it_is_seen_that_a_filter_is_in_force(width: int, height: int) -> None:
    async with shown(width=width, height=height) as screen:
        await find(screen, "op:write,fsync !dd")
        assert "hidden" in screen.text
        assert ("/ op:write" in screen.text) or height < 8
        assert len(screen.lines) == height


async def test_losses_and_calls_in_flight_are_not_hidden() -> None:
    feed = busy_feed()
    feed.history.append(second((), 90, lost=12))
    async with shown(feed) as screen:
        await find(screen, "nothing-is-called-so")
        assert "LOST 12" in screen.text


async def test_names_of_rows_are_offered_and_never_read_as_markup() -> None:
    groups = [(key(comm="[b]x y", path='a"b,c'), stats(50 * MS))]
    async with shown(FakeFeed([second(groups)]), width=120) as screen:
        await screen.press("slash", *"comm:", "tab")
        assert screen.lines[-1].rstrip() == '/ comm:"[b]x y"'
        await screen.press(*" path:", "tab", "enter")
        assert '/ comm:"[b]x y" path:"a""b,c"' in status(screen)
        assert "0 of 1 rows hidden by /" in screen.text


async def test_f_means_the_process_or_the_column_that_is_sorted_by() -> None:
    async with shown(width=160, height=40) as screen:
        await screen.press("down", "down", "f", "f")
        assert "/ pid:9120" in status(screen)
        await screen.press("x", "<", "<", "<")
        column = screen.app.lens.sort.column.key
        await screen.press("home", "f", "enter")
        assert column in ("comm", "op", "where")
        assert f"/ {column}:" in status(screen)


async def test_not_this_hides_and_adds_up() -> None:
    async with shown(width=160, height=40) as screen:
        await screen.press("home", "exclamation_mark", "exclamation_mark")
        await screen.press("exclamation_mark", "exclamation_mark")
        assert "/ !pid:2431,25686" in status(screen)
        assert "3 of 10 rows hidden by /" in screen.text


async def test_the_list_of_f_offers_every_field_of_the_row() -> None:
    async with shown(width=120, height=40) as screen:
        await screen.press("f")
        for term in ("pid:2431", "comm:postgres", "path:data/pg_wal/0", "path:data/pg_wal ", "ds:tank/pg",
                     "pool:tank", "op:fsync", "class:data", "where:docker:3f9a1c2b4d5e", "uid:100"):  # fmt: skip
            assert term in screen.text
        await screen.press("j", "j", "j", "enter")
        assert "/ path:data/pg_wal" in status(screen)
        assert "9 of 10 rows hidden by /" in screen.text
