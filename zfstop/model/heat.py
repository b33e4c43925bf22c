"""The latency heat map: all calls, slow or not, time by latency. Pure.

Every second is reduced once to a column of counts, one for each of the fixed fine rows; coarser rows, and columns of
several seconds, are sums of those. A call lies in the row that holds the middle of its histogram bucket, so a row's
edge is off by half a bucket (3.1 %) at most.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from zfstop.model.aggregate import stats_of
from zfstop.model.events import Key
from zfstop.model.histogram import BUCKETS, bucket_middle
from zfstop.model.history import Second, Stats
from zfstop.model.state import Controls
from zfstop.units import NS_PER_S

#: Calls by fine row, the fastest first.
Column = tuple[int, ...]

_US, _TOP = 1_000, 10 * NS_PER_S


def _steps(*per_decade: int) -> tuple[int, ...]:
    """Lower limits of rows from 1us to 10s; what is faster than the second one is in the lowest row."""
    limits = [step * _US * 10**power for power in range(7) for step in per_decade]
    return (0, *limits[1:], _TOP)


#: Lower limits (ns) of the fine rows. They have every step of the threshold among them, from 2us to 10s.
FINE = _steps(1, 2, 3, 5)
EMPTY: Column = (0,) * len(FINE)
#: Lower limits by number of rows. None depends on the data or the threshold: two maps can be compared.
_DECADES = _steps(1)
_LIMITS: dict[int, tuple[int, ...]] = {
    **{rows: (0, *_DECADES[8 - rows : -1]) for rows in (4, 5, 6, 7)},
    3: (0, 10_000_000, NS_PER_S),
    8: _DECADES,
    15: _steps(1, 3),
    22: _steps(1, 2, 5),
}
LEAST_ROWS = min(_LIMITS)
#: Above every latency.
NO_LIMIT = 1 << 63
_FINE_ROW = tuple(bisect_right(FINE, bucket_middle(bucket)) - 1 for bucket in range(BUCKETS))
#: The least number of calls for each glyph but the first; the same for ever, as the rows are.
STEPS = (1, 3, 10, 100, 1000, 10_000)
GLYPHS = " ·:░▒▓█"
#: Seconds in a column, from the closest look to the farthest.
SPANS = (1, 2, 5, 10, 30)
#: Columns of single seconds that are remembered.
_KEPT = 4000


def limits(height: int) -> tuple[int, ...]:
    """Lower limits (ns) of the rows, rising from 0: as many as have a scale and fit into ``height`` (3 or more)."""
    return _LIMITS[max(rows for rows in _LIMITS if rows <= max(height, LEAST_ROWS))]


def fine_row(bucket: int) -> int:
    """The fine row that holds a histogram bucket."""
    return _FINE_ROW[bucket]


def column(second: Second, wants: Callable[[str, str], bool]) -> Column:
    """All calls of the second by fine row; ``wants(operation, dataset)`` says which are counted."""
    counts = list(EMPTY)
    for op, dataset, tally in second.tallies:
        if wants(op, dataset):
            for bucket, count in tally.buckets.items():
                counts[_FINE_ROW[bucket]] += count
    return tuple(counts)


def merged(columns: Iterable[Column]) -> Column:
    """The sum: what happened in all of them together."""
    return tuple(map(sum, zip(EMPTY, *columns, strict=True)))


def coarse(counts: Column, rows: tuple[int, ...]) -> tuple[int, ...]:
    """The column with the rows of these limits, which must be among :data:`FINE`."""
    starts = [FINE.index(limit) for limit in rows]
    ends = [*starts[1:], len(FINE)]
    return tuple(sum(counts[start:end]) for start, end in zip(starts, ends, strict=True))


@dataclass(frozen=True, slots=True)
class Slice:
    """One column of the map: ``seconds`` of them were there; ``clock`` is when the first of them began (s)."""

    clock: float
    seconds: int
    counts: Column


_NOTHING = Slice(0.0, 0, EMPTY)


@dataclass(frozen=True, slots=True)
class Heat:
    """The map: slices of ``span`` seconds, oldest first. Slice ``n`` holds positions from ``(first + n) * span``.

    Slices begin at multiples of ``span``, so that one that is full never changes again. ``end`` is the position after
    the newest second in it.
    """

    span: int
    first: int
    end: int
    slices: tuple[Slice, ...]


Recorded = Callable[[int, int], tuple[Second, ...]]


class Columns:
    """The columns of the wanted calls by position, each worked out once."""

    def __init__(self, controls: Controls, passes: Callable[[str, str], bool] | None = None) -> None:
        """Operations and datasets of ``controls`` count, as far as they pass: ``passes(operation, dataset)``. All-calls
        statistics know no processes.
        """
        self._controls = controls
        self._passes = passes
        self._ops = controls.wanted_ops
        self._wanted: dict[tuple[str, str], bool] = {}
        self._seconds: dict[int, Slice] = {}
        self._full: dict[tuple[int, int], Slice] = {}

    def heat(self, end: int, count: int, span: int, recorded: Recorded) -> Heat:
        """The newest ``count`` columns before position ``end``; ``recorded(start, end)`` gives seconds held there."""
        last = -(-end // span)
        first = max(0, last - count, last - _KEPT // span)
        self._learn(first * span, end, recorded)
        slices = [self._slice(index, span, end) for index in range(first, last)]
        while slices and not slices[0].seconds:
            del slices[0]
            first += 1
        return Heat(span, first, end, tuple(slices))

    def calls(self, box: Box, recorded: Recorded) -> int:
        """All calls in the box."""
        self._learn(box.start, box.end, recorded)
        held = (self._seconds.get(position) for position in range(box.start, box.end))
        low = FINE.index(box.low_ns)
        high = FINE.index(box.high_ns) if box.high_ns in FINE else len(FINE)
        return sum(sum(item.counts[low:high]) for item in held if item)

    def _learn(self, start: int, end: int, recorded: Recorded) -> None:
        missing = [position for position in range(start, end) if position not in self._seconds]
        if not missing:
            return
        fresh = recorded(missing[0], missing[-1] + 1)
        for position, second in enumerate(fresh, missing[-1] + 1 - len(fresh)):
            if position not in self._seconds:
                began = second.clock - second.length_ns / NS_PER_S
                self._seconds[position] = Slice(began, 1, column(second, self._wants))
        while len(self._seconds) > _KEPT:
            del self._seconds[next(iter(self._seconds))]
        while len(self._full) > _KEPT:
            del self._full[next(iter(self._full))]

    def _wants(self, op: str, dataset: str) -> bool:
        known = self._wanted.get((op, dataset))
        if known is None:
            known = op in self._ops and self._controls.wants_dataset(dataset)
            known = known and (self._passes is None or self._passes(op, dataset))
            self._wanted[op, dataset] = known
        return known

    def _slice(self, index: int, span: int, end: int) -> Slice:
        if span == 1:
            return self._seconds.get(index) or _NOTHING
        full = self._full.get((span, index))
        if full is not None and (index + 1) * span <= end:
            return full
        positions = range(index * span, min(end, (index + 1) * span))
        held = [self._seconds[position] for position in positions if position in self._seconds]
        if not held:
            return _NOTHING
        found = Slice(held[0].clock, len(held), merged(s.counts for s in held))
        if len(held) == span:
            self._full[span, index] = found
        return found


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of the map: seconds at positions ``start`` to ``end - 1``, calls of ``low_ns`` and more, below
    ``high_ns``. Both are limits of fine rows, or :data:`NO_LIMIT`.
    """

    start: int
    end: int
    low_ns: int
    high_ns: int

    def holds(self, bucket: int) -> bool:
        """Whether the calls of a histogram bucket lie in it, as they do on the map."""
        return self.low_ns <= bucket_middle(bucket) < self.high_ns


def inside(second: Second, box: Box) -> tuple[Second, int]:
    """The second with only those slow calls whose latency is in the box, and of how many the sums are estimates.

    Numbers and histograms are exact. Time waited, sizes and errors are estimated for the calls of a group that
    reaches out of the box, unless all its calls were kept one by one.
    """
    groups: list[tuple[Key, Stats]] = []
    estimates = 0
    for key, stats in second.groups:
        buckets = {bucket: count for bucket, count in stats.buckets.items() if box.holds(bucket)}
        if len(buckets) == len(stats.buckets):
            groups.append((key, stats))
        elif buckets:
            calls = [event for event in second.events if event.key == key]
            whole = len(calls) == stats.count
            kept = [event for event in calls if box.holds(event.bucket)]
            groups.append((key, stats_of(kept) if whole else _share(stats, buckets)))
            estimates += 0 if whole else sum(buckets.values())
    events = tuple(event for event in second.events if box.holds(event.bucket))
    return replace(second, groups=tuple(groups), events=events), estimates


def _share(stats: Stats, buckets: dict[int, int]) -> Stats:
    """The calls in ``buckets`` of a group of which only the sums are known."""
    count, top = sum(buckets.values()), max(buckets)
    longest = stats.max_ns if top == max(stats.buckets) else bucket_middle(top)
    waited = min(stats.total_ns, sum(bucket_middle(bucket) * n for bucket, n in buckets.items()))
    errors, size = (part * count // stats.count for part in (stats.errors, stats.bytes))
    return Stats(count, errors, waited, longest, size, buckets)
