"""What measuring costs: the time the kernel spends in zfstop's own programs, and zfstop's own CPU and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import reduce

#: Counting costs the traced programs too (tests/bench/ruler.sh), so at a glance it is one second of so many.
GLANCE_EVERY = 10
#: The name that the programs around sleeps have among the operations.
WAITS = "waits"


class Watch(Enum):
    """How closely somebody looks at the costs."""

    NOT = "not at all"
    GLANCE = "one second of every ten"
    CLOSELY = "every second"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one operation: how often its programs ran in a second, and what share of one CPU that took (0.01 is 1 %).

    A call runs two programs, at entry and return. The way into them (trampoline or breakpoint) is not in it.
    """

    runs: float
    share: float

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.runs + other.runs, self.share + other.share)


@dataclass(frozen=True, slots=True)
class Usage:
    """What zfstop's own process uses: share of one CPU by all its threads, resident memory in bytes."""

    share: float
    resident: int


@dataclass(frozen=True, slots=True)
class Costs:
    """By operation, and of WAITS; ``note`` says in words why there are none (yet)."""

    of: Mapping[str, Cost] = field(default_factory=dict)
    note: str = ""
    own: Usage | None = None

    @property
    def total(self) -> Cost | None:
        """Of all operations; None when nothing is known."""
        return reduce(Cost.plus, self.of.values()) if self.of else None


def format_share(share: float) -> str:
    """Of one CPU: ``0.62%``, ``12.3%``, ``<.01%``."""
    percent = share * 100
    if 0 < percent < 0.01:
        return "<.01%"
    return f"{percent:.2f}%" if percent < 9.995 else f"{percent:.1f}%"


def format_share_briefly(share: float) -> str:
    """Of one CPU, in at most four characters up to 999 %: ``0%``, ``.03%``, ``0.8%``, ``12%``."""
    percent = share * 100
    if percent >= 9.95:
        return f"{percent:.0f}%"
    if percent >= 0.095:
        return f"{percent:.1f}%"
    return f"{max(percent, 0.01):.2f}%"[1:] if percent > 0 else "0%"
