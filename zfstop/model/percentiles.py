"""Percentiles of all calls of an operation, from the kernel's histograms: never of the slow ones alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from zfstop.model.bill import Bill
from zfstop.model.histogram import bucket_low, bucket_middle, enough_for, merge, percentile
from zfstop.model.history import Second, Tally
from zfstop.model.sliding import Sliding
from zfstop.model.state import Controls

SHARES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Summary:
    """One operation over some seconds. Times in ns; a percentile of too few calls is None.

    ``max_ns`` is exact when the longest call was slow and streamed, else within the error of a bucket (3.1 %).
    ``longest_ns`` is the longest streamed one.
    """

    op: str
    tally: Tally
    slow: int
    longest_ns: int
    length_ns: int
    percentiles: tuple[int | None, ...]
    max_ns: int

    @property
    def calls(self) -> int:
        """All calls that were timed."""
        return self.tally.calls

    @property
    def errors(self) -> int:
        """Those that failed."""
        return self.tally.errors

    @property
    def bytes(self) -> int:
        """What was really moved."""
        return self.tally.bytes

    @property
    def per_second(self) -> float:
        """Calls a second."""
        return self.calls * 1e9 / self.length_ns if self.length_ns else 0.0

    @property
    def waited(self) -> float:
        """Seconds spent in it per second: the mean number of threads that were in it."""
        return self.tally.total_ns / self.length_ns if self.length_ns else 0.0

    @property
    def slow_share(self) -> float:
        """Part of the calls that was slow, 0 to 1."""
        return self.slow / self.calls if self.calls else 0.0


def summarize(op: str, tally: Tally, slow: int, longest_ns: int, length_ns: int) -> Summary:
    """``slow`` calls of ``tally`` were slow, the longest of them took ``longest_ns``; over ``length_ns``."""
    top = max(tally.buckets, default=0)
    max_ns = longest_ns if longest_ns >= bucket_low(top) else bucket_middle(top)
    found = tuple(
        percentile(tally.buckets, share, max_ns) if enough_for(share, tally.calls) else None
        for share in SHARES
    )
    return Summary(op, tally, slow, longest_ns, length_ns, found, max_ns if tally.calls else 0)


def merged(name: str, parts: Sequence[Summary]) -> Summary:
    """Several operations of the same seconds as one: their histograms are added, nothing is averaged."""
    sums = _Sums()
    for part in parts:
        sums.add(part.tally, 1)
    slow = sum(part.slow for part in parts)
    longest_ns = max((part.longest_ns for part in parts), default=0)
    length_ns = max((part.length_ns for part in parts), default=0)
    return summarize(name, sums.tally, slow, longest_ns, length_ns)


def summaries(seconds: Iterable[Second], controls: Controls | None = None) -> tuple[Summary, ...]:
    """One for each operation that was called, the most time waited first; of wanted datasets only, when asked."""
    calls = RollingCalls(0, controls)
    for second in seconds:
        calls.enter(second)
    return calls.summaries()


@dataclass(slots=True)
class _Sums:
    """A Tally that changes."""

    calls: int = 0
    errors: int = 0
    total_ns: int = 0
    bytes: int = 0
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, tally: Tally, sign: int) -> None:
        self.calls += sign * tally.calls
        self.errors += sign * tally.errors
        self.total_ns += sign * tally.total_ns
        self.bytes += sign * tally.bytes
        buckets = self.buckets
        for bucket, count in tally.buckets.items():
            left = buckets.get(bucket, 0) + sign * count
            if left:
                buckets[bucket] = left
            else:
                del buckets[bucket]

    @property
    def tally(self) -> Tally:
        return Tally(self.calls, self.errors, self.total_ns, self.bytes, dict(self.buckets))


class RollingCalls(Sliding):
    """All calls within a window that moves, at the cost of what enters and leaves it."""

    def __init__(self, window: int, controls: Controls | None = None) -> None:
        """``window`` is in seconds; a :class:`Second` counts as one whatever its exact length."""
        super().__init__(window)
        self._controls = controls
        self._sums: dict[str, _Sums] = {}

    def enter(self, second: Second) -> None:
        """The next second."""
        self._enter(second, self.end)
        self._in(second, newest=True)

    def summaries(self) -> tuple[Summary, ...]:
        """One for each operation that was called, the most time waited first."""
        slow: dict[str, int] = {}
        longest: dict[str, int] = {}
        for second in self._seconds:
            for key, stats in second.groups:
                slow[key.op] = slow.get(key.op, 0) + stats.count
                longest[key.op] = max(stats.max_ns, longest.get(key.op, 0))
        found = [
            summarize(op, sums.tally, slow.get(op, 0), longest.get(op, 0), self.length_ns)
            for op, sums in self._sums.items()
        ]
        return tuple(sorted(found, key=lambda item: (-item.tally.total_ns, item.op)))

    def bill(self) -> Bill:
        """What each threshold would have brought."""
        return Bill(
            self.length_ns,
            merge(sums.buckets for sums in self._sums.values()),
        )

    def _forget(self) -> None:
        super()._forget()
        self._sums.clear()

    def _enter(self, second: Second, position: int) -> None:
        self._add(second, 1)

    def _leave(self, second: Second, position: int) -> None:
        self._add(second, -1)

    def _add(self, second: Second, sign: int) -> None:
        for op, dataset, tally in second.tallies:
            if self._controls is None or self._controls.wants_dataset(dataset):
                sums = self._sums.setdefault(op, _Sums())
                sums.add(tally, sign)
                if not sums.calls:
                    del self._sums[op]
