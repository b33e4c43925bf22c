"""What the programs cost, as the kernel counts it: only while somebody looks, because the counting costs too.

BPF_ENABLE_STATS gives a descriptor; while any process holds one, the kernel times every run of every BPF program
(Linux 5.8, kernel/bpf/syscall.c).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from zfstop.kernel import bpf
from zfstop.model.costs import GLANCE_EVERY, Cost, Costs, Watch


class Meter:
    """Reads the programs of each operation. ``programs`` are descriptors that somebody else keeps open.

    Methods may be called from any thread: who is about to be suspended must have had the counting ended before.
    """

    def __init__(self, programs: Mapping[str, tuple[int, ...]]) -> None:
        self._programs = programs
        self._lock = threading.Lock()
        self._watch = Watch.NOT
        self._held: int | None = None
        self._failed = ""
        self._begun = 0
        self._seen: dict[str, tuple[int, int]] = {}
        self._rest = 0
        self._last = Costs()

    def watch(self, how: Watch, now_ns: int) -> None:
        """Have the kernel count, or not any more; ``now_ns`` is CLOCK_MONOTONIC. What it refuses :meth:`read` tells."""
        with self._lock:
            if how is Watch.NOT:
                self._let_go()
                self._failed, self._last = "", Costs()
            elif how is Watch.CLOSELY or self._watch is Watch.NOT:
                self._count(now_ns)
            self._watch = how

    def read(self, now_ns: int) -> Costs:
        """Costs since the last call, or since the counting began; in between, at a glance, those told last.

        To be called at the end of every second.
        """
        with self._lock:
            length_ns = now_ns - self._begun
            if self._held is None:
                self._rest -= 1
                if self._watch is Watch.GLANCE and self._rest <= 0:
                    self._count(now_ns)
            elif length_ns > 0:
                old, self._seen = self._seen, self._look()
                self._begun = now_ns
                self._last = Costs({op: _cost(old[op], runs, length_ns) for op, runs in self._seen.items()})
                if self._watch is Watch.GLANCE:
                    self._let_go()
                    self._rest = GLANCE_EVERY - 1
            return Costs(note=self._failed) if self._failed else self._last

    def _count(self, now_ns: int) -> None:
        if self._held is None and not self._failed:
            try:
                self._held = bpf.enable_stats()
            except OSError as failure:
                self._failed = f"the kernel does not tell: {failure.strerror}"
            else:
                self._begun, self._seen = now_ns, self._look()

    def _look(self) -> dict[str, tuple[int, int]]:
        return {op: _sum(fds) for op, fds in self._programs.items()}

    def _let_go(self) -> None:
        if self._held is not None:
            os.close(self._held)
        self._held = None


def _sum(fds: tuple[int, ...]) -> tuple[int, int]:
    runs = [bpf.program_run(fd) for fd in fds]
    return sum(ns for ns, _ in runs), sum(count for _, count in runs)


def _cost(old: tuple[int, int], new: tuple[int, int], length_ns: int) -> Cost:
    return Cost(runs=(new[1] - old[1]) * 1e9 / length_ns, share=(new[0] - old[0]) / length_ns)
