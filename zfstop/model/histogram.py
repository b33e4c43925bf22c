"""Log-linear latency histograms: 16 buckets to every power of two, so a reported value is at most 3.1 % off.

The same bucket numbers are computed in the BPF program (``bucket_of`` in program.c); merge is addition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SUB_BITS = 4
_SUB = 1 << SUB_BITS
#: Values of 2**40 ns (18 minutes) and more share the last bucket.
MAX_BITS = 40
BUCKETS = (MAX_BITS - SUB_BITS + 1) << SUB_BITS
#: Largest relative distance between a value and the middle of its bucket.
RELATIVE_ERROR = 1 / (2 * _SUB)

Buckets = Mapping[int, int]


def bucket_of(ns: int) -> int:
    """The bucket that holds ``ns`` (a non-negative int)."""
    shift = ns.bit_length() - SUB_BITS - 1
    if shift <= 0:
        return ns
    if ns >> MAX_BITS:
        return BUCKETS - 1
    return (shift << SUB_BITS) + (ns >> shift)


def bucket_low(bucket: int) -> int:
    """The smallest value in ``bucket``."""
    shift = (bucket >> SUB_BITS) - 1
    if shift <= 0:
        return bucket
    return ((bucket & (_SUB - 1)) | _SUB) << shift


def bucket_middle(bucket: int) -> int:
    """The value reported for every member of ``bucket``."""
    low = bucket_low(bucket)
    return (low + bucket_low(bucket + 1) - 1) // 2


#: The histogram of one call, by its bucket. Most groups of a second are one call: they share these.
ONE_CALL: tuple[Buckets, ...] = tuple({bucket: 1} for bucket in range(BUCKETS))


def merge(histograms: Iterable[Buckets]) -> dict[int, int]:
    """The histogram of all members together."""
    # The largest is copied whole: mostly a second is added to what was there before.
    largest, *others = sorted(histograms, key=len, reverse=True) or ({},)
    total = dict(largest)
    for histogram in others:
        for bucket, count in histogram.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def percentile(buckets: Buckets, share: float, max_ns: int) -> int:
    """The value below or at which ``share`` (0 to 1) of the members lie, never above the exact ``max_ns``.

    Nearest rank. Returns 0 for an empty histogram.
    """
    count = sum(buckets.values())
    rank = max(1, -int(-share * count // 1))
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= rank:
            return min(bucket_middle(bucket), max_ns)
    return max_ns


def enough_for(share: float, count: int) -> bool:
    """Whether ``count`` samples can tell this percentile from the maximum: 2 for p50, 100 for p99."""
    return count * (1 - share) >= 1 - 1e-9
