"""How much of every second a pool was syncing: the rhythm that slow calls are compared with. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container
from itertools import chain

from zfstop.model.events import pool_of
from zfstop.model.history import Second
from zfstop.model.state import Controls
from zfstop.model.zfs_state import Txg, ZfsState

#: Share of a column in which a pool was syncing, from 0 to 1; None where ZFS was not asked.
Share = float | None
Recorded = Callable[[int, int], tuple[Second, ...]]

#: Seconds that are remembered.
_KEPT = 4000


def pools_of(controls: Controls) -> frozenset[str] | None:
    """The pools that are looked at; None for all."""
    return frozenset(map(pool_of, controls.datasets)) or None


def sync_ns(state: ZfsState, from_ns: int, to_ns: int, pools: Container[str] | None = None) -> int:
    """For how long, between these moments (CLOCK_MONOTONIC), at least one of the pools was syncing."""
    spans = []
    for pool in state.pools:
        if pools is None or pool.name in pools:
            for txg in pool.txgs:
                begin = txg.sync_from_ns
                if begin is not None:
                    end = begin + txg.sync_ns if txg.state == "C" else to_ns
                    spans.append((max(begin, from_ns), min(end, to_ns)))
    total, reached = 0, from_ns
    for begin, end in sorted(spans):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def committed(seconds: tuple[Second, ...]) -> tuple[tuple[str, Txg], ...]:
    """(pool, transaction group) of all that these seconds saw committed, the newest last."""
    states = (second.zfs for second in seconds if second.zfs is not None)
    pools = chain.from_iterable(state.pools for state in states)
    found = {(pool.name, txg.number): txg for pool in pools for txg in pool.txgs if txg.state == "C"}
    return tuple((pool, found[pool, number]) for pool, number in sorted(found))


class Syncing:
    """Shares of the seconds by position, each worked out once."""

    def __init__(self, pools: Container[str] | None = None) -> None:
        """``pools`` are those that count; None for all."""
        self._pools = pools
        self._found: OrderedDict[int, tuple[int, int] | None] = OrderedDict()

    def shares(self, start: int, end: int, span: int, recorded: Recorded) -> tuple[Share, ...]:
        """Of the columns of ``span`` seconds that hold the positions ``start`` to ``end - 1``; columns begin at
        multiples of ``span``.
        """
        first = max(start, end - _KEPT) // span
        self._learn(first * span, end, recorded)
        if all(self._found.get(position) is None for position in range(first * span, end)):
            return (None,) * max(0, -(-end // span) - first)  # ZFS was asked in none of them
        return tuple(
            self._share(index * span, min(end, (index + 1) * span)) for index in range(first, -(-end // span))
        )

    def _learn(self, start: int, end: int, recorded: Recorded) -> None:
        missing = [position for position in range(max(0, start), end) if position not in self._found]
        if not missing:
            return
        fresh = recorded(missing[0], missing[-1] + 1)
        for position, second in enumerate(fresh, missing[-1] + 1 - len(fresh)):
            if position not in self._found:
                self._found[position] = self._of(second)
        while len(self._found) > _KEPT + 64:
            self._found.popitem(last=False)

    def _of(self, second: Second) -> tuple[int, int] | None:
        if second.zfs is None:
            return None
        begin = second.mono_ns - second.length_ns
        return sync_ns(second.zfs, begin, second.mono_ns, self._pools), second.length_ns

    def _share(self, start: int, end: int) -> Share:
        held = [known for position in range(start, end) if (known := self._found.get(position)) is not None]
        length = sum(length for _, length in held)
        return sum(busy for busy, _ in held) / length if length else None
