"""The part of scale.sh that attaches zfstop: instructions a call by threads, PIDs and datasets. Run by scale.sh."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from zfstop.collector import Collector
from zfstop.kernel.source import pid_room
from zfstop.model.state import Controls, Phase

CALLS = 300
LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY = 1
DATASETS_A_COMMAND = 25
THREADS = [n for n in (1, 2, 4, 8) if n <= (os.cpu_count() or 1)]
PIDS = (1, 4096, 100_000)


def measure(threads: int) -> int:
    """Instructions a call."""
    done = subprocess.run(["./scale", str(threads), str(CALLS)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@contextmanager
def attached(controls: Controls) -> Iterator[Collector]:
    collector = Collector(controls)
    collector.start()
    while collector.status().phase is not Phase.LIVE:
        if not collector.running:
            raise SystemExit(f"it did not start: {collector.error}")
        time.sleep(0.05)
    try:
        yield collector
    finally:
        collector.stop()


def in_force(collector: Collector, controls: Controls) -> None:
    collector.control(controls)
    while collector.in_force != controls:
        time.sleep(0.05)


def filtered(collector: Collector, count: int) -> int:
    """Instructions a call of a process that is one of ``count`` in the filter."""
    with subprocess.Popen(
        ["./scale", "1", str(CALLS), "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        others = (pid for pid in range(300_000, 300_000 + count) if pid != reader.pid)
        pids = frozenset([reader.pid, *(next(others) for _ in range(count - 1))])
        in_force(collector, replace(collector.controls(), pids=pids))
        return int(reader.communicate("")[0])


def kernel_kib() -> int:
    """Memory of BPF maps that are loaded by now."""
    done = subprocess.run(["bpftool", "map", "list"], capture_output=True, text=True, check=True)
    return sum(int(word[len("memlock") :].strip("B,")) for word in done.stdout.replace("memlock ", "memlock").split()
               if word.startswith("memlock")) >> 10  # fmt: skip


def by_threads() -> None:
    alone = {threads: measure(threads) for threads in THREADS}
    with attached(Controls(ops=frozenset({"read"}))):
        with_it = {threads: measure(threads) for threads in THREADS}
    print(f"{'threads':>10}{'alone':>10}{'zfstop':>10}{'added':>10}")
    for threads in THREADS:
        added = with_it[threads] - alone[threads]
        print(f"{threads:>10}{alone[threads]:>10}{with_it[threads]:>10}{added:>10}", flush=True)


def by_pids() -> None:
    alone, empty = measure(1), kernel_kib()
    with attached(Controls(ops=frozenset({"read"}), pids=frozenset(range(1, PIDS[-1])))) as collector:
        print(f"\nmaps take {kernel_kib() - empty} KiB with room for {pid_room(PIDS[-1])} PIDs")
        in_force(collector, replace(collector.controls(), pids=frozenset()))
        print(f"{'PIDs':>10}{'added':>10}\n{'no filter':>10}{measure(1) - alone:>10}")
        for count in PIDS:
            print(f"{count:>10}{filtered(collector, count) - alone:>10}", flush=True)


def mounted_snapshots(count: int) -> Iterator[Path]:
    """Where so many datasets more are mounted: snapshots, for each has a super block and a device of its own, and a
    command makes one of every dataset below.
    """
    below = [f"tank/many/{number}" for number in range(DATASETS_A_COMMAND)]
    for name in ("tank/many", *below):
        subprocess.run(["zfs", "create", name], check=True)
        Path(f"/{name}/file").write_bytes(b"x")
    for turn in range(count // len(below)):
        subprocess.run(["zfs", "snapshot", "-r", f"tank/many@{turn}"], check=True)
        for number, name in enumerate(below):
            place = Path(f"/tmp/many/{turn}/{number}")
            place.mkdir(parents=True)
            if LIBC.mount(f"{name}@{turn}".encode(), bytes(place), b"zfs", MS_RDONLY, None):
                raise OSError(ctypes.get_errno(), f"mount {name}@{turn}")
            yield place


def by_datasets(count: int) -> None:
    alone = measure(1)
    print(f"\n{'datasets':>10}{'added':>10}{'filtered':>10}")
    with attached(Controls(0, ops=frozenset({"read", "write"}))) as collector:
        few = measure(1) - alone
        in_force(collector, replace(collector.controls(), datasets=frozenset({"tank"})))
        print(f"{len(collector.datasets()):>10}{few:>10}{measure(1) - alone:>10}", flush=True)
        in_force(collector, replace(collector.controls(), datasets=frozenset()))
        for place in mounted_snapshots(count):
            # A tally for each: a call, and one of another octave.
            (place / "file").read_bytes()
        many = measure(1) - alone
        in_force(collector, replace(collector.controls(), datasets=frozenset({"tank"})))
        print(f"{len(collector.datasets()):>10}{many:>10}{measure(1) - alone:>10}", flush=True)


if __name__ == "__main__":
    parts = os.environ.get("PARTS", "threads" if len(THREADS) > 1 else "pids datasets").split()
    if "threads" in parts:
        by_threads()
    if "pids" in parts:
        by_pids()
    if "datasets" in parts:
        by_datasets(int(sys.argv[1]))
