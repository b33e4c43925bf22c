"""Fixtures of the lab's tests. They run as root in a machine that is thrown away: see lab.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from harness import DISKS, RECORD, Terminal, Trace, Workload, sh

pytest_plugins = ("second_try", "enough_time")
RECORDS = 16


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends everything a test started, last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def trace(stack: ExitStack) -> Callable[..., Trace]:
    """Start `zfstop trace WORDS...` and wait until it is attached."""

    def start(*words: str, **options: Any) -> Trace:
        # The constructor waits: a trace that fails in it must be ended too.
        trace = Trace(*words, **{**options, "attached": False})
        stack.callback(trace.close)
        if options.get("attached", True):
            trace.attached()
        return trace

    return start


@pytest.fixture
def workload(stack: ExitStack) -> Callable[..., Workload]:
    """Start the workload program; it waits for its go."""

    def start(*words: str | bytes, **options: Any) -> Workload:
        workload = Workload(*words, **options)
        stack.callback(workload.close)
        return workload

    return start


@pytest.fixture
def terminal(stack: ExitStack) -> Callable[..., Terminal]:
    """Start a command in a terminal of its own."""

    def start(command: str, **options: Any) -> Terminal:
        terminal = Terminal(command, **options)
        stack.callback(terminal.close)
        return terminal

    return start


@pytest.fixture
def delay() -> Iterator[Callable[[str, int], None]]:
    """Make every read of a pool's disk take longer, until the test ends."""

    def inject(pool: str, milliseconds: int) -> None:
        disk = sh("zpool", "list", "-vHPL", pool).splitlines()[1].split()[0]
        sh("zinject", "-d", disk, "-D", f"{milliseconds}:1", "-T", "read", pool)

    yield inject
    sh("zinject", "-c", "all")


@pytest.fixture
def quota() -> Iterator[None]:
    """A dataset tank/small that is full up to its quota, by the file the workload writes first."""
    sh("zfs", "create", "-o", "compression=off", "-o", "refquota=2M", "tank/small")
    file = Path("/tank/small/calls/d0/file00")
    file.parent.mkdir(parents=True)
    with suppress(OSError), file.open("wb", buffering=0) as full:
        while True:
            full.write(bytes(RECORD))
            os.fsync(full)
    yield
    sh("zfs", "destroy", "tank/small")


@pytest.fixture
def cold_file() -> Iterator[str]:
    """A file of uncompressible records, none of which is in the cache; nothing reads ahead."""
    prefetch = Path("/sys/module/zfs/parameters/zfs_prefetch_disable")
    before = prefetch.read_text()
    prefetch.write_text("1")
    file = Path("/tank/bak/cold")
    file.write_bytes(os.urandom(RECORD * RECORDS))
    sh("zpool", "export", "tank")
    sh("zpool", "import", "-o", "cachefile=none", "-d", str(DISKS), "tank")
    yield file.name
    prefetch.write_text(before)
