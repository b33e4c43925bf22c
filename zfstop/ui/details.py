"""The selected row in full: what its line had to cut or leave out. Pure."""

from __future__ import annotations

from zfstop.model.rows import Row, Who
from zfstop.text import fit_path
from zfstop.ui.columns import where
from zfstop.ui.draw import Cell, Line, fit_cells
from zfstop.units import format_size, format_time
from zfstop.why import breakdown, letters

_NAMED = 3


def details_lines(row: Row | None, width: int, height: int, other: str = "") -> list[Line]:
    """``height`` lines (0 to 3): who and where (and to where, for a rename), the figures, then where the time went."""
    if row is None or height <= 0:
        return []
    place = f"{where(row)} -> {other}" if other else where(row)
    first: Line = ((" ", ""), (fit_path(place, max(0, width - 2)), "strong"))
    if height == 1:
        return [first]
    lines = [first, ((" ", ""), *fit_cells(_figures(row), width - 2))]
    return [*lines, ((" ", ""), *fit_cells(_waits(row), width - 2))] if height > 2 else lines


def _waits(row: Row) -> list[Cell]:
    """The largest shares first; the small ones give way."""
    if row.waits is None:
        return [(0, ("nobody looked where the time went",), "dim")]
    shares = breakdown(row.waits, row.total_ns)
    cells: list[Cell] = [
        (place + 1, (f"{cause} {time} {share}", ""), "strong" if not place else "")
        for place, (_, cause, time, share, _) in enumerate(shares)
    ]
    return [(0, (letters(row.waits), ""), ""), *cells]


def _figures(row: Row) -> list[Cell]:
    who = row.who
    errors = f"errors {row.errors}"
    owners = tuple(owner for owner in who.wheres if owner)
    return [
        (1, (f"{_some(who.ops)} by {_some(who.comms)} {_pids(who)}",), ""),
        (2, (f"in {_some(owners)}" if owners else "", ""), ""),
        (2, (f"{row.count} slow, {format_time(row.total_ns)} waited", f"{row.count} slow"), ""),
        (3, (errors, "") if not row.errors else (errors,), "hot" if row.errors else "dim"),
        (4, (f"{format_size(row.bytes)}B asked for" if row.bytes else "", ""), ""),
        (5, (f"uid {_some(who.uids)}", ""), ""),
        (7, (f"cgroup {_some(who.cgroups)}", ""), "dim"),
        (6, (_some(who.symbols), ""), "dim"),
    ]


def _pids(who: Who) -> str:
    """``2431 (17 inside)``: as the host has it, and as the process does."""
    return _some(who.pids) + (f" ({_some(who.inner_pids)} inside)" if who.inner_pids else "")


def _some(values: tuple[object, ...]) -> str:
    """The first few of them, and how many more there are."""
    more = len(values) - _NAMED
    return ",".join(map(str, values[:_NAMED])) + (f" +{more}" if more > 0 else "")
