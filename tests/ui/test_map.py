"""The map on the screen: what it shows without colour, and the box that is drawn on it by keys and by mouse."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate, cycle, islice, pairwise

import pytest
from driving import Screen, shown
from fake_feed import MS, FakeFeed, busy_second, calls_feed, key, second, stats

from zfstop.model.heat import FINE, Heat, Slice
from zfstop.model.state import Controls
from zfstop.ui.dialogs import AskThreshold
from zfstop.ui.heat import GLYPHS, SCALE_WIDTH, STEPS, layout, map_lines

SIZE = (120, 40)


def spiky() -> FakeFeed:
    """20 s of short fsyncs of one program; in second 10, two of them took 700 ms, and one write 600 ms."""
    seconds = []
    for at in range(20):
        groups = [(key("fsync", 7, "quick", path="log"), stats(20 * MS, 20 * MS))]
        if at == 10:
            groups += [
                (key("fsync", 8, "victim", path="db"), stats(700 * MS, 700 * MS, 15 * MS)),
                (key("write", 9, "bulk", path="tar"), stats(600 * MS)),
            ]
        seconds.append(second(groups, at))
    return FakeFeed(seconds)


def map_of(screen: Screen) -> list[str]:
    """Its lines as text, without the scale."""
    return ["".join(text for text, _ in line)[SCALE_WIDTH:] for line in screen.app.main.map.lines]


def row_of(screen: Screen, label: str) -> int:
    """The terminal's line that begins with this label."""
    return next(y for y, line in enumerate(screen.lines) if line[: SCALE_WIDTH - 2].strip() == label)


def comms(screen: Screen) -> list[str]:
    return [word for line in screen.table for word in line.split() if word in ("quick", "victim", "bulk")]


@pytest.mark.parametrize(
    ("width", "height", "is_map"), [(80, 24, False), (50, 40, False), (80, 30, True), (200, 60, True)]
)
async def test_the_map_is_the_chart_where_there_is_room_for_it_and_h_takes_the_other(
    width: int, height: int, is_map: bool
) -> None:
    async with shown(width=width, height=height) as screen:
        assert screen.app.main.has_map is is_map
        await screen.press("H")
        assert screen.app.main.has_map is not is_map
        assert ("█ p99" in screen.text) is is_map
        await screen.press("H")
        assert screen.app.main.has_map is is_map


async def test_where_not_even_three_lines_are_left_for_it_the_map_says_so() -> None:
    async with shown(width=60, height=16) as screen:
        await screen.press("H", "shift+up", "shift+up")
        assert (await screen.toast()).count("needs a higher terminal") == 1
        assert not screen.app.main.has_map


async def test_the_map_shows_all_calls_with_their_number_as_a_glyph() -> None:
    async with shown(spiky(), *SIZE) as screen:
        fast, slow = map_of(screen)[12], map_of(screen)[row_of(screen, "300ms") - row_of(screen, "10s+")]
        assert fast.strip() == "░" * 20  # 20 to 90 us: 20 times ten calls and more, none of them slow
        assert slow.strip() == ":"
        assert slow.rindex(":") == len(slow) - 10
        assert "└14:00:10" in map_of(screen)[-1]


@pytest.mark.parametrize(
    "took", [[1.0], [1.3], [2.5], [1.0, 1.0, 1.7], [1.1, 1.0, 1.0, 2.9, 1.0]], ids=lambda took: str(took)
)
def test_labels_beneath_the_map_are_equally_far_apart_however_long_seconds_were(took: list[float]) -> None:
    ends = list(accumulate(islice(cycle(took), 110), initial=1_768_399_200.0))
    slices = tuple(Slice(clock, 1, (0,) * len(FINE)) for clock in ends)
    axis = map_lines(layout(Heat(1, 0, len(slices), slices), 120, 16), 10**7, None, UTC)[-1][0][0]
    clocks = [datetime.strptime(label.split()[0], "%H:%M:%S") for label in axis.split("└")[1:]]
    assert len(clocks) >= 3
    assert len({b - a for a, b in pairwise(clocks)}) == 1
    assert "└14:01:00" in axis


def test_where_round_times_come_irregularly_labels_tell_the_time_of_every_fifteenth_column() -> None:
    ends = list(accumulate(islice(cycle((1.0,) * 3 + (5000.0,)), 60), initial=1_768_399_200.0))
    slices = tuple(Slice(clock, 1, (0,) * len(FINE)) for clock in ends)
    axis = map_lines(layout(Heat(1, 0, len(slices), slices), 68, 16), 10**7, None, UTC)[-1][0][0]
    assert [place - SCALE_WIDTH for place, glyph in enumerate(axis) if glyph == "└"] == [0, 15, 30, 45]
    assert axis[SCALE_WIDTH + 15 :].startswith(f"└{datetime.fromtimestamp(ends[15], UTC):%H:%M:%S}")


@pytest.mark.parametrize("count", [0, *STEPS, 9, 99, 10**7])
def test_more_calls_are_a_denser_glyph(count: int) -> None:
    counts = [0] * len(FINE)
    counts[FINE.index(MS)] = count
    plan = layout(Heat(1, 0, 1, (Slice(0.0, 1, tuple(counts)),)), 20, 16)
    lines = map_lines(plan, 10 * MS, None)
    text = "".join(text for text, _ in lines[8])
    assert text[: SCALE_WIDTH - 2].strip() == "1ms"
    assert text[-1] == GLYPHS[sum(count >= step for step in STEPS)]


def test_the_threshold_is_pointed_at_and_underlined_and_what_is_above_is_tinted() -> None:
    counts = (5,) * len(FINE)
    heat = Heat(1, 0, 1, (Slice(0.0, 1, counts),))
    for limit, marked in ((10 * MS, "10ms"), (20 * MS, "10ms"), (30 * MS, "30ms"), (10**9, "1s")):
        lines = map_lines(layout(heat, 20, 16), limit, None)
        (line,) = (line for line in lines if "▸" in "".join(text for text, _ in line))
        assert line[0][0].strip() == marked
        assert all("heat-line" in style for _, style in line[2:])
        tints = [line[-1][1].split()[0] for line in lines[:-1]]
        assert ["cool" in tint for tint in tints] == sorted("cool" in tint for tint in tints)
        assert "cool" not in tints[lines.index(line)]


def test_a_row_that_the_threshold_divides_is_tinted_only_where_it_holds_slow_calls() -> None:
    fast, slow = (tuple(3 * (limit == ms * MS) for limit in FINE) for ms in (10, 20))
    heat = Heat(1, 0, 2, (Slice(0.0, 1, fast), Slice(1.0, 1, slow)))
    line = map_lines(layout(heat, SCALE_WIDTH + 2, 16), 20 * MS, None)[6]
    assert ["".join(text for text, _ in line)[:5].strip(), *(style.split()[0] for _, style in line[2:])] == [
        "10ms", "heat-cool-2", "heat-warm-2",
    ]  # fmt: skip


async def test_a_box_drawn_with_keys_begins_at_the_spike_and_filters_the_table_once_it_is_kept() -> None:
    async with shown(spiky(), *SIZE) as screen:
        await screen.press("shift+up")
        assert "BOX 14:00:09-14:00:10, 300ms-1s" in screen.text
        assert "3 calls" in screen.text
        assert "quick" in comms(screen)
        await screen.press("enter")
        assert comms(screen) == ["victim", "bulk"]
        assert "3 in the table" in screen.text
        assert "in the box" in screen.text
        await screen.press("escape")
        assert "BOX" not in screen.text
        assert "quick" in comms(screen)


async def test_a_box_grows_with_shift_moves_without_and_stops_at_the_edge() -> None:
    async with shown(spiky(), *SIZE) as screen:
        await screen.press("shift+up", "shift+right", "shift+down", "shift+down")
        assert "BOX 14:00:09-14:00:11, 30ms-1s" in screen.text
        await screen.press("left", "up")
        assert "BOX 14:00:08-14:00:10, 100ms-3s" in screen.text
        await screen.press(*["up"] * 2, *["right"] * 9)
        assert "BOX 14:00:17-14:00:19, 1s and more" in screen.text
        await screen.press("escape", "down")
        assert "BOX" not in screen.text
        assert screen.app.main.table.selected is screen.app.main.table._rows[1]


async def test_a_box_drawn_with_the_mouse_is_kept_when_the_button_is_let_go() -> None:
    async with shown(spiky(), *SIZE) as screen:
        top = row_of(screen, "10s+")
        y = row_of(screen, "300ms") - top
        right = screen.app.main.map.size.width - 1
        await screen.pilot.mouse_down(screen.app.main.map, offset=(right - 10, y - 1))
        await screen.pilot.hover(screen.app.main.map, offset=(right - 8, y))
        assert "Enter keeps it" in screen.text
        assert "quick" in comms(screen)
        await screen.pilot.mouse_up(screen.app.main.map, offset=(right - 8, y))
        await screen.pilot.pause()
        assert "BOX 14:00:08-14:00:11, 300ms-3s" in screen.text
        assert comms(screen) == ["victim", "bulk"]


async def test_calls_that_were_only_counted_are_told_with_the_reason() -> None:
    feed = FakeFeed([second([(key(), stats(20 * MS))], 0)])
    async with shown(feed, *SIZE) as screen:
        await screen.press("shift+up", *["shift+down"] * 20, "enter")
        assert "41 calls" in screen.text
        assert "1 in the table  40 below 10ms: only counted" in screen.text
        await screen.press("escape", "shift+up", *["down"] * 5, "enter")
        assert "No slow operation in the box" in screen.text
        assert "less than 10ms: they are only counted" in screen.text


async def test_calls_that_were_counted_in_a_neighbouring_second_are_told_so() -> None:
    item = second([(key(), stats(700 * MS, 700 * MS))], 0)
    op, dataset, tally = item.tallies[0]
    one_less = replace(
        tally, buckets={bucket: count - (count == 2) for bucket, count in tally.buckets.items()}
    )
    async with shown(FakeFeed([replace(item, tallies=((op, dataset, one_less),))]), *SIZE) as screen:
        await screen.press("shift+up", "enter")
        assert "1 call  2 in the table  1 counted in the second before or after" in screen.text


async def test_what_is_estimated_in_a_box_is_said() -> None:
    async with shown(spiky(), *SIZE) as screen:
        await screen.press("shift+up", "enter")
        assert "2 estimated" in screen.text
    whole = FakeFeed([second([(key(), stats(700 * MS))], 0)])
    async with shown(whole, *SIZE) as screen:
        await screen.press("shift+up", "enter")
        assert "estimated" not in screen.text


async def test_a_box_stays_on_its_seconds_while_the_map_moves_and_follows_grouping_and_threshold() -> None:
    feed = spiky()
    async with shown(feed, *SIZE) as screen:
        await screen.press("shift+up", "enter")
        for at in range(20, 90):
            feed.history.append(busy_second(at))
        await screen.look()
        assert comms(screen) == ["victim", "bulk"]
        assert "BOX 14:00:09-14:00:10" in screen.text
        await screen.press(*["g"] * 7)
        assert ["fsync" in line for line in screen.table[1:4]] == [True, False, False]
        assert ["write" in line for line in screen.table[1:4]] == [False, True, False]
        await screen.press("g", "x")
        assert "BOX" not in screen.text
        assert feed.controls() == Controls()


async def test_the_map_looks_farther_with_more_seconds_in_a_column_and_no_call_is_lost() -> None:
    async with shown(spiky(), *SIZE) as screen:
        found = {}
        for span in (1, 2, 5):
            assert f"{span} s a column" in screen.text
            frame = screen.app.lens.frame(100)
            found[span] = (sum(sum(item.counts) for item in frame.heat.slices), len(frame.heat.slices))
            await screen.press(")")
        assert found == {1: (43 * 41 + 41, 20), 2: (43 * 41 + 41, 10), 5: (43 * 41 + 41, 4)}
        await screen.press("(", "(", "(")
        assert "1 s a column" in screen.text


async def test_without_colour_the_map_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(spiky(), *SIZE) as screen:
        coloured = map_of(screen)
    monkeypatch.setenv("NO_COLOR", "1")
    async with shown(spiky(), *SIZE) as screen:
        assert map_of(screen) == coloured
        await screen.press("shift+up")
        y = row_of(screen, "300ms")
        strip = screen.app.screen._compositor.render_strips()[y]
        assert [segment.text for segment in strip if segment.style and segment.style.reverse] == [":"]


async def test_the_status_line_says_beforehand_what_a_step_of_the_threshold_would_bring() -> None:
    feed = FakeFeed(second([(key(), stats(6 * MS, 12 * MS, 12 * MS, 30 * MS))], at) for at in range(10))
    async with shown(feed, 120, 30) as screen:
        assert "slow >= 10ms [- 5ms: 4.0/s, + 20ms: 1.0/s]" in screen.text
        await screen.press("-")
        assert "slow >= 5ms [- 2ms: 4.0/s, + 10ms: 3.0/s]" in screen.text
    async with shown(feed) as screen:
        assert "slow >= 5ms [- 4.0/s, + 3.0/s]" in screen.text


async def test_the_dialog_says_what_each_threshold_would_bring_while_it_is_typed() -> None:
    feed = FakeFeed(second([(key(), stats(6 * MS, 12 * MS, 12 * MS, 30 * MS))], at) for at in range(10))
    async with shown(feed) as screen:
        await screen.press("t")
        assert isinstance(screen.app.screen, AskThreshold)
        assert "Brings 3.0 events a second, by all calls of the last 10 s" in screen.text
        await screen.press("ctrl+u", "1", "0", "u", "s")
        assert "Brings 164 events a second" in screen.text
        await screen.press("x")
        assert "Brings" not in screen.text
        table = [line.strip(" │") for line in screen.lines if "100us" in line or "164/s" in line]
        assert table[0].split()[1:] == ["0", "100us", "1ms", "2ms", "5ms", "10ms", "100ms"]
        assert table[1].split() == ["164/s", *["4.0/s"] * 4, "3.0/s", "0/s"]


async def test_before_anything_was_measured_nothing_is_claimed() -> None:
    async with shown(FakeFeed()) as screen:
        assert "[+ -]" in screen.text
        await screen.press("t")
        assert "not known yet" in screen.text
        await screen.press("escape", "shift+up")
        assert "BOX" not in screen.text


async def test_a_box_and_a_filter_combine_and_the_map_counts_what_the_filter_lets_through() -> None:
    async with shown(spiky(), *SIZE) as screen:
        await screen.press("shift+up", "enter")
        assert comms(screen) == ["victim", "bulk"]
        await screen.press("slash", *"op:fsync", "enter")
        assert comms(screen) == ["victim"]
        assert "1 of 2 rows hidden by /" in screen.text
        assert sum(sum(item.counts) for item in screen.app.lens.frame(100).heat.slices) == 43 * 41
        await screen.press("slash", "ctrl+u", *"comm:nobody", "enter")
        assert "No slow operation in the box within the filters." in screen.text
        assert "All 2 rows are hidden by /" in screen.text
        assert "0 in the table  3 hidden by the filters, or only counted" in screen.text
        await screen.press("x")
        assert "BOX" not in screen.text
        assert "hidden by /" not in screen.text


async def test_a_box_stays_while_one_goes_back_in_time_and_what_is_later_is_said_to_be() -> None:
    async with shown(spiky(), *SIZE) as screen:
        await screen.press("shift+up", "enter", "slash", *"op:fsync", "enter", "space", "[", "[")
        seen = screen.table
        assert comms(screen) == ["victim"]
        assert "later" not in screen.text
        await screen.press(*["["] * 8)
        assert "BOX 14:00:09-14:00:10" in screen.text
        assert "later than all else here" in screen.text
        assert screen.table == seen
        await screen.press("escape")
        assert comms(screen) == ["quick"]
        await screen.press("x", "L")
        assert set(comms(screen)) == {"victim", "bulk", "quick"}


async def test_within_a_box_single_calls_are_those_of_the_box_and_escape_drops_it_before_it_goes_up() -> None:
    async with shown(calls_feed(), *SIZE) as screen:
        await screen.press("g", "enter", "enter", "down", "enter")
        assert "all 3 calls" in screen.text
        await screen.press("shift+up", "enter")
        assert len([line for line in screen.table[1:] if line.strip()]) == 1
        assert "all 1 calls" in screen.text
        await screen.press("escape")
        assert "BOX" not in screen.text
        assert "all 3 calls" in screen.text
        await screen.press("escape")
        assert "single calls" not in screen.text
        assert "> by operation" in screen.text
