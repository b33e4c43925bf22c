"""The fast path: ring records to the groups of one second, at the cost of one dict access a record.

``model.aggregate.groups_of`` is the readable reference; both give the same groups.
"""

from __future__ import annotations

from typing import Any

from zfstop.kernel.names import Names
from zfstop.model.events import RECORD_BYTES, RECORD_STRUCT, Event, Key
from zfstop.model.history import Stats

#: The fields of Stats, in its order.
_Sums = list[Any]


class Accumulator:
    """Collects the records of one second. ``keep`` is how many whole records are kept as events."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._reset()

    def _reset(self) -> None:
        self._groups: dict[bytes, _Sums] = {}
        self._kept: list[bytes] = []
        self._room = self._keep
        self.count = 0

    def add(self, records: bytes) -> None:
        """A chunk of whole records with their ring headers."""
        count = len(records) // RECORD_BYTES
        self.count += count
        if self._room:
            self._kept.append(records[: self._room * RECORD_BYTES])
            self._room -= min(self._room, count)
        groups, get = self._groups, self._groups.get
        for _, latency, size, result, key, bucket in RECORD_STRUCT.iter_unpack(records):
            sums = get(key)
            if sums is None:
                groups[key] = [1, 1 if result < 0 else 0, latency, latency, size, {bucket: 1}]
                continue
            sums[0] += 1
            sums[2] += latency
            sums[4] += size
            if latency > sums[3]:
                sums[3] = latency
            if result < 0:
                sums[1] += 1
            histogram = sums[5]
            histogram[bucket] = histogram.get(bucket, 0) + 1

    def close(self, names: Names) -> tuple[tuple[tuple[Key, Stats], ...], tuple[Event, ...], int]:
        """(groups, kept events, how many events were let go) of the second, and begin the next."""
        merged: dict[Key, Stats] = {}
        for raw, sums in self._groups.items():
            key = names.key(raw)
            stats = Stats(*sums)
            merged[key] = stats.plus(merged[key]) if key in merged else stats
        events = tuple(event for chunk in self._kept for event in names.events(chunk))
        thinned = self.count - len(events)
        self._reset()
        return tuple(merged.items()), events, thinned
