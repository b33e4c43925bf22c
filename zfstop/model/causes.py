"""Calls by the cause of most of their time. Pure."""

from __future__ import annotations

from dataclasses import replace

from zfstop.model.aggregate import stats_of
from zfstop.model.events import Event, Key
from zfstop.model.history import Second, Stats
from zfstop.model.waits import Waits

#: Stands for the cause where nobody looked.
UNKNOWN_CAUSE = "none"


def main_cause(waits: Waits | None) -> str:
    """The cause with the largest share; ``none`` where nobody looked."""
    main = waits.main if waits is not None else None
    return UNKNOWN_CAUSE if main is None else main[0]


def by_cause(second: Second) -> Second:
    """The second with one group a key and main cause, which stands in ``Key.cause``.

    Groups are split exactly where all their calls were kept one by one; else a group goes by the sum of its waits.
    """
    calls: dict[Key, list[Event]] = {}
    for event in second.events:
        calls.setdefault(event.key, []).append(event)
    groups: list[tuple[Key, Stats]] = []
    for key, stats in second.groups:
        groups += _split(key, stats, calls.get(key, []))
    return replace(second, groups=tuple(groups))


def _split(key: Key, stats: Stats, calls: list[Event]) -> list[tuple[Key, Stats]]:
    if len(calls) != stats.count or len(calls) < 2:
        return [(key._replace(cause=main_cause(stats.waits)), stats)]
    parts: dict[str, list[Event]] = {}
    for event in calls:
        parts.setdefault(main_cause(event.waits), []).append(event)
    return [(key._replace(cause=cause), stats_of(part)) for cause, part in parts.items()]
