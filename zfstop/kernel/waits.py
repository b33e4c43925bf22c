"""What to attach to tell why calls wait, and which code sleeps for which cause. Pure, but for the map it fills."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from zfstop.kernel import bpf
from zfstop.kernel.decoders import CAUSES, RANGES
from zfstop.kernel.resolver import Facts
from zfstop.kernel.symbols import Code, Symbol
from zfstop.model.state import Rejected
from zfstop.zfs.causes import CALLERS, REGIONS, SLEEPS

_RANGE = struct.Struct("=QII")
_UNKNOWN_LAYOUT = "the addresses of the kernel's functions cannot be read"


@dataclass(frozen=True, slots=True)
class PlannedWait:
    """One function in which threads sleep. ``cause`` is "" where the caller's code tells it.

    ``kinds`` are how its return may be attached, in order; its entry is always a kprobe, which alone sees the caller.
    """

    symbol: str
    module: str
    cause: str
    kinds: tuple[str, ...]


def wanted_waits() -> tuple[str, ...]:
    """All names of functions in which threads sleep."""
    return (*SLEEPS, *REGIONS)


def plan_waits(
    symbols: Mapping[str, tuple[Symbol, ...]], facts: Facts
) -> tuple[tuple[PlannedWait, ...], tuple[Rejected, ...]]:
    """(what to attach, what a region lacks). Which of the sleeps there are differs by release: none is missed."""
    planned, rejected = [], []
    for name in wanted_waits():
        cause = REGIONS.get(name, "")
        found = [symbol for symbol in symbols.get(name, ()) if not symbol.suffix]
        if found and (facts.blacklist is None or name not in facts.blacklist):
            kinds = tuple(kind for kind in facts.kinds if kind != "fentry" or facts.module_btf)
            planned.append(PlannedWait(name, found[0].module or "kernel", cause, kinds))
        elif cause and not any(item.cause == cause for item in planned):
            rejected.append(Rejected(cause, name, "absent" if not found else "blacklisted by the kernel"))
    return tuple(planned), tuple(rejected)


def ranges_of(code: Code) -> tuple[tuple[int, int, str], ...]:
    """(start, bytes, cause) of the code that tells a cause, in the order of addresses."""
    known = [(start, size, CALLERS[name]) for start, size, name in code.functions() if name in CALLERS]
    return tuple(known[:RANGES])


def write_ranges(fd: int, ranges: tuple[tuple[int, int, str], ...], scheduler: tuple[int, int]) -> None:
    """Tell the program; ``scheduler`` is (start, bytes) of the scheduler's own code."""
    packed = _RANGE.pack(*scheduler, 0)
    packed += b"".join(_RANGE.pack(start, size, CAUSES.index(cause) + 1) for start, size, cause in ranges)
    bpf.map_update(fd, bytes(4), packed.ljust((RANGES + 1) * _RANGE.size, b"\0"))


def unexplained(ranges: tuple[tuple[int, int, str], ...]) -> tuple[Rejected, ...]:
    """The causes that no code here tells: their time is in ``other``."""
    told = {cause for _, _, cause in ranges}
    reason = "none of its functions is in this kernel under a known name" if ranges else _UNKNOWN_LAYOUT
    return tuple(Rejected(cause, "callers", reason) for cause in CAUSES if cause not in told)
