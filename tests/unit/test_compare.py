"""Before and after, row by row: nothing is left out, and no difference is made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.compare import Mark, compared, delta, pairs, verdict
from zfstop.model.history import Tally
from zfstop.model.percentiles import summaries
from zfstop.model.rows import Grouping, rows

LENGTHS = (10 * 10**9, 20 * 10**9)


@pytest.mark.parametrize(
    ("before", "after", "told", "word"),
    [
        (1.0, 1.0, "=", "same"),
        (1.0, 1.04, "=", "same"),
        (100, 8, "↓ -92%", "better"),
        (100.0, 0.001, "↓ -99%", "better"),
        (100, 135, "↑ +35%", "worse"),
        (1, 12, "↑ x12.0", "worse"),
        (1, 5_000_000, "↑ x5.00M", "worse"),
        (0, 3, "new", "new"),
        (3, 0, "gone", "gone"),
        (0, 0, "=", "same"),
    ],
)
def test_a_difference_has_an_arrow_a_figure_and_a_word(
    before: float, after: float, told: str, word: str
) -> None:
    assert delta(before, after) == told
    assert verdict(before, after) == word
    assert delta(None, after) == delta(before, None) == "-"


@given(st.floats(0, 1e15), st.floats(0, 1e15))
def test_a_difference_fits_its_column_and_points_the_right_way(before: float, after: float) -> None:
    told = delta(before, after)
    assert len(told) <= 8
    assert not told.startswith("↑") or after > before
    assert not told.startswith("↓") or after < before
    if told == "=":
        assert abs(after - before) <= 0.05 * max(before, after)


def test_every_row_of_either_side_is_there_once_with_what_it_was_and_is(make: Any) -> None:
    kept, gone, new = (make.event(20 * make.MS, path=path) for path in ("kept", "gone", "new"))
    old = rows([make.second(0, (kept, gone))], Grouping.FILE)
    now = rows([make.second(9, (kept, kept, new))], Grouping.FILE)
    by_path = {row.identity[1]: row for row in compared(old, now, LENGTHS)}
    assert set(by_path) == {"kept", "gone", "new"}
    assert by_path["kept"].rates == (0.1, 0.1)
    assert by_path["kept"].waits_before_after == pytest.approx((0.002, 0.002))
    assert by_path["gone"].waits_before_after == (0.002, 0.0)
    assert (by_path["gone"].count, by_path["gone"].max_ns, by_path["gone"].after) == (0, 0, None)
    assert by_path["gone"].who.files == (("tank/db", "gone"),)
    assert (by_path["new"].before, by_path["new"].count) == (None, 1)


def test_percentiles_are_compared_only_where_there_are_enough_calls(make: Any) -> None:
    few = rows([make.second(0, (make.event(),))], Grouping.OPERATION)
    many = rows([make.second(0, tuple(make.event(40 * make.MS) for _ in range(100)))], Grouping.OPERATION)
    (row,) = compared(few, many, LENGTHS)
    before, after = row.percentiles(0.99)
    assert before is None
    assert after is not None
    assert delta(before, after) == "-"


def test_operations_are_paired_by_name_with_all_their_calls(make: Any) -> None:
    def of(*ops: str) -> Any:
        tally = Tally(10, 0, 10**9, 0, {300: 10})
        return summaries([replace(make.second(0), tallies=tuple((op, "tank", tally) for op in ops))])

    found = pairs(of("read", "write"), of("read", "fsync"))
    assert [(op, old is not None, new is not None) for op, old, new in found] == [
        ("fsync", False, True),
        ("read", True, True),
        ("write", True, False),
    ]


def test_a_mark_knows_its_time(make: Any) -> None:
    mark = Mark((make.second(3), make.second(4)), 3)
    assert (mark.began, mark.ended, mark.length_ns) == (1.8e9 + 2, 1.8e9 + 4, 2 * 10**9)
    assert (Mark((), 0).began, Mark((), 0).ended) == (0.0, 0.0)
