"""Calls that have not returned, the oldest first: in an incident nothing returns, so they are never hidden. Pure."""

from __future__ import annotations

from zfstop.model.history import InFlight
from zfstop.text import cell_width, fit, fit_path
from zfstop.ui.draw import Line
from zfstop.units import format_time


def stuck_lines(calls: tuple[InFlight, ...], width: int, height: int) -> list[Line]:
    """At most ``height`` lines; the first says how many there are, so that what is not listed is still counted."""
    head = f" STUCK {len(calls)} "
    lines: list[Line] = []
    for place, call in enumerate(calls[:height]):
        mark = (head, "alarm") if place == 0 else (" " * len(head), "")
        lines.append((mark, (_call(call, width - len(head)), "hot" if place == 0 else "")))
    return lines


def _call(call: InFlight, width: int) -> str:
    """``4.2s fsync postgres/2431 tank/pg:pg_wal/0001  in zil_commit``; the path gives way first."""
    key = call.key
    start = f" {format_time(call.age_ns):>6} {key.op} {key.comm}/{key.pid} "
    end = f"  in {call.waits_in}" if call.waits_in else ""
    room = width - cell_width(start) - cell_width(end)
    if room < 12:
        return fit(start + f"{key.dataset}:{key.path}", width)
    return start + fit_path(f"{key.dataset}:{key.path}", room).rstrip() + end
