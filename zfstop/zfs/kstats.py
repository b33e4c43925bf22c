"""The kstats of ZFS and SPL, from the bytes of their files to numbers. Pure.

Names differ by release: whatever is not there is None or left out, and nothing in such a file can make these fail.
The files: OpenZFS ``module/zfs/spa_stats.c``, ``dmu_tx.c``, ``zil.c``, ``arc.c``, ``dataset_kstats.c``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from zfstop.model.zfs_state import Figures, Txg
from zfstop.text import visible

Kstat = Mapping[str, int]

#: More is no number of a kstat: they have 64 bits.
_NUMBER: Final = re.compile(rb"-?[0-9]{1,20}")
_MOST: Final = (1 << 63) - 1
_STATES: Final = frozenset("BOQWSC")


class Limits(NamedTuple):
    """Parameters of the module ``zfs``, by the names of their files; what they mean :class:`Figures` tells."""

    zfs_dirty_data_max: int | None = None
    zfs_delay_min_dirty_percent: int | None = None
    zfs_txg_history: int | None = None
    zfs_txg_timeout: int | None = None


#: Figure -> the counter it is the difference of: (kstat, name).
_COUNTED: Final = {
    "delays": ("dmu_tx", "dmu_tx_dirty_delay"),
    "over_max": ("dmu_tx", "dmu_tx_dirty_over_max"),
    "throttles": ("dmu_tx", "dmu_tx_dirty_throttle"),
    "reserves": ("dmu_tx", "dmu_tx_memory_reserve"),
    "wrlog_delays": ("dmu_tx", "dmu_tx_wrlog_delay"),
    "frees_delays": ("dmu_tx", "dmu_tx_dirty_frees_delay"),
    "zil_commits": ("zil", "zil_commit_count"),
    "arc_hits": ("arcstats", "hits"),
    "arc_misses": ("arcstats", "misses"),
    "arc_throttles": ("arcstats", "memory_throttle_count"),
}
#: Figure -> where its value is.
_VALUES: Final = {
    "arc_size": ("arcstats", "size"),
    "arc_target": ("arcstats", "c"),
    "arc_max": ("arcstats", "c_max"),
    "arc_need_free": ("arcstats", "arc_need_free"),
}
#: Files of the whole host that figures are made of.
GLOBAL: Final = ("dmu_tx", "zil", "arcstats")


def parse_named(text: bytes) -> dict[str, int]:
    """Name -> value of a kstat of named values; those that are no numbers are left out."""
    found = {}
    for line in text.split(b"\n"):
        parts = line.split()
        if len(parts) == 3 and parts[1].isdigit() and (value := _number(parts[2])) is not None:
            found[visible(parts[0])] = value
    return found


def parse_number(text: bytes) -> int | None:
    """A file with one number in it, as those of module parameters are."""
    return _number(text.strip())


def parse_state(text: bytes) -> str:
    """The kstat ``state`` of a pool: ONLINE, DEGRADED, SUSPENDED and the like; "" for none."""
    return visible(text.strip()[:32])


def parse_txgs(text: bytes, most: int = 100) -> tuple[Txg, ...]:
    """The newest ``most`` lines of the kstat ``txgs``; ``birth_ns`` is CLOCK_MONOTONIC_RAW, as ZFS tells it.

    The first line names the columns. Without one of those that say when, there is nothing to show.
    """
    lines = text.split(b"\n")
    head = next((number for number, line in enumerate(lines) if line.split()[:1] == [b"txg"]), None)
    if head is None:
        return ()
    names = tuple(lines[head].split())
    if not {b"txg", b"birth", b"state", b"otime", b"qtime", b"wtime", b"stime"} <= set(names):
        return ()
    filled = [line for line in lines[head + 1 :] if line.strip()][-most:]
    found = (_txg(line, names) for line in filled)
    return tuple(txg for txg in found if txg is not None)


@lru_cache(maxsize=4096)
def _txg(line: bytes, names: tuple[bytes, ...]) -> Txg | None:
    """Nearly every line is as it was a second ago."""
    parts, columns = line.split(), {name: place for place, name in enumerate(names)}
    if len(parts) < len(columns):
        return None

    def figure(name: bytes) -> int | None:
        place = columns.get(name)
        value = None if place is None else _number(parts[place])
        return None if value is None or not 0 <= value <= _MOST else value

    times = [figure(name) for name in (b"txg", b"birth", b"otime", b"qtime", b"wtime", b"stime")]
    state = visible(parts[columns[b"state"]])
    known = [value for value in times if value is not None]
    if len(known) < len(times) or state not in _STATES:
        return None
    number, birth, *durations = known
    sizes = (figure(name) if state == "C" else None for name in (b"ndirty", b"nread", b"nwritten"))
    return Txg(number, state, birth, *durations, *sizes)


def figures(limits: Limits, before: Mapping[str, Kstat], now: Mapping[str, Kstat]) -> Figures:
    """The figures of the time between two readings of the files in :data:`GLOBAL`, by their names.

    A count that has become smaller began anew, with the module: nothing is known of that time.
    """
    found: dict[str, int | None] = {
        name: risen(before.get(kstat, {}).get(key), now.get(kstat, {}).get(key))
        for name, (kstat, key) in _COUNTED.items()
    }
    for name, (kstat, key) in _VALUES.items():
        found[name] = _sound(now.get(kstat, {}).get(key))
    return Figures(
        dirty_max=_sound(limits.zfs_dirty_data_max),
        delay_percent=_sound(limits.zfs_delay_min_dirty_percent),
        txg_history=_sound(limits.zfs_txg_history),
        txg_timeout=_sound(limits.zfs_txg_timeout),
        **found,
    )


def risen(before: int | None, now: int | None) -> int | None:
    """By how much a counter rose; None when it did not, or is not known."""
    return None if before is None or now is None else _sound(now - before)


def _sound(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _MOST else None


def _number(text: bytes) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None
