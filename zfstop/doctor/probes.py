"""Facts about the operations: which function serves each, read how, attached how; and why another is not served."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from zfstop.doctor.facts import REPORT_IT, Fact, Served, failed, passed, warned
from zfstop.kernel import host
from zfstop.kernel.resolver import Plan
from zfstop.model.state import Attached, ProbeReport, Rejected
from zfstop.zfs.operations import BY_NAME, DEFAULT_CLASSES, OPERATIONS

#: Without these nobody could tell what is slow; of the others a release may have no function at all.
_ESSENTIAL = frozenset({"data", "open"})
_COSTLY = "kprobe pair"


def default_operations() -> tuple[str, ...]:
    """Names of the operations that are measured unless somebody says otherwise."""
    return tuple(op.name for op in OPERATIONS if op.group in DEFAULT_CLASSES)


def of_report(report: ProbeReport) -> Iterator[Served]:
    """The operations as they were attached."""
    for op in default_operations():
        probes = tuple(probe for probe in report.attached if probe.op == op)
        yield Served(op, _attached(op, probes, report.rejected), probes)


def of_plan(plan: Plan) -> Iterator[Served]:
    """The operations as the symbols promise them, nothing attached."""
    for op in default_operations():
        tiers = [probe.tier for probe in plan.probes if probe.op == op]
        probes = tuple(
            Attached(op, p.symbol, p.module, p.decoder, "")
            for p in plan.probes
            if p.op == op and p.tier == min(tiers)
        )
        text = f"{_functions(probes)} in the kernel; not attached"
        fact = passed(_name(op), text) if probes else _missing(op, plan.rejected)
        yield Served(op, fact, probes)


def attach_kind(report: ProbeReport) -> Fact:
    """By what the probes hang on their functions."""
    used = [probe.kind for probe in report.attached if probe.op in default_operations()]
    kinds = sorted(set(used))
    text = ", ".join(f"{kind} ({used.count(kind)})" for kind in kinds)
    if _COSTLY in kinds:
        remedy = "unset ZFSTOP_ATTACH" if os.environ.get("ZFSTOP_ATTACH") else host.btf_command()
        return warned("attaching", f"{text}, which costs the traced calls about twice as much", remedy)
    return passed("attaching", text)


def _attached(op: str, probes: Sequence[Attached], rejected: Iterable[Rejected]) -> Fact:
    if not probes:
        return _missing(op, rejected)
    text = f"{_functions(probes)} by {', '.join(sorted({probe.kind for probe in probes}))}"
    if all(_second_choice(probe) for probe in probes):
        first = BY_NAME[op].tiers[0][0].symbol
        return warned(
            _name(op),
            f"{text}, a second choice ({first}: {_reason(first, op, rejected)}): less is known of each call",
            "install the zfs module unstripped",
        )
    return passed(_name(op), text)


def _missing(op: str, rejected: Iterable[Rejected]) -> Fact:
    own = [item for item in rejected if item.op == op]
    text = "; ".join(f"{item.symbol}: {item.reason}" for item in own) or "no function is known"
    if all(item.reason == "absent" for item in own) and BY_NAME[op].group not in _ESSENTIAL:
        return warned(
            _name(op),
            f"this release has no such function ({text})",
            "zfs version (another release may have it)",
        )
    return failed(_name(op), text, REPORT_IT)


def _second_choice(probe: Attached) -> bool:
    return all(
        (candidate.symbol, candidate.decoder) != (probe.symbol.partition(".llvm.")[0], probe.decoder)
        for candidate in BY_NAME[probe.op].tiers[0]
    )


def _reason(symbol: str, op: str, rejected: Iterable[Rejected]) -> str:
    return next((item.reason for item in rejected if (item.op, item.symbol) == (op, symbol)), "not taken")


def _functions(probes: Iterable[Attached]) -> str:
    return ", ".join(f"{probe.symbol} ({probe.decoder})" for probe in probes)


def _name(op: str) -> str:
    return f"probe {op}"
