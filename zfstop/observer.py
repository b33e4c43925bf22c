"""The state of ZFS, once a second, by the collector's thread: a handful of small reads of /proc and /sys.

None of these files needs a lock that a hanging pool could hold (``spa_state_to_name`` of OpenZFS was made for that).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from zfstop.inquiry import Inquiry
from zfstop.model.zfs_state import Commits, PoolState, Txg, ZfsState
from zfstop.mounts import KSTAT
from zfstop.namespaces import read
from zfstop.text import visible
from zfstop.zfs.answers import PoolAnswer
from zfstop.zfs.datasets import parse_objset
from zfstop.zfs.kstats import (
    GLOBAL,
    Kstat,
    Limits,
    figures,
    parse_named,
    parse_number,
    parse_state,
    parse_txgs,
    risen,
)

PARAMETERS = "/sys/module/zfs/parameters"
_MOST_POOLS = 64
#: Datasets whose own counters are read in one second, those with the most calls in it.
_MOST_DATASETS = 16
#: Lines of one pool in one second but the first: a storm of tiny transaction groups must not fill the history.
_MOST_TXGS = 32


def heaviest(datasets: Iterable[tuple[str, int]]) -> list[str]:
    """Names of these (dataset, weight), each once, those that weigh most together first."""
    weights: dict[str, int] = {}
    for name, weight in datasets:
        weights[name] = weights.get(name, 0) + weight
    return sorted(weights, key=lambda name: -weights[name])


def clocks() -> tuple[int, int]:
    """CLOCK_MONOTONIC and, at the same moment, CLOCK_MONOTONIC_RAW, by which ZFS tells its times (ns)."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    raw = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    return (before + time.clock_gettime_ns(time.CLOCK_MONOTONIC)) // 2, raw


class Observer:
    """Reads, remembers what it read before, and tells the difference."""

    def __init__(
        self,
        inquiry: Inquiry,
        kstat: str = KSTAT,
        parameters: str = PARAMETERS,
        clocks: Callable[[], tuple[int, int]] = clocks,
    ) -> None:
        self._inquiry = inquiry
        self._kstat, self._parameters = kstat, parameters
        self._clocks = clocks
        self._before: dict[str, Kstat] = {}
        #: Pool -> number -> (as it was read, as it is told).
        self._txgs: dict[str, dict[int, tuple[Txg, Txg]]] = {}
        self._commits: dict[str, int] = {}
        self._states: dict[str, str] = {}

    @contextlib.contextmanager
    def asking(self) -> Iterator[Observer]:
        """Ask the commands too, as long as this lasts."""
        self._inquiry.start()
        try:
            yield self
        finally:
            self._inquiry.stop()

    def ask(self) -> None:
        """Ask the commands anew: somebody looks."""
        self._inquiry.ask()

    def look(self, slow: Iterable[str] = (), busy: Iterable[str] = ()) -> ZfsState:
        """ZFS now, and since the last look. ``slow`` are datasets whose properties explain a row, ``busy`` those with
        calls since then, the busiest first.
        """
        self._inquiry.want(slow)
        answers = self._inquiry.answers
        now: dict[str, Kstat] = {name: parse_named(read(f"{self._kstat}/{name}")) for name in GLOBAL}
        names = self._pools()
        pools = tuple(self._pool(name, answers.pools.get(name, PoolAnswer())) for name in names)
        state = ZfsState(
            pools, figures(self._limits(), self._before, now), self._commits_of(busy), answers.properties
        )
        self._before = now
        self._txgs = {name: self._txgs[name] for name in names}
        states = {pool.name: pool.state for pool in pools}
        if states != self._states:
            self._states = states
            self._inquiry.ask()
        return state

    def _pools(self) -> list[str]:
        try:
            with os.scandir(self._kstat) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())[:_MOST_POOLS]
        except OSError:
            return []

    def _limits(self) -> Limits:
        return Limits(*(parse_number(read(f"{self._parameters}/{name}")) for name in Limits._fields))

    def _pool(self, name: str, answer: PoolAnswer) -> PoolState:
        folder = f"{self._kstat}/{name}"
        state, txgs = (
            parse_state(read(f"{folder}/state")),
            self._news(name, parse_txgs(read(f"{folder}/txgs"))),
        )
        return PoolState(visible(name), state, txgs, answer.scan, answer.log)

    def _news(self, pool: str, lines: tuple[Txg, ...]) -> tuple[Txg, ...]:
        """Those to be told, by CLOCK_MONOTONIC; what does not change stays the same object: history keeps it."""
        before = self._txgs.get(pool)
        known = before or {}
        mono_ns, raw_ns = self._clocks()
        self._txgs[pool] = now = {
            txg.number: known[txg.number]
            if txg.number in known and known[txg.number][0] == txg
            else (txg, txg._replace(birth_ns=txg.birth_ns + mono_ns - raw_ns))
            for txg in lines
        }
        committed = max((txg.number for txg in lines if txg.state == "C"), default=0)
        told = [
            pair[1]
            for number, pair in now.items()
            if pair is not known.get(number) or pair[0].state != "C" or number == committed
        ]
        return tuple(told if before is None else told[-_MOST_TXGS:])

    def _commits_of(self, busy: Iterable[str]) -> tuple[Commits, ...]:
        """Of those that ZFS counts, since the last look; beside the busy ones those that were so, or may come to be."""
        objsets = self._inquiry.answers.objsets
        now: dict[str, int] = {}
        names = dict.fromkeys(name for name in chain(busy, self._commits, objsets) if name in objsets)
        for name in islice(names, _MOST_DATASETS):
            text = read(objsets[name])
            count = parse_named(text).get("zil_commit_count")
            # The dataset may have another name by now.
            if count is not None and visible(parse_objset(text) or b"") == name:
                now[name] = count
        before, self._commits = self._commits, now
        found = ((name, risen(before.get(name), count)) for name, count in now.items())
        return tuple(Commits(name, count) for name, count in found if count)
