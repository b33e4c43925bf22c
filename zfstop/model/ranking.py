"""The order of very many rows, of which the first few are looked at. Pure.

Sorting 100,000 rows for every frame would take longer than everything else together. Here the best are known, and how
good the last of them is: a row that did not change since and was not among them cannot have become better. Also to
look at each of them once, for a new order, takes longer than a frame: that is done bit by bit.
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

    def row(self, identity: Identity) -> Row | None:
        """The row of this identity."""
        return self._there.get(identity)

    def known_place(self, identity: Identity) -> int | None:
        """Where the row of this identity is, as far as rows were put in order."""
        found = _place_in(self.known, identity)
        if found is None and (from_end := _place_in(self.tail, identity)) is not None:
            return self._count - len(self.tail) + from_end
        return found

    def place(self, identity: Identity) -> int | None:
        """Where it is, whatever it takes; None when it is not there."""
        if identity not in self._there:
            return None
        found = self.known_place(identity)
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


def known_place(rows: Sequence[Row], identity: Identity) -> int | None:
    """Where the row of this identity is, if that is known without putting all others in order."""
    return rows.known_place(identity) if isinstance(rows, Ordered) else _place_in(rows, identity)


def _place_in(rows: Sequence[Row], identity: Identity) -> int | None:
    return next((index for index, row in enumerate(rows) if row.identity == identity), None)


def row_of(rows: Sequence[Row], identity: Identity) -> Row | None:
    """The row of this identity."""
    if isinstance(rows, Ordered):
        return rows.row(identity)
    place = _place_in(rows, identity)
    return None if place is None else rows[place]


class _Edge:
    """The rows at one end of an order, and how the innermost of them ranks: all others looked at are within it."""

    def __init__(self, order: Order, descending: bool, last: bool, most: int) -> None:
        """Half of ``most`` are kept when there are more."""
        self._order = order
        self._descending = descending
        self._last = last
        self._most = most
        self.rows: list[Row] = []
        #: None while all rows that were looked at are here.
        self.floor: tuple[Rank, Identity] | None = None

    def without(self, rows: set[Row]) -> None:
        """These may rank otherwise now."""
        self.rows = [row for row in self.rows if row not in rows]

    def take_in(self, rows: list[Row], keys: list[Rank]) -> None:
        """Those of them that belong here; ``keys`` are how they rank."""
        if self.floor is not None:
            pairs = [(row, key) for row, key in zip(rows, keys, strict=True) if self._holds(row, key)]
            rows, keys = [row for row, _ in pairs], [key for _, key in pairs]
        if len(self.rows) + len(rows) <= self._most:
            self.rows = self._sorted([*self.rows, *rows])
            return
        best = outermost(rows, keys, self._order, self._descending, self._last) if len(rows) > _KEEP else rows
        self.rows = self._sorted([*self.rows, *best])
        # Of those that were left out none is within the innermost of the best.
        inner = best[0 if self._last else -1]
        reach = self.rows.index(inner) if len(best) < len(rows) else len(self.rows)
        if len(best) < len(rows):
            reach = len(self.rows) - reach if self._last else reach + 1
        self._cut(min(reach, max(1, self._most // 2)))

    def _holds(self, row: Row, key: Rank) -> bool:
        """Whether it ranks no farther within than the innermost."""
        assert self.floor is not None
        floor, innermost = self.floor
        if key == floor:
            return row.identity >= innermost if self._last else row.identity <= innermost
        return key > floor if self._descending is not self._last else key < floor

    def _cut(self, length: int) -> None:
        self.rows = self.rows[-length:] if self._last else self.rows[:length]
        innermost = self.rows[0 if self._last else -1]
        self.floor = self._order(innermost), innermost.identity

    def _sorted(self, rows: list[Row]) -> list[Row]:
        return in_order(rows, self._order, self._descending)


class Ranking:
    """Rows by ``order``, equal ones by identity in both directions; kept up to date at the cost of what changed."""

    def __init__(self, order: Order, descending: bool) -> None:
        self._order = order
        self._descending = descending
        #: Rows that are still to be looked at, None before the first; and of how many.
        self._ahead: list[Row] | None = None
        self._of = 0
        #: What takes over once it has looked at all rows, because too few of the first are left here.
        self._next: Ranking | None = None
        self._begin()

    @property
    def looked_at(self) -> tuple[int, int] | None:
        """(rows, of how many) that the order is of; None once it is that of all."""
        return (self._of - len(self._ahead), self._of) if self._ahead else None

    def ranked(
        self, rows: Mapping[Identity, Row], touched: set[Row] | None, most: int | None = None
    ) -> Ordered:
        """All rows in order; ``touched`` are those that changed, came or left since the last time, None for all.

        With ``most``, no more than so many are looked at now that did not change: until all are, the first are the
        first of those.
        """
        if touched is None:
            self._ahead = self._next = None
        self._go_on(rows, touched or set(), most)
        if self._next is not None or (
            self._first.floor is not None and len(self._first.rows) < min(_KEEP, len(rows))
        ):
            self._renew(rows, touched or set(), most)
        return Ordered(
            self._first.rows, len(rows), rows, lambda: self.sort(rows.values()), lambda: self.last(rows)
        )

    def last(self, rows: Mapping[Identity, Row]) -> list[Row]:
        """The last of them in order, a hundred or more."""
        if self.looked_at is None and len(self._last.rows) >= _KEEP // 4:
            return self._last.rows
        there = list(rows.values())
        return outermost(there, self._ranks_of(there), self._order, self._descending, last=True)

    def sort(self, rows: Iterable[Row]) -> list[Row]:
        """These in order."""
        return in_order(rows, self._order, self._descending)

    def _begin(self) -> None:
        self._first = _Edge(self._order, self._descending, last=False, most=_MOST)
        #: Kept up only while not all rows are among the first.
        self._last = _Edge(self._order, self._descending, last=True, most=_KEEP)

    def _go_on(self, rows: Mapping[Identity, Row], touched: set[Row], most: int | None) -> None:
        """Take in what changed, and look at more of the others."""
        if self._ahead is None:
            self._begin()
            self._ahead = list(rows.values())
            self._of = len(self._ahead)
        elif touched:
            there = [row for row in touched if row.count]  # one that left has none
            self._first.without(touched)
            self._last.without(touched)
            self._take_in(there, list(map(self._order, there)))
        if self._ahead:
            first = 0 if most is None else max(0, len(self._ahead) - most)
            more, self._ahead = self._ahead[first:], self._ahead[:first]
            known = {*self._first.rows, *self._last.rows}
            there = [row for row in more if row not in known and rows.get(row.identity) is row]
            self._take_in(there, self._ranks_of(there))

    def _renew(self, rows: Mapping[Identity, Row], touched: set[Row], most: int | None) -> None:
        """Look for the first anew; those that are left are still the first, as long as they are a screenful."""
        if self.looked_at is not None or len(self._first.rows) < max(1, _KEEP // 4):
            self._ahead = self._next = None
            self._go_on(rows, touched, most)
            return
        self._next = self._next or Ranking(self._order, self._descending)
        self._next._go_on(rows, touched, most)
        if self._next.looked_at is None:
            self._first, self._last, self._next = self._next._first, self._next._last, None

    def _take_in(self, rows: list[Row], keys: list[Rank]) -> None:
        all_of_before = self._first.rows if self._first.floor is None else []
        self._first.take_in(rows, keys)
        if self._first.floor is not None:
            self._last.take_in(all_of_before, list(map(self._order, all_of_before)))
            self._last.take_in(rows, keys)

    def _ranks_of(self, rows: list[Row]) -> list[Rank]:
        """What rows are ordered by that nobody has looked at: what is added up only for that is let go again."""
        keys = list(map(self._order, rows))
        if not all(row.resting for row in islice(rows, _KEEP)):
            for row in rows:
                row.rest()
        return keys


def in_order(rows: Iterable[Row], order: Order, descending: bool) -> list[Row]:
    """These rows by ``order``, equal ones by identity."""
    rows = list(rows)
    keys = list(map(order, rows))
    places = sorted(range(len(keys)), key=keys.__getitem__, reverse=descending)
    found, keys = [rows[place] for place in places], [keys[place] for place in places]
    equal = [place for place, same in enumerate(map(eq, keys, islice(keys, 1, None))) if same]
    for start, end in _runs(equal):
        found[start:end] = sorted(found[start:end], key=_identity)
    return found


def outermost(rows: list[Row], keys: list[Rank], order: Order, descending: bool, last: bool) -> list[Row]:
    """The first few hundred, or the last, in order; ``keys`` are how all of them rank."""
    if not keys:
        return []
    above = descending is not last
    edge = (heapq.nlargest if above else heapq.nsmallest)(_KEEP, keys)[-1]
    beats = gt if above else lt
    beyond = [row for row, key in zip(rows, keys, strict=True) if beats(key, edge)]
    alike = [row for row, key in zip(rows, keys, strict=True) if key == edge]
    alike = (heapq.nlargest if last else heapq.nsmallest)(_KEEP, alike, key=_identity)
    return in_order([*beyond, *alike], order, descending)


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
