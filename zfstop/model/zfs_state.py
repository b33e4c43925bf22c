"""What ZFS says of itself, once a second: frozen, made of numbers and safe text. None is what it did not say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Txg(NamedTuple):
    """One transaction group, as a line of the kstat ``txgs`` tells it.

    ``state`` is the letter of ZFS: O open, Q quiescing, W waiting for its turn, S syncing, C committed. ``birth_ns``
    is CLOCK_MONOTONIC; the durations are 0 for what has not ended yet. ZFS tells bytes (``dirty`` when the sync began,
    ``nread`` and ``nwritten`` by the pool during it) only of those that are committed.
    """

    number: int
    state: str
    birth_ns: int
    open_ns: int = 0
    quiesce_ns: int = 0
    wait_ns: int = 0
    sync_ns: int = 0
    dirty: int | None = None
    nread: int | None = None
    nwritten: int | None = None

    @property
    def sync_from_ns(self) -> int | None:
        """When its sync began, CLOCK_MONOTONIC; None if it has not."""
        if self.state not in ("S", "C"):
            return None
        return self.birth_ns + self.open_ns + self.quiesce_ns + self.wait_ns


class Scan(NamedTuple):
    """A scrub or resilver that runs: ``kind`` is "scrub" or "resilver", or "" for none; ``done`` is from 0 to 1."""

    kind: str = ""
    done: float | None = None
    paused: bool = False


class Properties(NamedTuple):
    """What a dataset is set to. ``recordsize`` is in bytes, and a volume's volblocksize."""

    dataset: str
    recordsize: int | None = None
    sync: str = ""
    compression: str = ""


class Commits(NamedTuple):
    """Intent-log commits of one dataset in one second."""

    dataset: str
    commits: int


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool. ``state`` is ZFS's word (ONLINE, DEGRADED, SUSPENDED), "" when it said none.

    ``txgs`` are those that are new or changed since the second before, those not committed, and the newest committed,
    in order of number. ``log`` is whether it has a log device.
    """

    name: str
    state: str = ""
    txgs: tuple[Txg, ...] = ()
    scan: Scan | None = None
    log: bool | None = None

    @property
    def newest(self) -> Txg | None:
        """The one that takes new changes."""
        return self.txgs[-1] if self.txgs else None

    @property
    def syncing(self) -> Txg | None:
        """The one being written to the disks; there is at most one."""
        return next((txg for txg in reversed(self.txgs) if txg.state == "S"), None)

    @property
    def committed(self) -> Txg | None:
        """The last one that was."""
        return next((txg for txg in reversed(self.txgs) if txg.state == "C"), None)

    @property
    def suspended(self) -> bool:
        """All its writes hang until somebody clears it."""
        return self.state == "SUSPENDED"


class Figures(NamedTuple):
    """Numbers of the whole host: limits in force, counts within the second, sizes at its end. Bytes where not said.

    ``delay_percent`` of ``dirty_max``, in one pool, is where writers begin to be ``delays``-ed; at ``dirty_max`` they
    stop (``over_max``). ``throttles`` were turned away by the ARC for its dirty share, ``reserves`` for want of
    memory. ``txg_history`` is how many transaction groups ZFS remembers for us, ``txg_timeout`` is in seconds.
    """

    dirty_max: int | None = None
    delay_percent: int | None = None
    txg_history: int | None = None
    txg_timeout: int | None = None
    delays: int | None = None
    over_max: int | None = None
    throttles: int | None = None
    reserves: int | None = None
    wrlog_delays: int | None = None
    frees_delays: int | None = None
    zil_commits: int | None = None
    arc_size: int | None = None
    arc_target: int | None = None
    arc_max: int | None = None
    arc_hits: int | None = None
    arc_misses: int | None = None
    arc_throttles: int | None = None
    arc_need_free: int | None = None

    @property
    def hit_ratio(self) -> float | None:
        """From 0 to 1; None when nothing was looked up."""
        if self.arc_hits is None or self.arc_misses is None or not self.arc_hits + self.arc_misses:
            return None
        return self.arc_hits / (self.arc_hits + self.arc_misses)

    @property
    def delay_bytes(self) -> int | None:
        """Dirty bytes of one pool from which on its writers are delayed."""
        if self.dirty_max is None or self.delay_percent is None:
            return None
        return self.dirty_max * self.delay_percent // 100


@dataclass(frozen=True, slots=True)
class ZfsState:
    """ZFS at the end of one second. ``commits`` are of its datasets, where ZFS counts them (from 2.2)."""

    pools: tuple[PoolState, ...] = ()
    figures: Figures = field(default_factory=Figures)
    commits: tuple[Commits, ...] = ()
    properties: tuple[Properties, ...] = ()

    def pool(self, name: str) -> PoolState | None:
        """The pool of that name."""
        return next((pool for pool in self.pools if pool.name == name), None)

    @property
    def suspended(self) -> tuple[str, ...]:
        """Names of pools in which all writes hang."""
        return tuple(pool.name for pool in self.pools if pool.suspended)


class Sync(NamedTuple):
    """When a pool was syncing transaction group ``number``: CLOCK_MONOTONIC; ``done`` is False if it still was."""

    pool: str
    number: int
    from_ns: int
    to_ns: int
    done: bool


def syncs(states: Iterable[tuple[int, ZfsState]]) -> tuple[Sync, ...]:
    """Every sync that these (CLOCK_MONOTONIC, state) tell of, in order of time, as the last of them saw it."""
    found: dict[tuple[str, int], Sync] = {}
    for at_ns, state in states:
        for pool in state.pools:
            for txg in pool.txgs:
                begin = txg.sync_from_ns
                if begin is not None:
                    done = txg.state == "C"
                    end = begin + txg.sync_ns if done else max(begin, at_ns)
                    found[pool.name, txg.number] = Sync(pool.name, txg.number, begin, end, done)
    return tuple(sorted(found.values(), key=lambda sync: (sync.from_ns, sync.pool)))
