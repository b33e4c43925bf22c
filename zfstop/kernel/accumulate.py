"""The fast path: ring records to the groups of one second, at the cost of one dict access a record.

``model.aggregate.groups_of`` is the readable reference; both give the same groups.
"""

from __future__ import annotations

from typing import Any

from zfstop.kernel.names import Names
from zfstop.model.events import RECORD_BYTES, RECORD_STRUCT, SHARE_BITS, WAITS_STRUCT, Event, Key
from zfstop.model.histogram import ONE_CALL
from zfstop.model.history import Stats
from zfstop.model.waits import Waits

#: The fields of Stats, in its order; the waits without the CPU's (None: of no call), and the latency they are of.
_Sums = list[Any]
_WAITS, _SHARED = 6, 7
_ON_CPU = bytes(WAITS_STRUCT.size)
_unpack = WAITS_STRUCT.unpack
_CAUSES = len(_unpack(_ON_CPU))


def _add_waits(sums: _Sums, latency: int, waits: bytes) -> None:
    """One call more. Most that are not slow did not wait, and hardly any for more than two causes."""
    sums[_SHARED] += latency
    blocked = sums[_WAITS]
    if blocked is None:
        blocked = sums[_WAITS] = [0] * _CAUSES
    if waits != _ON_CPU:
        for cause, share in enumerate(_unpack(waits)):
            if share:
                blocked[cause] += latency * share >> SHARE_BITS


def _waits(sums: _Sums) -> Waits | None:
    blocked = sums[_WAITS]
    return None if blocked is None else Waits._make([*blocked, sums[_SHARED] - sum(blocked)])


class Accumulator:
    """Collects the records of one second. ``keep`` is how many whole records are kept as events."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._reset()

    def _reset(self) -> None:
        self._groups: dict[bytes, _Sums] = {}
        self._unnamed: list[bytes] = []
        self._kept: list[bytes] = []
        self._named: dict[Key, Stats] = {}
        self._events: list[Event] = []
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
        for _, latency, size, result, key, bucket, known, waits in RECORD_STRUCT.iter_unpack(records):
            sums = get(key)
            if sums is None:
                groups[key] = sums = [1, 1 if result < 0 else 0, latency, latency, size, {bucket: 1}, None, 0]
                self._unnamed.append(key)
                if known:
                    _add_waits(sums, latency, waits)
                continue
            if known:
                _add_waits(sums, latency, waits)
            sums[0] += 1
            sums[2] += latency
            sums[4] += size
            if latency > sums[3]:
                sums[3] = latency
            if result < 0:
                sums[1] += 1
            histogram = sums[5]
            histogram[bucket] = histogram.get(bucket, 0) + 1

    def name_new(self, names: Names) -> None:
        """Let ``names`` see what was added and is new in this second: process and cgroup may be gone at its end."""
        for raw in self._unnamed:
            names.key(raw)
        self._unnamed.clear()

    def settle(self, names: Names) -> None:
        """Name what came so far, for names are about to change."""
        named = self._named
        for raw, sums in self._groups.items():
            key = names.key(raw)
            count, errors, total, longest, size, buckets, *_ = sums
            if count == 1:
                buckets = ONE_CALL[next(iter(buckets))]
            stats = Stats(count, errors, total, longest, size, buckets, _waits(sums))
            named[key] = stats.plus(named[key]) if key in named else stats
        self._events += [event for chunk in self._kept for event in names.events(chunk)]
        self._groups, self._kept = {}, []

    def close(self, names: Names) -> tuple[tuple[tuple[Key, Stats], ...], tuple[Event, ...], int]:
        """(groups, kept events, how many events were let go) of the second, and begin the next."""
        self.settle(names)
        groups, events = tuple(self._named.items()), tuple(self._events)
        thinned = self.count - len(events)
        self._reset()
        return groups, events, thinned
