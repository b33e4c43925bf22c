"""A flood of events raises the threshold by itself, and gives it back when it is over: a state machine. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from zfstop.units import step_threshold

#: More events a second are of no use: nobody reads the rows, and where each is of a file of its own the history keeps
#: names for the last 7 seconds only (150,000 details). Reading 20,000 takes 1 % of a core, 11 % in that case (measured
#: with tests/bench/ring_throughput.py, 500 and 20,000 keys).
MOST = 20_000
#: Seconds above it until the threshold is raised. A loss raises it at once.
PATIENCE = 2
#: Seconds without a flood until it is lowered. What is raised and lowered takes a minute, so nothing flaps faster.
CALM = 60
#: The threshold goes to where this share of the most events is left, so that it need not be raised again at once.
_ROOM = 0.5

#: Events a second that a threshold (ns) would bring, None when nobody knows.
Price = Callable[[int], float | None]


class Flood:
    """Looks at each second once. ``floor_ns`` is the least threshold there should be; 0 for none."""

    def __init__(self, most: float = MOST) -> None:
        self._most = most
        self._over = 0
        self._settling = False
        self._needs: deque[int] = deque(maxlen=CALM)
        self.floor_ns = 0

    def observe(self, events: float, lost: int, asked_ns: int, price: Price) -> int:
        """The floor after a second with so many ``events`` and ``lost`` ones; ``price`` is by all its calls."""
        lost = 0 if self._settling else lost
        self._settling = False
        self._over = self._over + 1 if events > self._most else 0
        if lost or self._over >= PATIENCE:
            # What was too much for the ring is no help: where something was lost, half of what came is to be left.
            self.raise_now(asked_ns, price, events / 2 if lost else None)
        elif self.floor_ns > asked_ns:
            self._lower(max(asked_ns, self._need(events, asked_ns, price)), asked_ns)
        else:
            self.floor_ns = 0
        return self.floor_ns

    def raise_now(self, asked_ns: int, price: Price, most: float | None = None) -> None:
        """At least a step; as far as the histogram says when there is one, so that no more than ``most`` are left.

        The last of the flood is yet to come.
        """
        higher = step_threshold(max(asked_ns, self.floor_ns), up=True)
        room = self._most * _ROOM
        self.floor_ns = _enough(higher, price, room if most is None else min(room, most)) or higher
        self._over, self._settling = 0, True
        self._needs.clear()

    def _lower(self, need_ns: int, asked_ns: int) -> None:
        """To what was needed at most in a whole calm minute."""
        self._needs.append(need_ns)
        highest = max(self._needs)
        if len(self._needs) == CALM and highest < self.floor_ns:
            self._needs.clear()
            self.floor_ns = highest if highest > asked_ns else 0

    def _need(self, events: float, asked_ns: int, price: Price) -> int:
        """The least threshold that would have been enough; a step below the present one where nobody knows."""
        enough = _enough(asked_ns, price, self._most * _ROOM)
        if enough is not None:
            return enough
        return self.floor_ns if events > self._most * _ROOM else step_threshold(self.floor_ns, up=False)


def _enough(least_ns: int, price: Price, most: float) -> int | None:
    """The lowest of the thresholds from ``least_ns`` on that brings no more than ``most``; None when nobody knows."""
    threshold, last = least_ns, -1
    while threshold != last:
        found = price(threshold)
        if found is None:
            return None
        if found <= most:
            return threshold
        threshold, last = step_threshold(threshold, up=True), threshold
    return threshold
