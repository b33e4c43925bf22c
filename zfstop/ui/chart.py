"""Latency over time: a line of text for every row of the chart. Pure."""

from __future__ import annotations

from zfstop.model.latency import Point
from zfstop.text import fit
from zfstop.ui.bands import band, column, edges
from zfstop.ui.draw import Line
from zfstop.units import format_threshold

#: Cells at the left that hold the scale.
SCALE_WIDTH = 7
_ONE_ROW_SCALE = "▁1us █10s "


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
