"""The history: one frozen :class:`Second` after another, bounded in memory.

Live, pause, replay and (later) stepping back are the same reading at another place. The collector, or the
player of a recording, is the only writer; readers get tuples that never change under them.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from zfstop.model.events import Event, Key
from zfstop.model.histogram import Buckets, merge
from zfstop.model.state import Controls, Counts, total


@dataclass(frozen=True, slots=True)
class Stats:
    """Slow operations of one key within one second. ``bytes`` is the sum of the sizes asked for."""

    count: int
    errors: int
    total_ns: int
    max_ns: int
    bytes: int
    buckets: Buckets

    def plus(self, other: Stats) -> Stats:
        """Both together."""
        return Stats(
            self.count + other.count,
            self.errors + other.errors,
            self.total_ns + other.total_ns,
            max(self.max_ns, other.max_ns),
            self.bytes + other.bytes,
            merge((self.buckets, other.buckets)),
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """All calls of one operation on one dataset within one second, slow or not, from the kernel's own histogram.

    ``bytes`` were really moved. Calls that the PID or operation filter hides are not timed and not in here.
    """

    calls: int
    errors: int
    total_ns: int
    bytes: int
    buckets: Buckets

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.calls + other.calls,
            self.errors + other.errors,
            self.total_ns + other.total_ns,
            self.bytes + other.bytes,
            merge((self.buckets, other.buckets)),
        )


@dataclass(frozen=True, slots=True)
class InFlight:
    """A call that has not returned. ``waits_in`` is the kernel function it sleeps in, "" when that is not known.

    Dataset and path are "?" where the kernel could not name them any more.
    """

    key: Key
    tid: int
    age_ns: int
    offset: int | None
    size: int | None
    waits_in: str


@dataclass(frozen=True, slots=True)
class Second:
    """What happened in about one second.

    ``clock`` is wall time (seconds since the epoch) at the end, ``mono_ns`` CLOCK_MONOTONIC at the same moment,
    ``length_ns`` the exact duration. ``slots`` are counter differences in the order of ``ProbeReport.attached``.
    ``events`` holds at most what the collector was told to keep; ``thinned`` of them were let go.
    """

    clock: float
    mono_ns: int
    length_ns: int
    controls: Controls
    groups: tuple[tuple[Key, Stats], ...] = ()
    events: tuple[Event, ...] = ()
    thinned: int = 0
    slots: tuple[Counts, ...] = ()
    in_flight: int = 0
    #: The oldest calls in flight at the end of this second, those older than the threshold and 1 s; oldest first.
    stuck: tuple[InFlight, ...] = ()
    #: (operation, dataset, all its calls)
    tallies: tuple[tuple[str, str, Tally], ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def counts(self) -> Counts:
        """Counter differences over all probes."""
        return total(self.slots)


class History:
    """The last ``capacity`` seconds. Positions count from the first second ever appended and never shift."""

    def __init__(self, capacity: int = 1800, keep_groups: int = 150_000) -> None:
        """``keep_groups`` bounds memory under a flood, to about 75 MB: the sum of groups over all seconds held."""
        self._seconds: deque[Second] = deque()
        self._capacity = capacity
        self._keep_groups = keep_groups
        self._groups = 0
        self._dropped = 0
        self._counts = Counts()
        self._slots: tuple[Counts, ...] = ()
        self._calls: dict[str, Tally] = {}
        self._longest: dict[str, int] = {}
        self._lock = threading.Lock()

    def append(self, second: Second) -> None:
        """Add the newest second; the oldest go when the bounds are reached."""
        with self._lock:
            self._seconds.append(second)
            self._groups += len(second.groups)
            self._counts = self._counts.plus(second.counts)
            self._slots = _add_slots(self._slots, second.slots)
            self._add_calls(second)
            while len(self._seconds) > self._capacity or (
                self._groups > self._keep_groups and len(self._seconds) > 1
            ):
                self._groups -= len(self._seconds.popleft().groups)
                self._dropped += 1

    @property
    def end(self) -> int:
        """Position after the newest second: how many were ever appended."""
        with self._lock:
            return self._dropped + len(self._seconds)

    def between(self, start: int, end: int) -> tuple[Second, ...]:
        """The seconds at positions ``start`` to ``end - 1``, as far as they are still held."""
        with self._lock:
            first = max(0, start - self._dropped)
            return tuple(islice(self._seconds, first, max(first, end - self._dropped)))

    def last(self, count: int, end: int | None = None) -> tuple[Second, ...]:
        """The newest ``count`` seconds before position ``end`` (default: the end)."""
        stop = self.end if end is None else end
        return self.between(max(0, stop - count), stop)

    def totals(self) -> tuple[Counts, tuple[Counts, ...]]:
        """Counters since the start, over all probes and per probe."""
        with self._lock:
            return self._counts, self._slots

    def _add_calls(self, second: Second) -> None:
        for op, _, tally in second.tallies:
            self._calls[op] = tally.plus(self._calls[op]) if op in self._calls else tally
        for key, stats in second.groups:
            self._longest[key.op] = max(stats.max_ns, self._longest.get(key.op, 0))

    def all_calls(self) -> dict[str, tuple[Tally, int]]:
        """Operation -> (all its calls since the start, the longest slow one in ns, 0 if none was slow)."""
        with self._lock:
            return {op: (tally, self._longest.get(op, 0)) for op, tally in self._calls.items()}

    def clear_slots(self) -> None:
        """Begin new per-probe totals: the probes were attached anew. Overall totals (losses) stay."""
        with self._lock:
            self._slots = ()


def _add_slots(old: tuple[Counts, ...], new: tuple[Counts, ...]) -> tuple[Counts, ...]:
    padded = old + (Counts(),) * (len(new) - len(old))
    return tuple(a.plus(b) for a, b in zip(padded, new, strict=False)) + padded[len(new) :]
