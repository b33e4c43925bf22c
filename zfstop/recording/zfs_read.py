"""The state of ZFS from the rows of a file that anybody may have made."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from zfstop.model.zfs_state import Commits, Figures, PoolState, Properties, Scan, Txg, ZfsState
from zfstop.recording.schema import MAX_INT
from zfstop.recording.values import Unsound, int_of, json_of, list_of, maybe_int, string_of


class ZfsRows:
    """The rows of one second, until its end is known. Every method raises Unsound for a bad row."""

    def __init__(self, row: tuple[Any, ...], text: Callable[[Any], str]) -> None:
        """``row`` is of ``zfs``; ``text`` gives the text of an id."""
        _, commits, properties, *figures = row
        self._text = text
        self._figures = Figures(*map(maybe_int, figures))
        self._commits = () if commits is None else tuple(map(_commits, list_of(json_of(commits))))
        self._properties: tuple[Properties, ...] = ()
        if properties is not None:
            found = list_of(json_of(text(properties).encode()))
            self._properties = tuple(map(_properties, found))
        self._pools: dict[str, tuple[PoolState, list[tuple[Any, ...]]]] = {}

    def add_pool(self, row: tuple[Any, ...]) -> None:
        """A row of ``pools``."""
        _, _, name, state, kind, done, paused, log = row
        scan = None
        if kind is not None:
            scan = Scan(self._text(kind), _share(done), bool(int_of(paused, 0, 1)))
        has_log = None if log is None else bool(int_of(log, 0, 1))
        pool = PoolState(self._text(name), self._text(state), scan=scan, log=has_log)
        if pool.name in self._pools:
            raise Unsound("a pool is there twice")
        self._pools[pool.name] = pool, []

    def add_txg(self, row: tuple[Any, ...]) -> None:
        """A row of ``txgs``."""
        pool = self._pools.get(self._text(row[2]))
        if pool is None:
            raise Unsound("a transaction group is of no pool")
        pool[1].append(row[3:])

    def at(self, mono_ns: int) -> ZfsState:
        """The state, at the end of its second."""
        pools = tuple(
            PoolState(
                pool.name,
                pool.state,
                tuple(self._txg(row, mono_ns) for row in rows),
                pool.scan,
                pool.log,
            )
            for pool, rows in self._pools.values()
        )
        return ZfsState(pools, self._figures, self._commits, self._properties)

    def _txg(self, row: tuple[Any, ...], mono_ns: int) -> Txg:
        number, state, before, *rest = row
        durations, sizes = rest[:4], rest[4:]
        return Txg(
            int_of(number, 0, MAX_INT),
            self._text(state),
            int_of(mono_ns - int_of(before)),
            *(int_of(ns, 0, MAX_INT) for ns in durations),
            *(maybe_int(size) for size in sizes),
        )


def _commits(item: Any) -> Commits:
    dataset, commits = _tuple(item, 2)
    return Commits(string_of(dataset), int_of(commits, 0, MAX_INT))


def _properties(item: Any) -> Properties:
    dataset, recordsize, sync, compression = _tuple(item, 4)
    return Properties(string_of(dataset), maybe_int(recordsize), string_of(sync), string_of(compression))


def _tuple(item: Any, length: int) -> list[Any]:
    found = list_of(item)
    if len(found) != length:
        raise Unsound("a JSON column has another shape")
    return found


def _share(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) is not float or not math.isfinite(value) or not 0 <= value <= 1:
        raise Unsound("a share is out of range")
    return value
