"""The table of the screen as texts, with every column there is: for reports. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from zfstop.export.parts import Table
from zfstop.model.compare import Compared
from zfstop.model.rows import Grouping, Row
from zfstop.ui.columns import NONE, Column, View, layout
from zfstop.units import format_time

#: Wider than what any column waits for, except those that come with a grouping.
_WIDE = 10_000
_TOP = 50


def as_table(
    rows: Sequence[Row], grouping: Grouping, single: bool, view: View, top: int = _TOP, compared: bool = False
) -> Table:
    """The first ``top`` of these rows."""
    columns = [column for column, _ in layout(_WIDE, grouping, single, compared)]
    body = tuple(tuple(_text(column, row, view) for column in columns) for row in rows[:top])
    head = tuple(column.header for column in columns)
    return Table(head, tuple(not column.right for column in columns), body, len(rows))


def as_line(row: Row, grouping: Grouping, single: bool, view: View) -> str:
    """One row in one line, every figure after its name."""
    table = as_table([row], grouping, single, view, compared=isinstance(row, Compared))
    return "  ".join(f"{name} {text}" for name, text in zip(table.head, table.body[0], strict=True))


def _text(column: Column, row: Row, view: View) -> str:
    if column.latency is None:
        return column.cell(row, view)
    ns = column.latency(row)
    return NONE if ns is None else format_time(ns)
