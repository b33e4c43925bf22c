"""BPF ring buffers, mapped and read in bulk: no call from C into Python, no wake-up of the traced program.

Positions only grow. A record starts with u32 length (bit 31: still being written, bit 30: thrown away) and u32, and is
padded to 8 bytes. The kernel lays the data out twice, one copy behind the other, so that no record wraps. Only a window
of it is mapped at a time: a ring can be large without making this process large. On x86 loads are not reordered;
elsewhere the copy of a record could in theory overtake the look at its length, and no Python barrier exists.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

_HEADER = 8
_BUSY, _DISCARD = 1 << 31, 1 << 30
#: Mapped at a time, and the most that is copied out at once.
WINDOW_BYTES = 1 << 20
#: Mapped behind it: a record that begins in the window is whole there.
LARGEST_RECORD = 16 << 10


class Ring:
    """A ring buffer map of ``size`` bytes of data. ``fd`` must stay open as long as it is read."""

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._fd, self._size = fd, size
        self._window_size = min(size, WINDOW_BYTES)
        self._behind = min(size, LARGEST_RECORD)
        self._consumer_map = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self._producer_map = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._consumer = memoryview(self._consumer_map)[:8].cast("Q")
        self._producer = memoryview(self._producer_map)[:8].cast("Q")
        self._window: mmap.mmap | None = None
        self._begins = 0

    def close(self) -> None:
        """Unmap."""
        for view in (self._consumer, self._producer):
            view.release()
        for mapped in (self._consumer_map, self._producer_map, self._window):
            if mapped is not None:
                mapped.close()

    def fixed(self, stride: int) -> Iterator[bytes]:
        """All finished records of a ring whose records all take ``stride`` bytes, in chunks of whole records.

        The program must not discard records of such a ring: a discarded one is waited for like an unfinished one.

        Only what was there at the call is returned, so that a writer faster than us cannot hold us here.
        """
        end = self._producer[0]
        while self._consumer[0] < end:
            chunk = self._next_chunk(end, stride)
            if not chunk:
                return
            yield chunk

    def _next_chunk(self, end: int, stride: int) -> bytes:
        position = self._consumer[0]
        window, at = self._see(position)
        begin_here = -(-(self._window_size - at) // stride)
        count = min((end - position) // stride, begin_here)
        # The top byte of each length: zero once the record is finished, because records are small.
        marks = window[at + 3 : at + count * stride : stride]
        ready = len(marks) - len(marks.lstrip(b"\0"))
        chunk = window[at : at + ready * stride]
        self._consumer[0] = position + ready * stride
        return chunk

    def records(self) -> Iterator[bytes]:
        """The payloads of all finished records of a ring of records of any size up to LARGEST_RECORD."""
        end = self._producer[0]
        while (position := self._consumer[0]) < end:
            window, at = self._see(position)
            length = int.from_bytes(window[at : at + 4], "little")
            if length & _BUSY:
                return
            size = length & ~_DISCARD
            payload = b"" if length & _DISCARD else window[at + _HEADER : at + _HEADER + size]
            self._consumer[0] = position + (size + _HEADER + 7) // 8 * 8
            if payload:
                yield payload

    def _see(self, position: int) -> tuple[mmap.mmap, int]:
        """The window in which the record at ``position`` begins, and where in it."""
        at = position % self._size
        begins = at - at % self._window_size
        if self._window is None or begins != self._begins:
            if self._window is not None:
                self._window.close()
            size = self._window_size + self._behind
            offset = 2 * mmap.PAGESIZE + begins
            self._window = mmap.mmap(self._fd, size, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)
            self._begins = begins
        return self._window, at - begins
