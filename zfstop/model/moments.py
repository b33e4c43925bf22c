"""Where a time lies in a history, and how far one place is from another. Pure.

A second is found by the wall time at its end. Clocks are set, hosts sleep and the demo begins again and again: from
one second to the next is as long as the clock says if that went forward, else as long as the second was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from zfstop.model.history import Timeline
from zfstop.text import fit, visible
from zfstop.units import NS_PER_S, parse_time

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_EPOCH = re.compile(r"@(\d{1,12}(?:\.\d{0,9})?)", re.ASCII)
#: A second that ends this much earlier or later is still the one that was meant.
_SLACK_S = 0.5

Clocks = Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Moment:
    """What was typed: one of them is set. ``day_s`` is the time of day, ``by_s`` a distance (below 0: earlier)."""

    day_s: int | None = None
    epoch_s: float | None = None
    by_s: float | None = None


def parse_moment(text: str) -> Moment:
    """``19:03:12``, ``19:03``, ``@1768399200``, ``-5m``, ``+90s``. Raises ValueError with a sentence."""
    words = text.strip()
    if match := _CLOCK.fullmatch(words):
        hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
        if hours < 24 and minutes < 60 and seconds < 60:
            return Moment(day_s=hours * 3600 + minutes * 60 + seconds)
    if match := _EPOCH.fullmatch(words):
        return Moment(epoch_s=float(match[1]))
    if words[:1] in ("-", "+"):
        try:
            return Moment(by_s=float(f"{words[0]}1") * parse_time(words[1:], "s") / NS_PER_S)
        except ValueError:
            pass
    shown = fit(visible(text[:40]), 40).rstrip()
    raise ValueError(f"'{shown}' is not a time; write one such as 19:03:12, -5m or @1768399200")


def find(moment: Moment, timeline: Timeline, here: int, newest: int, zone: tzinfo | None) -> int:
    """The position at which the second of ``moment`` is the newest one.

    A distance counts from ``newest``; a time of day is the one nearest to ``here``, in ``zone`` (None: local time).
    Raises ValueError with a sentence when nothing is held of that time.
    """
    first, clocks = timeline.start, timeline.clocks(timeline.start, timeline.end)
    if not clocks:
        raise ValueError("there is no second yet to go to")
    if moment.by_s is not None:
        position, left = _walk(clocks, first, newest, moment.by_s)
        if left > _SLACK_S:
            raise ValueError(_held(clocks, zone))
        return position
    low = min(clock - length / NS_PER_S for clock, length in clocks) - 1
    high = max(clock for clock, _ in clocks) + 1
    now = clocks[min(max(here - first, 1), len(clocks)) - 1][0]
    wanted = (
        _of_day(moment.day_s, now, low, high, zone) if moment.day_s is not None else [moment.epoch_s or 0.0]
    )
    within = [target for target in wanted if low <= target <= high]
    if not within:
        raise ValueError(_held(clocks, zone))
    target = min(within, key=lambda found: abs(found - now))
    return first + _index(clocks, target) + 1


def step(timeline: Timeline, here: int, by_s: int) -> int:
    """The position ``by_s`` seconds from ``here``, at least one second away where there is one; 1 s is one position."""
    first, end = timeline.start, timeline.end
    if abs(by_s) == 1:
        return min(max(here + by_s, first + 1), end)
    position, _ = _walk(timeline.clocks(first, end), first, here, by_s)
    return position


def distance_s(clocks: Clocks) -> float:
    """From the end of the first of these seconds to the end of the last."""
    return sum(_gaps(clocks))


def clock_text(clock: float, zone: tzinfo | None) -> str:
    """``19:03:12`` in this zone (None: local time)."""
    return f"{datetime.fromtimestamp(clock, zone):%H:%M:%S}"


def span_text(seconds: float) -> str:
    """``4 min 10 s``, ``1 h 2 min``, ``12 s``: the two largest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole // 60, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{hours // 24} days {hours % 24} h"


def zone_of(iso: str) -> tzinfo:
    """The offset in an ISO 8601 time; UTC where it has none."""
    offset = datetime.fromisoformat(iso).utcoffset()
    return timezone(offset) if offset is not None else UTC


def _gap(before: tuple[float, int], after: tuple[float, int]) -> float:
    gap = after[0] - before[0]
    return gap if gap > 0 else after[1] / NS_PER_S


def _gaps(clocks: Clocks) -> Iterator[float]:
    return (_gap(clocks[i - 1], clocks[i]) for i in range(1, len(clocks)))


def _walk(clocks: Clocks, first: int, here: int, by_s: float) -> tuple[int, float]:
    """(position, seconds that could not be gone because the history ends there, 0 or less for none)."""
    place, left, onward = min(max(here - first, 1), len(clocks)), abs(by_s), by_s > 0
    while left >= _SLACK_S and (place < len(clocks) if onward else place > 1):
        place += 1 if onward else -1
        lower = place - 1 if onward else place
        left -= _gap(clocks[lower - 1], clocks[lower])
    return first + place, left


def _index(clocks: Clocks, target: float) -> int:
    """The newest of the seconds that end soonest at or after ``target``; else the one that ends last."""
    later = [clock for clock, _ in clocks if clock >= target]
    found = min(later) if later else max(clock for clock, _ in clocks)
    return next(i for i in reversed(range(len(clocks))) if clocks[i][0] == found)


def _of_day(day_s: int, now: float, low: float, high: float, zone: tzinfo | None) -> list[float]:
    """Times with this time of day, on the days around these moments."""
    days = {
        datetime.fromtimestamp(moment, zone).date() + timedelta(days=more)
        for moment in (now, low, high)
        for more in (-1, 0, 1)
        if 86_400 < moment < 253_402_000_000
    }
    return [_at(day, day_s, zone) for day in days]


def _at(day: date, day_s: int, zone: tzinfo | None) -> float:
    hours, rest = divmod(day_s, 3600)
    return datetime(day.year, day.month, day.day, hours, rest // 60, rest % 60, tzinfo=zone).timestamp()


def _held(clocks: Clocks, zone: tzinfo | None) -> str:
    first, last = clocks[0][0], clocks[-1][0]
    return f"there is only {clock_text(first, zone)} to {clock_text(last, zone)} to go to"
