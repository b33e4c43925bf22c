"""Latency in three bands, and amounts as bars: fixed scales, so that two pictures can be compared."""

from __future__ import annotations

from bisect import bisect_right
from math import log

from zfstop.units import NS_PER_S

#: Without a threshold, this much counts as slow (ns).
_SLOW_NS = 1_000_000
_BLOCKS = " ▁▂▃▄▅▆▇█"
#: Upper limits of the steps of a trend, in seconds waited per second: half a decade each.
_TREND_STEPS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

_US, _MS = 1_000, 1_000_000
_BOTTOM, _TOP = _US, 100 * NS_PER_S
#: Limits between the rows of a chart, by number of rows. A low chart gives most room to what is slow: the rows
#: of fast operations share one. They do not depend on the data or the threshold.
_LIMITS: dict[int, tuple[int, ...]] = {
    1: (),
    2: (100 * _MS,),
    3: (10 * _MS, NS_PER_S),
    4: (10 * _MS, 100 * _MS, NS_PER_S),
    5: (_MS, 10 * _MS, 100 * _MS, NS_PER_S),
    6: (100 * _US, _MS, 10 * _MS, 100 * _MS, NS_PER_S),
    7: (10 * _US, 100 * _US, _MS, 10 * _MS, 100 * _MS, NS_PER_S),
    8: (10 * _US, 100 * _US, _MS, 10 * _MS, 100 * _MS, NS_PER_S, 10 * NS_PER_S),
}
CHART_HEIGHTS = tuple(_LIMITS)


def band(latency_ns: int, threshold_ns: int) -> str:
    """Style of a latency: ``cool`` below the threshold (it was lower before), ``warm`` to 10 x, ``hot`` above."""
    slow = threshold_ns or _SLOW_NS
    if latency_ns < slow:
        return "cool"
    return "warm" if latency_ns < 10 * slow else "hot"


def trend_bar(waited: float) -> str:
    """One cell for seconds waited per second: blank for none, then half a decade a step from 0.003 to 3."""
    return _BLOCKS[bisect_right(_TREND_STEPS, waited) + 1] if waited > 0 else " "


def edges(height: int) -> tuple[int, ...]:
    """``height + 1`` rising latencies (ns): row ``n`` from below reaches from ``edges[n]`` to ``edges[n + 1]``."""
    return (_BOTTOM, *_LIMITS[height], _TOP)


def level(latency_ns: int, height: int) -> float:
    """How high ``latency_ns`` stands in a chart of ``height`` rows: 0 to ``height``, logarithmic within a row."""
    limits = edges(height)
    clipped = min(max(latency_ns, _BOTTOM), _TOP)
    row = min(bisect_right(limits, clipped) - 1, height - 1)
    low, high = limits[row], limits[row + 1]
    return row + log(clipped / low) / log(high / low)


def column(p99_ns: int, max_ns: int, height: int) -> str:
    """One second of the chart, from the lowest row up: solid to p99, a dash at the maximum above it."""
    eighths = max(1, round(level(p99_ns, height) * 8))
    cells = [_BLOCKS[min(8, max(0, eighths - 8 * row))] for row in range(height)]
    peak = level(max_ns, height)
    row = min(int(peak), height - 1)
    if cells[row] == " ":
        cells[row] = "─" if peak - row < 0.6 else "▔"
    return "".join(cells)
