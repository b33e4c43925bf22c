"""Percentiles of all calls of an operation, from the kernel's histograms: never of the slow ones alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zfstop.model.histogram import bucket_low, bucket_middle, enough_for, percentile
from zfstop.model.history import Second, Tally
from zfstop.model.state import Controls

SHARES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Summary:
    """One operation over some seconds. Times in ns; a percentile of too few calls is None.

    ``max_ns`` is exact when the longest call was slow and streamed, else within the error of a bucket (3.1 %).
    """

    op: str
    calls: int
    per_second: float
    errors: int
    bytes: int
    slow: int
    percentiles: tuple[int | None, ...]
    max_ns: int

    @property
    def slow_share(self) -> float:
        """Part of the calls that was slow, 0 to 1."""
        return self.slow / self.calls if self.calls else 0.0


def summarize(op: str, tally: Tally, slow: int, longest_ns: int, length_ns: int) -> Summary:
    """``slow`` calls of ``tally`` were slow, the longest of them took ``longest_ns``; over ``length_ns``."""
    top = max(tally.buckets, default=0)
    max_ns = longest_ns if longest_ns >= bucket_low(top) else bucket_middle(top)
    found = (
        percentile(tally.buckets, share, max_ns) if enough_for(share, tally.calls) else None
        for share in SHARES
    )
    rate = tally.calls * 1e9 / length_ns if length_ns else 0.0
    return Summary(
        op, tally.calls, rate, tally.errors, tally.bytes, slow, tuple(found), max_ns if tally.calls else 0
    )


def summaries(seconds: Iterable[Second], controls: Controls | None = None) -> tuple[Summary, ...]:
    """One for each operation that was called, the most calls first; of wanted datasets only, when asked."""
    tallies: dict[str, Tally] = {}
    slow: dict[str, int] = {}
    longest: dict[str, int] = {}
    length_ns = 0
    for second in seconds:
        length_ns += second.length_ns
        for op, dataset, tally in second.tallies:
            if controls is None or controls.wants_dataset(dataset):
                tallies[op] = tally.plus(tallies[op]) if op in tallies else tally
        for key, stats in second.groups:
            slow[key.op] = slow.get(key.op, 0) + stats.count
            longest[key.op] = max(stats.max_ns, longest.get(key.op, 0))
    found = [
        summarize(op, tally, slow.get(op, 0), longest.get(op, 0), length_ns) for op, tally in tallies.items()
    ]
    return tuple(sorted(found, key=lambda item: (-item.calls, item.op)))
