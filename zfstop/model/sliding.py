"""A window over the history that moves, at the cost of what enters and leaves it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from zfstop.model.history import Second

Between = Callable[[int, int], tuple[Second, ...]]
#: How many groups are looked at to get the second at a position.
Weigh = Callable[[int], int]


class Sliding:
    """The seconds of a window of ``window`` seconds; subclasses add up what is in them.

    A step onward or back adds and takes away, a jump starts afresh. What is far behind may be fetched bit by bit: then
    the window is a shorter one that grows, which is right at any time of what it holds.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.length_ns = 0
        self._start = 0
        self._seconds: deque[Second] = deque()
        self._bottom = False

    @property
    def start(self) -> int:
        """Position of the oldest second within the window."""
        return self._start

    @property
    def end(self) -> int:
        """Position after the newest second within the window."""
        return self._start + len(self._seconds)

    @property
    def whole(self) -> bool:
        """Whether everything is in it that is held of the history."""
        return self._start <= max(0, self.end - self.window) or self._bottom

    def move_to(
        self,
        end: int,
        between: Between,
        most: int | None = None,
        floor: int = 0,
        weigh: Weigh | None = None,
        recorded: Between | None = None,
    ) -> None:
        """Make the window end before position ``end``; ``between(start, end)`` gives the seconds held there.

        With ``most``, no more than about so many groups are added at the far end of the window now, those of the
        newest seconds first; ``weigh`` tells how many these are where ``between`` leaves some out, and ``recorded``
        gives the same seconds with all that is in them. None below ``floor``.
        """
        start = max(0, end - self.window, floor)
        if 2 * (min(end, self.end) - max(start, self._start)) < len(self._seconds):
            self._forget()  # cheaper than to take most of it away
        while self._seconds and self.end > end:
            self._out(newest=True)
        while self._seconds and self._start < start:
            self._out(newest=False)
        if not self._seconds:
            self._start = end
        self._forward(end, between, most)
        self._back(start, between, most, weigh)
        self._moved(between, recorded or between)

    def _moved(self, between: Between, recorded: Between) -> None:
        """It ends where it should."""

    def _forward(self, end: int, between: Between, most: int | None) -> None:
        """What is new; when some of it is gone, or it is too much to be fetched now, all is fetched from its end."""
        fresh = between(self.end, end) if self.end < end else ()
        gone = self.end < end - len(fresh)
        if gone or (most is not None and sum(len(second.groups) for second in fresh[:-1]) > most):
            self._forget()
            self._start = end
            return
        for second in fresh:
            self._enter(second, self.end)
            self._in(second, newest=True)

    def _back(self, start: int, between: Between, most: int | None, weigh: Weigh | None) -> None:
        left = most
        self._bottom = False
        while self._start > start and (left is None or left > 0):
            found = between(self._start - 1, self._start) if left is not None else between(start, self._start)
            if not found:
                self._bottom = True
                return
            for second in reversed(found):
                self._enter(second, self._start - 1)
                self._start -= 1
                self._in(second, newest=False)
                if left is not None:
                    left -= weigh(self._start) if weigh else len(second.groups)
            if left is None:
                self._bottom = self._start > start
                return

    def _in(self, second: Second, newest: bool) -> None:
        self._seconds.append(second) if newest else self._seconds.appendleft(second)
        self.length_ns += second.length_ns

    def _out(self, newest: bool) -> None:
        position = self.end - 1 if newest else self._start
        second = self._seconds.pop() if newest else self._seconds.popleft()
        if not newest:
            self._start += 1
        self.length_ns -= second.length_ns
        self._leave(second, position)

    def _forget(self) -> None:
        self._seconds.clear()
        self.length_ns = 0
        self._start = 0

    def _enter(self, second: Second, position: int) -> None:
        """Add the second at ``position``."""
        raise NotImplementedError

    def _leave(self, second: Second, position: int) -> None:
        """Take it away again."""
        raise NotImplementedError
