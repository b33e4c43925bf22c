"""Every finished record of a ring comes out once, whole and in order; one that is being written never does.

The kernel's memory layout is built over a memfd: a page with the consumer's position, a page with the producer's,
then the data, twice.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.kernel import bpf, ring
from zfstop.kernel.ring import Ring
from zfstop.model.events import EVENT_STRUCT, RECORD_BYTES

PAGE = mmap.PAGESIZE
SIZE = 2 * PAGE
BUSY, DISCARD = 1 << 31, 1 << 30
STRIDE = RECORD_BYTES
PAYLOAD = STRIDE - 8


class Memory:
    """The producer's side. Positions may begin anywhere: they only grow."""

    def __init__(self, start: int = 0, size: int = SIZE) -> None:
        self.size = size
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * size)
        self.map = mmap.mmap(self.fd, 2 * PAGE + 2 * size)
        self.begin(start)

    def begin(self, start: int) -> None:
        self.map[0:8] = self.map[PAGE : PAGE + 8] = struct.pack("=Q", start)

    @property
    def produced(self) -> int:
        return int.from_bytes(self.map[PAGE : PAGE + 8], "little")

    @property
    def consumed(self) -> int:
        return int.from_bytes(self.map[0:8], "little")

    def _put(self, position: int, data: bytes) -> None:
        for offset, byte in enumerate(data):
            at = 2 * PAGE + (position + offset) % self.size
            self.map[at] = self.map[at + self.size] = byte

    def reserve(self, payload: bytes) -> int | None:
        """As bpf_ringbuf_reserve: marked as busy; None when it does not fit."""
        position, taken = self.produced, (len(payload) + 8 + 7) // 8 * 8
        if position + taken - self.consumed > self.size - 1:
            return None
        self._put(position, struct.pack("=II", len(payload) | BUSY, 7) + payload)
        self.map[PAGE : PAGE + 8] = struct.pack("=Q", position + taken)
        return position

    def commit(self, position: int, length: int, discard: bool = False) -> None:
        self._put(position, struct.pack("=I", length | (DISCARD if discard else 0)))

    def submit(self, payload: bytes) -> bool:
        position = self.reserve(payload)
        if position is None:
            return False
        self.commit(position, len(payload))
        return True

    def close(self) -> None:
        self.map.close()
        os.close(self.fd)


@contextmanager
def pair(start: int = 0, size: int = SIZE) -> Iterator[tuple[Memory, Ring]]:
    """Both sides; the reader sees a page at a time."""
    memory = Memory(start, size)
    with patch.object(ring, "WINDOW_BYTES", PAGE):
        reader = Ring(memory.fd, size)
    try:
        yield memory, reader
    finally:
        reader.close()
        memory.close()


def numbered(number: int) -> bytes:
    """A payload of the events' size, in which every word tells its record."""
    return struct.pack("=Q", number) * (PAYLOAD // 8)


def numbers(chunks: Iterator[bytes]) -> list[int]:
    data = b"".join(chunks)
    assert len(data) % STRIDE == 0
    found = []
    for at in range(0, len(data), STRIDE):
        words = struct.unpack_from(f"={PAYLOAD // 8}Q", data, at + 8)
        assert len(set(words)) == 1, "a record is torn"
        found.append(words[0])
    return found


def test_the_test_uses_records_of_the_real_size() -> None:
    assert EVENT_STRUCT.size == PAYLOAD
    assert SIZE % STRIDE, "records that wrap are part of the test"


@given(
    st.integers(0, 2**40).map(lambda number: number * 8),
    st.lists(st.sampled_from(("submit", "reserve", "finish first", "finish last", "drain")), max_size=120),
)
def test_fixed_records_come_once_in_order_and_never_while_busy(start: int, steps: list[str]) -> None:
    with pair(start) as (memory, reader):
        busy: dict[int, int] = {}
        accepted: list[int] = []
        seen: list[int] = []
        for number, step in enumerate(steps):
            if step in ("submit", "reserve"):
                position = memory.reserve(numbered(number))
                if position is not None:
                    accepted.append(number)
                    busy[number] = position
                    if step == "submit":
                        memory.commit(busy.pop(number), PAYLOAD)
            elif step != "drain" and busy:
                chosen = min(busy) if step == "finish first" else max(busy)
                memory.commit(busy.pop(chosen), PAYLOAD)
            elif step == "drain":
                seen += numbers(reader.fixed(STRIDE))
                assert seen == accepted[: len(seen)]
                blocked = [number for number in accepted if number in busy]
                assert len(seen) == (accepted.index(blocked[0]) if blocked else len(accepted))
        for position in busy.values():
            memory.commit(position, PAYLOAD)
        assert seen + numbers(reader.fixed(STRIDE)) == accepted
        assert memory.consumed == memory.produced


payloads = st.integers(0, 700).map(lambda size: bytes(byte % 251 + 1 for byte in range(size)))


@given(
    st.integers(0, 2**40).map(lambda number: number * 8),
    st.lists(
        st.tuples(st.sampled_from(("submit", "discard", "leave", "finish", "drain")), payloads), max_size=60
    ),
)
def test_records_of_any_size_come_once_in_order_without_the_discarded(
    start: int, steps: list[tuple[str, bytes]]
) -> None:
    with pair(start) as (memory, reader):
        pending: list[tuple[int, bytes]] = []
        wanted: list[bytes | None] = []
        seen: list[bytes] = []
        for step, payload in steps:
            if step in ("submit", "discard", "leave"):
                position = memory.reserve(payload)
                if position is None:
                    continue
                wanted.append(payload if step != "discard" and payload else None)
                if step == "leave":
                    pending.append((position, payload))
                else:
                    memory.commit(position, len(payload), step == "discard")
            elif step == "finish" and pending:
                position, payload = pending.pop()
                memory.commit(position, len(payload))
            else:
                seen += reader.records()
                first = min((position for position, _ in pending), default=memory.produced)
                assert memory.consumed == first, (
                    "everything before the first unfinished one, and nothing after"
                )
        for position, payload in pending:
            memory.commit(position, len(payload))
        seen += reader.records()
        assert seen == [payload for payload in wanted if payload is not None]
        assert memory.consumed == memory.produced


def test_nothing_is_an_empty_answer() -> None:
    with pair() as (_, reader):
        assert list(reader.fixed(STRIDE)) == []
        assert list(reader.records()) == []


def test_a_full_ring_is_read_whole_and_has_room_again() -> None:
    with pair(size=4 * PAGE) as (memory, reader):
        count = 0
        while memory.submit(numbered(count)):
            count += 1
        assert count == (4 * PAGE - 1) // STRIDE
        assert numbers(reader.fixed(STRIDE)) == list(range(count))
        assert memory.submit(numbered(0))


def test_a_writer_that_is_faster_does_not_hold_the_reader() -> None:
    with pair() as (memory, reader):
        memory.submit(numbered(0))
        chunks = reader.fixed(STRIDE)
        assert numbers(iter([next(chunks)])) == [0]
        memory.submit(numbered(1))
        assert list(chunks) == [], "what came after the call waits for the next"
        assert numbers(reader.fixed(STRIDE)) == [1]


def test_a_reader_that_stops_in_the_middle_loses_and_repeats_nothing() -> None:
    with pair(size=4 * PAGE) as (memory, reader):
        for number in range(60):
            memory.submit(numbered(number))
        first = numbers(iter([next(reader.fixed(STRIDE))]))
        assert first == list(range(-(-PAGE // STRIDE))), "all that begin in the window"
        assert first + numbers(reader.fixed(STRIDE)) == list(range(60))


def test_of_a_large_ring_only_a_window_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "LARGEST_RECORD", PAGE)
    with pair(size=16 * PAGE) as (memory, reader):
        seen = []
        for number in range(2000):
            assert memory.submit(numbered(number))
            seen += numbers(reader.fixed(STRIDE)) if number % 7 == 0 else []
            mapped = [
                line.split()[0]
                for line in Path("/proc/self/maps").read_text().splitlines()
                if "memfd:ring" in line
            ]
            sizes = sorted(
                int(end, 16) - int(begin, 16) for begin, end in (part.split("-") for part in mapped)
            )
            assert sizes[:-1] in ([PAGE, PAGE], [PAGE, PAGE, 2 * PAGE]), "the last is the test's own"
        assert seen + numbers(reader.fixed(STRIDE)) == list(range(2000))


def test_closing_gives_everything_back() -> None:
    memory = Memory()
    reader = Ring(memory.fd, SIZE)
    reader.close()
    with pytest.raises(ValueError, match="released"):
        list(reader.records())
    memory.close()


def make_ring(size: int) -> int:
    """A real BPF ring buffer; skips where there may be none."""
    try:
        return bpf.bpf(0, struct.pack("=IIIII", 27, 0, 0, size, 0) + bytes(52))
    except OSError as failure:
        pytest.skip(f"no BPF ring buffer here: {failure.strerror}")


@pytest.mark.skipif(os.geteuid() != 0, reason="a BPF map needs root")
def test_a_ring_of_this_kernel_has_the_layout_the_test_builds() -> None:
    fd = make_ring(4 * PAGE)
    reader = Ring(fd, 4 * PAGE)
    assert list(reader.records()) == []
    reader.close()
    with pytest.raises(PermissionError):
        mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=PAGE)
    with mmap.mmap(fd, 2 * 4 * PAGE, mmap.MAP_SHARED, mmap.PROT_READ, offset=2 * PAGE) as data:
        assert len(data) == 8 * PAGE, "the data, twice"
    os.close(fd)
