"""The columns of the table, in one registry: what each shows, how wide, how it sorts, from which width it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from operator import attrgetter
from typing import Any

from zfstop.model.compare import Compared, delta, verdict
from zfstop.model.drill import Call
from zfstop.model.events import Key
from zfstop.model.rows import Grouping, Order, Row, cell_seconds, trend
from zfstop.model.waits import CAUSES
from zfstop.text import fit, fit_path
from zfstop.ui.bands import trend_bar
from zfstop.ui.opname import FAILED, fit_op
from zfstop.units import NS_PER_S, format_rate, format_size
from zfstop.why import BAR_CELLS, fit_why, letters, why
from zfstop.zfs.operations import class_of

NONE = "-"
_GUTTER = 1
_GAP = 1
_FILE_LEAST = 6
#: What it has beyond this, the column that rows are grouped by may take.
_FILE_ROOMY = 24
#: Wider than any terminal: the column is there only because of the grouping.
_NEVER = 1 << 16
#: A figure before, and after; None where it is not known.
Both = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class View:
    """What a cell must know besides its row: the window's exact length (ns), its seconds, where it ends, and where
    clocks are (None: here).
    """

    window_ns: int
    window: int
    end: int
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``shown_from`` is the table width in cells at which it appears; ``cell`` gives its text, or
    ``latency`` its value (ns), which also colours it; ``order`` is the sort key; ``grows`` are the table widths at
    which a cell is added; ``always_by`` is the grouping under which it is never left out.
    """

    key: str
    header: str
    width: int
    shown_from: int
    cell: Callable[[Row, View], str]
    order: Order
    descending: bool = True
    right: bool = True
    latency: Callable[[Row], int | None] | None = None
    grows: range = range(0)
    always_by: Grouping | None = None

    def width_at(self, total: int) -> int:
        """Width in cells within a table of ``total`` cells."""
        return self.width + sum(total >= more for more in self.grows)

    def fit(self, text: str, width: int) -> str:
        """``text`` in exactly ``width`` cells; a path loses its middle, everything else its end."""
        if len(text) <= width and text.isascii():  # as most do
            return text.rjust(width) if self.right else text.ljust(width)
        if self.key == "op":
            return fit_op(text, width)
        if self.key == "why":
            return fit_why(text, width)
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
    return _many(row.who.ops, "ops") + (FAILED if row.errors else "")


def _size(row: Row, view: View) -> str:
    return format_size(row.bytes / row.count) if row.bytes else NONE


def _owner(row: Row, view: View) -> str:
    return _many(row.who.wheres, "owners") or NONE


def where(row: Row) -> str:
    """``dataset:path``; for several, how many files of which dataset, or of how many."""
    who = row.who
    if len(who.files) == 1:
        dataset, path = who.files[0]
        return f"{dataset}:{path}"
    files = f"{len(who.files)} files"
    if len(who.datasets) == 1:
        return f"{who.datasets[0]}:{who.directory}{'/' if who.directory else ''} {files}"
    pool = f"{who.pools[0]}: " if len(who.pools) == 1 and who.pools[0] else ""
    return f"{pool}{files} of {len(who.datasets)} datasets"


_FILE_OF: Callable[[Key], tuple[str, str]] = attrgetter("dataset", "path")


def _by_key(of: Callable[[Key], Any]) -> Order:
    """By what keys have of this; a row's ``who`` would be kept of 100,000 rows."""
    return lambda row: row.distinct(of)


def _by_cause(row: Row) -> tuple[float, ...]:
    """Those of one cause together, of the causes in their order (disk first when descending); then by their share."""
    main = row.waits.main if row.waits is not None else None
    return (-len(CAUSES), 0.0) if main is None else (-CAUSES.index(main[0]), main[1])


def _main_share(row: Row) -> tuple[float, ...]:
    main = row.waits.main if row.waits is not None else None
    return (0.0,) if main is None else (main[1],)


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
        order=lambda row: -1 if (ns := latency(row)) is None else ns,
        latency=latency,
    )


COLUMNS: tuple[Column, ...] = (
    Column("wait", "WAIT", 5, 0, _waited, attrgetter("total_ns")),
    Column("trend", "TREND", 10, 119, _trend, attrgetter("last", "total_ns"), right=False),
    _share_column("p50", 0.50, 142),
    _share_column("p99", 0.99, 58),
    Column("max", "MAX", 6, 0, _no_text, attrgetter("max_ns"), latency=lambda row: row.max_ns),
    Column("rate", "N/s", 5, 88, lambda row, view: format_rate(row.rate(view.window_ns)),
           attrgetter("count")),
    Column("errors", "ERR", 4, 176, lambda row, view: str(row.errors or NONE), attrgetter("errors")),
    Column("why", "WHY", 9, 69, lambda row, view: why(row.waits), _by_cause, right=False,
           grows=range(156, 172, 4), always_by=Grouping.CAUSE),
    Column("shares", "SHARES", BAR_CELLS, 128, lambda row, view: letters(row.waits), _main_share, right=False),
    Column("class", "CLASS", 8, _NEVER, lambda row, view: _many(row.who.classes, "classes"),
           _by_key(lambda key: class_of(key.op)), descending=False, right=False, always_by=Grouping.CLASS),
    Column("op", "OP", 6, 34, _op, _by_key(attrgetter("op")), descending=False, right=False,
           grows=range(70, 126, 8)),
    Column("size", "SIZE", 5, 136, _size, lambda row: row.bytes / row.count),
    Column("pid", "PID", 7, 44, lambda row, view: _many(row.who.pids, "pids"), _by_key(attrgetter("pid")),
           descending=False),
    Column("comm", "COMM", 8, 54, lambda row, view: _many(row.who.comms, "names"), _by_key(attrgetter("comm")),
           descending=False, right=False, grows=range(82, 138, 8)),
    Column("where", "WHERE", 16, 154, _owner, _by_key(attrgetter("where")), descending=False, right=False,
           grows=range(178, 218, 4), always_by=Grouping.WHERE),
    Column("file", "DATASET:FILE", _FILE_LEAST, 0, lambda row, view: where(row),
           lambda row: row.distinct(_FILE_OF)[0], descending=False, right=False),
)  # fmt: skip
DEFAULT_SORT = COLUMNS[0]
_BY_KEY = {column.key: column for column in COLUMNS}


def _call(row: Row) -> Call:
    """The row as the single call that it is."""
    assert isinstance(row, Call)
    return row


def format_clock(clock: float, zone: tzinfo | None) -> str:
    """Time of day in this zone (None: local time) to the millisecond."""
    return f"{datetime.fromtimestamp(clock, zone):%H:%M:%S.%f}"[:-3]


def format_result(row: Call) -> str:
    """The name of the error, else the number returned."""
    return row.event.errno or str(row.event.result)


def _offset(row: Row, view: View) -> str:
    offset = _call(row).event.offset
    return NONE if offset is None else str(offset)


#: The columns of single calls.
CALL_COLUMNS: tuple[Column, ...] = (
    Column("time", "TIME", 12, 0, lambda row, view: format_clock(_call(row).clock, view.zone),
           lambda row: (_call(row).clock,), right=False),
    Column("took", "TOOK", 6, 0, _no_text, attrgetter("max_ns"), latency=lambda row: row.max_ns),
    _BY_KEY["op"],
    Column("result", "RESULT", 8, 92, lambda row, view: format_result(_call(row)),
           lambda row: (_call(row).event.result,)),
    _BY_KEY["why"],
    _BY_KEY["shares"],
    _BY_KEY["size"],
    Column("offset", "OFFSET", 14, 140, _offset,
           lambda row: (-1 if (at := _call(row).event.offset) is None else at,)),
    _BY_KEY["pid"],
    Column("tid", "TID", 7, 120, lambda row, view: str(_call(row).event.tid),
           lambda row: (_call(row).event.tid,), descending=False),
    _BY_KEY["comm"],
    _BY_KEY["where"],
    _BY_KEY["file"],
)  # fmt: skip


def _pair(row: Row) -> Compared:
    """The row as the comparison that it is."""
    assert isinstance(row, Compared)
    return row


def _delta_column(key: str, header: str, shown_from: int, both: Callable[[Row], Both]) -> Column:
    def order(row: Row) -> tuple[float | str, ...]:
        before, after = both(row)
        return (-1.0 if before is None or after is None else abs(after - before),)

    return Column(key, header, 8, shown_from, lambda row, view: delta(*both(row)), order)


def _share_of_pair(share: float) -> Callable[[Row], Both]:
    return lambda row: _pair(row).percentiles(share)


#: The columns of a comparison: figures are those after, and what they changed by.
COMPARED_COLUMNS: tuple[Column, ...] = (
    _BY_KEY["wait"],
    _delta_column("dwait", "ΔWAIT", 0, lambda row: _pair(row).waits_before_after),
    Column("change", "CHANGE", 6, 0, lambda row, view: verdict(*_pair(row).waits_before_after),
           lambda row: (verdict(*_pair(row).waits_before_after),), descending=False, right=False),
    _share_column("p50", 0.50, 124),
    _delta_column("dp50", "ΔP50", 96, _share_of_pair(0.50)),
    _share_column("p99", 0.99, 124),
    _delta_column("dp99", "ΔP99", 64, _share_of_pair(0.99)),
    Column("rate", "N/s", 5, 140, lambda row, view: format_rate(row.rate(view.window_ns)), attrgetter("count")),
    _delta_column("drate", "ΔN/s", 74, lambda row: _pair(row).rates),
    *(_BY_KEY[key] for key in ("class", "op", "pid", "comm", "where", "file")),
)  # fmt: skip


def layout(
    total: int, grouping: Grouping, single: bool = False, compared: bool = False
) -> tuple[tuple[Column, int], ...]:
    """The columns shown in a table of ``total`` cells with their widths; the last one takes what is left.

    Those of single calls, or of a comparison, when the rows are such. A column that is only there because of the
    grouping makes the table narrower for the others.
    """
    registry = COMPARED_COLUMNS if compared else CALL_COLUMNS if single else COLUMNS
    extra = [column for column in registry if column.always_by is grouping and total < column.shown_from]
    room = total - sum(column.width + _GAP for column in extra)
    shown = [
        (column, column.width_at(room))
        for column in registry[:-1]
        if room >= column.shown_from or column in extra
    ]
    rest = total - _GUTTER - sum(width + _GAP for _, width in shown)
    for place, (column, width) in enumerate(shown):
        if column.always_by is grouping and rest > _FILE_ROOMY:
            more = min(rest - _FILE_ROOMY, column.width + len(column.grows) - width)
            shown[place] = column, width + more
            rest -= more
    return (*shown, (registry[-1], max(_FILE_LEAST, rest)))


def column_at(
    x: int, total: int, grouping: Grouping, single: bool = False, compared: bool = False
) -> Column | None:
    """The column under cell ``x`` of the header."""
    left = _GUTTER
    for column, width in layout(total, grouping, single, compared):
        if left <= x <= left + width:
            return column
        left += width + _GAP
    return None
