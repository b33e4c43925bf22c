"""From the waits of a window to a sentence, or to none: none is better than a wrong one. Pure.

Every sentence has one form, ``88 % of slow fsync time on tank is intent-log commit``, so that its share can be checked
against the calls its filter shows; what ZFS says of itself is put behind it, when it says it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from zfstop.model.events import Key, is_unknown
from zfstop.model.history import Second
from zfstop.model.query import Query, literal
from zfstop.model.rows import Identity, Row
from zfstop.model.state import under
from zfstop.model.waits import Waits, together
from zfstop.model.zfs_state import PoolState, Sync, ZfsState, syncs
from zfstop.units import NS_PER_S, format_time
from zfstop.why import per_cent

#: Too few calls, or too little time, say nothing of the next ones.
LEAST_CALLS = 20
LEAST_NS = NS_PER_S
#: The least part of all the slow time in the window that is worth a sentence.
LEAST_WEIGHT = 0.1
#: A cause must clearly dominate, little of the time be unexplained, and nearly all of it have been looked at.
LEAST_SHARE = 0.6
MOST_OTHER = 0.2
LEAST_KNOWN = 0.95
#: A dataset with this part of its pool's time stands for it.
_ONE_DATASET = 0.9
#: A sync that takes longer than this explains a wait; shorter ones go on all the time.
_LONG_SYNC_NS = NS_PER_S

_SCALES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_PHRASES = {
    "disk": "waiting for disks",
    "throttle": "dirty-data throttle",
    "txg": "waiting for a transaction group",
    "zil": "intent-log commit",
    "lock": "waiting for other calls on the same record or block",
    "memory": "ARC eviction: memory is short",
    "runqueue": "waiting for a CPU",
    "cpu": "running on a CPU, not waiting",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """A sentence, what ZFS says to it (may be empty), and the filter that shows the calls it is about.

    ``share`` of their time, which is ``ns``, was spent in ``cause``.
    """

    sentence: str
    evidence: str
    query: Query
    cause: str
    share: float
    ns: int

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.sentence}; {self.evidence}" if self.evidence else self.sentence


class Places:
    """Groups calls as sentences speak of them; for :class:`zfstop.model.rows.Rolling`."""

    def identity(self, key: Key) -> Identity:
        """(operation, pool, dataset)."""
        return key.op, key.pool, key.dataset


@dataclass(frozen=True, slots=True)
class _Subject:
    """One operation on one pool, or on one dataset and what is below."""

    op: str
    pool: str
    place: str
    rows: tuple[Row, ...]

    @property
    def total_ns(self) -> int:
        return sum(row.total_ns for row in self.rows)

    @property
    def calls(self) -> int:
        return sum(row.count for row in self.rows)

    @property
    def waits(self) -> Waits:
        return reduce(together, (row.waits for row in self.rows)) or Waits()

    @property
    def tops(self) -> Mapping[int, int]:
        """Position -> the longest of its calls in that second."""
        found: dict[int, int] = {}
        for row in self.rows:
            for position, top in row.tops.items():
                found[position] = max(top, found.get(position, 0))
        return found

    @property
    def query(self) -> Query:
        field = "pool" if self.place == self.pool else "ds"
        return Query((literal("op", self.op), literal(field, self.place)))


def advise(rows: Sequence[Row], seconds: Sequence[Second] = (), start: int = 0) -> tuple[Advice, ...]:
    """Sentences about rows grouped by :class:`Places`, the one about the most time first; mostly none.

    ``seconds`` are those that the rows are of, the first of them at position ``start``.
    """
    whole = sum(row.total_ns for row in rows)
    found = (_judge(subject, whole, seconds, start) for subject in _subjects(rows))
    return tuple(sorted((item for item in found if item is not None), key=lambda item: -item.share * item.ns))


def _subjects(rows: Iterable[Row]) -> Iterable[_Subject]:
    parts: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        op, pool, dataset = map(str, row.identity)
        if not is_unknown(dataset) and pool:
            parts.setdefault((op, pool), []).append(row)
    for (op, pool), members in parts.items():
        largest = max(members, key=lambda row: row.total_ns)
        name = str(largest.identity[2])
        inside = tuple(row for row in members if under(str(row.identity[2]), name))
        one = name != pool and largest.total_ns >= _ONE_DATASET * sum(row.total_ns for row in members)
        yield _Subject(op, pool, name, inside) if one else _Subject(op, pool, pool, tuple(members))


def _judge(subject: _Subject, whole_ns: int, seconds: Sequence[Second], start: int) -> Advice | None:
    waits, total_ns = subject.waits, subject.total_ns
    if subject.calls < LEAST_CALLS or total_ns < max(LEAST_NS, LEAST_WEIGHT * whole_ns):
        return None
    if waits.main is None or not LEAST_KNOWN <= waits.total / total_ns <= 2 - LEAST_KNOWN:
        return None
    cause, share = waits.main
    if cause not in _PHRASES or share < LEAST_SHARE or waits.other > MOST_OTHER * waits.total:
        return None
    sentence = f"{per_cent(share)} % of slow {subject.op} time on {subject.place} is {_PHRASES[cause]}"
    evidence = _evidence(cause, subject, seconds, start)
    return Advice(sentence, evidence, subject.query, cause, share, total_ns)


def _evidence(cause: str, subject: _Subject, seconds: Sequence[Second], start: int) -> str:
    """What ZFS says to it, as far as it was so while these calls waited and supports the sentence."""
    if cause == "runqueue":
        return _overloaded(subject)
    states = [(second.mono_ns, second.zfs) for second in seconds if second.zfs is not None]
    pools = [(state, pool) for _, state in states if (pool := state.pool(subject.pool)) is not None]
    if not pools:
        return ""
    if cause == "zil" and (log := pools[-1][1].log) is not None:
        return f"{subject.pool} has {'a' if log else 'no'} log device"
    if cause not in ("throttle", "txg"):
        return ""
    tops = subject.tops
    spans = [
        (second.mono_ns - second.length_ns - tops[position], second.mono_ns)
        for position, second in enumerate(seconds, start)
        if position in tops
    ]
    told = [
        sync
        for sync in syncs(states)
        if sync.pool == subject.pool
        and any(sync.from_ns < end and begin < sync.to_ns for begin, end in spans)
    ]
    said = [_fullest(pools, {sync.number for sync in told})] if cause == "throttle" else []
    return ", ".join(filter(None, [*said, _longest(told)]))


def _fullest(pools: Iterable[tuple[ZfsState, PoolState]], numbers: Container[int]) -> str:
    """The fullest of these transaction groups, if it was so full that ZFS delays writers."""
    full = []
    for state, pool in pools:
        most, delay_from = state.figures.dirty_max, state.figures.delay_bytes
        if most:
            full += [
                (txg.dirty / most, txg.number, _part_of(txg.dirty, most))
                for txg in pool.txgs
                if txg.number in numbers and txg.dirty is not None and txg.dirty >= (delay_from or most)
            ]
    if not full:
        return ""
    _, number, part = max(full)
    return f"{part} dirty when txg {number} was written"


def _longest(told: Iterable[Sync]) -> str:
    """The longest of these syncs, if it was long."""
    sync = max(told, key=lambda sync: sync.to_ns - sync.from_ns, default=None)
    if sync is None or sync.to_ns - sync.from_ns < _LONG_SYNC_NS:
        return ""
    took = format_time(sync.to_ns - sync.from_ns)
    return f"txg {sync.number} took {took} to sync" if sync.done else f"txg {sync.number} syncing for {took}"


def _part_of(part: int, whole: int) -> str:
    """``3.9 of 4.0 GiB``."""
    scale, unit = next((item for item in _SCALES if whole >= item[0]), (1, "bytes"))
    return f"{part / scale:.1f} of {whole / scale:.1f} {unit}"


def _overloaded(subject: _Subject) -> str:
    """A CPU limit makes a thread wait like an overloaded host does: with one owner nobody can tell which it is."""
    owners = {key.where for row in subject.rows for key in row.keys}
    limit = f", or {next(iter(owners))} has used up its share" if len(owners) == 1 and owners != {""} else ""
    return f"the host's CPUs are overloaded{limit}, not the pool"
