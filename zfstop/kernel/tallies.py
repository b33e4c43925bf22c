"""The statistics of all calls: read in bulk from the kernel once a second, as what was added since the last look."""

from __future__ import annotations

from zfstop.kernel import bpf
from zfstop.kernel.maps import mapped, possible_cpus
from zfstop.model.events import TALLY_KEY_STRUCT, TALLY_SLICES, TALLY_STRUCT
from zfstop.model.history import Tally

#: Kernel memory for the statistics, over all CPUs: an entry takes 152 bytes on each.
_BUDGET_BYTES = 16 << 20
_FEWEST, _MOST = 2048, 16384


def capacity() -> int:
    """How many entries (probe x device x power of two of the latency) the kernel may keep here: a power of two."""
    room = max(_FEWEST, min(_MOST, _BUDGET_BYTES // (TALLY_STRUCT.size * possible_cpus())))
    return 1 << (room.bit_length() - 1)


class Tallies:
    """The arrays of statistics and of their names; remembers what it saw."""

    def __init__(self, names: int, values: int) -> None:
        """Descriptors of the two maps. An entry is where its name is (TALLY_KEY), which is never 0."""
        self._values = values
        self._size = TALLY_STRUCT.size * possible_cpus()
        self._map = mapped(names)
        self._names = b""
        self._places: dict[int, tuple[int, int, int]] = {}
        self._seen: dict[int, bytes] = {}
        self._sums: dict[int, tuple[int, ...]] = {}

    def close(self) -> None:
        """Unmap."""
        self._map.close()

    def read(self) -> dict[tuple[int, int], Tally]:
        """(slot, device) -> what was added since the last call; nothing for what stood still."""
        self._look_for_names()
        added: dict[tuple[int, int], list[tuple[int, tuple[int, ...]]]] = {}
        values = bpf.map_lookups(self._values, tuple(self._places), self._size)
        for (place, (dev, slot, octave)), value in zip(self._places.items(), values, strict=True):
            if self._seen.get(place) == value:
                continue
            sums = tuple(map(sum, zip(*TALLY_STRUCT.iter_unpack(value), strict=True)))
            old = self._sums.get(place, (0,) * len(sums))
            self._seen[place], self._sums[place] = value, sums
            difference = tuple(a - b for a, b in zip(sums, old, strict=True))
            added.setdefault((slot, dev), []).append((octave, difference))
        return {where: _tally(parts) for where, parts in added.items()}

    def _look_for_names(self) -> None:
        """An entry that has got a name keeps it."""
        names = self._map[:]
        if names != self._names:
            self._names = names
            named = enumerate(TALLY_KEY_STRUCT.iter_unpack(names))
            self._places = {place: name for place, name in named if any(name)}


def _tally(parts: list[tuple[int, tuple[int, ...]]]) -> Tally:
    buckets: dict[int, int] = {}
    errors = total_ns = size = 0
    for octave, sums in parts:
        for slice_, calls in enumerate(sums[:TALLY_SLICES]):
            if calls:
                bucket = octave * TALLY_SLICES + slice_
                buckets[bucket] = buckets.get(bucket, 0) + calls
        errors += sums[TALLY_SLICES]
        total_ns += sums[TALLY_SLICES + 1]
        size += sums[TALLY_SLICES + 2]
    return Tally(sum(buckets.values()), errors, total_ns, size, buckets)
