"""What the operator sees and does on the main screen."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from driving import Screen, shown
from fake_feed import MS, FakeFeed, busy_feed, busy_second, key, second, stats
from textual.geometry import Region

from zfstop.model.history import History
from zfstop.model.state import Controls, Phase, Problem, Rejected, Status
from zfstop.ui.actions import actions
from zfstop.ui.panels import _Pages

SIZES = [(20, 5), (24, 8), (40, 10), (60, 12), (60, 16), (80, 24), (100, 30), (120, 40), (200, 50), (300, 90)]


def rows_of(*waits_ms: int) -> FakeFeed:
    """A feed with one second in which file ``f0``, ``f1`` ... waited that long."""
    return FakeFeed([waiting(*waits_ms)])


def waiting(*waits_ms: int, at: int = 0) -> object:
    return second([(key(path=f"f{n}"), stats(ms * MS)) for n, ms in enumerate(waits_ms) if ms], at)


def order(screen: Screen) -> list[str]:
    """The files in the order of the table."""
    return [line.rsplit(":", 1)[1].strip() for line in screen.table[1:] if ":" in line]


async def test_the_first_screen_tells_what_is_slow_without_a_key() -> None:
    async with shown() as screen:
        text = screen.text
        assert " LIVE " in text
        assert "db1  OpenZFS 2.3.9  Linux 6.12.57" in text
        assert "slow >= 10ms" in text
        assert "lost 0" in text
        assert "fsync" in screen.table[1]
        assert "postgres" in screen.table[1]


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_every_size_shows_a_table_and_fills_exactly_its_lines(width: int, height: int) -> None:
    async with shown(width=width, height=height) as screen:
        assert len(screen.lines) == height
        assert "WAIT▼" in screen.text
        assert "MAX" in screen.text
        assert any(line.startswith(">") for line in screen.lines)
        assert " LIVE " in screen.text
        assert "lost 0" in screen.text


async def test_at_60_columns_who_and_what_is_still_there() -> None:
    async with shown(width=60, height=16) as screen:
        header = screen.table[0]
        for name in ("WAIT", "P99", "MAX", "OP", "PID", "COMM", "FILE"):
            assert name in header


async def test_columns_give_way_in_a_fixed_order() -> None:
    gone = []
    widths = (177, 176, 154, 142, 136, 128, 119, 88, 69, 58, 54, 44, 34)  # one cell is kept for the scrollbar
    async with shown(width=widths[0], height=30) as screen:
        for width in widths:
            await screen.pilot.resize_terminal(width, 30)
            gone.append([column.header for column in screen.app.main.table.columns])
            assert len(screen.table[0]) <= width
    lost = [set(before) - set(after) for before, after in pairwise(gone)]
    order = [
        "ERR", "WHERE", "P50", "SIZE", "SHARES", "TREND", "N/s", "WHY", "P99", "COMM", "PID", "OP",
    ]  # fmt: skip
    assert lost == [{name} for name in order]


async def test_the_selected_row_stays_selected_while_values_move() -> None:
    feed = rows_of(50, 40, 30)
    async with shown(feed) as screen:
        await screen.press("down")
        assert "f1" in screen.selected
        feed.history.append(waiting(0, 0, 900, at=1))
        await screen.look()
        assert order(screen) == ["f0", "f1", "f2"], "the order holds: see test_order.py"
        assert "f1" in screen.selected
        await screen.press("r", "r")
        assert order(screen) == ["f2", "f0", "f1"]
        assert "f1" in screen.selected


async def test_until_a_row_is_chosen_the_top_one_counts_as_selected() -> None:
    feed = rows_of(50, 40)
    async with shown(feed) as screen:
        feed.history.append(waiting(0, 900, at=1))
        await screen.look()
        assert "f1" in screen.selected
        await screen.press("down", "home")
        feed.history.append(waiting(5000, at=2))
        await screen.look()
        assert "f0" in screen.selected


async def test_when_the_selected_row_is_gone_the_place_is_kept() -> None:
    feed = rows_of(50, 40, 30)
    async with shown(feed) as screen:
        await screen.press("down")
        for at in range(1, 70):
            feed.history.append(waiting(50, 0, 30, at=at))
        await screen.look()
        assert order(screen) == ["f0", "f2"]
        assert "f2" in screen.selected


async def test_new_data_does_not_scroll() -> None:
    feed = rows_of(*range(100, 20, -1))
    async with shown(feed) as screen:
        await screen.press("end")
        top = screen.app.main.table.scroll_offset.y
        assert top > 0
        feed.history.append(waiting(*range(20, 100), at=1))
        await screen.look()
        assert screen.app.main.table.scroll_offset.y == top


async def test_the_selection_moves_by_line_page_and_to_the_ends() -> None:
    async with shown(rows_of(*range(100, 20, -1))) as screen:
        places = []
        for name in ("down", "j", "up", "k", "pagedown", "pageup", "end", "home"):
            await screen.press(name)
            places.append(screen.selected.rsplit(":", 1)[1].strip())
        assert places[:4] == ["f1", "f2", "f1", "f0"]
        assert places[5:] == ["f0", "f79", "f0"]


async def test_the_header_says_how_many_rows_there_are_when_not_all_fit() -> None:
    async with shown(rows_of(*range(100, 20, -1))) as screen:
        assert "of 80" in screen.table[0]


async def test_only_lines_that_changed_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = rows_of(5000, 4000, 30)
    async with shown(feed) as screen:
        drawn: list[Region] = []
        table = screen.app.main.table
        monkeypatch.setattr(table, "refresh", lambda *regions, **_: drawn.extend(regions))
        screen.app.draw()
        assert drawn == []
        frame = screen.app.lens.frame(80)
        frame.rows[2].total_ns += 10**9
        table.show(frame, [])
        assert [region.y for region in drawn] == [3]


async def test_keys_move_the_sort_column_and_reverse() -> None:
    async with shown(rows_of(30, 50, 40)) as screen:
        assert order(screen) == ["f1", "f2", "f0"]
        await screen.press("r")
        assert "WAIT▲" in screen.table[0]
        assert order(screen) == ["f0", "f2", "f1"]
        await screen.press("<")
        assert "FILE▲" in screen.table[0]
        assert order(screen) == ["f0", "f1", "f2"]
        await screen.press(">", ">")
        assert "P99▼" in screen.table[0]


async def test_a_click_on_a_header_sorts_and_another_one_reverses() -> None:
    async with shown(rows_of(30, 50, 40)) as screen:
        x = screen.table[0].index("COMM") + 1
        await screen.pilot.click("#table", offset=(x, 0))
        assert "COMM▲" in screen.table[0]
        await screen.pilot.click("#table", offset=(x, 0))
        await screen.pilot.pause()
        assert "COMM▼" in screen.table[0]


async def test_a_click_selects_a_row() -> None:
    async with shown(rows_of(50, 40, 30)) as screen:
        await screen.pilot.click("#table", offset=(30, 3))
        await screen.pilot.pause()
        assert "f2" in screen.selected


async def test_grouping_goes_round_and_never_shows_one_of_several_as_if_it_were_all() -> None:
    groups = [
        (key("read", 1, "a", path="x"), stats(50 * MS)),
        (key("write", 2, "b", path="x"), stats(40 * MS)),
    ]
    async with shown(FakeFeed([second(groups)])) as screen:
        await screen.press("g", "g")
        assert "by file" in screen.text
        assert "2 ops" in screen.table[1]
        assert "2 pids" in screen.table[1]
        assert "2 names" in screen.table[1]
        await screen.press(*["g"] * 5)
        assert "by operation" in screen.text
        await screen.press("g", "g", "g")
        assert "by process/file" in screen.text


@pytest.mark.parametrize("width", [44, 80, 120])
async def test_grouped_by_where_each_owner_is_a_row_that_names_it(width: int) -> None:
    groups = [
        (key("read", 1, path="x", where="docker:3f9a1c2b4d5e"), stats(50 * MS)),
        (key("write", 2, path="y", where="docker:3f9a1c2b4d5e"), stats(40 * MS)),
        (key("write", 3, path="y"), stats(20 * MS)),
        (key("write", 4, path="z", where="lxc:web1"), stats(10 * MS)),
    ]
    async with shown(FakeFeed([second(groups)]), width=width) as screen:
        await screen.press(*["g"] * 6)
        assert "WHERE" in screen.table[0]
        wanted = ["docker:", " - ", "lxc:web1"]
        assert all(owner in row for owner, row in zip(wanted, screen.table[1:4], strict=True))
        assert screen.table[1].rstrip().endswith("files")


async def test_at_80_columns_the_details_say_where_and_both_pids() -> None:
    boxed = key("fsync", 2431, "postgres", where="docker:3f9a1c2b4d5e", inner_pid=17)
    async with shown(FakeFeed([second([(boxed, stats(50 * MS))])])) as screen:
        assert "WHERE" not in screen.table[0]
        assert "fsync by postgres 2431 (17 inside)  in docker:3f9a1c2b4d5e" in screen.text


async def test_where_is_sorted_by_and_several_owners_are_counted() -> None:
    groups = [
        (key("read", 1, path="x", where="lxc:web1"), stats(50 * MS)),
        (key("read", 1, path="y", where="a.service"), stats(40 * MS)),
    ]
    async with shown(FakeFeed([second(groups)]), width=160) as screen:
        x = screen.table[0].index("WHERE") + 1
        await screen.pilot.click("#table", offset=(x, 0))
        assert ["a.service" in screen.table[1], "lxc:web1" in screen.table[2]] == [True, True]
        await screen.press("g")
        assert "2 owners" in screen.table[1]


async def test_the_selection_goes_along_when_grouped_otherwise() -> None:
    async with shown() as screen:
        await screen.press("down", "down", "g")
        assert " 9120 qemu-vm" in screen.selected


async def test_the_window_goes_through_10_60_and_300_seconds() -> None:
    feed = FakeFeed([second([(key(), stats(10**9))], 0), *(second((), at) for at in range(1, 30))])
    async with shown(feed) as screen:
        assert "0.033" in screen.table[1]
        await screen.press("w")
        assert "300 s" in screen.text
        await screen.press("w")
        assert "10 s" in screen.text
        assert "No operation took 10ms or longer in the last 10 s." in screen.text


async def test_pause_stands_still_says_so_over_the_full_width_and_collection_goes_on() -> None:
    feed = busy_feed()
    async with shown(feed) as screen:
        before = screen.table
        await screen.press("space")
        for at in range(90, 102):
            feed.history.append(busy_second(at))
        await screen.look()
        slow = sum(part.count for item in feed.history.last(12) for _, part in item.groups)
        banner = next(line for line in screen.lines if "PAUSED 00:12" in line)
        assert f"PAUSED 00:12, {slow} slow since, Space resumes" in banner
        assert len(banner) == 80
        assert screen.table == before
        await screen.press("p")
        assert "PAUSED" not in screen.text
        assert screen.table != before


async def test_a_pause_outlasts_the_history() -> None:
    feed = busy_feed()
    held, feed.history = feed.history.last(90), History(capacity=100)
    for item in held:
        feed.history.append(item)
    async with shown(feed) as screen:
        before = screen.table
        await screen.press("space")
        for at in range(90, 90 + 150):
            feed.history.append(second((), at))
            screen.app.look()
        await screen.press(*["g"] * 10)
        assert screen.table == before
        assert "PAUSED 02:30" in screen.text


async def test_names_are_never_read_as_markup() -> None:
    groups = [(key(comm="[b]x", dataset="tank/[red]", path="a[/]b[link=x]"), stats(50 * MS))]
    async with shown(FakeFeed([second(groups)]), width=120, height=40) as screen:
        assert "tank/[red]:a[/]b[link=x]" in screen.table[1]
        assert "[b]x" in screen.table[1]
        await screen.press("g", "g")
        assert "tank/[red]:a[/]b[link=x]" in screen.text


async def test_errors_are_counted_where_they_are_seen() -> None:
    async with shown(FakeFeed([second([(key("fsync"), stats(50 * MS, 60 * MS, errors=2))])])) as screen:
        assert "fsync!" in screen.table[1]
        assert "errors 2" in screen.lines[2]
        assert "errors 2" in screen.lines[22]


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_a_loss_is_never_hidden_and_stays(width: int, height: int) -> None:
    feed = busy_feed()
    feed.history.append(second((), 90, lost=12, full=3, rejected=1))
    for at in range(91, 400):
        feed.history.append(second((), at))
    async with shown(feed, width, height) as screen:
        assert "LOST 16" in screen.text
        await screen.press("space")
        assert "LOST 16" in screen.text


async def test_a_loss_is_told_by_cause_when_there_is_room() -> None:
    async with shown(FakeFeed([second((), 0, lost=12, full=3, rejected=1)])) as screen:
        assert "ring full 12, map full 3, rejected 1" in screen.text


async def test_missed_returns_are_a_loss_too() -> None:
    async with shown(FakeFeed([second((), 0, missed=4)])) as screen:
        assert "LOST 4" in screen.text
        assert "missed 4" in screen.text


async def test_an_operation_without_a_probe_is_named() -> None:
    feed = busy_feed()
    feed.now_probes = type(feed.now_probes)(
        feed.now_probes.attached[1:], (Rejected("read", "zpl_read", "absent"),)
    )
    async with shown(feed) as screen:
        assert "NOT measured: read" in screen.text


async def test_while_starting_and_waiting_it_says_what_is_going_on() -> None:
    feed = FakeFeed(status=Status(Phase.STARTING, "compiling the BPF program"))
    async with shown(feed) as screen:
        assert " STARTING " in screen.text
        assert "compiling the BPF program." in screen.text
        feed.now_status = Status(Phase.WAITING, "the zfs module is not loaded; modprobe zfs loads it")
        await screen.look()
        assert "the zfs module is not loaded; modprobe zfs loads it." in screen.text


async def test_a_failure_says_what_is_wrong_and_what_mends_it_and_the_screen_stays() -> None:
    problem = Problem("the Python of this system has no bcc", "apt-get install python3-bpfcc")
    async with shown(FakeFeed(status=Status(Phase.FAILED, "", problem))) as screen:
        assert "Cannot measure: the Python of this system has no bcc." in screen.text
        assert "To mend it: apt-get install python3-bpfcc" in screen.text
        await screen.press("?")
        assert "Pause" in screen.text


async def test_a_failure_after_rows_were_seen_is_told_above_them() -> None:
    feed = busy_feed()
    async with shown(feed) as screen:
        feed.now_status = Status(Phase.FAILED, "", Problem("the probes are gone", "start zfstop again"))
        await screen.look()
        assert "the probes are gone; start zfstop again" in screen.text
        assert "postgres" in screen.text


async def test_a_demo_says_so_and_where_and_when_it_was_recorded_even_when_paused() -> None:
    feed = busy_feed()
    feed.now_status = Status(Phase.DEMO, "recorded on zfs-lab 2026-11-21 14:00 UTC")
    async with shown(feed) as screen:
        assert "DEMO: recorded on zfs-lab 2026-11-21 14:00 UTC" in screen.text
        await screen.press("space")
        assert "recorded on zfs-lab 2026-11-21 14:00 UTC" in screen.text
        assert " DEMO PAUSED " in screen.text


async def test_an_empty_table_says_why() -> None:
    feed = FakeFeed([second((), at) for at in range(7)])
    feed.now_controls = Controls(pids=frozenset({7}))
    async with shown(feed) as screen:
        assert "No operation took 10ms or longer in the last 7 s within the filters." in screen.text
        assert "x  clears the filters" in screen.text


async def read_help(screen: Screen) -> list[str]:
    """All its lines, got at by PgDn alone."""
    found: dict[int, str] = {}
    while True:
        first, last, total = place = screen.app.screen.query_one(_Pages).place()
        visible = [line[: screen.app.size.width - 3] for line in screen.lines[2:-1]]
        found |= zip(range(first, last + 1), visible, strict=True)
        if last == total:
            return [found[y] for y in range(1, total + 1)]
        assert "PgDn" in screen.lines[-1], "it is said that there is more"
        await screen.press("pagedown")
        assert screen.app.screen.query_one(_Pages).place() > place


@pytest.mark.parametrize(
    ("width", "height", "columns"), [(20, 12, 1), (60, 16, 1), (80, 24, 1), (120, 40, 2), (200, 60, 3)]
)
async def test_help_tells_every_key_at_every_size(width: int, height: int, columns: int) -> None:
    async with shown(width=width, height=height) as screen:
        await screen.press("?")
        lines = await read_help(screen)
        assert "PgDn" not in screen.lines[-1]
        starts = [lines[0].index(head) for head in re.findall(r"\S+(?: \S+)*", lines[0])]
        assert len(starts) == columns
        read = "".join(line[a:b] for a, b in pairwise((*starts, width)) for line in lines)
        told = "".join(read.split())
        for action in actions():
            assert "".join(f"{action.shown}{action.text}".split()) in told
        assert "WAITsecondswaitedpersecond:themeannumberofthreadsthatwereblocked" in told
        await screen.press("escape")
        assert " LIVE " in screen.text


async def test_help_is_divided_anew_when_the_terminal_changes() -> None:
    async with shown(width=120, height=40) as screen:
        await screen.press("?")
        assert "lines 1-37 of" in screen.lines[-1]
        await screen.pilot.resize_terminal(200, 60)
        assert screen.lines[-1].strip() == "Esc closes"
        await screen.pilot.resize_terminal(60, 16)
        assert "lines 1-13 of" in screen.lines[-1]


async def test_the_symbols_panel_tells_what_is_attached_and_what_is_not_and_why() -> None:
    feed = FakeFeed([second((), 0)])
    async with shown(feed, width=120, height=40) as screen:
        await screen.press("S")
        line = next(line for line in screen.lines if "zpl_iter_read" in line)
        assert line.split() == ["read", "zpl_iter_read", "kiocb", "fentry/fexit", "2,000"]
        assert "all: module zfs" in screen.text
        assert "zpl_fsync.isra.0  suffix variant: its arguments are not known" in screen.text
        assert "zfs.ko has type information (BTF)" in screen.text
        feed.history.append(second((), 1))
        await screen.look()
        assert "4,000" in screen.text
        await screen.press("S")
        assert "WAIT▼" in screen.text


async def test_every_key_means_one_thing() -> None:
    keys = [name for action in actions() for name in action.keys.split(",")]
    assert len(keys) == len(set(keys))


async def test_every_action_can_be_found_by_name() -> None:
    async with shown() as screen:
        offered = {command.help for command in screen.app.get_system_commands(screen.app.screen)}
        assert {action.text for action in actions() if action.name != "command_palette"} <= offered


@pytest.mark.parametrize("keys", [("q",), ("ctrl+c",), ("t", "ctrl+c"), ("?", "ctrl+c"), ("O", "ctrl+c")])
async def test_it_quits(keys: tuple[str, ...]) -> None:
    async with shown() as screen:
        await screen.pilot.press(*keys)
        assert screen.app._exit
        assert screen.app.return_code == 0


async def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with shown() as screen:
        strips = screen.app.screen._compositor.render_strips()
        styles = [segment.style for strip in strips for segment in strip if segment.style]
        assert all(style.color is None or style.color.is_default for style in styles)
        assert all(style.bgcolor is None or style.bgcolor.is_default for style in styles)
        assert any(style.reverse for style in styles)
