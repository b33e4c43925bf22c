"""A call that does not return is named while it waits, and the books balance at any moment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import (
    ATTACH_SECONDS,
    KNOWN,
    RECORD,
    Terminal,
    Trace,
    Workload,
    sh,
    until,
    until_it_waits_for_its_disk,
)

DELAY_MS = 20_000


def books(counts: dict[str, Any]) -> int:
    """What the calls came to."""
    words = "seen below filtered filtered_dev lost full rejected queued missed in_flight"
    return sum(counts[word] for word in words.split())


def test_a_read_that_waits_for_its_disk_is_in_flight_with_its_file_and_what_it_waits_in(
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    cold_file: str,
    delay: Callable[[str, int], None],
) -> None:
    program = workload("reads", "/tank/bak", cold_file, "1", "4096", str(2 * RECORD), comm="waits")
    tracer = trace("0", "-p", str(program.pid))
    delay("tank", DELAY_MS)
    program.go()
    until_it_waits_for_its_disk(program.pid)
    events = tracer.stop()

    assert not [event for event in events if event["op"] == "read"]
    (call,) = tracer.in_flight
    assert (call["op"], call["pid"], call["comm"]) == ("read", program.pid, "waits")
    assert (call["dataset"], call["path"], call["size"]) == ("tank/bak", cold_file, 4096)
    assert 10**9 < call["age_ns"] < DELAY_MS * 10**6
    assert call["waits_in"] == "zio_wait"
    reads = tracer.summary["per_op"]["read"]
    assert reads["in_flight"] == 1
    assert reads["entered"] == books(reads)


def test_the_screen_lists_it_as_stuck(
    terminal: Callable[..., Terminal],
    workload: Callable[..., Workload],
    cold_file: str,
    delay: Callable[[str, int], None],
) -> None:
    program = workload("reads", "/tank/bak", cold_file, "1", "4096", str(2 * RECORD), comm="waits")
    screen = terminal("exec zfstop")
    screen.wait_for("LIVE", seconds=ATTACH_SECONDS)
    delay("tank", DELAY_MS)
    program.go()
    until_it_waits_for_its_disk(program.pid)
    screen.wait_for("STUCK 1")
    line = screen.line("STUCK 1")
    for word in ("read", f"waits/{program.pid}", f"tank/bak:{cold_file}", "in zio_wait"):
        assert word in line


def test_the_books_of_every_operation_balance(
    trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    tracer = trace("1ms", "tank/data", "--class", "all")
    programs = [workload("calls", place, "23") for place in ("/tank/data", "/dozer/data", "/srv/pg")]
    for program in programs:
        program.run()
    tracer.stop()
    per_op = tracer.summary["per_op"]
    for op in (*KNOWN, "release"):
        assert per_op[op]["entered"] >= 3 * 23, op
    for op, counts in per_op.items():
        assert counts["entered"] == books(counts), op
        assert counts["in_histogram"] == counts["seen"] + counts["below"] + counts["filtered_dev"], op


def test_processes_that_end_leave_their_places_to_others(trace: Callable[..., Trace]) -> None:
    def taken() -> int:
        return len(json.loads(sh("bpftool", "-j", "map", "dump", "name", "seats_taken")))

    tracer = trace("10s", "--op", "open")
    file = Path("/tank/data/short-lived")
    file.write_bytes(b"x")
    before = taken()
    for _ in range(100):
        subprocess.run(["cat", file], stdout=subprocess.DEVNULL, check=True)
    until("they are free", lambda: taken() <= before + 10)
    tracer.stop()
    opens = tracer.summary["per_op"]["open"]
    assert opens["entered"] >= 100
    assert opens["full"] == opens["missed"] == 0
