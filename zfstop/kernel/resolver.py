"""Operations + symbols + what the kernel can do -> what to attach, with which decoder, and why the rest is not.

Pure, so that it can be held against the symbols of any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zfstop.kernel.symbols import Symbol
from zfstop.model.state import Rejected
from zfstop.zfs.operations import OPERATIONS, Candidate, Operation

#: What clang's link-time optimisation appends: the function is whole, and its arguments are as they were.
_RENAMED = re.compile(r"\.llvm\.\d+")


@dataclass(frozen=True, slots=True)
class Facts:
    """What this kernel has, as far as it could be read; None is "not known" and never a reason against."""

    module_btf: bool = False
    blacklist: frozenset[str] | None = None
    kinds: tuple[str, ...] = ("fentry", "kprobe")


@dataclass(frozen=True, slots=True)
class Planned:
    """One function to attach. ``tier`` 0 is tried first; ``kinds`` in order."""

    op: str
    bit: int
    tier: int
    symbol: str
    module: str
    decoder: str
    hook: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the loader is to attach; the position is the slot."""

    probes: tuple[Planned, ...]
    rejected: tuple[Rejected, ...]


def wanted_symbols(operations: Iterable[Operation] = OPERATIONS) -> tuple[str, ...]:
    """All candidate names, each once."""
    candidates = (candidate for op in operations for tier in op.tiers for candidate in tier)
    return tuple(dict.fromkeys(candidate.symbol for candidate in candidates))


def plan(
    symbols: Mapping[str, tuple[Symbol, ...]], facts: Facts, operations: Iterable[Operation] = OPERATIONS
) -> Plan:
    """Decide for every candidate of every operation."""
    probes: list[Planned] = []
    rejected: list[Rejected] = []
    for op in operations:
        for number, tier in enumerate(op.tiers):
            for candidate in tier:
                chosen = choose(symbols.get(candidate.symbol, ()), candidate, facts)
                if isinstance(chosen, str):
                    rejected.append(Rejected(op.name, candidate.symbol, chosen))
                else:
                    probes.append(_planned(op, number, candidate, chosen, facts))
    return Plan(tuple(probes), tuple(rejected))


def choose(found: tuple[Symbol, ...], candidate: Candidate, facts: Facts) -> Symbol | str:
    """The symbol to attach for a candidate, or why there is none.

    The exact name first; ``.llvm.*`` is clang's renaming under LTO and keeps the arguments. Every other suffix marks
    a function whose arguments were dropped or split, or a fragment of it: no decoder may trust those.
    """
    if not found:
        return "absent"
    plain = [symbol for symbol in found if not symbol.suffix]
    renamed = [symbol for symbol in found if _RENAMED.fullmatch(symbol.suffix)]
    if not plain and not renamed:
        return f"suffix variant only ({found[0].name}): its arguments cannot be trusted"
    symbol = (plain or renamed)[0]
    if facts.blacklist is not None and symbol.name in facts.blacklist:
        return "blacklisted by the kernel"
    return symbol


def _planned(op: Operation, tier: int, candidate: Candidate, symbol: Symbol, facts: Facts) -> Planned:
    kinds = tuple(
        kind for kind in facts.kinds if kind != "fentry" or (facts.module_btf and not symbol.suffix)
    )
    return Planned(
        op.name,
        op.bit,
        tier,
        symbol.name,
        symbol.module or "kernel",
        candidate.decoder,
        candidate.hook,
        kinds,
    )
