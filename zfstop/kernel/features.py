"""What this kernel's bpf(2) can do, found by doing it once with small objects that are closed again: never by version.

Every function raises the kernel's OSError when it cannot be done, and needs the privileges that tracing needs.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from zfstop.kernel import bpf

_MAP_HASH, _MAP_RINGBUF = 1, 27
#: r0 = 7; exit
_ANSWER = 7
_RETURN_ANSWER = struct.pack("=BBhiBBhi", 0xB7, 0, 0, _ANSWER, 0x95, 0, 0, 0)
_WORD = struct.Struct("=Q")


def make_ring(size: int) -> None:
    """Make and free a BPF ring buffer of ``size`` bytes (Linux 5.8): EINVAL without it, EPERM over RLIMIT_MEMLOCK."""
    with _map(_MAP_RINGBUF, 0, 0, size):
        pass


def run_on_demand() -> None:
    """Run a raw tracepoint program by BPF_PROG_TEST_RUN (Linux 5.10), as calls in flight are named."""
    program, _ = bpf.load_program(_RETURN_ANSWER, bpf.PROG_TYPE_RAW_TRACEPOINT, "zfstop_doctor")
    if program < 0:
        raise OSError(-program, os.strerror(-program))
    try:
        if bpf.run_raw_tracepoint(program, 0) != _ANSWER:
            raise OSError("the kernel ran another program")
    finally:
        os.close(program)


def read_in_batches() -> None:
    """Read a hash map with BPF_MAP_LOOKUP_BATCH (Linux 5.6), as calls in flight are found."""
    pairs = {_WORD.pack(number): _WORD.pack(number + 1) for number in range(5)}
    with _map(_MAP_HASH, _WORD.size, _WORD.size, 64) as fd:
        for key, value in pairs.items():
            bpf.map_update(fd, key, value)
        if dict(bpf.map_batches(fd, _WORD.size, _WORD.size, 64)) != pairs:
            raise OSError("the kernel gave other entries back")


@contextmanager
def _map(kind: int, key_size: int, value_size: int, entries: int) -> Iterator[int]:
    """A BPF map, freed at the end."""
    fd = bpf.map_create("zfstop_doctor", kind, key_size, value_size, entries, 0)
    try:
        yield fd
    finally:
        os.close(fd)
