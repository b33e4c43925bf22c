"""Starts and stops in a row, in one process: is a descriptor, a BPF object or kernel memory left behind?

    python tests/bench/starts_stops.py [TURNS] [OP,...]   (as root, with a pool; 200 turns, of which 10 warm up)

In the lab's machine:
    python3 tests/lab/lab.py exec --timeout 5400 trixie -- 'python "$LAB/tests/bench/starts_stops.py" 200 read,fsync'

Loading all programs takes long in an emulated machine; with OPs only theirs are loaded.

Every turn loads, attaches, reads a file, closes a second and detaches, as the screen does. After the warm-up and
after the last turn caches are dropped and what the kernel holds is read: ids of programs, links, maps and kprobes
(bpftool, tracefs), descriptors and threads of this process, and the sizes of unreclaimable slabs, per-CPU memory and
vmalloc. Exit status 1 when any id, descriptor or thread is new, or kernel memory grew by more than 4 KiB a turn (of 100
turns or more).
"""

from __future__ import annotations

import gc
import mmap
import os
import platform
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from zfstop.collector import Collector
from zfstop.kernel import source
from zfstop.model.state import Controls, Phase

WARM_UP = 10
MOST_BYTES_A_TURN = 4096
#: In fewer turns what the rest of the system does weighs more.
ENOUGH_TURNS = 100
#: What BPF programs, maps, rings and probes are made of; page cache and reclaimable slabs come and go by themselves.
KERNEL = ("SUnreclaim", "Percpu", "vmalloc")
#: Whose vmalloc is not counted: chunks of per-CPU memory, of 2 MiB, come and go as a whole; stacks are of threads.
NOT_OURS = ("pcpu_", "kernel_clone")


def load_only(ops: frozenset[str]) -> None:
    """From now on, the programs of these operations are all there are."""
    whole: Any = source.plan

    def part(*words: Any) -> Any:
        found = whole(*words)
        return replace(found, probes=tuple(probe for probe in found.probes if probe.op in ops))

    source.plan = part


def turn(seconds: int) -> float:
    """One life of the collector; how long it took to be live (s)."""
    begun = time.monotonic()
    collector = Collector(Controls(0), seconds=10)
    collector.start()
    try:
        while collector.status().phase is not Phase.LIVE:
            if not collector.running:
                raise SystemExit(f"it did not start: {collector.error}")
            time.sleep(0.02)
        took = time.monotonic() - begun
        Path("/tank/data/starts").write_bytes(b"x" * 4096)
        while collector.history.end < seconds:
            time.sleep(0.02)
    finally:
        collector.stop()
    return took


def ids(kind: str) -> set[str]:
    for _ in range(20):
        done = subprocess.run(["bpftool", kind, "list"], capture_output=True, text=True)
        if done.returncode == 0:
            return set(re.findall(r"^(\d+):", done.stdout, re.MULTILINE))
    raise SystemExit(f"bpftool {kind} list: {done.stderr}")


def held() -> dict[str, set[str]]:
    """Names of everything that could be left."""
    kprobes = Path("/sys/kernel/debug/kprobes/list").read_text().splitlines()
    return {
        "programs": ids("prog"),
        "links": ids("link"),
        "maps": ids("map"),
        "kprobe events": set(Path("/sys/kernel/tracing/kprobe_events").read_text().splitlines()),
        "kprobes": {line.split()[2] for line in kprobes},
        "descriptors": {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                        if os.path.lexists(f"/proc/self/fd/{fd}")},
        "threads": {thread.name for thread in threading.enumerate()},
    }  # fmt: skip


def memory() -> dict[str, int]:
    """Bytes of kernel memory, after what can be reclaimed has been."""
    gc.collect()
    # The kernel frees BPF objects after grace periods and in workers.
    time.sleep(3)
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    time.sleep(2)
    text = Path("/proc/meminfo").read_text()
    found = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    lines = [line for line in Path("/proc/vmallocinfo").read_text().splitlines() if "pages=" in line]
    ours = [line for line in lines if not any(word in line for word in NOT_OURS)]
    found["vmalloc"] = sum(int(re.findall(r"pages=(\d+)", line)[0]) for line in ours) * mmap.PAGESIZE
    return {name: found[name] for name in (*KERNEL, "MemAvailable")}


def main() -> int:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    if len(sys.argv) > 2:
        load_only(frozenset(sys.argv[2].split(",")))
    warm_up = min(WARM_UP, turns // 2)
    took = [turn(1) for _ in range(warm_up)]
    before, began, files = held(), memory(), len(os.listdir("/proc/self/fd"))
    took += [turn(1) for _ in range(turns - warm_up)]
    after, ended, files_after = held(), memory(), len(os.listdir("/proc/self/fd"))
    print(
        f"{platform.release()}: {turns} starts and stops, live after {sorted(took)[len(took) // 2]:.2f} s (median)"
    )
    new = {kind: after[kind] - before[kind] for kind in before}
    for kind, names in new.items():
        print(f"{kind:>16}: {len(before[kind]):6} before, {len(after[kind]):6} after, {len(names)} new")
    print(f"{'open files':>16}: {files:6} before, {files_after:6} after")
    grown = sum(ended[name] - began[name] for name in KERNEL) / (turns - warm_up)
    for name, size in began.items():
        print(f"{name:>16}: {size >> 10:9} KiB before, {ended[name] >> 10:9} KiB after")
    print(f"kernel memory ({' + '.join(KERNEL)}): {grown:+.0f} bytes a turn")
    leaks = turns >= ENOUGH_TURNS and grown > MOST_BYTES_A_TURN
    return int(any(new.values()) or files_after > files or leaks)


if __name__ == "__main__":
    sys.exit(main())
