"""How much of every second a pool was syncing, whatever order its transaction groups are told in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.history import Second
from zfstop.model.state import Controls
from zfstop.model.syncing import Syncing, committed, pools_of, sync_ns
from zfstop.model.zfs_state import PoolState, Txg, ZfsState

S = 10**9


def sync(number: int, begin: int, took: int | None) -> Txg:
    """One that began to sync at ``begin`` and took so long, or still does."""
    return Txg(number, "S" if took is None else "C", begin - 6, 3, 2, 1, took or 0)


def state(*txgs: Txg, name: str = "tank") -> ZfsState:
    return ZfsState((PoolState(name, "ONLINE", txgs),))


def test_only_what_lies_in_the_span_counts_and_overlaps_count_once() -> None:
    txgs = (
        sync(1, 5, 10),
        sync(2, 40, 20),
        sync(3, 50, 5),
        sync(4, 90, None),
        Txg(5, "O", 95),
        Txg(6, "W", 10, 5),
    )
    assert sync_ns(state(*txgs), 10, 100) == 5 + 20 + 10
    both = ZfsState((*state(*txgs).pools, *state(sync(9, 30, 15), name="fast").pools))
    assert sync_ns(both, 10, 100) == 5 + 30 + 10
    assert sync_ns(both, 10, 100, {"fast"}) == 15
    assert sync_ns(both, 10, 100, {"none"}) == 0


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30) | st.none()), max_size=6)


@given(SPANS, st.integers(0, 50), st.integers(1, 50))
def test_it_is_the_number_of_moments_in_which_one_syncs(
    spans: list[tuple[int, int | None]], begin: int, length: int
) -> None:
    txgs = [sync(number, at, took) for number, (at, took) in enumerate(spans)]
    moments = range(begin, begin + length)
    told = sum(any(at <= now and (took is None or now < at + took) for at, took in spans) for now in moments)
    assert sync_ns(state(*txgs), begin, begin + length) == told


def seconds(make: Any) -> tuple[Second, ...]:
    """Four seconds: one without ZFS, one idle, one that syncs half of the time, one that still does."""
    ends = [10**12 + number * S for number in range(4)]
    half = sync(7, ends[2] - S // 2, S // 4)
    states = [
        None,
        state(),
        state(half, sync(8, ends[2] - S // 4, None)),
        state(half, sync(8, ends[2] - S // 4, S)),
    ]
    return tuple(replace(make.second(number), zfs=found) for number, found in enumerate(states))


def test_columns_hold_the_shares_of_their_seconds(make: Any) -> None:
    held = seconds(make)
    found = Syncing()

    def recorded(start: int, end: int) -> tuple[Second, ...]:
        return held[start:end]

    assert found.shares(0, 4, 1, recorded) == (None, 0, 0.5, 0.75)
    assert found.shares(0, 4, 2, recorded) == (0, 0.625)
    assert found.shares(1, 3, 2, recorded) == (0, 0.5)
    assert Syncing({"other"}).shares(0, 4, 1, recorded) == (None, 0, 0, 0)


def test_seconds_that_are_no_longer_held_have_no_share(make: Any) -> None:
    held = seconds(make)
    found = Syncing().shares(0, 4, 1, lambda start, end: held[max(2, start) : end])
    assert found == (None, None, 0.5, 0.75)


def test_committed_groups_are_told_once_as_they_were_seen_last(make: Any) -> None:
    found = committed(seconds(make))
    assert [(pool, txg.number, txg.sync_ns) for pool, txg in found] == [("tank", 7, S // 4), ("tank", 8, S)]


def test_a_filter_by_dataset_looks_at_its_pool() -> None:
    assert pools_of(Controls()) is None
    assert pools_of(Controls(datasets=frozenset({"tank/pg", "fast"}))) == {"tank", "fast"}
