"""A report as one HTML file: no script, nothing fetched from anywhere, every text escaped."""

from __future__ import annotations

import html as library
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from zfstop.export.markdown import folded
from zfstop.export.parts import Chart, Facts, Note, Part, Table
from zfstop.export.report import Report, sections
from zfstop.model.heat import STEPS, Slice, coarse, limits
from zfstop.model.moments import clock_text
from zfstop.text import visible
from zfstop.units import format_threshold

_STYLE = """
:root { color-scheme: light dark; --fore: #1c2027; --back: #ffffff; --faint: #5d6672; --line: #d4d8de;
  --cool: #2468b4; --warm: #b87400; --hot: #c41f2e; }
@media (prefers-color-scheme: dark) { :root { --fore: #e4e6eb; --back: #101318; --faint: #9aa3af; --line: #343b45;
  --cool: #6cb0ff; --warm: #ffb938; --hot: #ff6b6b; } }
body { color: var(--fore); background: var(--back); font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto;
  padding: 0 1rem; max-width: 110rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
table, .mono { font-family: ui-monospace, monospace; font-size: 13px; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { padding: .15rem .6rem; text-align: right; white-space: pre; vertical-align: top; }
th { color: var(--faint); border-bottom: 1px solid var(--line); font-weight: 600; }
tbody tr:nth-child(even) { background: color-mix(in srgb, var(--fore) 5%, transparent); }
.l { text-align: left; } .facts td { text-align: left; white-space: pre-wrap; overflow-wrap: anywhere; }
.facts td:first-child { color: var(--faint); white-space: pre; }
.note { color: var(--faint); margin: .3rem 0; }
svg { display: block; width: 100%; height: auto; } svg text { font: 11px ui-monospace, monospace; fill: var(--faint); }
.c { fill: var(--cool); } .w { fill: var(--warm); } .h { fill: var(--hot); }
.limit { stroke: var(--fore); stroke-dasharray: 4 3; } .frame { fill: none; stroke: var(--line); }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
#: How strong the colour of each step is.
_SHADES = (0.35, 0.48, 0.61, 0.74, 0.87, 1.0)
_MAP_ROWS, _ROW, _LEFT, _TOP, _BOTTOM = 22, 14, 64, 8, 22
_WIDTH, _MOST_COLUMNS, _MOST_TICKS = 1200, 400, 8


def html(report: Report) -> str:
    """The whole document."""
    return "\n".join((*_document(report), ""))


def text(value: str) -> str:
    """A text from outside, as the content of an element or attribute."""
    return library.escape(visible(value))


def _document(report: Report) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{library.escape(_POLICY)}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>zfstop report of {text(report.host.name)}</title><style>{_STYLE}</style></head><body>"
    yield "<h1>zfstop report</h1>"
    for section in sections(report):
        yield f"<section><h2>{text(section.title)}</h2>"
        for part in section.parts:
            yield from _part(part)
        yield "</section>"
    yield "</body></html>"


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Note):
        yield f'<p class="note">{text(part.text)}</p>'
    elif isinstance(part, Facts):
        yield '<table class="facts">'
        yield from (f"<tr><td>{text(name)}</td><td>{text(value)}</td></tr>" for name, value in part.pairs)
        yield "</table>"
    elif isinstance(part, Table):
        yield from _table(part)
    else:
        yield from map_svg(part)


def _table(table: Table) -> Iterator[str]:
    yield '<div class="wide"><table><thead>'
    yield _row("th", table.head, table.left)
    yield "</thead><tbody>"
    yield from (_row("td", row, table.left) for row in table.body)
    yield "</tbody></table></div>"
    if table.of > len(table.body):
        yield f'<p class="note">The first {len(table.body):,} of {table.of:,}.</p>'


def _row(tag: str, cells: Sequence[str], left: Sequence[bool]) -> str:
    marked = zip(cells, left, strict=True)
    return "<tr>" + "".join(
        f'<{tag} class="l">{text(cell)}</{tag}>' if at_left else f"<{tag}>{text(cell)}</{tag}>"
        for cell, at_left in marked
    ) + "</tr>"  # fmt: skip


def map_svg(chart: Chart) -> Iterator[str]:
    """The heat map: the more calls, the stronger the colour; which, tells the place beside the threshold. What a cell
    holds is its tooltip.
    """
    rows, slices = limits(_MAP_ROWS), folded(chart.heat.slices, _MOST_COLUMNS)
    width = (_WIDTH - _LEFT) / max(1, len(slices))
    height = len(rows) * _ROW
    box = f"0 0 {_WIDTH} {height + _TOP + _BOTTOM}"
    yield f'<svg viewBox="{box}" role="img" aria-label="Latency of all calls over time">'
    yield from _scale(rows)
    for index, item in enumerate(slices):
        yield from _column(item, rows, _LEFT + index * width, width, chart)
    yield from _axis(slices, width, _TOP + height, chart)
    if chart.threshold_ns:
        y = _TOP + height - _height_of(rows, chart.threshold_ns)
        yield f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
    yield f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT}" height="{height}"/></svg>'
    limit = (
        f" The dashed line is the threshold, {format_threshold(chart.threshold_ns)}."
        if chart.threshold_ns
        else ""
    )
    span = chart.heat.span * -(-len(chart.heat.slices) // max(1, len(slices)))
    steps = ", ".join(f"{step:,}" for step in STEPS)
    yield f'<p class="note">{span} s a column; a shade stronger at {steps} calls in a cell.{limit}</p>'


def _column(item: Slice, rows: Sequence[int], x: float, width: float, chart: Chart) -> Iterator[str]:
    for row, count in enumerate(coarse(item.counts, tuple(rows))):
        if count:
            y = _TOP + (len(rows) - 1 - row) * _ROW
            top = f" to {format_threshold(rows[row + 1])}" if row + 1 < len(rows) else " and more"
            told = (
                f"{clock_text(item.clock, chart.zone)}, {format_threshold(rows[row])}{top}: {count:,} calls"
            )
            shade = _SHADES[bisect_right(STEPS, count) - 1]
            yield (
                f'<rect class="{_band(rows[row], chart.threshold_ns)}" fill-opacity="{shade}" x="{x:.1f}" y="{y}"'
                f' width="{width:.1f}" height="{_ROW}"><title>{told}</title></rect>'
            )


def _band(low_ns: int, threshold_ns: int) -> str:
    """Below the threshold, up to ten times it, above; without one, 1 ms takes its place."""
    slow = threshold_ns or 1_000_000
    return "c" if low_ns < slow else "w" if low_ns < 10 * slow else "h"


def _height_of(rows: Sequence[int], ns: int) -> float:
    """How high a latency stands, in units of the drawing, linear within a row."""
    row = bisect_right(rows, ns) - 1
    if row + 1 >= len(rows):
        return row * _ROW
    return (row + (ns - rows[row]) / (rows[row + 1] - rows[row])) * _ROW


def _scale(rows: Sequence[int]) -> Iterator[str]:
    for row, low in enumerate(rows):
        if low and str(low).strip("0") == "1":
            y = _TOP + (len(rows) - row) * _ROW + 4
            yield f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end">{format_threshold(low)}</text>'


def _axis(slices: Sequence[Slice], width: float, y: int, chart: Chart) -> Iterator[str]:
    step = max(1, -(-len(slices) // _MOST_TICKS))
    for index in range(0, len(slices), step):
        if slices[index].seconds:
            x = _LEFT + index * width
            yield f'<text x="{x:.1f}" y="{y + 15}">{clock_text(slices[index].clock, chart.zone)}</text>'
