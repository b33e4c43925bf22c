"""The statistics of all calls: read in bulk from the kernel once a second, as what was added since the last look."""

from __future__ import annotations

from zfstop.kernel import bpf
from zfstop.kernel.maps import possible_cpus
from zfstop.model.events import TALLY_KEY_STRUCT, TALLY_SLICES, TALLY_STRUCT
from zfstop.model.history import Tally

_BATCH = 256
#: Kernel memory for the statistics, over all CPUs: an entry takes 152 bytes on each.
_BUDGET_BYTES = 16 << 20
_FEWEST, _MOST = 2048, 16384


def capacity() -> int:
    """How many entries (probe x device x power of two of the latency) the kernel may keep here."""
    return max(_FEWEST, min(_MOST, _BUDGET_BYTES // (TALLY_STRUCT.size * possible_cpus())))


class Tallies:
    """The map of statistics; remembers what it saw."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._cpus = possible_cpus()
        self._size = TALLY_STRUCT.size * self._cpus
        self._seen: dict[bytes, bytes] = {}
        self._sums: dict[bytes, tuple[int, ...]] = {}

    def read(self) -> dict[tuple[int, int], Tally]:
        """(slot, device) -> what was added since the last call; nothing for what stood still."""
        added: dict[tuple[int, int], list[tuple[int, tuple[int, ...]]]] = {}
        for key, value in bpf.map_batches(self._fd, TALLY_KEY_STRUCT.size, self._size, _BATCH):
            if self._seen.get(key) == value:
                continue
            sums = tuple(map(sum, zip(*TALLY_STRUCT.iter_unpack(value), strict=True)))
            old = self._sums.get(key, (0,) * len(sums))
            self._seen[key], self._sums[key] = value, sums
            dev, slot, octave = TALLY_KEY_STRUCT.unpack(key)
            difference = tuple(a - b for a, b in zip(sums, old, strict=True))
            added.setdefault((slot, dev), []).append((octave, difference))
        return {where: _tally(parts) for where, parts in added.items()}


def _tally(parts: list[tuple[int, tuple[int, ...]]]) -> Tally:
    buckets: dict[int, int] = {}
    errors = total_ns = size = 0
    for octave, sums in parts:
        for slice_, calls in enumerate(sums[:TALLY_SLICES]):
            if calls:
                buckets[octave * TALLY_SLICES + slice_] = calls
        errors += sums[TALLY_SLICES]
        total_ns += sums[TALLY_SLICES + 1]
        size += sums[TALLY_SLICES + 2]
    return Tally(sum(buckets.values()), errors, total_ns, size, buckets)
