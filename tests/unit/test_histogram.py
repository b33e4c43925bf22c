"""Any latency is reported at most 3.125 % off, and merging never changes what is reported."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.histogram import (
    BUCKETS,
    MAX_BITS,
    RELATIVE_ERROR,
    bucket_low,
    bucket_middle,
    bucket_of,
    enough_for,
    merge,
    percentile,
)

LATENCIES = st.integers(0, 2**MAX_BITS - 1) | st.integers(0, 5000)
MANY = st.lists(LATENCIES, min_size=1, max_size=60)
HISTOGRAMS = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 10**6), max_size=20)


def histogram(values: list[int]) -> dict[int, int]:
    return dict(Counter(map(bucket_of, values)))


def test_the_buckets_follow_one_another_without_a_gap() -> None:
    for bucket in range(1, BUCKETS):
        assert bucket_of(bucket_low(bucket)) == bucket
        assert bucket_of(bucket_low(bucket) - 1) == bucket - 1
    assert bucket_low(0) == 0
    assert bucket_low(BUCKETS) == 2**MAX_BITS


@given(LATENCIES)
def test_a_value_is_at_most_3_125_percent_from_its_bucket_middle(ns: int) -> None:
    middle = bucket_middle(bucket_of(ns))
    assert abs(middle - ns) <= RELATIVE_ERROR * ns
    assert RELATIVE_ERROR == 0.03125


@given(st.integers(2**MAX_BITS, 2**64 - 1))
def test_what_is_off_the_scale_is_in_the_last_bucket(ns: int) -> None:
    assert bucket_of(ns) == BUCKETS - 1


@given(HISTOGRAMS, HISTOGRAMS, HISTOGRAMS)
def test_merging_in_any_order_gives_the_same(a: dict[int, int], b: dict[int, int], c: dict[int, int]) -> None:
    assert merge([merge([a, b]), c]) == merge([a, merge([c, b])]) == merge([c, b, a])
    assert sum(merge([a, b, c]).values()) == sum(map(sum, (a.values(), b.values(), c.values())))


@given(MANY, MANY)
def test_merged_parts_are_the_histogram_of_the_whole(a: list[int], b: list[int]) -> None:
    assert merge([histogram(a), histogram(b)]) == histogram(a + b)


@given(MANY, st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_percentiles_rise_and_never_pass_the_maximum(values: list[int], shares: list[float]) -> None:
    found = [percentile(histogram(values), share, max(values)) for share in sorted(shares)]
    assert found == sorted(found)
    assert found[-1] <= max(values)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 0.999])
@given(values=st.lists(LATENCIES, min_size=1, max_size=1200))
def test_a_percentile_is_the_nearest_rank_within_the_error(share: float, values: list[int]) -> None:
    rank = max(1, math.ceil(Fraction(str(share)) * len(values)))
    exact = sorted(values)[rank - 1]
    assert abs(percentile(histogram(values), share, max(values)) - exact) <= RELATIVE_ERROR * exact


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_the_rank_is_exact_for_every_count(share: float) -> None:
    for count in range(1, 3000):
        rank = max(1, math.ceil(Fraction(str(share)) * count))
        below = {0: rank, 20: count - rank} if rank < count else {0: rank}
        assert percentile(below, share, 20) == 0
        assert percentile({0: rank - 1, 20: count - rank + 1}, share, 20) == 20


def test_nothing_has_a_percentile_of_0() -> None:
    assert percentile({}, 0.99, 0) == 0


@pytest.mark.parametrize(("share", "count"), [(0.5, 2), (0.9, 10), (0.99, 100), (0.999, 1000)])
def test_a_percentile_needs_so_many_samples_to_differ_from_the_maximum(share: float, count: int) -> None:
    assert enough_for(share, count)
    assert not enough_for(share, count - 1)
