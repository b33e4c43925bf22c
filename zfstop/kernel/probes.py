"""The pairs of programs, loaded once, and attached while their operation is wanted: what is off costs nothing."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field

from zfstop.kernel import bpf, kretprobes
from zfstop.model.state import Attached


@dataclass(slots=True)
class Pair:
    """The programs of one function and, while attached, the descriptors that keep them so.

    ``leave`` and ``entry`` are program descriptors.
    """

    slot: int
    bit: int
    attached: Attached
    fentry: bool
    leave: int
    entry: int
    #: Of return probes with room for many sleeping calls.
    owner: kretprobes.Owner | None = None
    links: list[int] = field(default_factory=list)
    #: Links of returns whose entry is detached: calls that were in flight then still return.
    leaving: list[int] = field(default_factory=list)

    @property
    def programs(self) -> tuple[int, int]:
        """Descriptors of both programs."""
        return self.leave, self.entry

    def switch(self, on: bool) -> None:
        """Attach or detach, unless it is so already. OSError when it cannot be attached: then nothing is."""
        if on and not self.links:
            self._attach()
        elif not on and self.links:
            half = len(self.links) // 2
            self.leaving += self.links[:half]
            _close(self.links[half:])
            self.links = []

    def _attach(self) -> None:
        made: list[int] = []
        try:
            # A program that ran before its return was attached would count calls that never end.
            for program, returns in ((self.leave, True), (self.entry, False)):
                if self.fentry:
                    made.append(bpf.attach_tracing(program))
                else:
                    made += kretprobes.attach(bpf, program, self.attached.symbol, returns, self.owner)
        except OSError:
            _close(made)
            raise
        self.settle()
        self.links = made

    def settle(self) -> bool:
        """Detach the returns that were left for calls in flight; whether there were any."""
        leaving, self.leaving = self.leaving, []
        _close(leaving)
        return bool(leaving)

    def close(self) -> None:
        """Detach and free everything."""
        _close([*self.links, *self.leaving, self.leave, self.entry])
        self.links, self.leaving = [], []


@dataclass(slots=True)
class SleepProbe:
    """The programs around one function in which threads sleep, and what keeps them attached: returns first."""

    symbol: str
    leave: int
    entry: int
    #: Whether the return is attached by fexit; the entry never is.
    fexit: bool
    owner: kretprobes.Owner | None
    links: list[int]

    def switch(self, on: bool) -> None:
        """Attach or detach, unless it is so already. What cannot be attached again stays off."""
        if not on:
            _close(self.links[::-1])
            self.links = []
        elif not self.links:
            with contextlib.suppress(OSError):
                self._attach()

    def _attach(self) -> None:
        made: list[int] = []
        try:
            if self.fexit:
                made.append(bpf.attach_tracing(self.leave))
            else:
                made += kretprobes.attach(bpf, self.leave, self.symbol, True, self.owner)
            made += kretprobes.attach(bpf, self.entry, self.symbol, False, self.owner)
        except OSError:
            _close(made)
            raise
        self.links = made

    def close(self) -> None:
        """Detach and free."""
        _close([*self.links[::-1], self.leave, self.entry])
        self.links = []


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
