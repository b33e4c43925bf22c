"""The operations' figures beside the chart: of all calls, slow or not, from the kernel's histograms. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zfstop.model.percentiles import Summary, merged
from zfstop.text import fit
from zfstop.ui.bands import band
from zfstop.ui.columns import NONE
from zfstop.ui.draw import Line, Part
from zfstop.units import format_rate, format_time

_NAME_WIDTH = 13
_CELL = 7


@dataclass(frozen=True, slots=True)
class Figure:
    """One column. ``latency`` values are coloured by their band; ``wide`` ones are for wide terminals only."""

    head: str
    wide: bool
    latency: bool
    value: Callable[[Summary], float | None]
    text: Callable[[float], str]


FIGURES = (
    Figure("N/s", True, False, lambda s: s.per_second, format_rate),
    Figure("SLOW", True, False, lambda s: s.slow_share, lambda share: f"{share * 100:.1f}%"),
    Figure("P50", False, True, lambda s: s.percentiles[0], format_time),
    Figure("P90", True, True, lambda s: s.percentiles[1], format_time),
    Figure("P99", False, True, lambda s: s.percentiles[2], format_time),
    Figure("P99.9", True, True, lambda s: s.percentiles[3], format_time),
    Figure("MAX", False, True, lambda s: s.max_ns, format_time),
)
_WIDE_FROM = 110


def ops_columns(width: int) -> tuple[Figure, ...]:
    """The columns for a terminal of this width."""
    return tuple(figure for figure in FIGURES if width >= _WIDE_FROM or not figure.wide)


def ops_width(figures: tuple[Figure, ...]) -> int:
    """Cells they take, names included."""
    return _NAME_WIDTH + _CELL * len(figures)


def ops_title(window: int, figures: tuple[Figure, ...]) -> str:
    """The heading above :func:`ops_lines`."""
    return fit(f"all/{window}s", _NAME_WIDTH) + "".join(fit(f.head, _CELL, right=True) for f in figures)


def ops_lines(
    calls: tuple[Summary, ...], figures: tuple[Figure, ...], height: int, threshold_ns: int
) -> list[Line]:
    """One line an operation, in the order given; those for which there is no room share the last one."""
    return [_line(summary, figures, threshold_ns) for summary in folded(calls, height)]


def folded(calls: tuple[Summary, ...], height: int) -> tuple[Summary, ...]:
    """At most ``height`` summaries; the last is of all the rest together, ``+12 quiet``."""
    if len(calls) <= height:
        return calls
    rest = calls[height - 1 :]
    return (*calls[: height - 1], merged(f"+{len(rest)} quiet", rest))


def _line(summary: Summary, figures: tuple[Figure, ...], threshold_ns: int) -> Line:
    parts: list[Part] = [(" " + fit(summary.op, _NAME_WIDTH - 1), "strong")]
    for figure in figures:
        value = figure.value(summary)
        text = NONE if value is None else figure.text(value)
        style = band(int(value), threshold_ns) if value is not None and figure.latency else "dim"
        parts.append((fit(text, _CELL, right=True), style))
    return tuple(parts)
