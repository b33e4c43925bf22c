"""Rows: the plain view and the rolling one agree, and say who waited without naming one of several for all."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.events import Key
from zfstop.model.histogram import bucket_of
from zfstop.model.history import History, Second, Stats
from zfstop.model.rows import TREND_CELLS, Grouping, Rolling, Row, rows, sort_rows, trend
from zfstop.model.state import Controls
from zfstop.model.waits import Waits, together

MS = 1_000_000


def key(op: str = "read", pid: int = 1, comm: str = "fio", dataset: str = "tank", path: str = "a") -> Key:
    return Key(op, pid, comm, 0, 1, dataset, path, f"zpl_{op}")


def stats(*latencies: int, errors: int = 0, size: int = 0) -> Stats:
    buckets: dict[int, int] = {}
    for latency in latencies:
        buckets[bucket_of(latency)] = buckets.get(bucket_of(latency), 0) + 1
    return Stats(len(latencies), errors, sum(latencies), max(latencies), size * len(latencies), buckets)


def second(*groups: tuple[Key, Stats], length_ns: int = 10**9) -> Second:
    return Second(0.0, 0, length_ns, Controls(), groups)


keys = st.builds(
    key,
    op=st.sampled_from(["read", "write", "fsync"]),
    pid=st.integers(1, 3),
    comm=st.sampled_from(["a", "b"]),
    dataset=st.sampled_from(["tank", "tank/x"]),
    path=st.sampled_from(["p", "q"]),
)
some_stats = st.builds(
    lambda latencies, errors, waits: replace(stats(*latencies, errors=errors, size=512), waits=waits),
    st.lists(st.integers(0, 5 * 10**9), min_size=1, max_size=4),
    st.integers(0, 2),
    st.none() | st.lists(st.integers(0, 10**9), min_size=9, max_size=9).map(lambda ns: Waits(*ns)),
)
seconds = st.builds(
    lambda groups, length_ns: second(*groups.items(), length_ns=length_ns),
    st.dictionaries(keys, some_stats, max_size=5),
    st.integers(10**8, 3 * 10**9),
)
groupings = st.sampled_from(list(Grouping))


def seen(row: Row, end: int, window: int) -> tuple[object, ...]:
    """All that a row tells."""
    sums = (row.identity, row.count, row.errors, row.total_ns, row.max_ns, row.bytes, row.last)
    return (
        *sums,
        row.who,
        dict(row.buckets),
        trend(row, end, window),
        row.percentile(0.5),
        row.percentile(0.99),
        row.waits,
    )


@given(
    st.lists(seconds, max_size=25),
    groupings,
    st.sampled_from([3, 10, 20]),
    st.lists(st.integers(0, 25), max_size=8),
    st.integers(1, 30),
)
def test_a_rolling_window_gives_the_rows_of_its_slice_wherever_it_is_moved(
    every: list[Second], grouping: Grouping, window: int, stops: list[int], capacity: int
) -> None:
    """Steps, jumps back and ahead, and seconds that the history has let go of."""
    history = History(capacity)
    for item in every:
        history.append(item)
    rolling = Rolling(grouping, window)
    for end in (*(min(stop, history.end) for stop in stops), *range(history.end + 1)):
        rolling.move_to(end, history.between)
        held = history.between(max(0, end - window), end)
        plain = rows(held, grouping, end - len(held), window)
        assert [seen(row, end, window) for row in rolling.rows()] == [seen(row, end, window) for row in plain]
        assert rolling.length_ns == sum(item.length_ns for item in held)


def test_calls_that_took_no_time_leave_a_window_too() -> None:
    """Several keys of a row, all of them gone with the same second."""
    history = History()
    history.append(second((key(path="p"), stats(0)), (key(path="q"), stats(0))))
    for _ in range(3):
        history.append(second())
    rolling = Rolling(Grouping.PROCESS, 3)
    for end in range(5):
        rolling.move_to(end, history.between)
    assert rolling.rows() == ()


@given(st.lists(seconds, max_size=12), groupings)
def test_no_operation_is_lost_or_counted_twice_by_grouping(every: list[Second], grouping: Grouping) -> None:
    found = rows(every, grouping)
    groups = [part for item in every for _, part in item.groups]
    assert sum(row.count for row in found) == sum(part.count for part in groups)
    assert sum(row.total_ns for row in found) == sum(part.total_ns for part in groups)
    assert sum(row.errors for row in found) == sum(part.errors for part in groups)
    known = reduce(together, (part.waits for part in groups), None)
    assert reduce(together, (row.waits for row in found), None) == known


def test_wait_is_seconds_waited_per_second_of_what_was_really_seen() -> None:
    """Two threads blocked all the time, seen for 3 s of a 60 s window: WAIT is 2, not 0.1."""
    rolling = Rolling(Grouping.OPERATION, 60)
    history = History()
    for _ in range(3):
        history.append(second((key(), stats(10**9, 10**9))))
    rolling.move_to(3, history.between)
    (row,) = rolling.rows()
    assert row.waited(rolling.length_ns) == pytest.approx(2.0)
    assert row.rate(rolling.length_ns) == pytest.approx(2.0)


def test_a_percentile_of_too_few_samples_is_not_told() -> None:
    few = rows([second((key(), stats(*[10 * MS] * 99)))], Grouping.OPERATION)[0]
    enough = rows([second((key(), stats(*[10 * MS] * 100)))], Grouping.OPERATION)[0]
    one = rows([second((key(), stats(10 * MS)))], Grouping.OPERATION)[0]
    assert (one.percentile(0.5), few.percentile(0.99)) == (None, None)
    assert enough.percentile(0.99) is not None
    assert one.max_ns == 10 * MS


def test_process_and_file_rows_are_one_operation_each() -> None:
    found = rows([second((key("read"), stats(1)), (key("write"), stats(1)))], Grouping.PROCESS_FILE)
    assert [row.who.ops for row in found] == [("read",), ("write",)]


def test_a_row_of_several_knows_all_of_them() -> None:
    groups = [(key(pid=pid, comm=f"c{pid}"), stats(1)) for pid in (3, 1, 2)]
    (row,) = rows([second(*groups)], Grouping.FILE)
    assert (row.who.pids, row.who.comms) == ((1, 2, 3), ("c1", "c2", "c3"))


def test_a_complete_trend_cell_never_changes_again() -> None:
    every = [second((key(), stats(MS * (position % 7 + 1)))) for position in range(200)]
    seen_cells: dict[int, int] = {}
    for end in range(60, 200):
        (row,) = rows(every[end - 60 : end], Grouping.OPERATION, end - 60, 60)
        newest = (end - 1) // 6
        for cell, waited in zip(range(newest - TREND_CELLS + 1, newest), trend(row, end, 60), strict=False):
            assert seen_cells.setdefault(cell, waited) == waited


def test_equal_rows_are_ordered_by_identity_in_both_directions() -> None:
    found = rows([second(*[(key(path=path), stats(MS)) for path in "cab"])], Grouping.FILE)
    for descending in (False, True):
        ordered = sort_rows(reversed(found), lambda row: (row.total_ns,), descending)
        assert [row.identity[1] for row in ordered] == ["a", "b", "c"]


def test_groupings_go_round() -> None:
    grouping = Grouping.PROCESS_FILE
    visited = []
    for _ in Grouping:
        visited.append(grouping)
        grouping = grouping.next
    assert visited == list(Grouping)
    assert grouping is Grouping.PROCESS_FILE


def test_rows_of_a_window_that_was_left_are_freed_bit_by_bit() -> None:
    history = History()
    for at in range(20):
        history.append(second(*((key(path=f"{at} {number}"), stats(20 * MS)) for number in range(10))))
    rolling = Rolling(Grouping.FILE, 20)
    rolling.move_to(20, history.between)
    first = rolling.rows()[0]
    assert rolling.groups == len(rolling.by_identity) == 200
    rolling.drop()
    assert not rolling.by_identity
    times = 1
    while rolling.let_go(25):
        times += 1
    assert times == 7  # three seconds of ten at a time
    assert (first.count, rolling.groups) == (1, 0)


def test_who_a_row_is_stays_known_while_its_keys_do_and_no_longer() -> None:
    one, other = key(comm="a"), key(comm="b")
    row = Row(("x",))
    for at in range(3):
        row.add((at, one, stats(20 * MS)))
    assert row.cells
    who = row.who
    row.add((3, one, part := stats(30 * MS)))
    assert row.who is who
    row.take((3, one, part))
    assert row.who is who
    row.add((4, other, last := stats(40 * MS)))
    assert row.who.comms == row.distinct(lambda key: key.comm) == ("a", "b")
    assert row.max_ns == 40 * MS
    row.take((4, other, last))
    assert (row.who.comms, row.distinct(lambda key: key.comm), row.max_ns) == (("a",), ("a",), 20 * MS)
