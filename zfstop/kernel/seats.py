"""The seats of threads that have called ZFS: an array of the program, mapped, and who took which of its places.

The program frees those of threads that end, where it can see that; what is left then are threads whose return was
missed, and such as ended while they were still in ZFS.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from zfstop.kernel import bpf
from zfstop.kernel.decoders import CAUSES
from zfstop.kernel.maps import mapped

_NUMBER = struct.Struct("=I")
#: struct thread of program.c: when it became idle, since when it sleeps, in how many calls it is, for which cause, and
#: whose seat it is; and its calls: time of entry, run queue clock, slot, whether it waited, how long on each cause.
THREAD = struct.Struct("=Q16xQ24xII8xI20x")
CALL = struct.Struct(f"=Q40xQII24x{len(CAUSES)}Q")
DEPTH = 4
SEAT_BYTES = THREAD.size + DEPTH * CALL.size
#: Of the two that are written.
_DEPTH_AT, _TID_AT = 56, 72
_FREED = 0xFFFFFFFF
_BATCH = 512


class Seats:
    """Looks at the seats, and gives back those of threads that have ended."""

    def __init__(self, seats: int, taken: int) -> None:
        """Descriptors of the array and of the hash map of its places that are taken."""
        self._taken = taken
        self._map = mapped(seats, writable=True)

    def close(self) -> None:
        """Unmap."""
        self._map.close()

    def all(self) -> Iterator[tuple[int, bytes]]:
        """(place, its SEAT_BYTES) of each that is taken, while the program goes on writing there."""
        for raw, _ in bpf.map_batches(self._taken, _NUMBER.size, _NUMBER.size, _BATCH):
            seat = _NUMBER.unpack(raw)[0]
            yield seat, self.at(seat)

    def at(self, seat: int) -> bytes:
        """What is there now."""
        return self._map[seat * SEAT_BYTES : (seat + 1) * SEAT_BYTES]

    def leave(self, seat: int) -> None:
        """The thread is in no call any more."""
        _NUMBER.pack_into(self._map, seat * SEAT_BYTES + _DEPTH_AT, 0)

    def free(self, seat: int, tid: int) -> None:
        """Another thread may have the seat of ``tid``, if that has ended: one that lives may enter at any moment."""
        if _NUMBER.unpack_from(self._map, seat * SEAT_BYTES + _TID_AT) != (tid,):
            return
        _NUMBER.pack_into(self._map, seat * SEAT_BYTES + _TID_AT, _FREED)
        bpf.map_delete(self._taken, _NUMBER.pack(seat))
