"""What is given up first when measuring costs more than it may, and when it is taken back: a state machine. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

#: The mean of so many seconds counts, and nothing is judged by fewer than two.
MEAN_OF = 3
_LEAST = 2
#: What is given up brings the cost down to this share of the budget; below it there is room to take something back.
ROOM = 0.8
#: So many seconds in a row with room, before something is taken back.
CALM = 10
#: Nothing is taken back sooner than this after it was given up (s). Each time that it has to be given up again soon,
#: twice as long; at most the longest.
HOLD = 60
LONGEST_HOLD = 960


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to give up. Of the same ``rank`` the dearest goes first."""

    name: str
    rank: int


#: Classes are given up with all that is known of them, histograms and books too: so the most useful come last.
STEPS = (
    Step("mapped", 1),
    Step("metadata", 1),
    Step("waits", 2),
    Step("events", 3),
    Step("zvol", 4),
    Step("lifetime", 4),
    Step("space", 4),
    Step("open", 4),
    Step("data", 5),
)
_RANKS = {step.name: step.rank for step in STEPS}


@dataclass(slots=True)
class _Given:
    name: str
    at: int
    hold: int


class Ladder:
    """Looks at each second once. The last thing given up is the first to be taken back."""

    def __init__(self, budget: float) -> None:
        """``budget`` is a share of one CPU."""
        self._budget = budget
        self._now = 0
        self._recent: deque[float] = deque(maxlen=MEAN_OF)
        self._calm = 0
        self._given: list[_Given] = []
        #: name -> (when it was taken back, how long it had been kept before)
        self._back: dict[str, tuple[int, int]] = {}

    @property
    def given(self) -> tuple[str, ...]:
        """What is given up now, in the order it was."""
        return tuple(item.name for item in self._given)

    def observe(self, share: float, savings: Mapping[str, float | None]) -> tuple[str, ...]:
        """What is given up after a second that cost ``share`` of a CPU.

        ``savings`` has everything that can be given up now, and what that would save; None where nobody knows.
        """
        self._now += 1
        self._recent.append(share)
        self._calm = self._calm + 1 if share <= self._budget * ROOM else 0
        mean = sum(self._recent) / len(self._recent)
        if len(self._recent) >= _LEAST and mean > self._budget:
            self._give_up(mean, savings)
        elif self._given and self._calm >= CALM and self._now - self._given[-1].at >= self._given[-1].hold:
            self._take_back()
        return self.given

    def _give_up(self, share: float, savings: Mapping[str, float | None]) -> None:
        """As much as is needed; but what nobody knows the effect of is looked at before more goes."""
        for name in _order(savings, self.given):
            self._given.append(_Given(name, self._now, self._hold(name)))
            self._begin_anew()
            saving = savings[name]
            share -= saving or 0
            if saving is None or share <= self._budget * ROOM:
                return

    def _hold(self, name: str) -> int:
        back, held = self._back.get(name, (-LONGEST_HOLD, HOLD))
        soon = self._now - back < held
        return min(2 * held, LONGEST_HOLD) if soon else HOLD

    def _take_back(self) -> None:
        item = self._given.pop()
        self._back[item.name] = self._now, item.hold
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._recent.clear()
        self._calm = 0


def _order(savings: Mapping[str, float | None], given: tuple[str, ...]) -> list[str]:
    """What is worth giving up, in order."""
    worth = {name: -1.0 if saving is None else saving for name, saving in savings.items() if saving != 0}
    return sorted(
        (name for name in worth if name not in given), key=lambda name: (_RANKS[name], -worth[name])
    )
