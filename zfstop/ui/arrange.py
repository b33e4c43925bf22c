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
_ADVICE_FROM = 12
#: (from this terminal height, lines of the map with its axis). From the least on, it is shown unasked.
_MAP_STEPS = ((60, 23), (40, 16), (30, 9))
_MAP_LEAST_WIDTH = 60
_MAP_LEAST = 3
#: Lines of a chart under which there is a line on syncing pools.
_SYNCS_FROM = 3


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Heights in lines; 0 leaves a part out. ``ops``: the operations' figures stand beside the chart. ``map``: the
    chart is the heat map.
    """

    status: int
    notice: int
    banner: int
    chart: int
    ops: bool
    details: int
    keys: int
    stuck: int
    scope: int
    map: bool
    box: int
    advice: int
    syncs: int


def arrange(
    width: int,
    height: int,
    *,
    paused: bool,
    notice: bool,
    stuck: int = 0,
    scope: bool = False,
    map_asked: bool | None = None,
    box: bool = False,
    why: bool = False,
    advice: bool = False,
    syncs: bool = False,
) -> Arrangement:
    """How a terminal of this size is shared out; the table takes the rest.

    ``stuck`` calls get one line at any size, and more when there is room; ``scope`` and ``box`` get their lines at any
    size, ``advice`` where there is room, ``syncs`` its line beneath a chart of several; with ``why`` the details have a
    line of waits. ``map_asked`` is the operator's choice between map and bars, None for what suits the size.
    """
    _, chart, banner, details = next(step for step in _STEPS if height >= step[0])
    roomy = next((lines for least, lines in _MAP_STEPS if height >= least), 0)
    with_map = bool(roomy and width >= _MAP_LEAST_WIDTH) if map_asked is None else map_asked
    with_map = with_map and (roomy or chart) >= _MAP_LEAST
    if with_map:
        chart = roomy or chart
    full = height >= _FULL_FROM
    return Arrangement(
        status=3 if full else 1,
        notice=int(notice and full),
        banner=max(banner, int(paused)),
        chart=chart,
        ops=chart > 1 and width >= _OPS_FROM_WIDTH,
        details=details + int(why and details > 1),
        keys=int(full),
        stuck=min(stuck, max(1, height // 12)),
        scope=int(scope),
        map=with_map,
        box=int(box),
        advice=int(advice and height >= _ADVICE_FROM),
        syncs=int(syncs and chart >= _SYNCS_FROM),
    )
