"""The state of ZFS as rows, to be written. What they mean the package tells; the reader is the other half."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from zfstop.model.waits import Waits
from zfstop.model.zfs_state import ZfsState
from zfstop.recording.schema import MAX_INT

#: Text -> its id.
Intern = Callable[[str], int]


def waits_text(waits: Waits | None) -> str | None:
    """The column ``waits``. Sums of absurd sizes stop where every other number does."""
    return None if waits is None else _packed([min(ns, MAX_INT) for ns in waits])


def zfs_row(number: int, state: ZfsState, intern: Intern) -> tuple[Any, ...]:
    """A row of ``zfs``."""
    properties = intern(_packed(state.properties)) if state.properties else None
    return number, _packed(state.commits) if state.commits else None, properties, *state.figures


def pool_rows(state: ZfsState, intern: Intern) -> Iterator[tuple[Any, ...]]:
    """Rows of ``pools``, without id and second."""
    for pool in state.pools:
        scan = (None, None, None) if pool.scan is None else (intern(pool.scan.kind), *pool.scan[1:])
        yield intern(pool.name), intern(pool.state), *scan, pool.log


def txg_rows(state: ZfsState, mono_ns: int, intern: Intern) -> Iterator[tuple[Any, ...]]:
    """Rows of ``txgs``, without id and second."""
    for pool in state.pools:
        for txg in pool.txgs:
            where = intern(pool.name), txg.number, intern(txg.state)
            yield *where, mono_ns - txg.birth_ns, *txg[3:]


def _packed(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
