"""The order of very many rows, of which the first few are looked at. Pure.

Sorting 100,000 rows for every frame would take longer than everything else together. Here the best are known, and how
good the last of them is: a row that did not change since and was not among them cannot have become better.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import eq, gt, lt
from typing import overload

from zfstop.model.rows import Identity, Order, Rank, Row

#: How many of the best are known at least, and at most.
_KEEP = 400
_MOST = 4 * _KEEP


class Ordered(Sequence[Row]):
    """Rows in order: the first ones at once, the last and the others when somebody asks for one."""

    def __init__(
        self,
        head: Sequence[Row],
        count: int,
        there: Mapping[Identity, Row],
        whole: Callable[[], Sequence[Row]],
        last: Callable[[], Sequence[Row]],
    ) -> None:
        """``head`` are the first of ``count`` rows; ``there`` they all are unordered, ``whole`` gives them in order,
        ``last`` the last few.
        """
        self.head = head
        self._there = there
        self._count = count
        self._whole = whole
        self._last = last
        self._all: Sequence[Row] | None = head if len(head) == self._count else None
        #: The last ones, as far as somebody asked for one of them.
        self.tail: Sequence[Row] = ()

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, int) and 0 <= index < len(self.head):
            return self.head[index]
        if isinstance(index, int) and self._all is None and self._count - _KEEP <= index < self._count:
            self.tail = self.tail or self._last()
            if index >= self._count - len(self.tail):
                return self.tail[index - self._count]
        return self._every()[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._every())

    @property
    def known(self) -> Sequence[Row]:
        """The first ones, as far as their order was ever asked for."""
        return self.head if self._all is None else self._all

    def place(self, identity: Identity) -> int | None:
        """Where the row of this identity is; None when it is not there."""
        if identity not in self._there:
            return None
        found = _place_in(self.head, identity)
        if found is None and (from_end := _place_in(self.tail, identity)) is not None:
            return self._count - len(self.tail) + from_end
        return _place_in(self._every(), identity) if found is None else found

    def _every(self) -> Sequence[Row]:
        if self._all is None:
            self._all = self._whole()
        return self._all


def place_of(rows: Sequence[Row], identity: Identity) -> int | None:
    """Where the row of this identity is."""
    if isinstance(rows, Ordered):
        return rows.place(identity)
    return _place_in(rows, identity)


def _place_in(rows: Sequence[Row], identity: Identity) -> int | None:
    return next((index for index, row in enumerate(rows) if row.identity == identity), None)


def row_of(rows: Sequence[Row], identity: Identity) -> Row | None:
    """The row of this identity."""
    place = place_of(rows, identity)
    return None if place is None else rows[place]


class Ranking:
    """Rows by ``order``, equal ones by identity in both directions; kept up to date at the cost of what changed."""

    def __init__(self, order: Order, descending: bool) -> None:
        self._order = order
        self._descending = descending
        self._head: list[Row] = []
        #: How the last of them ranks; None while all rows are among them.
        self._floor: tuple[Rank, Identity] | None = None
        self._begun = False

    def ranked(self, rows: Mapping[Identity, Row], touched: set[Row] | None) -> Ordered:
        """All rows in order; ``touched`` are those that changed, came or left since the last time, None for all."""
        self._begun = self._begun and touched is not None
        if self._begun and touched is not None:
            self._refresh(rows, touched)
        if not self._begun or (self._floor is not None and len(self._head) < min(_KEEP, len(rows))):
            self._scan(rows)
        return Ordered(self._head, len(rows), rows, lambda: self.sort(rows.values()), lambda: self.last(rows))

    def last(self, rows: Mapping[Identity, Row]) -> list[Row]:
        """The last of them in order, a few hundred."""
        return self._outermost(rows, last=True)

    def sort(self, rows: Iterable[Row]) -> list[Row]:
        """These in order."""
        rows = list(rows)
        keys = list(map(self._order, rows))
        places = sorted(range(len(keys)), key=keys.__getitem__, reverse=self._descending)
        found, keys = [rows[place] for place in places], [keys[place] for place in places]
        equal = [place for place, same in enumerate(map(eq, keys, islice(keys, 1, None))) if same]
        for start, end in _runs(equal):
            found[start:end] = sorted(found[start:end], key=_identity)
        return found

    def _refresh(self, rows: Mapping[Identity, Row], touched: set[Row]) -> None:
        there = [row for row in touched if rows.get(row.identity) is row and self._ranks(row)]
        self._head = self.sort([*(row for row in self._head if row not in touched), *there])
        if len(self._head) > _MOST:
            self._cut()

    def _ranks(self, row: Row) -> bool:
        """Whether it is among the best."""
        if self._floor is None:
            return True
        key, (floor, last) = self._order(row), self._floor
        if key == floor:
            return row.identity <= last
        return key > floor if self._descending else key < floor

    def _cut(self) -> None:
        self._head = self._head[: _MOST // 2]
        self._floor = self._order(self._head[-1]), self._head[-1].identity

    def _scan(self, rows: Mapping[Identity, Row]) -> None:
        """Look at every row."""
        self._begun, self._floor = True, None
        if len(rows) <= _MOST:
            self._head = self.sort(rows.values())
            return
        self._head = self._outermost(rows, last=False)
        self._floor = self._order(self._head[-1]), self._head[-1].identity

    def _outermost(self, rows: Mapping[Identity, Row], last: bool) -> list[Row]:
        """The first, or the last, in order."""
        keys = list(map(self._order, rows.values()))
        if not all(row.resting for row in islice(rows.values(), _KEEP)):  # an order that adds rows up
            for row in rows.values():
                row.rest()
        if not keys:
            return []
        above = self._descending is not last
        edge = (heapq.nlargest if above else heapq.nsmallest)(_KEEP, keys)[-1]
        beats = gt if above else lt
        beyond = [row for row, key in zip(rows.values(), keys, strict=True) if beats(key, edge)]
        alike = [row for row, key in zip(rows.values(), keys, strict=True) if key == edge]
        alike = (heapq.nlargest if last else heapq.nsmallest)(_KEEP, alike, key=_identity)
        return self.sort([*beyond, *alike])


def _runs(equal: list[int]) -> Iterator[tuple[int, int]]:
    """From the places that are like the next one to the ends of the runs of such: ``[3, 4, 8]`` -> (3, 6), (8, 10)."""
    start = end = -1
    for place in equal:
        if place != end:
            if end >= 0:
                yield start, end + 1
            start = place
        end = place + 1
    if end >= 0:
        yield start, end + 1


def _identity(row: Row) -> Identity:
    return row.identity
