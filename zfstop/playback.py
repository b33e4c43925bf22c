"""Where a replay stands: a position that moves on by one every second of real time, until it is held or moved."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import tzinfo


class Playback:
    """Plays from position 1 to the end, once. For one thread; no thread of its own, it only looks at the clock."""

    def __init__(
        self, end: Callable[[], int], zone: tzinfo, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``end`` tells the last position, ``zone`` is the recording's; ``clock`` gives seconds."""
        self._end = end
        self._clock = clock
        self._base = 1
        self._since: float | None = None
        self.zone = zone

    @property
    def position(self) -> int:
        """Where it stands now."""
        gone = 0 if self._since is None else int(self._clock() - self._since)
        return min(self._base + gone, self._end())

    @property
    def playing(self) -> bool:
        """Whether it goes on; not at the end."""
        return self._since is not None and self.position < self._end()

    def play(self) -> None:
        """Go on from here."""
        self._base, self._since = self.position, self._clock()

    def hold(self, position: int) -> None:
        """Stand still at ``position``, or the nearest there is."""
        self._base, self._since = max(1, min(position, self._end())), None
