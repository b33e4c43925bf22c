"""Which of the functions we know are in this kernel: a pure parse of the text of /proc/kallsyms, read once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

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
    # Modules come last. Only a kernel with ZFS built in has our names before them, and then not behind.
    modules = text.find(b"\t[")
    start = max(0, text.rfind(b"\n", 0, modules)) if text.find(b"\t[zfs]", max(modules, 0)) >= 0 else 0
    for match in pattern.finditer(text, start):
        symbol = Symbol(match[1].decode(), match[2].decode(), (match[3] or b"").decode("ascii", "replace"))
        if symbol.module in OUR_MODULES and symbol not in found.get(symbol.base, ()):
            found[symbol.base] = (*found.get(symbol.base, ()), symbol)
    return found
