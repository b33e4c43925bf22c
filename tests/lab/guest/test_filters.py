"""A filter hides exactly the others, and the ways a trace ends are clean."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest
from harness import MOMENT_SECONDS, Trace, Workload

PLACES = {"/tank/data": "tank/data", "/srv/pg": "tank/pg", "/dozer/data": "dozer/data"}


def everywhere(workload: Callable[..., Workload]) -> dict[str, Workload]:
    """A program in each of three datasets of two pools, by dataset."""
    return {dataset: workload("calls", place, "3") for place, dataset in PLACES.items()}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["tank"], {"tank/data", "tank/pg"}),
        (["dozer"], {"dozer/data"}),
        (["tank/pg", "dozer/data"], {"tank/pg", "dozer/data"}),
    ],
)
def test_pools_and_datasets(
    words: list[str], wanted: set[str], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    programs = everywhere(workload)
    tracer = trace("0", *words)
    for program in programs.values():
        program.run()
    events = tracer.stop()
    for dataset, program in programs.items():
        mine = [event for event in events if event["pid"] == program.pid]
        assert len(mine) == (12 if dataset in wanted else 0), dataset
    assert {event["dataset"] for event in events} == wanted


def test_processes_and_operations(trace: Callable[..., Trace], workload: Callable[..., Workload]) -> None:
    first, second, other = (workload("calls", "/tank/data", "3") for _ in range(3))
    tracer = trace("0", "-p", f"{first.pid},{second.pid}", "--op", "read,fsync")
    for program in (first, second, other):
        program.run()
    events = tracer.stop()
    assert {event["pid"] for event in events} == {first.pid, second.pid}
    assert sorted(event["op"] for event in events) == ["fsync"] * 6 + ["read"] * 6


def test_it_ends_after_the_count_asked_for(
    trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    program = workload("calls", "/tank/data", "23")
    tracer = trace("0", "-p", str(program.pid), "-n", "7")
    calls = program.run()
    assert tracer.wait() == 0
    assert [event["op"] for event in tracer.events] == [call["op"] for call in calls[:7]]


def test_it_ends_after_the_time_asked_for(trace: Callable[..., Trace]) -> None:
    tracer = trace("0", "--for", "3s")
    start = time.monotonic()
    assert tracer.wait() == 0
    assert 1.5 < time.monotonic() - start < 20
    assert tracer.summary["lost"] == 0


def test_it_ends_when_its_reader_goes_away(
    workload: Callable[..., Workload],
) -> None:
    before, after = workload("calls", "/tank/data", "23"), workload("calls", "/tank/data", "23")
    command = ["zfstop", "trace", "0", "-p", f"{before.pid},{after.pid}", "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tracer:
        assert tracer.stdout is not None
        assert tracer.stderr is not None
        try:
            assert tracer.stdout.readline().startswith(b"ENDTIME_us,")
            before.run()
            assert str(before.pid).encode() in tracer.stdout.readline()
            tracer.stdout.close()
            after.run()
            assert tracer.wait(MOMENT_SECONDS) in (0, -13)
            assert b"Traceback" not in tracer.stderr.read()
        finally:
            tracer.kill()
