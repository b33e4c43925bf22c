"""Every call of a known program comes back, right in every field, and none twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from harness import Call, Event, Trace, Workload

COUNT = 23


def told(call: Call, dataset: str) -> tuple[object, ...]:
    """What the program knows about a call, in the words of an event."""
    data = call["op"] in ("read", "write")
    return (
        call["op"], call["pid"], call["tid"], call["comm"].decode(), dataset.split("/")[0], dataset,
        call["path"].decode(), call["offset"] if data else None, call["size"] if data else None, call["result"],
    )  # fmt: skip


def seen(event: Event) -> tuple[object, ...]:
    """The same fields of an event; an open has neither offset nor size, an fsync no size of its own."""
    data = event["op"] in ("read", "write")
    return (
        event["op"], event["pid"], event["tid"], event["comm"], event["pool"], event["dataset"], event["path"],
        event["offset"] if data else None, event["size"] if data else None, event["result"],
    )  # fmt: skip


def check(calls: list[Call], events: list[Event], dataset: str) -> None:
    """Each call is one event, in order, within the time the program measured itself."""
    assert [seen(event) for event in events] == [told(call, dataset) for call in calls]
    for call, event in zip(calls, events, strict=True):
        assert call["start"] <= event["ts_ns"] - event["latency_ns"]
        assert event["ts_ns"] <= call["end"]
        assert event["latency_ns"] > 0
        assert event["errno"] is None
        assert event["uid"] == 0
        assert event["symbol"].startswith("zpl_")
        assert datetime.fromisoformat(event["time"]).tzinfo is not None


def test_all_92_calls_come_back_right_and_none_twice(
    trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    program = workload("calls", "/tank/data", str(COUNT), comm="lab-known")
    tracer = trace("0", "-p", str(program.pid))
    calls = program.run()
    events = tracer.stop()

    assert len(calls) == 4 * COUNT
    check(calls, events, "tank/data")
    summary = tracer.summary
    assert [summary[key] for key in ("lost", "full", "rejected")] == [0, 0, 0]
    assert summary["seen"] >= len(calls)
    assert set(summary["per_op"]) >= {"read", "write", "open", "fsync"}


def test_a_dataset_is_named_by_its_name_not_by_its_mount_point(
    trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    places = {"/tank/data": "tank/data", "/srv/pg": "tank/pg", "/dozer/data": "dozer/data", "/dozer": "dozer"}
    tracer = trace("0")
    programs = {place: workload("calls", place, "2", threaded=True) for place in places}
    calls = {place: program.run() for place, program in programs.items()}
    events = tracer.stop()
    for place, dataset in places.items():
        mine = [event for event in events if event["pid"] == programs[place].pid]
        assert {call["tid"] for call in calls[place]}.isdisjoint({programs[place].pid})
        check(calls[place], mine, dataset)


def test_a_failed_call_says_why(
    trace: Callable[..., Trace], workload: Callable[..., Workload], quota: None
) -> None:
    program = workload("calls", "/tank/small", "1")
    tracer = trace("0", "-p", str(program.pid), "--op", "write")
    (call,) = [call for call in program.run() if call["op"] == "write"]
    (event,) = tracer.stop()
    assert (event["result"], event["errno"]) == (call["result"], "EDQUOT")


def test_two_at_once_both_see_everything(
    trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    program = workload("calls", "/tank/data", str(COUNT))
    tracers = [trace("0", "-p", str(program.pid)) for _ in range(2)]
    calls = program.run()
    for tracer in tracers:
        check(calls, tracer.stop(), "tank/data")
