"""The judge of the oracle test says "right" of exactly what is right: it is the one test that must not be fooled."""

from __future__ import annotations

import json
import sys
from itertools import permutations
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent / "guest"))

from oracle_compare import (
    Call,
    Comparison,
    Expected,
    Seen,
    compare,
    nearest_rank,
    parse_log,
    seen,
    slept,
)

PID = 100
OPS = ("read", "write", "lookup", "create", "open", "rename")
NAMES = st.sampled_from(["t1/a", "t1/b", "t2/a (deleted)", "inode#7"])
NUMBERS = st.none() | st.integers(-(2**62), 2**62)
EXPECTED = st.builds(
    Expected, st.sampled_from(OPS), st.sampled_from(["tank/a", "tank/a@s"]), NAMES, st.none() | NAMES, NUMBERS, NUMBERS,
    NUMBERS,
)  # fmt: skip
#: What a thread does: how long after the last call, how long, and what is to be reported of it.
STEPS = st.lists(
    st.tuples(st.integers(1, 50), st.integers(1, 50), st.lists(EXPECTED, max_size=3)), min_size=1, max_size=6
)
# The lab may share the machine: being slow is no failure.
FEW = settings(max_examples=30, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


def calls_of(threads: list[list[tuple[int, int, list[Expected]]]]) -> list[Call]:
    calls = []
    for number, steps in enumerate(threads):
        now = 0
        for gap, took, expected in steps:
            calls.append(Call(PID + number, now + gap, now + gap + took, "some call", tuple(expected)))
            now += gap + took
    return calls


def events_of(calls: list[Call]) -> list[Seen]:
    """A perfect tracer's; what is not certain it fills in somehow."""
    return [
        Seen(e.op, PID, call.tid, e.dataset, e.path, e.to, e.offset, e.size, e.result or 0, call.end, call.took)
        for call in calls
        for e in call.expected
    ]  # fmt: skip


THREADS = st.lists(STEPS, min_size=1, max_size=3).map(calls_of)
#: The first call has something to report.
SOME = st.tuples(THREADS, EXPECTED).map(lambda made: [made[0][0]._replace(expected=(made[1],)), *made[0][1:]])


def line(call: Call, expected: Expected | None) -> str:
    words: list[object] = [call.tid, call.begin, call.end, call.name]
    if expected is None:
        words += ["-"] * 7
    else:
        words += [expected.op, expected.dataset, expected.path]
        words += [expected.to, expected.offset, expected.size, expected.result]
    switched = None if call.switched is None else int(call.switched)
    return "\t".join("-" if word is None else str(word) for word in [*words, switched]) + "\n"


@FEW
@given(THREADS)
def test_the_log_is_read_as_it_was_written(calls: list[Call]) -> None:
    assert parse_log(line(call, e) for call in calls for e in call.expected or (None,)) == calls


@FEW
@given(EXPECTED, st.sampled_from(['a,"errno":null', "plain", 'quo"te\\', "ü\udcff"]))
def test_an_event_is_read_as_it_was_written_whatever_its_name(expected: Expected, path: str) -> None:
    op, dataset, _, to, offset, size, result = expected
    wanted = Seen(op, PID, PID, dataset, path, to, offset, size, result or 0, 20, 10)
    fields = dict(wanted._asdict(), ts_ns=wanted.end, latency_ns=wanted.latency)
    line = json.dumps({"type": "event", **fields, "errno": None, "waits": {"disk": 1}}, separators=(",", ":"))
    assert seen(line.encode()) == wanted


@FEW
@given(THREADS, st.randoms())
def test_all_there_in_any_order_is_right(calls: list[Call], random: st.Random) -> None:
    events = events_of(calls)
    random.shuffle(events)
    found = compare(PID, calls, events, OPS)
    assert not found.findings
    assert found.right == found.expected
    assert found.right.total() == len(events)


def test_an_uncertain_one_does_not_take_the_place_of_a_certain_one() -> None:
    vague = Expected("read", "tank", "a", None, None, None, None)
    wanted = (vague, vague._replace(result=7), vague._replace(offset=1), vague._replace(offset=1, result=7))
    call = Call(PID, 10, 20, "preadv", wanted)
    told = ((None, 5), (None, 7), (1, 5), (1, 7))
    events = [Seen("read", PID, PID, "tank", "a", None, offset, 9, result, 19, 8) for offset, result in told]
    for order in permutations(events):
        assert compare(PID, [call], order, OPS).right.total() == 4


@FEW
@given(SOME, st.data())
def test_one_that_is_not_there_is_missed(calls: list[Call], data: st.DataObject) -> None:
    events = events_of(calls)
    gone = events.pop(data.draw(st.integers(0, len(events) - 1)))
    found = compare(PID, calls, events, OPS)
    assert found.missing == {gone.op: 1}
    assert found.findings


@FEW
@given(SOME, st.data())
def test_one_that_comes_twice_is_too_much(calls: list[Call], data: st.DataObject) -> None:
    events = events_of(calls)
    twice = data.draw(st.sampled_from(events))
    found = compare(PID, calls, [*events, twice], OPS)
    assert found.surplus == {twice.op: 1}
    assert found.findings


CHANGES = [
    {"pid": PID - 1},
    {"tid": PID - 1},
    {"op": "fsync"},
    {"dataset": "tank"},
    {"path": "t1"},
    {"to": "t1"},
    {"latency": 10**9},
    {"end": 10**9},
]


@FEW
@given(SOME, st.data())
def test_one_with_a_wrong_field_is_not_right(calls: list[Call], data: st.DataObject) -> None:
    events = events_of(calls)
    at = data.draw(st.integers(0, len(events) - 1))
    was = events[at]
    changes = list(CHANGES)
    for name in ("offset", "size"):
        if getattr(was, name) is not None:
            changes.append({name: getattr(was, name) + 1})
    events[at] = was._replace(**data.draw(st.sampled_from(changes)))
    found = compare(PID, calls, events, OPS)
    assert found.findings
    assert found.right.total() == found.expected.total() - 1


def test_a_wrong_result_is_found_unless_it_is_not_certain() -> None:
    known = Expected("read", "tank", "a", None, 0, 10, 10)
    for expected, right in ((known, 0), (known._replace(result=None), 1)):
        call = Call(PID, 10, 20, "pread64", (expected,))
        event = Seen("read", PID, PID, "tank", "a", None, 0, 10, -5, 19, 8)
        assert compare(PID, [call], [event], OPS).right.total() == right


def test_what_a_call_may_do_besides_is_told_apart_from_what_it_may_not() -> None:
    lookup = Seen("lookup", PID, PID, "tank", "a", None, None, None, 0, 19, 8)
    for name, surplus in (("unlinkat", 0), ("pread64", 1)):
        found = compare(PID, [Call(PID, 10, 20, name, ())], [lookup], OPS)
        assert (found.beside.total(), found.surplus.total()) == (1 - surplus, surplus)


def test_operations_that_are_not_attached_are_not_missed() -> None:
    call = Call(PID, 10, 20, "openat", (Expected("create", "tank", "a", None, None, None, 0),))
    assert not compare(PID, [call], [], ["read"]).expected
    assert compare(PID, [call], [], OPS).missing == {"create": 1}


@FEW
@given(st.lists(st.integers(0, 1000), min_size=1).map(sorted), st.sampled_from([0.5, 0.99, 0.999]))
def test_a_percentile_leaves_no_more_than_its_share_above(values: list[int], share: float) -> None:
    value = nearest_rank(values, share)
    assert sum(v <= value for v in values) >= share * len(values) - 1e-9
    assert sum(v < value for v in values) < share * len(values)


def test_calls_that_slept_are_judged_by_what_is_missing_beyond_the_cost() -> None:
    def pair(took: int, latency: int, switched: bool | None) -> tuple[Call, Seen]:
        event = Seen("read", PID, PID, "tank", "a", None, 0, 1, 1, took, latency)
        return Call(PID, 0, took, "pread64", (), switched), event

    quick = [pair(100, 90, None), pair(100, 80, None), pair(100, 70, None)]
    kept = [pair(1000, 970, False), pair(1000, 960, False), pair(1000, 959, False)]
    found = slept(Comparison(pairs=[*quick, *kept, pair(1000, 1, True)]))
    assert (found.cost, len(found.kept), len(found.switched)) == (20, 3, 1)
    assert found.near(0.02) == 2
