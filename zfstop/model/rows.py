"""The table of slow operations: a slice of the history, grouped. Pure views, once plainly and once incrementally.

A row says who waited (``Who``), how often, how long and when. Rates are not in it: a row divided by the length
of its window is, so that a window that is still filling is never diluted.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from functools import cached_property
from operator import add, itemgetter, sub
from typing import Any, Protocol, TypeVar

from zfstop.model.events import Key
from zfstop.model.histogram import Buckets, enough_for, merge, percentile
from zfstop.model.history import Second, Stats, can_be_summed
from zfstop.model.sliding import Between, Sliding
from zfstop.model.waits import CAUSES, Waits
from zfstop.zfs.operations import class_of

#: Cells in the trend of a row, over the whole window.
TREND_CELLS = 10

Identity = tuple[str | int, ...]
#: What can be sorted.
T = TypeVar("T", str, int, tuple[str, str])


class Groups(Protocol):
    """Anything that tells which row a call belongs to."""

    def identity(self, key: Key) -> Identity:
        """The same for all calls of one row."""


class Grouping(Enum):
    """What makes two operations belong to one row. The value is how the screen calls it."""

    PROCESS_FILE = "process/file"
    PROCESS = "process"
    FILE = "file"
    DIRECTORY = "directory"
    DATASET = "dataset"
    POOL = "pool"
    WHERE = "where"
    OPERATION = "operation"
    CLASS = "class"
    #: Of seconds that :func:`zfstop.model.causes.by_cause` has split.
    CAUSE = "cause"

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
    Grouping.DIRECTORY: lambda key: (key.dataset, key.directory),
    Grouping.DATASET: lambda key: (key.dataset,),
    # What no mount table names has no pool, and is not thrown together with other such.
    Grouping.POOL: lambda key: (key.pool or key.dataset,),
    Grouping.WHERE: lambda key: (key.where,),
    Grouping.OPERATION: lambda key: (key.op,),
    Grouping.CLASS: lambda key: (class_of(key.op),),
    Grouping.CAUSE: lambda key: (key.cause,),
}


def identities(grouping: Groups) -> Callable[[Key], Identity]:
    """What tells the row of a key, in the fewest steps."""
    return _IDENTITIES[grouping] if isinstance(grouping, Grouping) else grouping.identity


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
    def wheres(self) -> tuple[str, ...]:
        """Owners of the cgroups, sorted, each once; the empty one for the root and for those not known."""
        return tuple(sorted({key.where for key in self.keys}))

    @cached_property
    def inner_pids(self) -> tuple[int, ...]:
        """PIDs as their processes see them, where that is another number; sorted, each once."""
        return tuple(sorted({key.inner_pid for key in self.keys} - {0}))

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """Datasets, sorted, each once."""
        return tuple(sorted({key.dataset for key in self.keys}))

    @cached_property
    def pools(self) -> tuple[str, ...]:
        """Pools, sorted, each once; the empty one for datasets that are not known."""
        return tuple(sorted({key.pool for key in self.keys}))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Classes of the operations, sorted, each once."""
        return tuple(sorted({class_of(key.op) for key in self.keys}))

    @cached_property
    def directory(self) -> str:
        """The directory that all files are in or below; empty when that is the dataset's own, or there are several."""
        if len(self.datasets) > 1:
            return ""
        first, last = self.files[0][1], self.files[-1][1]
        ends = (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
        shared = first[: next(ends, min(len(first), len(last)))]
        return shared.rpartition("/")[0] if first != last else first.rpartition("/")[0]

    @cached_property
    def files(self) -> tuple[tuple[str, str], ...]:
        """(dataset, path inside it), sorted, each once."""
        return tuple(sorted({(key.dataset, key.path) for key in self.keys}))

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Kernel functions that were measured, sorted, each once."""
        return tuple(sorted({key.symbol for key in self.keys}))


#: What one key did in the second at a position.
Part = tuple[int, Key, Stats]
_POSITION = itemgetter(0)
#: A row of more parts than this keeps running sums instead of them: that takes less memory.
_MOST_PARTS = 64
#: Sums that somebody looked at are kept up through so many changes, and then are not worth it: one part comes and
#: one goes each second.
_KEPT_UP = 8


class _Sums:
    """What the parts of a row add up to, at either end of a window that moves."""

    __slots__ = ("buckets", "bytes", "cells", "errors", "explained", "keys", "top", "tops", "waits")

    def __init__(self, parts: Sequence[Part], span: int) -> None:
        stats = [part[2] for part in parts]
        self.errors = sum([one.errors for one in stats])
        self.bytes = sum([one.bytes for one in stats])
        self.buckets = merge([one.buckets for one in stats])
        self.keys: dict[Key, int] = dict(Counter([key for _, key, _ in parts]))
        self.cells: dict[int, int] = {}
        #: Position -> the longest latency in that second; and the longest of all.
        self.tops: dict[int, int] = {}
        self.top = max([one.max_ns for one in stats], default=0)
        for position, _, one in parts:
            self._place(position, one, span)
        #: The waits added up, and of how many of the parts they are.
        known = [one.waits for one in stats if one.waits is not None]
        self.waits = list(map(sum, zip(*known, strict=True))) if known else [0] * len(CAUSES)
        self.explained = len(known)

    def _place(self, position: int, stats: Stats, span: int) -> None:
        """What is known of when it was."""
        if stats.max_ns >= self.tops.get(position, 0):
            self.tops[position] = stats.max_ns
        # A cell is gone when nothing is in it, so what adds nothing makes none.
        if stats.total_ns:
            cell = position // span
            self.cells[cell] = self.cells.get(cell, 0) + stats.total_ns

    def add(self, part: Part, span: int) -> None:
        position, key, stats = part
        self.errors += stats.errors
        self.bytes += stats.bytes
        self._place(position, stats, span)
        self.top = max(self.top, stats.max_ns)
        self.keys[key] = self.keys.get(key, 0) + 1
        buckets = self.buckets
        for bucket, count in stats.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        if stats.waits is not None:
            self.explained += 1
            self.waits = list(map(add, self.waits, stats.waits))

    def take(self, part: Part, span: int) -> None:
        """All parts of a second leave together."""
        position, key, stats = part
        self.errors -= stats.errors
        self.bytes -= stats.bytes
        if self.tops.pop(position, None) == self.top:
            self.top = max(self.tops.values(), default=0)
        left = self.keys[key] - 1
        if left:
            self.keys[key] = left
        else:
            del self.keys[key]
        if stats.total_ns:
            cell = position // span
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
        if stats.waits is not None:
            self.explained -= 1
            self.waits = list(map(sub, self.waits, stats.waits))


class Row:
    """The slow operations of one group within a window. Times in ns.

    ``identity`` names the group and stays the same from one refresh to the next. ``bytes`` is the sum of the
    sizes asked for. ``cells`` is time waited by absolute cell number, see :func:`trend`. ``last`` is the
    position in the history of the newest second with an operation in it. A row that comes from a
    :class:`Rolling` is a running sum: it is good until that is moved.

    With 100,000 rows hardly any is looked at: beside what most often orders them, a row of few parts keeps only
    these, and adds them up when it is asked.
    """

    __slots__ = ("_kept_up", "_parts", "_span", "_sums", "_who", "count", "identity", "last", "total_ns")

    def __init__(self, identity: Identity, span: int = 1) -> None:
        """``span`` seconds share a cell of the trend."""
        self.identity = identity
        self.count = self.total_ns = self.last = 0
        self._span = span
        self._parts: list[Part] | None = []
        self._sums: _Sums | None = None
        #: For so many changes more, while there are parts too.
        self._kept_up = 0
        self._who: Who | None = None

    @property
    def _summed(self) -> _Sums:
        self._kept_up = _KEPT_UP
        if self._sums is None:
            self._sums = _Sums(self._parts or (), self._span)
        return self._sums

    @property
    def resting(self) -> bool:
        """Whether nothing is kept but what has to be."""
        return self._parts is None or (self._sums is None and self._who is None)

    def rest(self) -> None:
        """Forget what can be worked out again: nobody looks at the row for now."""
        if self._parts is not None:
            self._sums = self._who = None

    @property
    def _only(self) -> Part | None:
        """The part that is all there is, where it says more cheaply what is asked."""
        parts = self._parts
        return parts[0] if parts is not None and len(parts) == 1 else None

    @property
    def errors(self) -> int:
        """How many failed."""
        only = self._only
        return self._summed.errors if only is None else only[2].errors

    @property
    def bytes(self) -> int:
        """Of all sizes asked for."""
        only = self._only
        return self._summed.bytes if only is None else only[2].bytes

    @property
    def buckets(self) -> Buckets:
        """The histogram of their latencies."""
        only = self._only
        return self._summed.buckets if only is None else only[2].buckets

    @property
    def cells(self) -> Mapping[int, int]:
        """Time waited by cell."""
        return self._summed.cells

    @property
    def keys(self) -> Collection[Key]:
        """Every key of the row, once."""
        only = self._only
        return self._summed.keys.keys() if only is None else (only[1],)

    @property
    def tops(self) -> Mapping[int, int]:
        """Position -> the longest latency in that second, of those with an operation in them."""
        return self._summed.tops

    @property
    def max_ns(self) -> int:
        """The longest latency, exactly."""
        if self._sums is not None:
            return self._sums.top
        parts = self._parts or ()
        if len(parts) == 1:
            return parts[0][2].max_ns
        return max([stats.max_ns for _, _, stats in parts], default=0)

    @property
    def waits(self) -> Waits | None:
        """Where the time went, as far as somebody looked; None where nobody did."""
        if (only := self._only) is not None:
            return only[2].waits
        sums = self._summed
        return Waits(*sums.waits) if sums.explained else None

    @property
    def who(self) -> Who:
        """Who waited on what."""
        if self._who is None:
            self._who = Who(self.keys)
        return self._who

    def distinct(self, of: Callable[[Key], T]) -> tuple[T, ...]:
        """What its keys have of this, sorted, each once: as :attr:`who` has it, but nothing is kept."""
        keys = self.keys
        return (of(*keys),) if len(keys) == 1 else tuple(sorted({of(key) for key in keys}))

    def percentile(self, share: float) -> int | None:
        """The latency in ns that ``share`` of the slow operations did not exceed; None with too few of them."""
        return percentile(self.buckets, share, self.max_ns) if enough_for(share, self.count) else None

    def waited(self, window_ns: int) -> float:
        """WAIT: seconds waited per second, which is the mean number of threads that were blocked."""
        return self.total_ns / window_ns if window_ns else 0.0

    def rate(self, window_ns: int) -> float:
        """Slow operations per second."""
        return self.count * 1e9 / window_ns if window_ns else 0.0

    def add(self, part: Part) -> None:
        """Count what one key did in a second."""
        position, _, stats = part
        self.count += stats.count
        self.total_ns += stats.total_ns
        if position > self.last:
            self.last = position
        parts = self._parts
        if parts is None:
            self._change(part, _Sums.add)
        elif len(parts) < _MOST_PARTS:
            # The oldest first, for they leave first; a window may fill from its newest second on.
            if not parts:
                # Most rows never have more: a list that has grown has room for four.
                self._parts = [part]
            elif position < parts[-1][0]:
                insort(parts, part, key=_POSITION)
            else:
                parts.append(part)
            if self._sums is None:
                self._who = None
            else:
                self._change(part, _Sums.add)
        else:
            self._sums = _Sums((*parts, part), self._span)
            self._parts = self._who = None

    def take(self, part: Part) -> None:
        """Take it away again, with all others of its second."""
        parts, position, stats = self._parts, part[0], part[2]
        if parts is None:
            self._change(part, _Sums.take)
            if position == self.last:
                self.last = max(self._summed.tops, default=0)
        else:
            oldest = parts[0]
            if oldest[2] is stats and oldest[0] == position:
                del parts[0]
            else:
                del parts[_place_of(parts, position, stats)]
            self.last = parts[-1][0] if parts else 0
            if self._sums is None:
                self._who = None
            else:
                self._change(part, _Sums.take)
        self.count -= stats.count
        self.total_ns -= stats.total_ns

    def _change(self, part: Part, how: Callable[[_Sums, Part, int], None]) -> None:
        """The sums go along; beside parts they are let go when nobody has looked for long."""
        if self._parts is not None:
            self._kept_up -= 1
            if self._kept_up < 0:
                self._sums = self._who = None
                return
        sums = self._sums
        assert sums is not None
        keys = len(sums.keys)
        how(sums, part, self._span)
        if len(sums.keys) != keys:
            self._who = None


def _place_of(parts: list[Part], position: int, stats: Stats) -> int:
    return next(place for place, (at, _, its) in enumerate(parts) if at == position and its is stats)


def cell_seconds(window: int) -> int:
    """How many seconds of a window of ``window`` seconds share one cell of a trend."""
    return max(1, window // TREND_CELLS)


def rows(seconds: Sequence[Second], grouping: Groups, start: int = 0, window: int = 60) -> tuple[Row, ...]:
    """The rows of these seconds, in the order of their identities. ``start`` is the position of the first one."""
    found: dict[Identity, Row] = {}
    span = cell_seconds(window)
    for position, second in enumerate(seconds, start):
        for key, stats in second.groups:
            identity = grouping.identity(key)
            row = found.get(identity)
            if row is None:
                row = found[identity] = Row(identity, span)
            row.add((position, key, stats))
    return tuple(found[identity] for identity in sorted(found))


class Rolling(Sliding):
    """The rows of a window that moves, at the cost of what enters and leaves it rather than of what it holds."""

    def __init__(self, grouping: Groups, window: int) -> None:
        """``window`` is in seconds; a :class:`Second` counts as one whatever its exact length."""
        super().__init__(window)
        self._identity_of = identities(grouping)
        self._span = cell_seconds(window)
        self._rows: dict[Identity, Row] = {}
        #: Position -> the row of each group of that second, so that none is looked for when it leaves.
        self._members: dict[int, list[Row]] = {}
        #: Those of windows that were left: 100,000 rows are not freed within one frame.
        self._left: list[list[Row]] = []
        #: Rows that changed, came or left since somebody asked; None for all of them.
        self._touched: set[Row] | None = None
        #: The oldest second of which more than sums are here.
        self._named = 0

    @property
    def by_identity(self) -> Mapping[Identity, Row]:
        """The rows, unordered."""
        return self._rows

    @property
    def groups(self) -> int:
        """How many groups are in them, which is what it takes to look into all of them."""
        return sum(map(len, self._members.values()))

    def touched(self) -> set[Row] | None:
        """The rows that changed, came or left since this was asked last; None when that may be all of them."""
        found, self._touched = self._touched, set()
        return found

    def _moved(self, between: Between, recorded: Between) -> None:
        """What the history lets go of for want of memory is not kept here either. It is asked for every second that
        nothing has become of yet: what of it is shown is not worked out for that.
        """
        self._named = max(self._named, self._start)
        while self._named < self.end:
            mine = self._seconds[self._named - self._start]
            if can_be_summed(mine):
                held = recorded(self._named, self._named + 1)
                if not held or not held[0].summed:
                    return
                shown = between(self._named, self._named + 1)
                if not shown:
                    return
                self._leave(mine, self._named)
                self._enter(shown[0], self._named)
                self._seconds[self._named - self._start] = shown[0]
            self._named += 1

    def drop(self) -> None:
        """Nobody will look here again."""
        self._forget()

    def let_go(self, most: int) -> bool:
        """Free about so many of the rows of windows that were left; whether there are more."""
        while self._left and most > 0:
            most -= len(self._left.pop())
        return bool(self._left)

    def rows(self) -> tuple[Row, ...]:
        """The same as :func:`rows` of the seconds within the window."""
        return tuple([self._rows[identity] for identity in sorted(self._rows)])

    def _forget(self) -> None:
        super()._forget()
        self._touched = None
        self._rows.clear()
        self._left += self._members.values()
        self._members.clear()
        self._named = 0

    def _enter(self, second: Second, position: int) -> None:
        found, identity_of, members = self._rows, self._identity_of, list[Row]()
        for key, stats in second.groups:
            identity = identity_of(key)
            row = found.get(identity)
            if row is None:
                row = found[identity] = Row(identity, self._span)
            row.add((position, key, stats))
            members.append(row)
        self._members[position] = members
        if self._touched is not None:
            self._touched.update(members)

    def _leave(self, second: Second, position: int) -> None:
        members = self._members.pop(position)
        for row, (key, stats) in zip(members, second.groups, strict=True):
            row.take((position, key, stats))
            if not row.count:
                self._rows.pop(row.identity, None)
        if self._touched is not None:
            self._touched.update(members)


def trend(row: Row, end: int, window: int) -> tuple[int, ...]:
    """Time waited (ns) in each of the ``TREND_CELLS`` cells of a window that ends before position ``end``.

    Cells begin at fixed positions of the history: a cell that is complete never changes again, so the trend
    moves by whole cells and does not shimmer.
    """
    newest = max(0, end - 1) // cell_seconds(window)
    return tuple(row.cells.get(cell, 0) for cell in range(newest - TREND_CELLS + 1, newest + 1))


class Rank(Protocol):
    """What rows are ordered by: a number, or a tuple."""

    def __lt__(self, other: Any, /) -> bool:
        """As numbers and tuples do."""

    def __gt__(self, other: Any, /) -> bool:
        """Likewise."""


Order = Callable[[Row], Rank]


def sort_rows(items: Iterable[Row], key: Order, descending: bool) -> list[Row]:
    """Sorted by ``key``; equal ones by identity, in the same order in both directions."""
    by_identity = sorted(items, key=lambda row: row.identity)
    return sorted(by_identity, key=key, reverse=descending)
