"""Calls by cause: nothing is lost by the split, each part is of one cause, and ``why:`` finds the same calls."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.aggregate import groups_of
from zfstop.model.causes import UNKNOWN_CAUSE, by_cause, main_cause
from zfstop.model.drill import Crumb, Trail
from zfstop.model.events import Event, Key
from zfstop.model.histogram import bucket_of
from zfstop.model.history import Second
from zfstop.model.query import parse
from zfstop.model.rows import Grouping, rows
from zfstop.model.sieve import Sieve
from zfstop.model.state import Controls
from zfstop.model.waits import CAUSES, Waits, together

WHO = Key("fsync", 1, "pg", 0, 1, "tank/pg", "wal/1", "zpl_fsync")
keys = st.sampled_from([WHO, WHO._replace(op="read"), WHO._replace(pid=2)])
waits = st.none() | st.lists(st.integers(0, 100), min_size=9, max_size=9).map(lambda ns: Waits(*ns))
calls = st.builds(
    lambda who, spent, took: Event(who, 1, took, 1, None, None, 0, bucket_of(took), "", spent),
    keys, waits, st.integers(1, 10**9),
)  # fmt: skip
many = st.lists(calls, max_size=12)


def second(events: list[Event], kept: int | None = None) -> Second:
    return Second(0.0, 0, 10**9, Controls(), groups_of(events), tuple(events[:kept]))


@given(many)
def test_a_row_a_cause_has_just_the_calls_of_which_it_is_the_main_cause(events: list[Event]) -> None:
    found = {row.identity[0]: row for row in rows([by_cause(second(events))], Grouping.CAUSE)}
    for cause in (*CAUSES, UNKNOWN_CAUSE):
        of = [event for event in events if main_cause(event.waits) == cause]
        row = found.get(cause)
        assert (row.count if row else 0) == len(of)
        assert (row.total_ns if row else 0) == sum(event.latency_ns for event in of)
        if row:
            assert row.waits == reduce(together, (event.waits for event in of))
            assert main_cause(row.waits) == cause


@given(many, st.integers(0, 12))
def test_no_call_is_lost_or_counted_twice_even_if_not_all_were_kept(events: list[Event], kept: int) -> None:
    whole, split = second(events, kept), by_cause(second(events, kept))
    assert sum(part.count for _, part in split.groups) == len(events)
    assert {key._replace(cause="") for key, _ in split.groups} == {key for key, _ in whole.groups}
    assert len({key for key, _ in split.groups}) == len(split.groups)


@given(many, st.sampled_from((*CAUSES, UNKNOWN_CAUSE)))
def test_the_filter_and_what_is_within_a_row_are_the_same_calls(events: list[Event], cause: str) -> None:
    sought = Sieve(parse(f"why:{cause}")).second(second(events))
    trail = Trail((Crumb(Grouping.CAUSE, (cause,), cause),))
    inside = Sieve(parse(" ".join(term.text for term in trail.terms)), trail.holds).second(second(events))
    assert sought.groups == inside.groups
    assert sought.events == tuple(event for event in events if main_cause(event.waits) == cause)
    rest = Sieve(parse(f"!why:{cause}")).second(second(events))
    assert len(rest.events) + len(sought.events) == len(events)


def test_a_group_of_which_not_all_were_kept_goes_by_its_sum() -> None:
    call = Event(WHO, 1, 100, 1, None, None, 0, 1, "", Waits(zil=100))
    events = [call, replace(call, latency_ns=300, waits=Waits(disk=300))]
    assert [key.cause for key, _ in by_cause(second(events, 1)).groups] == ["disk"]
    assert sorted(key.cause for key, _ in by_cause(second(events)).groups) == ["disk", "zil"]
    assert Sieve(parse("why:zil")).second(second(events, 1)).groups == ()
