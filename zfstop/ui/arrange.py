"""What is on the screen at which size. No size is refused: the least is one status line and a table. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_OPS_FROM_WIDTH = 70
#: (from this terminal height, rows of chart, banner line, lines of details), the tallest first.
_STEPS = (
    (44, 8, 1, 2),
    (36, 6, 1, 2),
    (30, 5, 1, 2),
    (24, 4, 1, 2),
    (20, 3, 1, 1),
    (16, 2, 0, 1),
    (12, 1, 0, 0),
    (0, 0, 0, 0),
)
_FULL_FROM = 8


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Heights in lines; 0 leaves a part out. ``ops``: the operations' figures stand beside the chart."""

    status: int
    notice: int
    banner: int
    chart: int
    ops: bool
    details: int
    keys: int
    stuck: int


def arrange(width: int, height: int, *, paused: bool, notice: bool, stuck: int = 0) -> Arrangement:
    """How a terminal of this size is shared out; the table takes the rest.

    ``stuck`` calls get one line at any size, and more when there is room.
    """
    _, chart, banner, details = next(step for step in _STEPS if height >= step[0])
    full = height >= _FULL_FROM
    return Arrangement(
        status=3 if full else 1,
        notice=int(notice and full),
        banner=max(banner, int(paused)),
        chart=chart,
        ops=chart > 1 and width >= _OPS_FROM_WIDTH,
        details=details,
        keys=int(full),
        stuck=min(stuck, max(1, height // 12)),
    )
