"""The time shown is the time that passed: a known disk delay is on the calls it hit and on nothing else."""

from __future__ import annotations

from collections.abc import Callable

from harness import RECORD, Trace, Workload

DELAY_MS = 30
MS = 1_000_000
# Taken between the program's own clock reads and the probes; an emulated processor may be away that long.
SLACK_NS = 20 * MS


def test_a_disk_delay_shows_on_the_reads_it_hit_and_on_nothing_else(
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    cold_file: str,
    delay: Callable[[str, int], None],
) -> None:
    hit = workload("reads", "/tank/bak", cold_file, "4", "4096", str(2 * RECORD), comm="hit")
    cached = workload("reads", "/tank/bak", cold_file, "23", "512", "100", comm="cached")
    tracer = trace("0", "-p", f"{hit.pid},{cached.pid}", "--op", "read")
    delay("tank", DELAY_MS)
    calls = {"hit": hit.run(), "cached": cached.run()}
    events = tracer.stop()

    for comm, count in (("hit", 4), ("cached", 23)):
        mine = [event for event in events if event["comm"] == comm]
        reads = [call for call in calls[comm] if call["op"] == "read"]
        assert len(mine) == len(reads) == count
        for call, event in zip(reads, mine, strict=True):
            took = call["end"] - call["start"]
            assert took - SLACK_NS <= event["latency_ns"] <= took
            assert event["offset"] == call["offset"]
            if comm == "hit":
                assert event["latency_ns"] >= DELAY_MS * MS
    times = sorted(event["latency_ns"] for event in events if event["comm"] == "cached")
    assert times[-2] < DELAY_MS * MS, "more than one cached read took as long as a delayed one"


def test_a_threshold_between_them_lets_only_the_delayed_through(
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    cold_file: str,
    delay: Callable[[str, int], None],
) -> None:
    program = workload("reads", "/tank/bak", cold_file, "3", "4096", str(2 * RECORD))
    again = workload("reads", "/tank/bak", cold_file, "3", "4096", str(2 * RECORD))
    tracer = trace(f"{DELAY_MS - 1}ms", "-p", f"{program.pid},{again.pid}")
    delay("tank", DELAY_MS)
    slow = [call for call in program.run() if call["op"] == "read"]
    again.run()
    events = [event for event in tracer.stop() if event["pid"] == program.pid and event["op"] == "read"]
    assert [event["offset"] for event in events] == [call["offset"] for call in slow]
    reads = tracer.summary["per_op"]["read"]
    assert reads["seen"] + reads["below"] == 6
