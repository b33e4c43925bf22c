"""Percentiles are of all calls, exact within the error of a bucket, and not given where there are too few."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.events import Key
from zfstop.model.histogram import RELATIVE_ERROR, bucket_of
from zfstop.model.history import History, Second, Stats, Tally
from zfstop.model.percentiles import SHARES, RollingCalls, merged, summaries, summarize
from zfstop.model.state import Controls

LATENCIES = st.lists(st.integers(0, 2**39), min_size=1, max_size=300)


def tally(latencies: list[int], errors: int = 0) -> Tally:
    buckets: dict[int, int] = {}
    for latency in latencies:
        buckets[bucket_of(latency)] = buckets.get(bucket_of(latency), 0) + 1
    return Tally(len(latencies), errors, sum(latencies), 0, buckets)


def second(*tallies: tuple[str, str, Tally], slow: tuple[tuple[Key, Stats], ...] = ()) -> Second:
    return Second(0.0, 10**9, 10**9, Controls(), groups=slow, tallies=tallies)


@given(LATENCIES)
def test_every_percentile_is_within_the_error_of_a_bucket(latencies: list[int]) -> None:
    found = summarize("read", tally(latencies), 0, 0, 10**9)
    ordered = sorted(latencies)
    for share, value in zip(SHARES, found.percentiles, strict=True):
        if value is not None:
            true = ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
            assert abs(value - true) <= true * RELATIVE_ERROR + 1
    assert abs(found.max_ns - ordered[-1]) <= ordered[-1] * RELATIVE_ERROR + 1


def test_a_percentile_of_too_few_calls_is_not_a_number() -> None:
    assert summarize("read", tally([5]), 0, 0, 1).percentiles == (None, None, None, None)
    assert summarize("read", tally([5] * 99), 0, 0, 1).percentiles[2] is None
    assert summarize("read", tally([5] * 100), 0, 0, 1).percentiles[2] == 5
    assert summarize("read", tally([5] * 999), 0, 0, 1).percentiles[3] is None


def test_the_maximum_is_exact_when_the_longest_call_was_streamed() -> None:
    assert summarize("read", tally([1000, 123_456_789]), 1, 123_456_789, 1).max_ns == 123_456_789


def test_a_streamed_maximum_does_not_stand_for_a_longer_call_that_was_lost() -> None:
    found = summarize("read", tally([1000, 900_000_000]), 1, 20_000_000, 1)
    assert abs(found.max_ns - 900_000_000) <= 900_000_000 * RELATIVE_ERROR


def test_seconds_and_datasets_are_merged_not_averaged() -> None:
    fast, slow = tally([1000] * 99), tally([10**9])
    (merged,) = summaries([second(("read", "tank/a", fast)), second(("read", "tank/b", slow))])
    assert merged.calls == 100
    assert merged.per_second == 50
    assert merged.percentiles[0] is not None
    assert merged.percentiles[0] < 1100
    assert merged.max_ns > 9 * 10**8


def test_only_wanted_datasets_are_summed() -> None:
    seconds = [second(("read", "tank/a", tally([1] * 3)), ("read", "dozer", tally([1] * 5)))]
    (found,) = summaries(seconds, Controls(datasets=frozenset({"tank"})))
    assert found.calls == 3


def test_the_slow_share_is_of_all_calls() -> None:
    key = Key("read", 1, "dd", 0, 0, "tank", "f", "zpl_iter_read")
    stats = Stats(2, 0, 2 * 10**9, 10**9, 0, {bucket_of(10**9): 2})
    (found,) = summaries([second(("read", "tank", tally([1] * 6 + [10**9] * 2)), slow=((key, stats),))])
    assert found.slow_share == 0.25


def test_the_history_sums_all_calls_since_the_start_though_seconds_are_dropped() -> None:
    history = History(capacity=2)
    for _ in range(5):
        history.append(second(("read", "tank", tally([7, 9]))))
    assert history.all_calls()["read"][0].calls == 10


CALLS = st.dictionaries(st.sampled_from(("read", "write", "evict")), LATENCIES, max_size=3)


@given(st.lists(CALLS, max_size=8), st.lists(st.integers(0, 8), max_size=6))
def test_a_window_that_moves_gives_the_same_as_its_seconds_summed(
    contents: list[dict[str, list[int]]], ends: list[int]
) -> None:
    seconds = tuple(second(*((op, "tank", tally(found)) for op, found in item.items())) for item in contents)
    rolling = RollingCalls(3)
    for end in (min(end, len(seconds)) for end in ends):
        rolling.move_to(end, lambda start, stop: seconds[max(start, 0) : stop])
        assert rolling.summaries() == summaries(seconds[max(0, end - 3) : end])


@given(st.lists(LATENCIES, min_size=1, max_size=4))
def test_operations_taken_together_are_merged_not_averaged(parts: list[list[int]]) -> None:
    singles = [summarize(f"op{n}", tally(found), 1, 0, 10**9) for n, found in enumerate(parts)]
    everything = tally([latency for found in parts for latency in found])
    assert merged("rest", singles) == summarize("rest", everything, len(parts), 0, 10**9)


def test_the_operation_with_the_most_time_waited_comes_first() -> None:
    found = summaries([second(("read", "tank", tally([5] * 100)), ("fsync", "tank", tally([10**6])))])
    assert [item.op for item in found] == ["fsync", "read"]
