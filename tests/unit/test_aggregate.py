"""Filters asked for later show what would have been recorded with them, and the books still balance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.aggregate import groups_of, keep, restrict
from zfstop.model.events import Event, Key
from zfstop.model.histogram import RELATIVE_ERROR, bucket_of, merge
from zfstop.model.history import Second, Stats
from zfstop.model.state import Controls, Counts

MS = 1_000_000
OPS = ("read", "write")
SLOTS = {(op, f"zfs_{op}"): slot for slot, op in enumerate(OPS)}


@st.composite
def events(draw: st.DrawFn) -> Event:
    op, latency = draw(st.sampled_from(OPS)), draw(st.integers(10 * MS, 500 * MS))
    dataset = draw(st.sampled_from(("tank", "tank/a", "fast", "dev 0:57")))
    key = Key(op, draw(st.integers(1, 3)), "x", 0, 0, dataset, draw(st.sampled_from("fg")), f"zfs_{op}")
    size, result = draw(st.none() | st.integers(0, 9999)), draw(st.sampled_from((-5, 0, 4096)))
    return Event(key, 10**12, latency, 1, None, size, result, bucket_of(latency))


EVENTS = st.lists(events(), max_size=30).map(tuple)
CONTROLS = st.builds(
    Controls,
    threshold_ns=st.sampled_from((0, 10 * MS, 50 * MS, 200 * MS, 10**10)),
    pids=st.frozensets(st.integers(1, 3), max_size=2),
    datasets=st.frozensets(st.sampled_from(("tank", "fast")), max_size=1),
    ops=st.frozensets(st.sampled_from(OPS), max_size=1),
)


def recorded(kept: tuple[Event, ...], gone: tuple[Event, ...] = ()) -> Second:
    """A second with ``gone`` thinned: in its groups, not among its events."""
    every = kept + gone
    slots = tuple(Counts(entered=99, seen=sum(e.key.op == op for e in every), below=3) for op in OPS)
    return Second(1.0, 10**12, 10**9, Controls(), groups_of(every), kept, len(gone), slots)


def books(counts: Counts) -> int:
    return counts.seen + counts.below + counts.filtered + counts.filtered_dev


@given(EVENTS)
def test_groups_hold_every_event_once(given_events: tuple[Event, ...]) -> None:
    groups = groups_of(given_events)
    assert [key for key, _ in groups] == list(dict.fromkeys(event.key for event in given_events))
    for key, stats in groups:
        mine = [event for event in given_events if event.key == key]
        assert stats == Stats(
            len(mine),
            len([event for event in mine if event.errno]),
            sum(event.latency_ns for event in mine),
            max(event.latency_ns for event in mine),
            sum(event.size or 0 for event in mine),
            merge({event.bucket: 1} for event in mine),
        )


@given(EVENTS, EVENTS)
def test_groups_of_parts_add_up_to_the_groups_of_all(a: tuple[Event, ...], b: tuple[Event, ...]) -> None:
    sums = dict(groups_of(a))
    for key, stats in groups_of(b):
        sums[key] = sums[key].plus(stats) if key in sums else stats
    assert sums == dict(groups_of(a + b))


@pytest.mark.parametrize(
    ("controls", "kept"),
    [
        (Controls(threshold_ns=20 * MS), True),
        (Controls(threshold_ns=20 * MS + 1), False),
        (Controls(pids=frozenset({812, 1})), True),
        (Controls(pids=frozenset({1})), False),
        (Controls(ops=frozenset({"read"})), True),
        (Controls(ops=frozenset({"fsync"})), False),
        (Controls(datasets=frozenset({"tank"})), True),
        (Controls(datasets=frozenset({"tank/db/x"})), False),
    ],
)
def test_an_event_is_kept_when_it_is_slow_enough_and_wanted(
    make: Any, controls: Controls, kept: bool
) -> None:
    assert keep(make.event(20 * MS), controls) is kept


@given(EVENTS, CONTROLS)
def test_a_second_with_all_its_events_is_filtered_exactly(kept: tuple[Event, ...], asked: Controls) -> None:
    after = restrict(recorded(kept), asked, SLOTS)
    assert after.events == tuple(event for event in kept if keep(event, asked))
    assert dict(after.groups) == dict(groups_of(after.events))
    assert (after.thinned, after.controls) == (0, asked)
    assert after.counts.seen == len(after.events)


@given(EVENTS, EVENTS, CONTROLS)
def test_filters_are_exact_also_for_calls_kept_only_in_sums(
    kept: tuple[Event, ...], gone: tuple[Event, ...], asked: Controls
) -> None:
    asked = replace(asked, threshold_ns=10 * MS)
    after = restrict(recorded(kept, gone), asked, SLOTS)
    wanted = [event for event in kept + gone if keep(event, asked)]
    assert after.groups == groups_of(wanted)
    assert after.thinned == len(wanted) - len(after.events)
    assert bool(after.thinned and asked.filtered) == any("only in sums" in note for note in after.notes)


@given(EVENTS, EVENTS)
def test_above_a_raised_threshold_sums_are_close_and_said_to_be_estimates(
    kept: tuple[Event, ...], gone: tuple[Event, ...]
) -> None:
    asked = Controls(threshold_ns=200 * MS)
    after = restrict(recorded(kept, gone), asked, SLOTS)
    exact = dict(groups_of(event for event in kept + gone if event.latency_ns >= asked.threshold_ns))
    border = bucket_of(asked.threshold_ns)
    for key, stats in after.groups:
        assert stats.count - stats.buckets.get(border, 0) <= exact[key].count <= stats.count
        assert stats.max_ns == exact[key].max_ns
        if stats.count == exact[key].count:
            assert abs(stats.total_ns - exact[key].total_ns) <= RELATIVE_ERROR * exact[key].total_ns
    assert set(dict(after.groups)) == set(exact)
    assert bool(after.thinned) == any("estimates" in note for note in after.notes)


@given(EVENTS, EVENTS, CONTROLS)
def test_what_is_hidden_moves_to_other_books_and_none_gets_lost(
    kept: tuple[Event, ...], gone: tuple[Event, ...], asked: Controls
) -> None:
    before = recorded(kept, gone)
    after = restrict(before, asked, SLOTS)
    for old, new in zip(before.slots, after.slots, strict=True):
        assert books(new) == books(old)
        assert min(new) >= 0
        moved = {"seen": 0, "below": 0, "filtered": 0, "filtered_dev": 0}
        assert new._replace(**moved) == old._replace(**moved)
    assert after.counts.seen == sum(stats.count for _, stats in after.groups)


def test_a_call_is_judged_in_the_order_of_the_kernel(make: Any) -> None:
    event = make.event(20 * MS, op="read", symbol="zfs_read", dataset="tank", pid=1)
    both = Controls(50 * MS, pids=frozenset({2}), datasets=frozenset({"fast"}))
    assert restrict(recorded((event,)), both, SLOTS).counts.filtered == 1
    fast_elsewhere = replace(both, pids=frozenset())
    assert restrict(recorded((event,)), fast_elsewhere, SLOTS).counts.below == 3 + 3 + 1
    elsewhere = replace(fast_elsewhere, threshold_ns=0)
    assert restrict(recorded((event,)), elsewhere, SLOTS).counts.filtered_dev == 1


def test_counters_read_before_the_last_events_never_go_below_nothing(make: Any) -> None:
    event = make.event(20 * MS, op="read", symbol="zfs_read")
    second = replace(recorded((event, event)), slots=(Counts(seen=1), Counts()))
    after = restrict(second, Controls(pids=frozenset({1})), SLOTS)
    assert after.slots == (Counts(filtered=1), Counts())


def test_what_was_never_recorded_is_said(make: Any) -> None:
    raised = replace(recorded((make.event(60 * MS),)), controls=Controls(50 * MS, ops=frozenset({"read"})))
    notes = restrict(raised, Controls(10 * MS), SLOTS).notes
    assert notes == (
        "recorded with a threshold of 50ms",
        "recorded through a filter: what it hid cannot be shown",
    )
