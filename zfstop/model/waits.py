"""Where the time of a call went: nanoseconds by cause, exclusive of each other, together the latency."""

from __future__ import annotations

from typing import NamedTuple


class Waits(NamedTuple):
    """Nanoseconds of one call, or of many together, by cause. The fields are in the order in which they are shown.

    ``disk`` a read or write of this call; ``throttle`` dirty-data delay; ``txg`` a transaction group to open or sync;
    ``zil`` the intent-log commit; ``lock`` a range lock, or another thread's read of the same block; ``memory`` ARC
    eviction; ``runqueue`` runnable, but not running; ``other`` blocked on none of these; ``cpu`` running.
    """

    disk: int = 0
    throttle: int = 0
    txg: int = 0
    zil: int = 0
    lock: int = 0
    memory: int = 0
    runqueue: int = 0
    other: int = 0
    cpu: int = 0

    @property
    def total(self) -> int:
        """All of them: the latency."""
        return sum(self)

    def plus(self, other: Waits) -> Waits:
        """Both together."""
        return Waits(*(a + b for a, b in zip(self, other, strict=True)))

    def part(self, numerator: int, denominator: int) -> Waits:
        """The same shares of less time; for estimates."""
        return Waits(*(ns * numerator // max(denominator, 1) for ns in self))

    @property
    def main(self) -> tuple[str, float] | None:
        """(cause with the largest share, that share from 0 to 1); None where there is no time at all."""
        total = sum(self)
        if total <= 0:
            return None
        largest = max(self)
        return self._fields[self.index(largest)], largest / total


CAUSES = Waits._fields


def together(first: Waits | None, second: Waits | None) -> Waits | None:
    """The sum of what is known; None when neither is."""
    if first is None or second is None:
        return first if second is None else second
    return first.plus(second)
