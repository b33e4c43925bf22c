"""The module comes and goes. Last, because the pools go with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import ATTACH_SECONDS, Terminal, Trace, Workload, sh, until


@pytest.fixture
def no_module() -> Iterator[Callable[[], None]]:
    """No zfs module; the value brings module and pools back."""

    def load() -> None:
        sh("modprobe", "zfs")
        for pool in ("tank", "dozer"):
            sh("zpool", "import", "-o", "cachefile=none", "-d", "/run/lab/disks", pool)

    sh("zpool", "export", "-a")
    sh("modprobe", "-r", "zfs")
    yield load
    if not Path("/sys/module/zfs").exists():
        load()


def test_trace_waits_for_the_module(
    no_module: Callable[[], None], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    tracer = trace("0", attached=False)
    until("a word about the module", lambda: "modprobe zfs" in tracer.errors())
    time.sleep(2)
    assert tracer.process.poll() is None
    assert not tracer.out
    no_module()
    tracer.attached()
    program = workload("calls", "/tank/data", "2")
    program.run()
    events = [event for event in tracer.stop() if event["pid"] == program.pid]
    assert len(events) == 8
    assert {event["dataset"] for event in events} == {"tank/data"}


def test_the_screen_waits_for_the_module(
    no_module: Callable[[], None], terminal: Callable[..., Terminal]
) -> None:
    screen = terminal("exec zfstop 0")
    screen.wait_for("modprobe zfs", seconds=ATTACH_SECONDS)
    no_module()
    screen.wait_for("LIVE", seconds=ATTACH_SECONDS)
