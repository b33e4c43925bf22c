"""The history: one frozen :class:`Second` after another, bounded in memory.

Live, pause, replay and stepping back are the same reading at another place. The collector, or the player of a
recording, is the only writer; readers get tuples that never change under them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from typing import Protocol

from zfstop.model.books import Books, books
from zfstop.model.events import Event, Key
from zfstop.model.histogram import Buckets, merge
from zfstop.model.state import Controls, Counts, total
from zfstop.model.waits import Waits, together
from zfstop.model.zfs_state import ZfsState


@dataclass(frozen=True, slots=True)
class Stats:
    """Slow operations of one key within one second. ``bytes`` is the sum of the sizes asked for.

    ``waits`` is None where nobody looked.
    """

    count: int
    errors: int
    total_ns: int
    max_ns: int
    bytes: int
    buckets: Buckets
    waits: Waits | None = None

    def plus(self, other: Stats) -> Stats:
        """Both together."""
        return Stats(
            self.count + other.count,
            self.errors + other.errors,
            self.total_ns + other.total_ns,
            max(self.max_ns, other.max_ns),
            self.bytes + other.bytes,
            merge((self.buckets, other.buckets)),
            together(self.waits, other.waits),
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

    Dataset and path are "?" where the kernel could not name them any more. ``waits`` are those so far.
    """

    key: Key
    tid: int
    age_ns: int
    offset: int | None
    size: int | None
    waits_in: str
    waits: Waits | None = None


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
    #: Its groups are sums by operation and dataset only: memory for more was needed by later seconds.
    summed: bool = False
    #: What ZFS said of itself at the end of this second; None where nobody asked.
    zfs: ZfsState | None = None

    @property
    def counts(self) -> Counts:
        """Counter differences over all probes."""
        return total(self.slots)


#: What stands in a summed second where a name was.
SUMMED = "(summed)"


def can_be_summed(second: Second) -> bool:
    """Whether two of its groups are of one operation and dataset."""
    places: set[tuple[str, str]] = set()
    for key, _ in second.groups:
        if (key.op, key.dataset) in places:
            return True
        places.add((key.op, key.dataset))
    return False


def summed(second: Second) -> Second:
    """The second with one group an operation and dataset; the same object where that would take no less memory.

    Sums, histograms and what is of all calls stay as they were.
    """
    parts: dict[tuple[str, str], Stats] = {}
    for key, stats in second.groups:
        where = key.op, key.dataset
        parts[where] = parts[where].plus(stats) if where in parts else stats
    if len(parts) == len(second.groups):
        return second
    groups = tuple((Key(op, 0, SUMMED, 0, 0, ds, SUMMED, ""), stats) for (op, ds), stats in parts.items())
    return replace(second, groups=groups, summed=True)


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters after some second: over all probes since the start, and of each since it was attached; ``before`` are
    the latter a second earlier.
    """

    counts: Counts = field(default_factory=Counts)
    slots: tuple[Counts, ...] = ()
    before: tuple[Counts, ...] = ()

    def plus(self, second: Second) -> Totals:
        """After one more second."""
        return Totals(self.counts.plus(second.counts), _add_slots(self.slots, second.slots), self.slots)

    def cleared(self) -> Totals:
        """The probes were attached anew."""
        return Totals(self.counts)

    @property
    def books(self) -> tuple[Books, ...]:
        """The books of each probe since it was attached."""
        pairs = zip_longest(self.before, self.slots, fillvalue=Counts())
        return tuple(books(before, now) for before, now in pairs)


class Timeline(Protocol):
    """Seconds by position, to be read. A position stands before the second of that number, and never shifts."""

    @property
    def start(self) -> int:
        """Position of the oldest second that is held."""

    @property
    def end(self) -> int:
        """Position after the newest second."""

    def between(self, start: int, end: int) -> tuple[Second, ...]:
        """The seconds at positions ``start`` to ``end - 1``, as far as they are held."""

    def clocks(self, start: int, end: int) -> Sequence[tuple[float, int]]:
        """(wall time at its end in s, length in ns) of each of those seconds."""

    def totals_at(self, position: int) -> Totals:
        """Counters as they were at ``position``; at the nearest one that is held for any other."""


#: Totals are kept for every so many positions; those between are added up when somebody asks.
_MARK_EVERY = 60
#: The newest seconds that keep their events as long as there are older groups to give up.
_KEEP_WHOLE = 60


class History:
    """The last ``capacity`` seconds. Positions count from the first second ever appended and never shift."""

    def __init__(self, capacity: int = 1800, keep_details: int = 150_000) -> None:
        """``keep_details`` bounds memory, to about 90 MB: groups and events of all seconds held. Beyond it the oldest
        seconds lose their events first, then the names in their groups, and never their sums and histograms.
        """
        self._seconds: deque[Second] = deque()
        self._capacity = capacity
        self._keep_details = keep_details
        self._details = 0
        self._dropped = 0
        #: Positions from which on seconds still have events, and names.
        self._with_events = self._with_names = 0
        self._totals = self._oldest = Totals()
        self._marks: deque[tuple[int, Totals]] = deque()
        self._clears: deque[int] = deque()
        self._calls: dict[str, Tally] = {}
        self._longest: dict[str, int] = {}
        self._lock = threading.Lock()

    def append(self, second: Second) -> None:
        """Add the newest second; the oldest goes when there are ``capacity``, and is thinned when memory is short."""
        with self._lock:
            self._seconds.append(second)
            self._details += len(second.groups) + len(second.events)
            self._totals = self._totals.plus(second)
            self._add_calls(second)
            if len(self._seconds) > self._capacity:
                self._drop()
            self._thin()
            if self._end % _MARK_EVERY == 0:
                self._marks.append((self._end, self._totals))

    @property
    def _end(self) -> int:
        return self._dropped + len(self._seconds)

    def _drop(self) -> None:
        if self._clears and self._clears[0] == self._dropped:
            self._clears.popleft()
            self._oldest = self._oldest.cleared()
        gone = self._seconds.popleft()
        self._oldest = self._oldest.plus(gone)
        self._details -= len(gone.groups) + len(gone.events)
        self._dropped += 1
        while self._marks and self._marks[0][0] <= self._dropped:
            self._marks.popleft()

    def _thin(self) -> None:
        """The newest second stays as it is, whatever it holds."""
        self._with_events = max(self._with_events, self._dropped)
        self._with_names = max(self._with_names, self._dropped)
        while self._details > self._keep_details:
            if self._with_events < self._end - _KEEP_WHOLE:
                self._forget_events()
            elif self._with_names < self._end - 1:
                self._put(self._with_names, summed(self._at(self._with_names)))
                self._with_names += 1
            elif self._with_events < self._end - 1:
                self._forget_events()
            else:
                return

    def _forget_events(self) -> None:
        second = self._at(self._with_events)
        if second.events:
            thinned = second.thinned + len(second.events)
            self._put(self._with_events, replace(second, events=(), thinned=thinned))
        self._with_events += 1

    def _at(self, position: int) -> Second:
        return self._seconds[position - self._dropped]

    def _put(self, position: int, second: Second) -> None:
        old = self._at(position)
        self._details += len(second.groups) + len(second.events) - len(old.groups) - len(old.events)
        self._seconds[position - self._dropped] = second

    @property
    def start(self) -> int:
        """Position of the oldest second that is held."""
        with self._lock:
            return self._dropped

    @property
    def end(self) -> int:
        """Position after the newest second: how many were ever appended."""
        with self._lock:
            return self._end

    def between(self, start: int, end: int) -> tuple[Second, ...]:
        """The seconds at positions ``start`` to ``end - 1``, as far as they are still held."""
        with self._lock:
            first = max(0, start - self._dropped)
            return tuple(islice(self._seconds, first, max(first, end - self._dropped)))

    def clocks(self, start: int, end: int) -> Sequence[tuple[float, int]]:
        """(wall time at its end in s, length in ns) of each of those seconds."""
        return [(second.clock, second.length_ns) for second in self.between(start, end)]

    def last(self, count: int, end: int | None = None) -> tuple[Second, ...]:
        """The newest ``count`` seconds before position ``end`` (default: the end)."""
        stop = self.end if end is None else end
        return self.between(max(0, stop - count), stop)

    def totals(self) -> tuple[Counts, tuple[Counts, ...]]:
        """Counters since the start, over all probes and per probe."""
        with self._lock:
            return self._totals.counts, self._totals.slots

    def books(self) -> tuple[Books, ...]:
        """The books of each probe since it was attached."""
        with self._lock:
            return self._totals.books

    def totals_at(self, position: int) -> Totals:
        """Counters as they were at ``position``; at the nearest one that is held for any other."""
        with self._lock:
            if position >= self._end:
                return self._totals
            before = ((place, totals) for place, totals in reversed(self._marks) if place < position)
            place, found = next(before, (self._dropped, self._oldest))
            for second in islice(self._seconds, place - self._dropped, max(0, position - self._dropped)):
                found = (found.cleared() if place in self._clears else found).plus(second)
                place += 1
            return found

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
            self._totals = self._totals.cleared()
            if not self._clears or self._clears[-1] != self._end:
                self._clears.append(self._end)


def _add_slots(old: tuple[Counts, ...], new: tuple[Counts, ...]) -> tuple[Counts, ...]:
    padded = old + (Counts(),) * (len(new) - len(old))
    return tuple(a.plus(b) for a, b in zip(padded, new, strict=False)) + padded[len(new) :]
