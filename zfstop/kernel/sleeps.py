"""Where calls sleep for no known cause: watched only while they do, for it costs every context switch of the host."""

from __future__ import annotations

import os

from zfstop.kernel import bpf
from zfstop.model.state import Attached

_TRACEPOINT = "sched_switch"
#: So much unexplained time in a second, and such a share of the slow time, is worth a name.
_WORTH_NS = 10_000_000
_WORTH_SHARE = 20
_KEPT_NS = 60_000_000_000


class Sleeps:
    """The program that names them; attached for a minute after the last second that had such sleeps."""

    def __init__(self, program: int | None) -> None:
        """``program`` is None where it cannot be had: such sleeps stay without a name."""
        self._program = program
        self._link: int | None = None
        self._until = 0

    @property
    def served(self) -> tuple[Attached, ...]:
        """What the report says of it while it is attached."""
        if self._link is None:
            return ()
        return (Attached("other", _TRACEPOINT, "kernel", "", "raw tracepoint, for a minute"),)

    def watch(self, other_ns: int, total_ns: int, now_ns: int) -> bool:
        """Attach or detach by what a second brought; whether that changed anything."""
        if other_ns >= _WORTH_NS and other_ns * _WORTH_SHARE >= total_ns:
            self._until = now_ns + _KEPT_NS
        wanted = now_ns < self._until
        if self._program is None or wanted == (self._link is not None):
            return False
        if wanted:
            return self._attach()
        self.close()
        return True

    def _attach(self) -> bool:
        if self._program is None:
            return False
        try:
            self._link = bpf.attach_raw_tracepoint(self._program, _TRACEPOINT)
        except OSError:
            self._program = None
        return self._link is not None

    def close(self) -> None:
        """Detach."""
        if self._link is not None:
            os.close(self._link)
            self._link = None
