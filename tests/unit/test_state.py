"""A name takes its children and snapshots with it, and nothing that only begins the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.state import Attached, Controls, Counts, ProbeReport, pools_of, total, under

COUNTS = st.builds(Counts, *[st.integers(0, 2**40)] * len(Counts._fields))


@pytest.mark.parametrize(
    ("dataset", "name", "inside"),
    [
        ("tank", "tank", True),
        ("tank/a", "tank", True),
        ("tank@s", "tank", True),
        ("tank/a/b@s", "tank/a", True),
        ("tank2", "tank", False),
        ("tank/ab", "tank/a", False),
        ("tank", "tank/a", False),
        ("dev 0:57", "tank", False),
    ],
)
def test_a_name_covers_itself_its_children_and_snapshots(dataset: str, name: str, inside: bool) -> None:
    assert under(dataset, name) is inside
    assert Controls(datasets=frozenset({name, "other"})).wants_dataset(dataset) is inside


def test_without_a_filter_every_dataset_is_wanted() -> None:
    assert Controls().wants_dataset("dev 0:57")


def test_only_filters_count_as_filters() -> None:
    assert not Controls(threshold_ns=10**9).filtered
    assert Controls(pids=frozenset({1})).filtered
    assert Controls(ops=frozenset({"read"})).filtered
    assert Controls(datasets=frozenset({"tank"})).filtered


@given(st.lists(COUNTS, max_size=6), COUNTS)
def test_counts_add_and_subtract_exactly(parts: list[Counts], more: Counts) -> None:
    assert total([*parts, more]).minus(more) == total(parts)
    assert total([*parts, more]) == total([more, *reversed(parts)])


def test_losses_are_what_the_user_should_have_seen() -> None:
    ones = Counts(*[1] * len(Counts._fields))
    assert ones.losses == 4
    assert Counts(below=9, filtered=9, unmatched=9, pathless=9).losses == 0


def test_pools_are_listed_once_and_an_unknown_device_has_none() -> None:
    assert pools_of(["tank/a", "fast", "tank", "dev 0:57"]) == ("fast", "tank")


def test_operations_are_listed_once_in_table_order() -> None:
    probes = [Attached(op, f"zfs_{op}", "zfs", "d", "k") for op in ("write", "read", "write")]
    assert ProbeReport(tuple(probes)).ops == ("write", "read")
