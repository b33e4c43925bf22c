"""What is measured less than was asked for, for now: a higher threshold, classes let go of; and the words for it. Pure.

The words are notes of every second they are true of, so that screen, replay and recording tell the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zfstop.model.state import Controls
from zfstop.units import format_threshold
from zfstop.zfs.operations import CLASSES, class_of

_FLOOD, _BUDGET = "flood: ", "budget "


@dataclass(frozen=True, slots=True)
class Limits:
    """What zfstop may cost: ``budget`` is the probes' share of one CPU (0.02 is 2 %), None for none.

    ``auto_threshold``: a flood of events raises the threshold by itself.
    """

    auto_threshold: bool = False
    budget: float | None = None


@dataclass(frozen=True, slots=True)
class Relief:
    """``floor_ns``: calls quicker than this are only counted. ``gone``: classes that are not measured at all."""

    floor_ns: int = 0
    gone: frozenset[str] = frozenset()

    def applied(self, asked: Controls) -> Controls:
        """What is in force where ``asked`` is asked for."""
        threshold_ns = max(asked.threshold_ns, self.floor_ns)
        ops = frozenset(op for op in asked.ops if class_of(op) not in self.gone)
        # No name of an operation means all of the classes: when the last one is gone, none must be left.
        classes = frozenset[str]() if asked.ops and not ops else asked.classes - self.gone
        return replace(asked, threshold_ns=threshold_ns, ops=ops, classes=classes)


def flood_words(asked_ns: int, floor_ns: int) -> tuple[str, ...]:
    """``flood: threshold 10ms -> 50ms for now``; nothing where the floor is no higher."""
    if floor_ns <= asked_ns:
        return ()
    return (f"{_FLOOD}threshold {format_threshold(asked_ns)} -> {format_threshold(floor_ns)} for now",)


def flood_over_words(asked_ns: int) -> str:
    """Said once."""
    return f"{_FLOOD}over, threshold {format_threshold(asked_ns)} again"


def budget_words(budget: float, given: Sequence[str], asked_ns: int, floor_ns: int) -> tuple[str, ...]:
    """``budget 2%: gave up metadata, waits for now; threshold 10ms -> 50ms``; ``given`` are names of budget.STEPS."""
    words = []
    if names := [name for name in given if name != "events"]:
        nothing = " (nothing is measured)" if "data" in given else ""
        words.append(f"gave up {', '.join(names)} for now{nothing}")
    if "events" in given and floor_ns > asked_ns:
        words.append(f"threshold {format_threshold(asked_ns)} -> {format_threshold(floor_ns)} for now")
    return (f"{_budget(budget)}: {'; '.join(words)}",) if words else ()


def budget_back_words(budget: float, back: Sequence[str]) -> str:
    """Said once."""
    return f"{_budget(budget)}: took back {', '.join(back)}"


def budget_blind_words(budget: float) -> str:
    """Said as long as it is so."""
    return f"{_budget(budget)}: cannot be kept, the kernel does not tell what the probes cost"


def _budget(budget: float) -> str:
    return f"{_BUDGET}{budget * 100:.10g}%"


def relief_in(notes: Sequence[str]) -> tuple[str, ...]:
    """Those of a second's notes that are of here."""
    return tuple(note for note in notes if note.startswith((_FLOOD, _BUDGET)))


def lost_classes(asked: Controls, in_force: Controls) -> frozenset[str]:
    """Classes asked for that were given up."""
    left = {class_of(op) for op in in_force.wanted_ops}
    return frozenset(name for name in CLASSES if name in {class_of(op) for op in asked.wanted_ops} - left)
