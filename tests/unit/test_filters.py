"""A filter asked for now also hides what was collected before it."""

from __future__ import annotations

from dataclasses import replace

from zfstop.model.events import Key
from zfstop.model.filters import within
from zfstop.model.history import Second, Stats, Tally
from zfstop.model.state import Controls

MS = 1_000_000
TALLY = Tally(3, 0, 3, 0, {1: 3})


def key(pid: int, op: str = "read", dataset: str = "tank/data") -> Key:
    return Key(op, pid, "dd", 0, 0, dataset, "f", "zpl_iter_read")


def stats(max_ns: int) -> Stats:
    return Stats(1, 0, max_ns, max_ns, 0, {1: 1})


SECOND = Second(
    0.0,
    10**9,
    10**9,
    Controls(),
    groups=(
        (key(1), stats(20 * MS)),
        (key(2, "fsync"), stats(90 * MS)),
        (key(3, "read", "dozer"), stats(50 * MS)),
    ),
    tallies=(("read", "tank/data", TALLY), ("fsync", "tank/data", TALLY), ("read", "dozer", TALLY)),
)


def pids(controls: Controls) -> list[int]:
    return [who.pid for who, _ in within(SECOND, controls).groups]


def test_without_a_change_it_is_the_same_second() -> None:
    assert within(SECOND, Controls()) is SECOND


def test_other_processes_operations_and_datasets_are_hidden() -> None:
    assert pids(Controls(pids=frozenset({1, 3}))) == [1, 3]
    assert pids(Controls(ops=frozenset({"fsync"}))) == [2]
    assert pids(Controls(datasets=frozenset({"tank"}))) == [1, 2]


def test_operations_of_classes_that_were_switched_off_are_hidden() -> None:
    opened = replace(SECOND, groups=(*SECOND.groups, (key(4, "open"), stats(20 * MS))))
    shown = within(opened, Controls(classes=frozenset({"open"})))
    assert [who.pid for who, _ in shown.groups] == [4]
    assert shown.tallies == ()
    named = within(opened, Controls(ops=frozenset({"fsync"}), classes=frozenset({"open"})))
    assert [who.pid for who, _ in named.groups] == [2], "what is asked for by name counts whatever its class"


def test_what_is_below_a_raised_threshold_is_hidden_and_a_lowered_one_brings_nothing_back() -> None:
    assert pids(Controls(threshold_ns=50 * MS)) == [2, 3]
    assert pids(Controls(threshold_ns=0)) == [1, 2, 3]


def test_statistics_of_all_calls_follow_operations_and_datasets() -> None:
    assert within(SECOND, Controls(datasets=frozenset({"dozer"}))).tallies == (("read", "dozer", TALLY),)
    assert within(SECOND, Controls(ops=frozenset({"fsync"}))).tallies == (("fsync", "tank/data", TALLY),)


def test_a_second_in_whose_middle_the_controls_came_shows_nothing_from_before() -> None:
    raised = Controls(threshold_ns=50 * MS)
    assert [who.pid for who, _ in within(replace(SECOND, controls=raised), raised).groups] == [2, 3]


def test_counters_stay_as_they_were() -> None:
    assert within(SECOND, Controls(pids=frozenset({1}))).slots == SECOND.slots
