"""The selected row in full: what its line had to cut or leave out. Pure."""

from __future__ import annotations

from zfstop.model.rows import Row
from zfstop.text import fit_path
from zfstop.ui.columns import where
from zfstop.ui.draw import Cell, Line, fit_cells
from zfstop.units import format_size, format_time

_NAMED = 3


def details_lines(row: Row | None, width: int, height: int) -> list[Line]:
    """``height`` lines (0 to 2): who and where, then the figures."""
    if row is None or height <= 0:
        return []
    first: Line = ((" ", ""), (fit_path(where(row), max(0, width - 2)), "strong"))
    if height == 1:
        return [first]
    return [first, ((" ", ""), *fit_cells(_figures(row), width - 2))]


def _figures(row: Row) -> list[Cell]:
    who = row.who
    errors = f"errors {row.errors}"
    return [
        (1, (f"{_some(who.ops)} by {_some(who.comms)} {_some(who.pids)}",), ""),
        (2, (f"{row.count} slow, {format_time(row.total_ns)} waited", f"{row.count} slow"), ""),
        (3, (errors, "") if not row.errors else (errors,), "hot" if row.errors else "dim"),
        (4, (f"{format_size(row.bytes)}B asked for" if row.bytes else "", ""), ""),
        (5, (f"uid {_some(who.uids)}", ""), ""),
        (7, (f"cgroup {_some(who.cgroups)}", ""), "dim"),
        (6, (_some(who.symbols), ""), "dim"),
    ]


def _some(values: tuple[object, ...]) -> str:
    """The first few of them, and how many more there are."""
    more = len(values) - _NAMED
    return ",".join(map(str, values[:_NAMED])) + (f" +{more}" if more > 0 else "")
