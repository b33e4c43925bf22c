"""The statistics of all calls: read in bulk from the kernel once a second, as what was added since the last look."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterator

from zfstop.kernel import bpf
from zfstop.kernel.maps import possible_cpus
from zfstop.model.events import TALLY_KEY_STRUCT, TALLY_SLICES, TALLY_STRUCT
from zfstop.model.history import Tally

_BATCH = 256
#: Kernel memory for the statistics, over all CPUs: an entry takes 88 bytes on each.
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
        for key, value in self._entries():
            if self._seen.get(key) == value:
                continue
            sums = tuple(map(sum, zip(*TALLY_STRUCT.iter_unpack(value), strict=True)))
            old = self._sums.get(key, (0,) * len(sums))
            self._seen[key], self._sums[key] = value, sums
            dev, slot, octave = TALLY_KEY_STRUCT.unpack(key)
            difference = tuple(a - b for a, b in zip(sums, old, strict=True))
            added.setdefault((slot, dev), []).append((octave, difference))
        return {where: _tally(parts) for where, parts in added.items()}

    def _entries(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, a batch at a time. One that comes meanwhile may wait for the next look."""
        keys = ctypes.create_string_buffer(_BATCH * TALLY_KEY_STRUCT.size)
        values = ctypes.create_string_buffer(_BATCH * self._size)
        place = ctypes.create_string_buffer(8)
        begun = False
        while True:
            count, more = self._batch(place if begun else None, place, keys, values)
            raw_keys, raw_values = keys.raw, values.raw
            for i in range(count):
                key = raw_keys[i * TALLY_KEY_STRUCT.size : (i + 1) * TALLY_KEY_STRUCT.size]
                yield key, raw_values[i * self._size : (i + 1) * self._size]
            if not more:
                return
            begun = True

    def _batch(
        self,
        start: ctypes.Array[ctypes.c_char] | None,
        place: ctypes.Array[ctypes.c_char],
        keys: ctypes.Array[ctypes.c_char],
        values: ctypes.Array[ctypes.c_char],
    ) -> tuple[int, bool]:
        """(entries read, whether there may be more)."""
        begin = bpf.address(start) if start is not None else 0
        packed = (begin, bpf.address(place), bpf.address(keys), bpf.address(values), _BATCH, self._fd, 0, 0)
        attributes = ctypes.create_string_buffer(struct.pack("=QQQQIIQQ", *packed), 56)
        more = True
        try:
            bpf.bpf_in_place(bpf.MAP_LOOKUP_BATCH, attributes)
        except OSError as failure:
            if failure.errno != errno.ENOENT:
                raise
            more = False
        return struct.unpack_from("=I", attributes.raw, 32)[0], more


def _tally(parts: list[tuple[int, tuple[int, ...]]]) -> Tally:
    buckets: dict[int, int] = {}
    errors = total_ns = size = 0
    for octave, sums in parts:
        for slice_, calls in enumerate(sums[:TALLY_SLICES]):
            if calls:
                buckets[octave * TALLY_SLICES + slice_] = calls
        errors += sums[TALLY_SLICES]
        total_ns += sums[TALLY_SLICES + 2]
        size += sums[TALLY_SLICES + 3]
    return Tally(sum(buckets.values()), errors, total_ns, size, buckets)
