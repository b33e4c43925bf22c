"""What a threshold would bring: events a second, told beforehand from the histograms of all calls. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from zfstop.model.histogram import Buckets, bucket_of
from zfstop.model.history import Second
from zfstop.model.state import Controls
from zfstop.units import NS_PER_S

#: Seconds looked back.
LOOK_BACK = 60


@dataclass(frozen=True, slots=True)
class Bill:
    """All calls of the last minute; ``length_ns`` is how much of it is known, 0 for nothing."""

    length_ns: int = 0
    buckets: Buckets = field(default_factory=dict)

    def per_second(self, threshold_ns: int) -> float | None:
        """Events a second at this threshold; None when nothing is known.

        Never too low: the histogram bucket that holds the threshold counts whole (6.3 % of latency wide).
        """
        if not self.length_ns:
            return None
        first = bucket_of(threshold_ns)
        found = sum(count for bucket, count in self.buckets.items() if bucket >= first)
        return found * NS_PER_S / self.length_ns


def telling(second: Second, controls: Controls) -> Second:
    """The second with the calls that ``controls`` would count, and no more; if other processes were measured in it, it
    tells nothing and has no length.
    """
    if second.controls.pids != controls.pids:
        return replace(second, length_ns=0, groups=(), events=(), stuck=(), tallies=())
    ops = controls.wanted_ops
    wanted = tuple(
        (op, dataset, tally)
        for op, dataset, tally in second.tallies
        if op in ops and controls.wants_dataset(dataset)
    )
    return replace(second, groups=(), events=(), stuck=(), tallies=wanted)
