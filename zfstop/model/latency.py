"""Latency of the slow operations over time: one point a second for the chart, one sum an operation beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zfstop.model.events import Key
from zfstop.model.histogram import merge, percentile
from zfstop.model.history import Second, Stats, Tally
from zfstop.model.waits import Waits


@dataclass(frozen=True, slots=True)
class Point:
    """Slow operations of one second: how many, and nearest-rank p99 and exact maximum in ns (0 if there was none)."""

    count: int = 0
    p99_ns: int = 0
    max_ns: int = 0


def point(second: Second) -> Point:
    """The chart's point for ``second`` (best given one that :func:`by_operation` has made small)."""
    if not second.groups:
        return Point()
    stats = _sum([stats for _, stats in second.groups])
    return Point(stats.count, percentile(stats.buckets, 0.99, stats.max_ns), stats.max_ns)


def by_operation(second: Second) -> Second:
    """The same second with one group an operation and no names, which is all that a chart needs to add up."""
    parts: dict[str, list[Stats]] = {}
    for key, stats in second.groups:
        parts.setdefault(key.op, []).append(stats)
    groups = tuple((Key(op, 0, "", 0, 0, "", "", ""), _sum(parts[op])) for op in sorted(parts))
    return replace(second, groups=groups, events=(), stuck=(), tallies=_tallies(second))


def by_place(second: Second) -> Second:
    """The same second with one group an operation and dataset; of names only an owner that all its calls have."""
    places: dict[tuple[str, str], list[tuple[Key, Stats]]] = {}
    for item in second.groups:
        key = item[0]
        place = key.op, key.dataset
        found = places.get(place)
        if found is None:
            places[place] = [item]
        else:
            found.append(item)
    groups = tuple(
        (
            Key(op, 0, "", 0, 0, dataset, "", "", _only({key.where for key, _ in places[op, dataset]})),
            _sum([stats for _, stats in places[op, dataset]]),
        )
        for op, dataset in sorted(places)
    )
    return replace(second, groups=groups, events=(), stuck=())


def _only(names: set[str]) -> str:
    return next(iter(names)) if len(names) == 1 else ""


def _tallies(second: Second) -> tuple[tuple[str, str, Tally], ...]:
    """All calls by operation, of the datasets asked for then: the kernel tallies the others too."""
    found: dict[str, Tally] = {}
    for op, dataset, tally in second.tallies:
        if second.controls.wants_dataset(dataset):
            found[op] = tally.plus(found[op]) if op in found else tally
    return tuple((op, "", tally) for op, tally in sorted(found.items()))


def _sum(parts: list[Stats]) -> Stats:
    known = [part.waits for part in parts if part.waits is not None]
    return Stats(
        count=sum([part.count for part in parts]),
        errors=sum([part.errors for part in parts]),
        total_ns=sum([part.total_ns for part in parts]),
        max_ns=max([part.max_ns for part in parts], default=0),
        bytes=sum([part.bytes for part in parts]),
        buckets=merge([part.buckets for part in parts]),
        waits=Waits(*map(sum, zip(*known, strict=True))) if known else None,
    )
