"""Programs loaded by several threads before they are asked for. Used by the loader only.

Most of a start is the kernel's verifier, which looks at several programs of a privileged process side by side.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any

#: A start must not take all of a large host's CPUs.
_MOST_THREADS = 4


class _Job:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.program = -1


class Ahead:
    """Loads in the order in which it will be asked."""

    def __init__(self, load: Callable[..., int], orders: Iterable[tuple[Any, ...]]) -> None:
        """``load`` is called with each order, from several threads; it gives a descriptor, or a negative number."""
        self._load = load
        self._jobs = {order: _Job() for order in orders}
        self._left: queue.SimpleQueue[tuple[tuple[Any, ...], _Job]] = queue.SimpleQueue()
        for item in self._jobs.items():
            self._left.put(item)
        threads = 0
        # Where there may be no threads, all is loaded when it is asked for.
        with contextlib.suppress(RuntimeError):
            for _ in range(min(len(os.sched_getaffinity(0)), _MOST_THREADS)):
                threading.Thread(target=self._work, daemon=True).start()
                threads += 1
        if not threads:
            self._jobs.clear()

    def _work(self) -> None:
        while True:
            try:
                order, job = self._left.get_nowait()
            except queue.Empty:
                return
            try:
                job.program = self._load(*order)
            except Exception:  # it will be loaded again where somebody waits for it, and fail there
                job.program = -1
            job.done.set()

    def take(self, order: tuple[Any, ...]) -> int:
        """The descriptor, once: it is the caller's then. Negative for what was not ordered, or was refused."""
        job = self._jobs.pop(order, None)
        if job is None:
            return -1
        job.done.wait()
        return job.program
