"""The kernel's own counts of a program that really runs: only while asked for. Needs the right to load one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from zfstop.kernel import bpf
from zfstop.kernel.costs import Meter
from zfstop.model.costs import GLANCE_EVERY, Watch

#: r0 = 0; exit
NOTHING = bytes.fromhex("b700000000000000 9500000000000000")
RUNS = 50


@pytest.fixture
def program() -> Iterator[int]:
    try:
        fd, _ = bpf.load_program(NOTHING, bpf.PROG_TYPE_RAW_TRACEPOINT, "nothing")
        held = bpf.enable_stats()
    except OSError as failure:
        pytest.skip(f"no BPF here: {failure}")
    if fd < 0:
        os.close(held)
        pytest.skip("no program may be loaded here")
    os.close(held)
    yield fd
    os.close(fd)


def run(program: int) -> None:
    for _ in range(RUNS):
        bpf.run_raw_tracepoint(program, 0)


def asks_for_counts() -> bool:
    """Whether this process has the kernel count; others may too."""
    return any(
        "bpf-stats" in os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()
    )


def test_runs_and_time_are_counted_from_switching_on_to_switching_off(program: int) -> None:
    meter = Meter({"read": (program, program), "write": (program,)})
    run(program)
    meter.watch(Watch.CLOSELY, 10**9)
    run(program)
    found = meter.read(2 * 10**9).of
    assert found["write"].runs == RUNS
    assert found["read"].runs == 2 * RUNS, "both programs of a pair"
    assert 0 < found["write"].share < 1
    assert meter.read(3 * 10**9).of["write"].runs == 0
    assert asks_for_counts()
    meter.watch(Watch.NOT, 3 * 10**9)
    assert not asks_for_counts()
    assert not meter.read(4 * 10**9).of


def test_at_a_glance_one_second_of_many_is_counted_and_told_until_the_next(program: int) -> None:
    meter = Meter({"read": (program,)})
    meter.watch(Watch.GLANCE, 0)
    counted = []
    for second in range(1, 2 * GLANCE_EVERY + 1):
        counted.append(asks_for_counts())
        run(program)
        assert meter.read(second * 10**9).of["read"].runs == RUNS
    assert counted == [True, *[False] * (GLANCE_EVERY - 1)] * 2
    meter.watch(Watch.CLOSELY, 30 * 10**9)
    assert asks_for_counts(), "who looks closely need not wait"
    meter.watch(Watch.GLANCE, 30 * 10**9)
    assert meter.read(31 * 10**9).of["read"].runs == 0
    meter.watch(Watch.NOT, 31 * 10**9)
    assert not asks_for_counts()
    assert not meter.read(32 * 10**9).of
