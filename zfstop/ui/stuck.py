"""Calls that have not returned, the oldest first: in an incident nothing returns, so they are never hidden. Pure."""

from __future__ import annotations

from zfstop.model.history import InFlight
from zfstop.text import cell_width, fit, fit_path
from zfstop.ui.draw import Line
from zfstop.units import format_time
from zfstop.why import why

_WHERE_FROM_WIDTH = 90
_LEAST_PATH = 12


def stuck_lines(calls: tuple[InFlight, ...], width: int, height: int) -> list[Line]:
    """At most ``height`` lines; the first says how many there are, so that what is not listed is still counted."""
    head = f" STUCK {len(calls)} "
    lines: list[Line] = []
    for place, call in enumerate(calls[:height]):
        mark = (head, "alarm") if place == 0 else (" " * len(head), "")
        lines.append((mark, (_call(call, width - len(head)), "hot" if place == 0 else "")))
    return lines


def _call(call: InFlight, width: int) -> str:
    """``4.2s fsync postgres/2431 lxc:db tank/pg:pg_wal/0001  zil 99%  in zil_commit``; path and function give way."""
    key = call.key
    where = f"{key.where} " if width >= _WHERE_FROM_WIDTH and key.where else ""
    start = f" {format_time(call.age_ns):>6} {key.op} {key.comm}/{key.pid} {where}"
    reason = f"  {why(call.waits)}" if call.waits is not None and call.waits.total else ""
    ends = (reason + (f"  in {call.waits_in}" if call.waits_in else ""), reason)
    rooms = [width - cell_width(start) - cell_width(end) for end in ends]
    end, room = next(
        ((end, room) for end, room in zip(ends, rooms, strict=True) if room >= _LEAST_PATH), ("", 0)
    )
    if not room:
        return fit(start + f"{key.dataset}:{key.path}", width)
    return start + fit_path(f"{key.dataset}:{key.path}", room).rstrip() + end
