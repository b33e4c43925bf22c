"""Columns share the width of the table."""

from __future__ import annotations

import pytest

from zfstop.model.rows import Grouping
from zfstop.ui.columns import layout


@pytest.mark.parametrize("grouping", Grouping)
def test_columns_fill_the_table_whatever_rows_are_grouped_by(grouping: Grouping) -> None:
    for total in range(40, 220):
        shown = layout(total, grouping)
        assert 1 + sum(width + 1 for _, width in shown[:-1]) + shown[-1][1] == total


@pytest.mark.parametrize(("total", "cells"), [(80, 16), (120, 26), (130, 26), (140, 26), (200, 26)])
def test_owners_have_room_where_rows_are_grouped_by_them(total: int, cells: int) -> None:
    widths = {column.key: width for column, width in layout(total, Grouping.WHERE)}
    assert widths["where"] == cells
    assert widths["file"] >= 18
