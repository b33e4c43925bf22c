"""The maps of the program, as seen from the screen's process through inherited descriptors."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable

from zfstop.kernel import bpf
from zfstop.model.events import COUNTERS
from zfstop.model.state import Counts

_SETTINGS = struct.Struct("=QQIIII")
_U32, _U64 = struct.Struct("=I"), struct.Struct("=Q")
_ZERO = _U32.pack(0)
_PRESENT = b"\x01"


def possible_cpus() -> int:
    """How many values a per-CPU map has: highest possible CPU number plus one."""
    with open("/sys/devices/system/cpu/possible") as file:
        return int(file.read().strip().split(",")[-1].split("-")[-1]) + 1


def mapped(fd: int, *, writable: bool = False) -> mmap.mmap:
    """The memory of an array that the program made so that it can be mapped. The caller closes it."""
    _, _, value, entries, _ = bpf.map_shape(fd)
    size = entries * (-(-value // 8) * 8)
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return mmap.mmap(fd, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE, prot=prot)


class Settings:
    """Threshold, wanted operations, and whether the PID and device sets count."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(
        self, threshold_ns: int, operations: int, by_pid: bool, by_dev: bool, waits: bool = True
    ) -> None:
        """In force for the next operation. Without ``waits`` events do not tell where their time went."""
        own = os.getpid()
        bpf.map_update(
            self._fd, _ZERO, _SETTINGS.pack(threshold_ns, operations, by_pid, by_dev, own, not waits)
        )


class Numbers:
    """A set of u32 in a hash map; knows what it put there."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._now: frozenset[int] = frozenset()

    def add(self, numbers: frozenset[int]) -> None:
        """Put in what is missing."""
        for number in numbers - self._now:
            bpf.map_update(self._fd, _U32.pack(number), _PRESENT)
        self._now |= numbers

    def keep_only(self, numbers: frozenset[int]) -> None:
        """Take out everything else."""
        for number in self._now - numbers:
            bpf.map_delete(self._fd, _U32.pack(number))
        self._now &= numbers


class Counters:
    """The per-CPU counters of the slots."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._cpus = possible_cpus()
        self._value = struct.Struct(f"={len(COUNTERS)}Q")

    def read(self, slots: Iterable[int]) -> tuple[Counts, ...]:
        """Counts since attach for each of ``slots``, summed over CPUs."""
        with bpf.undisturbed():
            return tuple(self._read(slot) for slot in slots)

    def _read(self, slot: int) -> Counts:
        raw = bpf.map_lookup(self._fd, _U32.pack(slot), self._value.size * self._cpus)
        return Counts(*map(sum, zip(*self._value.iter_unpack(raw or b""), strict=True))) if raw else Counts()


class SentPaths:
    """Ids of the paths the program believes user space to know."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def forget(self, ids: Iterable[int]) -> None:
        """The program will send these again when it meets them."""
        with bpf.undisturbed():
            for path_id in ids:
                bpf.map_delete(self._fd, _U64.pack(path_id))


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors; the kernel drops what nothing else holds."""
    for fd in fds:
        os.close(fd)
