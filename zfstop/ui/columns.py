"""The columns of the table, in one registry: what each shows, how wide, how it sorts, from which width it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zfstop.model.rows import Row, cell_seconds, trend
from zfstop.text import fit, fit_path
from zfstop.ui.bands import trend_bar
from zfstop.units import NS_PER_S, format_rate, format_size

NONE = "-"
_GUTTER = 1
_GAP = 1
_FILE_LEAST = 6


@dataclass(frozen=True, slots=True)
class View:
    """What a cell must know besides its row: the window's exact length (ns), its seconds, and where it ends."""

    window_ns: int
    window: int
    end: int


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``shown_from`` is the table width in cells at which it appears; ``cell`` gives its text, or
    ``latency`` its value (ns), which also colours it; ``order`` is the sort key; ``grows`` are the table widths at
    which a cell is added.
    """

    key: str
    header: str
    width: int
    shown_from: int
    cell: Callable[[Row, View], str]
    order: Callable[[Row], tuple[float | str, ...]]
    descending: bool = True
    right: bool = True
    latency: Callable[[Row], int | None] | None = None
    grows: range = range(0)

    def width_at(self, total: int) -> int:
        """Width in cells within a table of ``total`` cells."""
        return self.width + sum(total >= more for more in self.grows)

    def fit(self, text: str, width: int) -> str:
        """``text`` in exactly ``width`` cells; a path loses its middle, everything else its end."""
        return fit_path(text, width) if self.key == "file" else fit(text, width, right=self.right)


def _waited(row: Row, view: View) -> str:
    return format_wait(row.waited(view.window_ns))


def format_wait(waited: float) -> str:
    """Seconds waited per second in at most five cells: ``0.004 3.102 12.40 123.4``."""
    if 0 < waited < 0.0005:
        return "<.001"
    return f"{waited:.3f}" if waited < 9.9995 else f"{waited:.2f}" if waited < 99.995 else f"{waited:.1f}"


def _trend(row: Row, view: View) -> str:
    span = cell_seconds(view.window)
    *complete, newest = trend(row, view.end, view.window)
    begun = (view.end - 1) % span + 1  # seconds that the newest cell has so far
    bars = [trend_bar(waited / (span * NS_PER_S)) for waited in complete]
    return "".join(bars) + trend_bar(newest / (begun * NS_PER_S))


def _many(values: tuple[object, ...], word: str) -> str:
    """The one value, or how many there are: never one of several as if it were all."""
    return str(values[0]) if len(values) == 1 else f"{len(values)} {word}"


def _op(row: Row, view: View) -> str:
    return _many(row.who.ops, "ops") + ("!" if row.errors else "")


def _size(row: Row, view: View) -> str:
    return format_size(row.bytes / row.count) if row.bytes else NONE


def where(row: Row) -> str:
    """``dataset:path``; for several, how many files of which dataset, or of how many."""
    who = row.who
    if len(who.files) == 1:
        dataset, path = who.files[0]
        return f"{dataset}:{path}"
    files = f"{len(who.files)} files"
    return (
        f"{who.datasets[0]}: {files}"
        if len(who.datasets) == 1
        else f"{files} of {len(who.datasets)} datasets"
    )


def _no_text(row: Row, view: View) -> str:
    """A latency column has a value instead; see ``Column.latency``."""
    return NONE


def _share(share: float) -> Callable[[Row], int | None]:
    return lambda row: row.percentile(share)


def _share_column(key: str, share: float, shown_from: int) -> Column:
    latency = _share(share)
    return Column(
        key=key,
        header=key.upper(),
        width=6,
        shown_from=shown_from,
        cell=_no_text,
        order=lambda row: (-1 if (ns := latency(row)) is None else ns,),
        latency=latency,
    )


COLUMNS: tuple[Column, ...] = (
    Column("wait", "WAIT", 5, 0, _waited, lambda row: (row.total_ns,)),
    Column("trend", "TREND", 10, 112, _trend, lambda row: (row.last, row.total_ns), right=False),
    _share_column("p50", 0.50, 100),
    _share_column("p99", 0.99, 58),
    Column("max", "MAX", 6, 0, _no_text, lambda row: (row.max_ns,),
           latency=lambda row: row.max_ns),
    Column("rate", "N/s", 5, 70, lambda row, view: format_rate(row.rate(view.window_ns)),
           lambda row: (row.count,)),
    Column("errors", "ERR", 4, 126, lambda row, view: str(row.errors or NONE), lambda row: (row.errors,)),
    Column("op", "OP", 6, 34, _op, lambda row: row.who.ops, descending=False, right=False),
    Column("size", "SIZE", 5, 92, _size, lambda row: (row.bytes / row.count,)),
    Column("pid", "PID", 7, 44, lambda row, view: _many(row.who.pids, "pids"), lambda row: row.who.pids,
           descending=False),
    Column("comm", "COMM", 8, 54, lambda row, view: _many(row.who.comms, "names"), lambda row: row.who.comms,
           descending=False, right=False, grows=range(66, 122, 8)),
    Column("file", "DATASET:FILE", _FILE_LEAST, 0, lambda row, view: where(row),
           lambda row: row.who.files[0], descending=False, right=False),
)  # fmt: skip
DEFAULT_SORT = COLUMNS[0]


def layout(total: int) -> tuple[tuple[Column, int], ...]:
    """The columns shown in a table of ``total`` cells with their widths; the last one takes what is left."""
    shown = [(column, column.width_at(total)) for column in COLUMNS[:-1] if total >= column.shown_from]
    taken = _GUTTER + sum(width + _GAP for _, width in shown)
    return (*shown, (COLUMNS[-1], max(_FILE_LEAST, total - taken)))


def column_at(x: int, total: int) -> Column | None:
    """The column under cell ``x`` of the header."""
    left = _GUTTER
    for column, width in layout(total):
        if left <= x <= left + width:
            return column
        left += width + _GAP
    return None
