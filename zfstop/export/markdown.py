"""A report as Markdown: headings of our own words, and everything else in code blocks, where nothing is markup."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from zfstop.export.parts import Chart, Facts, Note, Part, Table
from zfstop.export.report import Report, sections
from zfstop.model.heat import GLYPHS, STEPS, Slice, coarse, limits, merged
from zfstop.model.moments import clock_text
from zfstop.text import cell_width, fit, visible
from zfstop.units import format_threshold

_TICKS = re.compile("`+")
_MAP_ROWS = 15
_MAP_COLUMNS = 120
_SCALE = 8


def markdown(report: Report) -> str:
    """The whole text, ending with a newline."""
    blocks = ["# zfstop report"]
    for section in sections(report):
        blocks.append(f"## {section.title}")
        blocks += [_block(part) for part in section.parts]
    return "\n\n".join(blocks) + "\n"


def _block(part: Part) -> str:
    if isinstance(part, Note):
        return visible(part.text)
    block = fenced(list(_lines(part)))
    if isinstance(part, Table) and part.of > len(part.body):
        block += f"\n\nThe first {len(part.body):,} of {part.of:,}."
    return block


def fenced(lines: Sequence[str]) -> str:
    """A code block that none of these lines can close."""
    longest = max((len(run) for line in lines for run in _TICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join((fence, *lines, fence))


def _lines(part: Facts | Table | Chart) -> Iterator[str]:
    """Safe to show, each."""
    if isinstance(part, Chart):
        return iter(map_text(part))
    if isinstance(part, Facts):
        width = max(len(name) for name, _ in part.pairs)
        return (visible(f"{name:<{width}}  {value}") for name, value in part.pairs)
    return _aligned(part)


def _aligned(table: Table) -> Iterator[str]:
    rows = [[visible(cell) for cell in row] for row in (table.head, *table.body)]
    widths = [max(cell_width(row[i]) for row in rows) for i in range(len(table.head))]
    for row in rows:
        cells = (
            fit(cell, width, right=not left)
            for cell, width, left in zip(row, widths, table.left, strict=True)
        )
        yield "  ".join(cells).rstrip()


def map_text(chart: Chart) -> list[str]:
    """The heat map in characters, the slowest row first; a row that the threshold is in is pointed at."""
    heat, rows = chart.heat, limits(_MAP_ROWS)
    slices = folded(heat.slices, _MAP_COLUMNS)
    counted = [coarse(item.counts, rows) for item in slices]
    at = bisect_right(rows, chart.threshold_ns) - 1 if chart.threshold_ns else -1
    lines = []
    for row in reversed(range(len(rows))):
        cells = "".join(GLYPHS[bisect_right(STEPS, counts[row])] for counts in counted)
        label = f"<{format_threshold(rows[1])}" if row == 0 else format_threshold(rows[row])
        lines.append(f"{label:>{_SCALE - 2}} {'>' if row == at else '|'}{cells}|")
    known = [item for item in slices if item.seconds]
    if known:
        first, last = (clock_text(item.clock, chart.zone) for item in (known[0], known[-1]))
        lines.append(" " * _SCALE + first + last.rjust(max(len(last) + 2, len(slices) - len(first))))
    span = heat.span * -(-len(heat.slices) // max(1, len(slices)))
    steps = ", ".join(f"{glyph} {step:,}" for glyph, step in zip(GLYPHS[1:], STEPS, strict=True))
    marked = "; > threshold" if at >= 0 else ""
    return [*lines, f"calls in a cell: {steps} or more; {span} s a column{marked}"]


def folded(slices: Sequence[Slice], most: int) -> list[Slice]:
    """At most so many columns: neighbours are added."""
    size = max(1, -(-len(slices) // most))
    groups = (slices[start : start + size] for start in range(0, len(slices), size))
    return [_together([item for item in group if item.seconds] or list(group)) for group in groups]


def _together(group: Sequence[Slice]) -> Slice:
    if len(group) == 1:
        return group[0]
    seconds = sum(item.seconds for item in group)
    return Slice(group[0].clock, seconds, merged(item.counts for item in group))
