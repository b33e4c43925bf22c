"""What is looked at, frozen, and all that it adds up to in one pass: for who does not look at the next refresh too.

The screen keeps running sums (rows.Rolling and others); an export is made once, on another thread, of seconds that may
be too many to be held at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from zfstop.model.causes import by_cause
from zfstop.model.drill import MOST_CALLS, Call, Trail, calls_of
from zfstop.model.filters import within
from zfstop.model.heat import EMPTY, Box, Column, Heat, Slice, column, inside, merged
from zfstop.model.history import Second, Tally
from zfstop.model.latency import by_operation
from zfstop.model.percentiles import Summary, summarize
from zfstop.model.query import Query
from zfstop.model.rows import Grouping, Identity, Row, cell_seconds
from zfstop.model.sieve import Sieve
from zfstop.model.state import Controls
from zfstop.model.waits import Waits, together
from zfstop.units import NS_PER_S

#: Seconds in a column of a map that nobody chose them for, when there are too many for single ones.
_SPANS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_COLUMNS = 240


@dataclass(frozen=True, slots=True)
class Look:
    """Seconds from position ``start`` on, ``count`` of them at most, and what of them is shown, and how."""

    seconds: Iterable[Second]
    start: int
    count: int
    controls: Controls
    grouping: Grouping = Grouping.PROCESS_FILE
    query: Query = field(default_factory=Query)
    trail: Trail = field(default_factory=Trail)
    single: bool = False
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look adds up to. Clocks in s, ``began`` and ``ended`` are 0 without a second; ``calls`` are all calls,
    slow or not, ``waits`` by operation those of the slow ones that are known. ``newest`` is the last second.
    """

    rows: tuple[Row, ...]
    calls: tuple[Summary, ...]
    waits: tuple[tuple[str, Waits], ...]
    heat: Heat
    newest: Second | None
    began: float
    ended: float
    length_ns: int
    summed: bool


def seen(look: Look, disguise: Callable[[Second], Second] | None = None) -> Seen:
    """Go through it once. ``disguise`` changes what passed the filters before it is added up."""
    sums = _Sums(look, disguise or (lambda second: second))
    for position, second in enumerate(look.seconds, look.start):
        sums.enter(position, second)
    return sums.seen()


class _Sums:
    def __init__(self, look: Look, disguise: Callable[[Second], Second]) -> None:
        trail = look.trail
        holds, holds_tally = (trail.holds, trail.holds_tally) if trail else (None, None)
        self._look = look
        self._disguise = disguise
        self._sieve = Sieve(Query((*trail.terms, *look.query.terms)), holds, holds_tally)
        self._span = next((span for span in _SPANS if span * _MOST_COLUMNS >= look.count), _SPANS[-1])
        self._rows: dict[Identity, Row] = {}
        self._singles: list[Call] = []
        self._tallies: dict[str, Tally] = {}
        self._slow: dict[str, int] = {}
        self._longest: dict[str, int] = {}
        self._waits: dict[str, Waits | None] = {}
        self._slices: dict[int, tuple[float, list[Column]]] = {}
        self._newest: Second | None = None
        self._began = 0.0
        self._length_ns = 0
        self._end = look.start
        self._summed = False

    def enter(self, position: int, recorded: Second) -> None:
        """The next second, as it was recorded."""
        look = self._look
        sifted = self._sieve.second(within(recorded, look.controls))
        boxed = inside(sifted, look.box)[0] if look.box else sifted
        shown = self._disguise(boxed)
        self._add_calls(by_operation(self._disguise(sifted) if look.box else shown))
        self._add_rows(position, shown)
        self._add_column(position, sifted)
        if self._newest is None:
            self._began = recorded.clock - recorded.length_ns / NS_PER_S
        self._newest = shown
        self._length_ns += recorded.length_ns
        self._end = position + 1
        self._summed |= recorded.summed

    def seen(self) -> Seen:
        rows: tuple[Row, ...] = tuple(self._rows[identity] for identity in sorted(self._rows))
        calls = [
            summarize(op, tally, self._slow.get(op, 0), self._longest.get(op, 0), self._length_ns)
            for op, tally in self._tallies.items()
        ]
        return Seen(
            rows=tuple(self._singles) if self._look.single else rows,
            calls=tuple(sorted(calls, key=lambda item: (-item.tally.total_ns, item.op))),
            waits=tuple((op, waits) for op, waits in sorted(self._waits.items()) if waits is not None),
            heat=self._heat(),
            newest=self._newest,
            began=self._began,
            ended=self._newest.clock if self._newest else 0.0,
            length_ns=self._length_ns,
            summed=self._summed,
        )

    def _add_rows(self, position: int, shown: Second) -> None:
        look = self._look
        if look.single:
            self._singles = [*calls_of(position, shown), *self._singles][:MOST_CALLS]
        for key, stats in shown.groups:
            self._waits[key.op] = together(self._waits.get(key.op), stats.waits)
        split = by_cause(shown) if look.grouping is Grouping.CAUSE else shown
        for key, stats in split.groups if not look.single else ():
            identity = look.grouping.identity(key)
            row = self._rows.get(identity)
            if row is None:
                row = self._rows[identity] = Row(identity, cell_seconds(look.count))
            row.add((position, key, stats))

    def _add_calls(self, small: Second) -> None:
        for op, _, tally in small.tallies:
            self._tallies[op] = self._tallies[op].plus(tally) if op in self._tallies else tally
        for key, stats in small.groups:
            self._slow[key.op] = self._slow.get(key.op, 0) + stats.count
            self._longest[key.op] = max(stats.max_ns, self._longest.get(key.op, 0))

    def _add_column(self, position: int, sifted: Second) -> None:
        began = sifted.clock - sifted.length_ns / NS_PER_S
        _, columns = self._slices.setdefault(position // self._span, (began, []))
        columns.append(column(sifted, lambda op, dataset: True))

    def _heat(self) -> Heat:
        first = self._look.start // self._span
        slices = (self._slices.get(index) for index in range(first, -(-self._end // self._span)))
        found = tuple(
            Slice(item[0], len(item[1]), merged(item[1])) if item else Slice(0.0, 0, EMPTY) for item in slices
        )
        return Heat(self._span, first, self._end, found)
