"""Events to groups, and what passes a filter: the reference the live collector's byte-level way must agree with.

The order of judgement is the kernel's (program.c): PID and operation at entry (``filtered``), then the threshold
(``below``), then the dataset (``filtered_dev``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import reduce

from zfstop.model.events import Event, Key
from zfstop.model.histogram import Buckets, bucket_middle, bucket_of
from zfstop.model.history import Second, Stats
from zfstop.model.state import Controls, Counts
from zfstop.model.waits import together
from zfstop.units import format_threshold

#: (operation, symbol) -> slot of its counters.
Slots = Mapping[tuple[str, str], int]


def groups_of(events: Iterable[Event]) -> tuple[tuple[Key, Stats], ...]:
    """One :class:`Stats` a key, in the order in which the keys come first. A size that is not known adds no bytes."""
    return tuple((key, stats_of(calls)) for key, calls in _by_key(events).items())


def stats_of(events: list[Event]) -> Stats:
    """The sums of one or more calls. A size that is not known adds no bytes."""
    return Stats(
        count=len(events),
        errors=sum(event.result < 0 for event in events),
        total_ns=sum(event.latency_ns for event in events),
        max_ns=max(event.latency_ns for event in events),
        bytes=sum(event.size or 0 for event in events),
        buckets=dict(Counter(event.bucket for event in events)),
        waits=reduce(together, (event.waits for event in events)),
    )


def keep(event: Event, controls: Controls) -> bool:
    """Whether the operation is slow enough and passes every filter."""
    return (
        event.latency_ns >= controls.threshold_ns
        and _wants_call(event.key, controls)
        and controls.wants_dataset(event.key.dataset)
    )


def _wants_call(key: Key, controls: Controls) -> bool:
    """The part of the filter that is known when the operation begins."""
    return (not controls.pids or key.pid in controls.pids) and key.op in controls.wanted_ops


def restrict(second: Second, asked: Controls, slots: Slots) -> Second:
    """The second as it would have been recorded with ``asked`` in force; what cannot be known is said in its notes.

    Filters are exact even where events were thinned, for groups hold every call. A raised threshold is exact where
    every call of a group was kept, else estimated from its histogram. The sum of seen, below, filtered and
    filtered_dev stays what it was, in every slot.
    """
    calls = _by_key(second.events)
    raised = asked.threshold_ns > second.controls.threshold_ns
    groups, moves = [], [Counts()] * len(second.slots)
    for key, stats in second.groups:
        rest = _slow_part(stats, calls.get(key, []), asked.threshold_ns) if raised else stats
        shown, hidden = _judged(key, stats, rest, asked)
        groups += [(key, shown)] if shown else []
        slot = slots.get((key.op, key.symbol), len(moves))
        if slot < len(moves):
            moves[slot] = moves[slot].plus(hidden)
    events = tuple(event for event in second.events if keep(event, asked))
    thinned = max(0, sum(stats.count for _, stats in groups) - len(events))
    return replace(
        second,
        controls=asked,
        groups=tuple(groups),
        events=events,
        thinned=thinned,
        slots=tuple(map(_moved, second.slots, moves)),
        notes=second.notes + _doubts(second.controls, asked, thinned),
    )


def _judged(key: Key, stats: Stats, slow: Stats | None, asked: Controls) -> tuple[Stats | None, Counts]:
    """What is left of a group, and how many of its calls are hidden by what; ``slow`` are those over the threshold."""
    if not _wants_call(key, asked):
        return None, Counts(filtered=stats.count)
    count = slow.count if slow else 0
    below = max(0, stats.count - count)
    if asked.wants_dataset(key.dataset):
        return slow, Counts(below=below)
    return None, Counts(below=below, filtered_dev=count)


def _slow_part(stats: Stats, calls: list[Event], threshold_ns: int) -> Stats | None:
    """The calls of a group that took ``threshold_ns`` or more, of which ``calls`` were kept one by one."""
    if stats.max_ns < threshold_ns:
        return None
    if len(calls) >= stats.count:
        slow = [event for event in calls if event.latency_ns >= threshold_ns]
        return stats_of(slow) if slow else None
    first = bucket_of(threshold_ns)
    return part_of(stats, {bucket: count for bucket, count in stats.buckets.items() if bucket >= first})


def part_of(stats: Stats, buckets: Buckets) -> Stats | None:
    """An estimate of the calls of a group that are in these of its buckets; None for none.

    Counts are exact, latencies within the error of a bucket, errors and sizes shared out evenly.
    """
    count = sum(buckets.values())
    if not count or count == stats.count:
        return stats if count else None
    top = max(buckets)
    max_ns = stats.max_ns if top == bucket_of(stats.max_ns) else bucket_middle(top)
    total = sum(bucket_middle(bucket) * count for bucket, count in buckets.items())
    total = min(total, stats.total_ns)
    errors, size = (part * count // stats.count for part in (stats.errors, stats.bytes))
    waits = stats.waits and stats.waits.part(total, stats.total_ns)
    return Stats(count, errors, total, max_ns, size, buckets, waits)


def _by_key(events: Iterable[Event]) -> dict[Key, list[Event]]:
    members: dict[Key, list[Event]] = {}
    for event in events:
        members.setdefault(event.key, []).append(event)
    return members


def _moved(counts: Counts, move: Counts) -> Counts:
    """Takes the hidden calls out of ``seen``, but never more than were seen.

    The counters are read a moment after the ring, so a second's groups can hold more calls than it counts.
    """
    below = min(move.below, counts.seen)
    filtered = min(move.filtered, counts.seen - below)
    by_dev = min(move.filtered_dev, counts.seen - below - filtered)
    return counts.plus(
        Counts(seen=-below - filtered - by_dev, below=below, filtered=filtered, filtered_dev=by_dev)
    )


def _doubts(recorded: Controls, asked: Controls, thinned: int) -> tuple[str, ...]:
    notes = []
    if recorded.threshold_ns > asked.threshold_ns:
        notes.append(f"recorded with a threshold of {format_threshold(recorded.threshold_ns)}")
    if recorded.filtered and replace(recorded, threshold_ns=asked.threshold_ns) != asked:
        notes.append("recorded through a filter: what it hid cannot be shown")
    if thinned and asked.threshold_ns > recorded.threshold_ns:
        notes.append(f"{thinned} operations were recorded only in sums: rows at this threshold are estimates")
    elif thinned and asked.filtered:
        notes.append(f"{thinned} operations were recorded only in sums, not one by one")
    return tuple(notes)
