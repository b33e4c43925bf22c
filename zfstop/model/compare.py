"""Did the change help? Two pieces of the history beside each other, row by row and operation by operation. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from zfstop.model.events import Key
from zfstop.model.history import Second
from zfstop.model.percentiles import Summary
from zfstop.model.rows import Identity, Row
from zfstop.units import NS_PER_S, format_rate

#: Differences below this part are called none: a percentile read from a histogram is up to 3.1 % off.
_ALIKE = 0.05
#: From this factor on it is told as such, not in percent.
_FACTOR = 10


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of the history, as it was recorded; ``start`` is the position of its first second."""

    seconds: tuple[Second, ...]
    start: int

    @property
    def began(self) -> float:
        """Clock time (s) at which the first second began; 0 for none."""
        return self.seconds[0].clock - self.seconds[0].length_ns / NS_PER_S if self.seconds else 0.0

    @property
    def ended(self) -> float:
        """Clock time (s) at the end; 0 for none."""
        return self.seconds[-1].clock if self.seconds else 0.0

    @property
    def length_ns(self) -> int:
        """Of all its seconds."""
        return sum(second.length_ns for second in self.seconds)


class Compared(Row):
    """A row as it is after, with what it was before. One that was not there then, or is not now, has None for it.

    Of one that is gone, count and times are 0 and the keys those that it had.
    """

    __slots__ = ("after", "before", "lengths")

    def __init__(
        self, identity: Identity, before: Row | None, after: Row | None, lengths: tuple[int, int]
    ) -> None:
        """``lengths`` (ns) are those of the pieces before and after."""
        super().__init__(identity)
        self.before, self.after, self.lengths = before, after, lengths
        if after is not None:
            for name in Row.__slots__:
                setattr(self, name, getattr(after, name))
        self._who = None

    @property
    def keys(self) -> Collection[Key]:
        """Those of both."""
        return {key for row in (self.before, self.after) if row is not None for key in row.keys}

    @property
    def waits_before_after(self) -> tuple[float, float]:
        """WAIT, s/s."""
        before, after = self.before, self.after
        return (
            before.waited(self.lengths[0]) if before else 0.0,
            after.waited(self.lengths[1]) if after else 0.0,
        )

    @property
    def rates(self) -> tuple[float, float]:
        """Slow operations a second."""
        before, after = self.before, self.after
        return (
            before.rate(self.lengths[0]) if before else 0.0,
            after.rate(self.lengths[1]) if after else 0.0,
        )

    def percentiles(self, share: float) -> tuple[int | None, int | None]:
        """Of the slow operations; None where they are too few."""
        before, after = self.before, self.after
        return before.percentile(share) if before else None, after.percentile(share) if after else None


def compared(before: Iterable[Row], after: Iterable[Row], lengths: tuple[int, int]) -> tuple[Compared, ...]:
    """Every row that is in one of them, by identity."""
    old, new = ({row.identity: row for row in rows} for rows in (before, after))
    return tuple(
        Compared(key, old.get(key), new.get(key), lengths) for key in sorted(old.keys() | new.keys())
    )


#: (operation, all its calls before, after).
OpPair = tuple[str, Summary | None, Summary | None]


def pairs(before: Iterable[Summary], after: Iterable[Summary]) -> tuple[OpPair, ...]:
    """Every operation that was called in one of them, the most time waited now or then first."""
    old, new = ({item.op: item for item in items} for items in (before, after))

    def waited(op: str) -> float:
        return max(item.waited for item in (old.get(op), new.get(op)) if item is not None)

    ops = sorted(old.keys() | new.keys(), key=lambda op: (-waited(op), op))
    return tuple((op, old.get(op), new.get(op)) for op in ops)


def alike(before: float, after: float) -> bool:
    """Whether there is no difference to speak of."""
    return abs(after - before) <= _ALIKE * max(before, after)


def delta(before: float | None, after: float | None) -> str:
    """``↓ -92%``, ``↑ +35%``, ``↑ x12``, ``=``, ``new``, ``gone``; "-" where one of them is not known."""
    if before is None or after is None:
        return "-"
    if alike(before, after):
        return "="
    if not before or not after:
        return "gone" if before else "new"
    if after < before:
        return f"↓ -{min(99, round((1 - after / before) * 100))}%"
    factor = after / before
    return f"↑ x{format_rate(factor)}" if factor >= _FACTOR else f"↑ +{round((factor - 1) * 100)}%"


def verdict(before: float, after: float) -> str:
    """Of times waited, in a word."""
    if alike(before, after):
        return "same"
    if not before or not after:
        return "gone" if before else "new"
    return "better" if after < before else "worse"
