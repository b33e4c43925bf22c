"""A flood raises the threshold as far as it must, a calm minute gives it back, and nothing flaps."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.bill import Bill
from zfstop.model.flood import CALM, MOST, PATIENCE, Flood
from zfstop.model.histogram import bucket_of

MS = 1_000_000
ASKED = 10 * MS


def bill(calls: dict[int, int]) -> Bill:
    """``calls``: latency in ns -> how many in a second."""
    buckets: dict[int, int] = {}
    for latency, count in calls.items():
        buckets[bucket_of(latency)] = buckets.get(bucket_of(latency), 0) + count
    return Bill(10**9, buckets)


STORM = bill({15 * MS: 30_000, 35 * MS: 9_000, 90 * MS: 500})
QUIET = bill({15 * MS: 30})


def run(flood: Flood, seconds: Sequence[Bill], lost: int = 0) -> list[int]:
    """The floor after each second, each seen through the threshold that is in force in it."""
    floors = []
    for second in seconds:
        events = second.per_second(max(ASKED, flood.floor_ns)) or 0
        floors.append(flood.observe(events, lost, ASKED, second.per_second))
    return floors


def test_a_flood_raises_it_after_two_seconds_at_once_to_what_is_enough() -> None:
    assert run(Flood(), [STORM] * 4) == [0, 20 * MS, 20 * MS, 20 * MS]


def test_a_single_second_is_no_flood() -> None:
    assert run(Flood(), [STORM, QUIET] * 10) == [0] * 20


def test_a_loss_raises_it_at_once_by_a_step_at_least_and_its_echo_not_again() -> None:
    flood = Flood()
    assert run(flood, [QUIET], lost=1) == [20 * MS]
    assert run(flood, [QUIET], lost=7) == [20 * MS], "lost before the new threshold was in force"
    assert run(flood, [QUIET], lost=1) == [50 * MS]


def test_where_something_was_lost_half_of_what_came_is_to_be_left() -> None:
    calls = bill({30_000: 4000, 300_000: 3000})
    flood = Flood()
    assert flood.observe(7000, 1, 0, calls.per_second) == 50_000, "and not 1us, which hides nothing"


def test_without_a_histogram_it_goes_step_by_step_both_ways() -> None:
    flood = Flood()
    raised = [flood.observe(MOST + 1, 0, ASKED, lambda _: None) for _ in range(2 * PATIENCE)]
    assert raised == [0, 20 * MS, 20 * MS, 50 * MS]
    calm = [flood.observe(5, 0, ASKED, lambda _: None) for _ in range(2 * CALM)]
    assert (calm[CALM - 2], calm[CALM - 1], calm[-2], calm[-1]) == (50 * MS, 20 * MS, 20 * MS, 0)


def test_it_is_given_back_after_a_calm_minute_as_far_as_that_minute_allows() -> None:
    flood = Flood()
    run(flood, [bill({300 * MS: 25_000})] * 2)
    assert flood.floor_ns == 500 * MS
    floors = run(flood, [STORM] * CALM)
    assert floors[-2:] == [500 * MS, 20 * MS]
    assert run(flood, [QUIET] * CALM)[-2:] == [20 * MS, 0]


def test_asking_for_more_than_the_floor_ends_it() -> None:
    flood = Flood()
    run(flood, [STORM] * 2)
    assert flood.observe(30, 0, 100 * MS, QUIET.per_second) == 0


loads = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from([MS, 12 * MS, 30 * MS, 200 * MS, 3000 * MS]), st.integers(0, 60_000)),
        st.integers(1, 90),
    ),
    max_size=12,
)


@given(loads)
def test_no_flood_stays_and_none_is_raised_and_lowered_within_a_minute(
    curve: list[tuple[dict[int, int], int]],
) -> None:
    flood, over, now, changed = Flood(), 0, 0, -CALM
    for calls, length in curve:
        known = bill(calls)
        for _ in range(length):
            now, before = now + 1, flood.floor_ns
            events = known.per_second(max(ASKED, before)) or 0
            after = flood.observe(events, 0, ASKED, known.per_second)
            over = over + 1 if events > MOST and after == before else 0
            assert over < PATIENCE
            if after != before:
                assert after > before or now - changed >= CALM
                changed = now
