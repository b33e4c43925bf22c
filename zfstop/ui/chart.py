"""Latency over time: a line of text for every row of the chart, and the operations' figures beside it. Pure."""

from __future__ import annotations

from zfstop.model.latency import Point
from zfstop.model.rows import Row
from zfstop.text import fit
from zfstop.ui.bands import band, column, edges
from zfstop.ui.columns import NONE
from zfstop.ui.draw import Line, Part
from zfstop.units import format_threshold, format_time

#: Cells at the left that hold the scale.
SCALE_WIDTH = 7
_ONE_ROW_SCALE = "▁1us █10s "
_OPS = (("P50", 0.50), ("P99", 0.99))
OPS_WIDTH = 32


def scale_width(height: int) -> int:
    """Cells that the scale takes in a chart of ``height`` rows."""
    return len(_ONE_ROW_SCALE) if height == 1 else SCALE_WIDTH


def chart_lines(points: tuple[Point, ...], width: int, height: int, threshold_ns: int) -> list[Line]:
    """The chart from the top row down, newest second at the right; a second without slow operations is blank."""
    room = max(0, width - scale_width(height))
    shown = points[max(0, len(points) - room) :]
    columns = [column(p.p99_ns, p.max_ns, height) if p.count else " " * height for p in shown]
    lines: list[Line] = []
    for row in reversed(range(height)):
        cells = "".join(text[row] for text in columns).rjust(room)
        style = _row_style(row, height, threshold_ns)
        lines.append(((_scale(row, height), "dim"), (cells, style)))
    return lines


def _row_style(row: int, height: int, threshold_ns: int) -> str:
    """The band that a row begins in: what is red is above ten times the threshold, wherever the data are."""
    return "bar-warm" if height == 1 else "bar-" + band(edges(height)[row], threshold_ns)


def _scale(row: int, height: int) -> str:
    """What the lower edge of a row stands for."""
    if height == 1:
        return _ONE_ROW_SCALE
    return fit(format_threshold(edges(height)[row]), SCALE_WIDTH - 2, right=True) + " ▕"


def ops_title(window: int) -> str:
    """The heading above :func:`ops_lines`, ``OPS_WIDTH`` cells wide."""
    return (
        fit(f"slow/{window}s", 10) + " " + "".join(fit(name, 7, right=True) for name in ("P50", "P99", "MAX"))
    )


def ops_lines(ops: tuple[Row, ...], height: int, threshold_ns: int) -> list[Line]:
    """Figures of the slow operations, one line an operation, the one that waited most first."""
    return [_op_line(row, threshold_ns) for row in ops[:height]]


def _op_line(row: Row, threshold_ns: int) -> Line:
    parts: list[Part] = [(" " + fit(str(row.identity[0]), 10), "strong")]
    for value in (*(row.percentile(share) for _, share in _OPS), row.max_ns):
        text = NONE if value is None else format_time(value)
        parts.append((fit(text, 7, right=True), "dim" if value is None else band(value, threshold_ns)))
    return tuple(parts)
