"""The table of slow operations: a slice of the history, grouped. Pure views, once plainly and once incrementally.

A row says who waited (``Who``), how often, how long and when. Rates are not in it: a row divided by the length
of its window is, so that a window that is still filling is never diluted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from zfstop.model.events import Key
from zfstop.model.histogram import enough_for, percentile
from zfstop.model.history import Second, Stats

#: Cells in the trend of a row, over the whole window.
TREND_CELLS = 10

Identity = tuple[str | int, ...]


class Grouping(Enum):
    """What makes two operations belong to one row. The value is how the screen calls it."""

    PROCESS_FILE = "process/file"
    PROCESS = "process"
    FILE = "file"
    DATASET = "dataset"
    OPERATION = "operation"

    def identity(self, key: Key) -> Identity:
        """The row that ``key`` belongs to. Under process/file a row is one operation of one process on one file."""
        return _IDENTITIES[self](key)

    @property
    def next(self) -> Grouping:
        """The following one, round and round."""
        members = list(Grouping)
        return members[(members.index(self) + 1) % len(members)]


_IDENTITIES: dict[Grouping, Callable[[Key], Identity]] = {
    Grouping.PROCESS_FILE: lambda key: (key.op, key.pid, key.comm, key.dataset, key.path),
    Grouping.PROCESS: lambda key: (key.pid,),
    Grouping.FILE: lambda key: (key.dataset, key.path),
    Grouping.DATASET: lambda key: (key.dataset,),
    Grouping.OPERATION: lambda key: (key.op,),
}


class Who:
    """The keys behind a row, field by field: one value, or how many different ones."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = frozenset(keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Who) and self.keys == other.keys

    def __hash__(self) -> int:
        return hash(self.keys)

    def __repr__(self) -> str:
        return f"Who({sorted(self.keys)!r})"

    @cached_property
    def ops(self) -> tuple[str, ...]:
        """Operations, sorted, each once."""
        return tuple(sorted({key.op for key in self.keys}))

    @cached_property
    def pids(self) -> tuple[int, ...]:
        """Process numbers, sorted, each once."""
        return tuple(sorted({key.pid for key in self.keys}))

    @cached_property
    def comms(self) -> tuple[str, ...]:
        """Names of the threads that called; one process may have several."""
        return tuple(sorted({key.comm for key in self.keys}))

    @cached_property
    def uids(self) -> tuple[int, ...]:
        """User numbers, sorted, each once."""
        return tuple(sorted({key.uid for key in self.keys}))

    @cached_property
    def cgroups(self) -> tuple[int, ...]:
        """Cgroup ids, sorted, each once."""
        return tuple(sorted({key.cgroup for key in self.keys}))

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """Datasets, sorted, each once."""
        return tuple(sorted({key.dataset for key in self.keys}))

    @cached_property
    def files(self) -> tuple[tuple[str, str], ...]:
        """(dataset, path inside it), sorted, each once."""
        return tuple(sorted({(key.dataset, key.path) for key in self.keys}))

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Kernel functions that were measured, sorted, each once."""
        return tuple(sorted({key.symbol for key in self.keys}))


class Row:
    """The slow operations of one group within a window. Times in ns.

    ``identity`` names the group and stays the same from one refresh to the next. ``bytes`` is the sum of the
    sizes asked for. ``cells`` is time waited by absolute cell number, see :func:`trend`. ``last`` is the
    position in the history of the newest second with an operation in it. A row that comes from a
    :class:`Rolling` is a running sum: it is good until that is moved.
    """

    __slots__ = (
        "_peaks",
        "_who",
        "buckets",
        "bytes",
        "cells",
        "count",
        "errors",
        "identity",
        "keys",
        "last",
        "total_ns",
    )

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.count = self.errors = self.total_ns = self.bytes = self.last = 0
        self.buckets: dict[int, int] = {}
        self.cells: dict[int, int] = {}
        self.keys: set[Key] = set()
        #: (position, max_ns) that are or may become the maximum: falling, oldest first.
        self._peaks: deque[tuple[int, int]] = deque()
        self._who: Who | None = None

    @property
    def max_ns(self) -> int:
        """The longest latency, exactly."""
        return self._peaks[0][1]

    @property
    def who(self) -> Who:
        """Who waited on what."""
        if self._who is None:
            self._who = Who(self.keys)
        return self._who

    def percentile(self, share: float) -> int | None:
        """The latency in ns that ``share`` of the slow operations did not exceed; None with too few of them."""
        return percentile(self.buckets, share, self.max_ns) if enough_for(share, self.count) else None

    def waited(self, window_ns: int) -> float:
        """WAIT: seconds waited per second, which is the mean number of threads that were blocked."""
        return self.total_ns / window_ns if window_ns else 0.0

    def rate(self, window_ns: int) -> float:
        """Slow operations per second."""
        return self.count * 1e9 / window_ns if window_ns else 0.0

    def meet(self, key: Key) -> None:
        """A key that is new to the row."""
        self.keys.add(key)
        self._who = None

    def miss(self, key: Key) -> None:
        """A key that is no longer within the window."""
        self.keys.discard(key)
        self._who = None

    def add(self, position: int, cell: int, stats: Stats) -> None:
        """Count what one key did in the second at ``position``; positions never fall."""
        peaks = self._peaks
        while peaks and peaks[-1][1] <= stats.max_ns:
            peaks.pop()
        peaks.append((position, stats.max_ns))
        self.last = position
        self.count += stats.count
        self.errors += stats.errors
        self.total_ns += stats.total_ns
        self.bytes += stats.bytes
        self.cells[cell] = self.cells.get(cell, 0) + stats.total_ns
        buckets = self.buckets
        for bucket, count in stats.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count

    def take(self, position: int, cell: int, stats: Stats) -> None:
        """Undo :meth:`add` of the oldest second."""
        peaks = self._peaks
        while peaks and peaks[0][0] <= position:
            peaks.popleft()
        self.count -= stats.count
        self.errors -= stats.errors
        self.total_ns -= stats.total_ns
        self.bytes -= stats.bytes
        self.cells[cell] -= stats.total_ns
        if not self.cells[cell]:
            del self.cells[cell]
        buckets = self.buckets
        for bucket, count in stats.buckets.items():
            left = buckets[bucket] - count
            if left:
                buckets[bucket] = left
            else:
                del buckets[bucket]


def cell_seconds(window: int) -> int:
    """How many seconds of a window of ``window`` seconds share one cell of a trend."""
    return max(1, window // TREND_CELLS)


def rows(seconds: Sequence[Second], grouping: Grouping, start: int = 0, window: int = 60) -> tuple[Row, ...]:
    """The rows of these seconds, in the order of their identities. ``start`` is the position of the first one."""
    found: dict[Identity, Row] = {}
    for position, second in enumerate(seconds, start):
        for key, stats in second.groups:
            identity = grouping.identity(key)
            row = found.setdefault(identity, Row(identity))
            row.meet(key)
            row.add(position, position // cell_seconds(window), stats)
    return tuple(found[identity] for identity in sorted(found))


@dataclass(slots=True)
class _Presence:
    """A key within a window: its row, and in how many of the seconds it is."""

    row: Row
    seconds: int = 0


class Rolling:
    """The rows of a window that moves, at the cost of what enters and leaves it rather than of what it holds.

    ``move_to`` takes it anywhere: a step onward adds and takes away, a jump starts afresh.
    """

    def __init__(self, grouping: Grouping, window: int) -> None:
        """``window`` is in seconds; a :class:`Second` counts as one whatever its exact length."""
        self.grouping = grouping
        self.window = window
        self.length_ns = 0
        self._span = cell_seconds(window)
        self._start = 0
        self._seconds: deque[Second] = deque()
        self._present: dict[Key, _Presence] = {}
        self._rows: dict[Identity, Row] = {}
        self._order: list[Identity] = []

    @property
    def start(self) -> int:
        """Position of the oldest second within the window."""
        return self._start

    @property
    def end(self) -> int:
        """Position after the newest second within the window."""
        return self._start + len(self._seconds)

    def move_to(self, end: int, between: Callable[[int, int], tuple[Second, ...]]) -> None:
        """Make the window end before position ``end``; ``between(start, end)`` gives the seconds held there."""
        start = max(0, end - self.window)
        if not self._start <= start <= self.end <= end:
            self._forget()
        fresh = between(max(start, self.end), end)
        if self.end < end - len(fresh):  # positions are missing: the history let go of them
            self._forget()
            self._start = end - len(fresh)
        for second in fresh:
            self._enter(second)
        while self._start < start and self._seconds:
            self._leave()

    def rows(self) -> tuple[Row, ...]:
        """The same as :func:`rows` of the seconds within the window."""
        if not self._order:
            self._order = sorted(self._rows)
        return tuple([self._rows[identity] for identity in self._order])

    def _forget(self) -> None:
        self._seconds.clear()
        self._present.clear()
        self._rows.clear()
        self._order.clear()
        self._start = 0
        self.length_ns = 0

    def _enter(self, second: Second) -> None:
        position = self.end
        cell = position // self._span
        present = self._present
        for key, stats in second.groups:
            presence = present.get(key)
            if presence is None:
                presence = present[key] = _Presence(self._row_of(key))
            presence.seconds += 1
            presence.row.add(position, cell, stats)
        self._seconds.append(second)
        self.length_ns += second.length_ns

    def _leave(self) -> None:
        second = self._seconds.popleft()
        cell = self._start // self._span
        present = self._present
        for key, stats in second.groups:
            presence = present[key]
            presence.seconds -= 1
            presence.row.take(self._start, cell, stats)
            if not presence.seconds:
                del present[key]
                self._part(presence.row, key)
        self._start += 1
        self.length_ns -= second.length_ns

    def _row_of(self, key: Key) -> Row:
        """The row of a key that is new to the window."""
        identity = self.grouping.identity(key)
        row = self._rows.get(identity)
        if row is None:
            row = self._rows[identity] = Row(identity)
            self._order.clear()
        row.meet(key)
        return row

    def _part(self, row: Row, key: Key) -> None:
        """A key has left the window; its row may have been left empty."""
        row.miss(key)
        if not row.keys:
            del self._rows[row.identity]
            self._order.clear()


def trend(row: Row, end: int, window: int) -> tuple[int, ...]:
    """Time waited (ns) in each of the ``TREND_CELLS`` cells of a window that ends before position ``end``.

    Cells begin at fixed positions of the history: a cell that is complete never changes again, so the trend
    moves by whole cells and does not shimmer.
    """
    newest = max(0, end - 1) // cell_seconds(window)
    return tuple(row.cells.get(cell, 0) for cell in range(newest - TREND_CELLS + 1, newest + 1))


def sort_rows(
    items: Iterable[Row], key: Callable[[Row], tuple[float | str, ...]], descending: bool
) -> list[Row]:
    """Sorted by ``key``; equal ones by identity, in the same order in both directions."""
    by_identity = sorted(items, key=lambda row: row.identity)
    return sorted(by_identity, key=key, reverse=descending)
