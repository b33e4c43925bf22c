"""The heat map counts every call once, in the row of its latency and the column of its second."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.aggregate import stats_of
from zfstop.model.bill import Bill, telling
from zfstop.model.events import Event, Key
from zfstop.model.heat import (
    EMPTY,
    FINE,
    LEAST_ROWS,
    NO_LIMIT,
    SPANS,
    Box,
    Columns,
    coarse,
    column,
    fine_row,
    inside,
    limits,
    merged,
)
from zfstop.model.histogram import BUCKETS, RELATIVE_ERROR, bucket_low, bucket_middle, bucket_of
from zfstop.model.history import Second, Stats, Tally
from zfstop.model.percentiles import RollingCalls
from zfstop.model.state import Controls
from zfstop.units import step_threshold

MS = 1_000_000
ALL = Controls(threshold_ns=0)
latencies = st.integers(0, 1 << 41)
histograms = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 10**6), max_size=20)
columns = st.tuples(*[st.integers(0, 10**6)] * len(FINE))
heights = pytest.mark.parametrize("height", [3, 4, 5, 6, 7, 8, 9, 15, 16, 22, 40])
KEY = Key("read", 1, "fio", 0, 1, "tank/a", "f", "zpl_iter_read")


def tally(buckets: dict[int, int]) -> Tally:
    return Tally(sum(buckets.values()), 0, 0, 0, buckets)


def second(at: int = 0, **calls: dict[int, int]) -> Second:
    """A second with these histograms by operation, all on one dataset."""
    found = tuple((op, "tank/a", tally(buckets)) for op, buckets in calls.items())
    return Second(1000.0 + at, at * 10**9, 10**9, ALL, tallies=found)


def event(latency_ns: int, size: int = 1, key: Key = KEY) -> Event:
    return Event(key, 0, latency_ns, 1, 0, size, 0, bucket_of(latency_ns))


@given(histograms, histograms)
def test_a_column_holds_every_call_once(read: dict[int, int], write: dict[int, int]) -> None:
    found = column(second(read=read, write=write), lambda op, dataset: True)
    assert sum(found) == sum(read.values()) + sum(write.values())


@heights
@given(counts=columns)
def test_coarser_rows_hold_the_same_calls(height: int, counts: tuple[int, ...]) -> None:
    rows = limits(height)
    assert len(rows) <= max(height, LEAST_ROWS)
    assert sum(coarse(counts, rows)) == sum(counts)


@heights
def test_rows_rise_from_nothing_and_are_made_of_whole_fine_rows(height: int) -> None:
    rows = limits(height)
    assert rows[0] == 0
    assert sorted(set(rows)) == list(rows)
    assert set(rows) <= set(FINE)


@given(latencies)
def test_a_call_is_in_the_row_of_its_latency_to_within_half_a_bucket(latency_ns: int) -> None:
    shown = bucket_middle(bucket_of(latency_ns))
    row = fine_row(bucket_of(latency_ns))
    top = FINE[row + 1] if row + 1 < len(FINE) else NO_LIMIT
    assert FINE[row] <= shown < top
    nearest = min(max(latency_ns, FINE[row]), top)
    assert latency_ns >= 1 << 40 or abs(latency_ns - nearest) <= RELATIVE_ERROR * latency_ns + 1


def test_every_bucket_has_the_row_in_which_it_lies() -> None:
    for bucket in range(BUCKETS - 1):
        low, high = bucket_low(bucket), bucket_low(bucket + 1) - 1
        rows = {sum(limit <= ns for limit in FINE) - 1 for ns in (low, high)}
        assert fine_row(bucket) in rows


def test_every_step_of_the_threshold_is_the_edge_of_a_fine_row() -> None:
    step = 1000
    while (step := step_threshold(step, up=True)) <= 10 * 10**9:
        assert step in FINE


@given(columns, columns, columns)
def test_merging_columns_is_associative_and_knows_no_order(
    a: tuple[int, ...], b: tuple[int, ...], c: tuple[int, ...]
) -> None:
    whole = merged([a, b, c])
    assert merged([merged([a, b]), c]) == merged([a, merged([b, c])]) == merged([c, b, a]) == whole
    assert merged([]) == EMPTY
    assert coarse(whole, limits(8)) == tuple(
        map(sum, zip(*(coarse(x, limits(8)) for x in (a, b, c)), strict=True))
    )


@given(st.lists(histograms, min_size=1, max_size=40), st.sampled_from(SPANS), st.integers(1, 50))
def test_the_map_is_the_sum_of_its_seconds_however_it_was_come_to(
    parts: list[dict[int, int]], span: int, count: int
) -> None:
    seconds = tuple(second(at, read=part) for at, part in enumerate(parts))

    def recorded(start: int, end: int) -> tuple[Second, ...]:
        return seconds[start:end]

    stepwise = Columns(ALL)
    for end in range(1, len(seconds)):
        stepwise.heat(end, count, span, recorded)
    heat = stepwise.heat(len(seconds), count, span, recorded)
    assert heat == Columns(ALL).heat(len(seconds), count, span, recorded)
    shown = seconds[heat.first * span :]
    assert sum(sum(item.counts) for item in heat.slices) == sum(
        sum(part.buckets.values()) for item in shown for _, _, part in item.tallies
    )
    assert [item.clock for item in heat.slices] == [item.clock - 1 for item in shown[::span]]


def test_what_the_history_let_go_of_is_not_on_the_map_unless_it_was_seen_before() -> None:
    seconds = [second(at, read={40: 1}) for at in range(30)]
    columns = Columns(ALL)
    held = columns.heat(20, 50, 1, lambda start, end: tuple(seconds[max(start, 12) : end]))
    assert (held.first, len(held.slices)) == (12, 8)
    later = columns.heat(30, 50, 1, lambda start, end: tuple(seconds[max(start, 25) : end]))
    assert [item.seconds for item in later.slices] == [1] * 8 + [0] * 5 + [1] * 5


def test_only_wanted_operations_and_datasets_are_on_the_map() -> None:
    other = ("read", "tank/b", tally({50: 1000}))
    one = second(0, read={50: 1}, fsync={50: 10})
    one = replace(one, tallies=(*one.tallies, other))

    def total(controls: Controls) -> int:
        return sum(sum(s.counts) for s in Columns(controls).heat(1, 9, 1, lambda a, b: (one,)).slices)

    assert total(ALL) == 1011
    assert total(Controls(ops=frozenset({"read"}))) == 1001
    assert total(Controls(datasets=frozenset({"tank/a"}))) == 11
    assert total(Controls(datasets=frozenset({"tank/b"}), ops=frozenset({"fsync"}))) == 0


rows_of_box = st.tuples(st.integers(0, len(FINE) - 1), st.integers(1, len(FINE))).map(
    lambda pair: (FINE[pair[0]], (*FINE, NO_LIMIT)[max(pair[1], pair[0] + 1)])
)


@given(st.lists(histograms, min_size=1, max_size=5), rows_of_box)
def test_a_box_holds_the_calls_of_its_rows(parts: list[dict[int, int]], edges: tuple[int, int]) -> None:
    seconds = tuple(second(at, read=part) for at, part in enumerate(parts))
    box = Box(0, len(parts), *edges)
    expected = sum(count for part in parts for bucket, count in part.items() if box.holds(bucket))
    assert Columns(ALL).calls(box, lambda start, end: seconds[start:end]) == expected


@given(st.lists(st.integers(1, 1 << 39), min_size=1, max_size=30), rows_of_box, st.integers(0, 30))
def test_slow_calls_in_a_box_are_counted_exactly_and_all_is_exact_where_they_were_kept(
    found: list[int], edges: tuple[int, int], kept: int
) -> None:
    calls = [event(latency) for latency in found]
    box = Box(0, 1, *edges)
    whole = replace(second(), groups=((KEY, stats_of(calls)),), events=tuple(calls[:kept]))
    part, estimates = inside(whole, box)
    expected = [call for call in calls if box.holds(call.bucket)]
    if not expected:
        assert part.groups == ()
        return
    ((_, stats),) = part.groups
    exact = stats_of(expected)
    assert (stats.count, stats.buckets) == (exact.count, exact.buckets)
    if kept >= len(calls) or len(expected) == len(calls):
        assert (stats, estimates) == (exact, 0)
    else:
        assert estimates == stats.count
        assert abs(stats.max_ns - exact.max_ns) <= RELATIVE_ERROR * exact.max_ns + 1
        assert abs(stats.total_ns - exact.total_ns) <= RELATIVE_ERROR * exact.total_ns + len(expected)


def test_several_groups_of_a_second_keep_apart_in_a_box() -> None:
    other = KEY._replace(pid=2)
    groups = (
        (KEY, stats_of([event(5 * MS), event(700 * MS)])),
        (other, Stats(4, 4, 4 * MS, MS, 4, {bucket_of(MS): 4})),
    )
    part, estimates = inside(replace(second(), groups=groups), Box(0, 1, 100 * MS, NO_LIMIT))
    assert [(key.pid, stats.count, stats.max_ns) for key, stats in part.groups] == [(1, 1, 700 * MS)]
    assert estimates == 1


@given(st.lists(latencies, min_size=1, max_size=60), st.integers(0, 1 << 40))
def test_a_threshold_is_never_told_to_bring_less_than_it_would_have(found: list[int], threshold: int) -> None:
    calls = RollingCalls(60)
    for latency in found:
        calls.enter(second(0, read={bucket_of(latency): 1}))
    told = calls.bill().per_second(threshold)
    assert told is not None
    slow = sum(latency >= threshold for latency in found)
    near = sum(bucket_of(latency) == bucket_of(threshold) for latency in found)
    assert slow <= round(told * len(found)) <= slow + near


def test_what_other_processes_did_does_not_tell_what_a_threshold_brings() -> None:
    asked = Controls(threshold_ns=0, pids=frozenset({7}))
    assert telling(second(0, read={50: 9}), asked).tallies == ()
    assert telling(second(0, read={50: 9}), asked).length_ns == 0
    mine = replace(second(0, read={50: 9}, fsync={9: 1}), controls=asked)
    assert [op for op, _, _ in telling(mine, replace(asked, ops=frozenset({"fsync"}))).tallies] == ["fsync"]
    assert Bill().per_second(0) is None
