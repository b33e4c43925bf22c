"""What this process itself uses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from zfstop.model.costs import Usage


class OwnUsage:
    """CPU of all threads since the last look, and memory now."""

    def __init__(
        self, clock: Callable[[], int] = time.monotonic_ns, cpu: Callable[[], int] = time.process_time_ns
    ) -> None:
        """``clock`` and ``cpu`` give nanoseconds."""
        self._clock, self._cpu = clock, cpu
        self._seen = clock(), cpu()

    def read(self) -> Usage | None:
        """None when no time has passed, or /proc is not there."""
        (then, spent), self._seen = self._seen, (self._clock(), self._cpu())
        length_ns = self._seen[0] - then
        if length_ns <= 0:
            return None
        try:
            with open("/proc/self/statm") as file:
                resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except (OSError, ValueError, IndexError):
            return None
        return Usage((self._seen[1] - spent) / length_ns, resident)
