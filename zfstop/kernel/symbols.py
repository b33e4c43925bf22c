"""Which of the functions we know are in this kernel: a pure parse of the text of /proc/kallsyms, read once."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zfstop.zfs.causes import CALLERS

#: The module column says zfs or spl; a kernel with ZFS built in has no module column at all.
OUR_MODULES = ("zfs", "spl", "")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A text symbol. ``name`` includes a compiler's suffix; ``base`` does not. ``module`` is "" when built in."""

    name: str
    base: str
    module: str

    @property
    def suffix(self) -> str:
        """``.isra.0`` and the like, or empty."""
        return self.name[len(self.base) :]


def parse(text: bytes, wanted: Iterable[str]) -> dict[str, tuple[Symbol, ...]]:
    """Base name -> the symbols of functions that have it, with and without suffix, in our modules.

    Addresses are not used: they are zeros without CAP_SYSLOG, and attaching goes by name.
    """
    names = b"|".join(re.escape(name.encode()) for name in wanted)
    pattern = re.compile(
        rb"^[0-9a-f]+ [tTwW] ((" + names + rb")(?:\.[\w.]+)?)(?:[ \t]+\[([^\]\n]+)\])?$", re.MULTILINE
    )
    found: dict[str, tuple[Symbol, ...]] = {}
    for match in pattern.finditer(text, _begin(text)):
        symbol = Symbol(match[1].decode(), match[2].decode(), (match[3] or b"").decode("ascii", "replace"))
        if symbol.module in OUR_MODULES and symbol not in found.get(symbol.base, ()):
            found[symbol.base] = (*found.get(symbol.base, ()), symbol)
    return found


def _begin(text: bytes) -> int:
    """Where our lines begin: modules come last, and only a kernel with ZFS built in has our names before them."""
    modules = text.find(b"\t[")
    return max(0, text.rfind(b"\n", 0, modules)) if text.find(b"\t[zfs]", max(modules, 0)) >= 0 else 0


def scheduler_code(text: bytes) -> tuple[int, int]:
    """(start, bytes) of the code in which every thread sleeps, mutexes and timers included; (0, 0) if nobody tells."""
    start, end = (_address(text, name) for name in (b"__sched_text_start", b"__sched_text_end"))
    return (start, end - start) if 0 < start < end else (0, 0)


def _address(text: bytes, name: bytes) -> int:
    """Of a kernel's own function; 0 if there is none. Much faster than a pattern that is tried on every line."""
    at = text.find(b" " + name + b"\n")
    line = re.compile(rb"([0-9a-f]+) [tT] ").match(text, text.rfind(b"\n", 0, max(at, 0)) + 1)
    return int(line[1], 16) if line and line.end() == at + 1 else 0


def nearest(text: bytes, address: int) -> str:
    """The function in /proc/kallsyms a return address lies in, without a compiler's suffix; "" for none."""
    best = 0, b""
    for line in text.splitlines():
        at, kind, name = line.split(None, 2)
        place = int(at, 16)
        if best[0] < place < address and kind in b"tTwW":
            best = place, name
    if address - best[0] >= _LARGEST:
        return ""
    return _plain(best[1].split()[0])


#: A return address further behind the last symbol of a module than this is in no function.
_LARGEST = 1 << 16


_IN_MODULES = re.compile(rb"^([0-9a-f]+) [tTwW] (\S+)\t\[(?:zfs|spl)\]$", re.MULTILINE)
_IN_KERNEL = re.compile(rb"^([0-9a-f]+) [tTwW] (\S+)$", re.MULTILINE)
_STATIC = re.compile(rb" t \S+\t\[zfs\]$", re.MULTILINE)


class Code:
    """Where the functions of zfs and spl lie, for return addresses. Empty where the addresses are kept from us."""

    def __init__(self, text: bytes) -> None:
        """``text`` is /proc/kallsyms. A kernel with ZFS built in has no modules to tell apart: all of it counts."""
        begin = _begin(text)
        found = _IN_MODULES.findall(text, begin) or _IN_KERNEL.findall(text)
        self._places = sorted(place for address, name in found if (place := (int(address, 16), name))[0])
        self._starts = [address for address, _ in self._places]
        self._stripped = b"\t[zfs]" in text and not _STATIC.search(text, begin)

    def functions(self) -> Iterator[tuple[int, int, str]]:
        """(address, bytes up to the next one, name without a compiler's suffix) of every function."""
        for place, (start, name) in enumerate(self._places):
            following = self._starts[place + 1] if place + 1 < len(self._starts) else start + _LARGEST
            if following > start:
                yield start, min(following - start, _LARGEST), _plain(name)

    def hides(self, address: int) -> bool:
        """Whether the function there may be one whose name is gone: the module has global names only.

        It would be taken for the global function before it. For what sleeps for a known cause that is right.
        """
        return self._stripped and bool(name := self.name_at(address)) and name not in CALLERS

    def name_at(self, address: int) -> str:
        """The function a return address lies in, without a compiler's suffix; "" for none."""
        place = bisect_right(self._starts, address) - 1
        if place < 0 or address - self._starts[place] >= _LARGEST:
            return ""
        return _plain(self._places[place][1])


def _plain(name: bytes) -> str:
    return name.partition(b".")[0].decode("ascii", "replace")
