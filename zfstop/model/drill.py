"""From a row to what is in it: process > file > operation > single calls. Pure.

Each step down leaves a :class:`Crumb`; together they say which keys belong to what is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from zfstop.model.aggregate import stats_of
from zfstop.model.events import Event, Key
from zfstop.model.history import Second
from zfstop.model.query import Term, literal
from zfstop.model.rows import Grouping, Identity, Row

#: Single calls shown at most, the newest.
MOST_CALLS = 1000
#: What a row of a grouping has one of; the rest is what Enter leads through.
_FIXED: dict[Grouping, frozenset[Grouping]] = {
    Grouping.PROCESS_FILE: frozenset({Grouping.PROCESS, Grouping.FILE, Grouping.OPERATION}),
    Grouping.PROCESS: frozenset({Grouping.PROCESS}),
    Grouping.FILE: frozenset({Grouping.FILE}),
    Grouping.OPERATION: frozenset({Grouping.OPERATION}),
}
_KINDS = {Grouping.PROCESS_FILE: "", Grouping.WHERE: "in"}
_STEPS = (Grouping.PROCESS, Grouping.FILE, Grouping.OPERATION)
_OF_DATASET = (Grouping.FILE, Grouping.DIRECTORY, Grouping.DATASET, Grouping.POOL)
_OF_OPERATION = (Grouping.OPERATION, Grouping.CLASS)


@dataclass(frozen=True, slots=True)
class Crumb:
    """A row that was entered, and what it is called."""

    grouping: Grouping
    identity: Identity
    label: str

    def holds(self, key: Key) -> bool:
        """Whether a call of ``key`` was in the row, as far as its key tells: see :attr:`term`."""
        return self.grouping is Grouping.CAUSE or self.grouping.identity(key) == self.identity

    @property
    def term(self) -> Term | None:
        """What the calls of the row have in common beside their keys."""
        return literal("why", *self.identity) if self.grouping is Grouping.CAUSE else None

    def holds_tally(self, key: Key) -> bool:
        """The same for all calls, of which only operation and dataset are known: without the rest when in doubt."""
        if self.grouping is Grouping.PROCESS_FILE:
            op, _, _, dataset, _ = self.identity
            return (key.op, key.dataset) == (op, dataset)
        if self.grouping in (Grouping.FILE, Grouping.DIRECTORY):
            return key.dataset == self.identity[0]
        if self.grouping in (Grouping.DATASET, Grouping.POOL, *_OF_OPERATION):
            return self.holds(key)
        return True


@dataclass(frozen=True, slots=True)
class Trail:
    """The rows entered, the outermost first."""

    crumbs: tuple[Crumb, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.crumbs)

    def holds(self, key: Key) -> bool:
        """Whether calls of ``key`` are within all of them."""
        return all(crumb.holds(key) for crumb in self.crumbs)

    def holds_tally(self, key: Key) -> bool:
        """The same of a key of which only operation and dataset are filled in."""
        return all(crumb.holds_tally(key) for crumb in self.crumbs)

    @property
    def terms(self) -> tuple[Term, ...]:
        """What calls within all of them have in common beside their keys."""
        return tuple(crumb.term for crumb in self.crumbs if crumb.term is not None)

    @property
    def of_tallies(self) -> bool:
        """Whether operation and dataset are all that they go by."""
        known = (Grouping.DATASET, Grouping.POOL, *_OF_OPERATION)
        return all(crumb.grouping in known for crumb in self.crumbs)

    def into(self, crumb: Crumb) -> Trail:
        """One step down."""
        return Trail((*self.crumbs, crumb))

    @property
    def next(self) -> Grouping | None:
        """How the rows within are grouped; None for single calls."""
        fixed = frozenset().union(*(_FIXED.get(crumb.grouping, frozenset()) for crumb in self.crumbs))
        return next((step for step in _STEPS if step not in fixed), None)

    @property
    def words(self) -> tuple[tuple[str, str], ...]:
        """(what it is, how it is called) of the rows entered."""
        return tuple((_KINDS.get(crumb.grouping, crumb.grouping.value), crumb.label) for crumb in self.crumbs)


class Call(Row):
    """One call as a row of its own; ``clock`` is the wall time of its end, seconds since the epoch."""

    __slots__ = ("clock", "event")

    def __init__(self, identity: Identity, event: Event, clock: float) -> None:
        super().__init__(identity)
        self.event = event
        self.clock = clock


def calls_of(position: int, second: Second) -> tuple[Call, ...]:
    """The calls of the second at ``position`` that were kept one by one, newest first, ``MOST_CALLS`` at most."""
    newest = sorted(second.events, key=lambda event: (event.ts_ns, event.tid), reverse=True)
    return tuple(_call(position, second, event) for event in newest[:MOST_CALLS])


def _call(position: int, second: Second, event: Event) -> Call:
    clock = second.clock - (second.mono_ns - event.ts_ns) / 1e9
    call = Call((position, event.ts_ns, event.tid), event, clock)
    call.add((position, event.key, stats_of([event])))
    return call
