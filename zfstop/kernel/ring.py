"""BPF ring buffers, mapped and read in bulk: no call from C into Python, no wake-up of the traced program.

The kernel maps the data twice so that no record wraps; one copy is enough here and costs half the memory, because
records are copied out anyway. Positions only grow. A record starts with u32 length (bit 31: still being written,
bit 30: thrown away) and u32, and is padded to 8 bytes. On x86 loads are not reordered; elsewhere the copy of a
record could in theory overtake the look at its length, and no Python barrier exists.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

_HEADER = 8
_BUSY, _DISCARD = 1 << 31, 1 << 30
#: Bytes copied out of a ring of fixed-size records at a time.
CHUNK_BYTES = 1 << 20


class Ring:
    """A ring buffer map of ``size`` bytes of data."""

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._size = size
        self._consumer_map = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self._data_map = mmap.mmap(fd, page + size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._consumer = memoryview(self._consumer_map)[:8].cast("Q")
        self._producer = memoryview(self._data_map)[:8].cast("Q")
        self._data = memoryview(self._data_map)[page:]

    def close(self) -> None:
        """Unmap."""
        for view in (self._consumer, self._producer, self._data):
            view.release()
        self._consumer_map.close()
        self._data_map.close()

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
        at = position % self._size
        wanted = min((end - position) // stride, CHUNK_BYTES // stride)
        whole = min(wanted, (self._size - at) // stride)
        if whole == 0:
            return self._wrapped(position, stride) if wanted else b""
        # The top byte of each length: zero once the record is finished, because records are small.
        marks = self._data[at + 3 : at + whole * stride : stride].tobytes()
        ready = len(marks) - len(marks.lstrip(b"\0"))
        chunk = self._data[at : at + ready * stride].tobytes()
        self._consumer[0] = position + ready * stride
        return chunk

    def _wrapped(self, position: int, stride: int) -> bytes:
        at = position % self._size
        if self._length(at) & (_BUSY | _DISCARD):
            return b""
        first = self._data[at:].tobytes()
        chunk = first + self._data[: stride - len(first)].tobytes()
        self._consumer[0] = position + stride
        return chunk

    def records(self) -> Iterator[bytes]:
        """The payloads of all finished records of a ring of records of any size."""
        end = self._producer[0]
        while (position := self._consumer[0]) < end:
            at = position % self._size
            length = self._length(at)
            if length & _BUSY:
                return
            size = length & ~_DISCARD
            payload = b"" if length & _DISCARD else self._copy(at + _HEADER, size)
            self._consumer[0] = position + (size + _HEADER + 7) // 8 * 8
            if payload:
                yield payload

    def _length(self, at: int) -> int:
        return int.from_bytes(self._data[at : at + 4], "little")

    def _copy(self, start: int, size: int) -> bytes:
        start %= self._size
        first = self._data[start : start + size].tobytes()
        return first + self._data[: size - len(first)].tobytes()
