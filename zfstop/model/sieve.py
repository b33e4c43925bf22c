"""What of a second passes the ``/`` filter and lies where was drilled to; what of it the kernel can do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from zfstop.model.aggregate import part_of, stats_of
from zfstop.model.events import Event, Key
from zfstop.model.histogram import bucket_middle
from zfstop.model.history import Second, Stats
from zfstop.model.query import Latency, Query, Term
from zfstop.model.state import Controls, under

#: Terms that also the all-calls statistics answer, which know operations and datasets only.
_OF_TALLIES = ("op", "class", "pool", "ds")


class Sieve:
    """Lets through what passes ``query`` and is within ``scope``; remembers what it found of every key."""

    def __init__(
        self,
        query: Query,
        scope: Callable[[Key], bool] | None = None,
        scope_of_tallies: Callable[[Key], bool] | None = None,
    ) -> None:
        """``scope_of_tallies`` is asked with keys of which only operation and dataset are filled in."""
        self._query, self._scope = query, scope
        #: Those that choose among all calls.
        self.tally_terms = tuple(term for term in query.of_key if term.field in _OF_TALLIES)
        self._tally_scope = scope_of_tallies
        self._keys: dict[Key, bool] = {}
        self._tallies: dict[tuple[str, str], bool] = {}

    def __bool__(self) -> bool:
        """Whether it holds anything back."""
        return bool(self._query) or self._scope is not None

    def second(self, second: Second) -> Second:
        """The second as far as it passes.

        ``lat``, ``err`` and ``why`` choose among the calls of a group: exactly where all were kept one by one; else
        latencies by their bucket, errors and causes for the whole group. All-calls statistics answer only for
        operations and datasets. Calls in flight are never held back.
        """
        if not self:
            return second
        groups = [item for item in second.groups if self._passes(item[0])]
        events = [event for event in second.events if self._passes(event.key)]
        if self._query.of_call:
            groups = self._parts(groups, events)
            events = [event for event in events if self._query.passes_call(event)]
        return replace(
            second,
            groups=tuple(groups),
            events=tuple(events),
            thinned=max(0, sum(stats.count for _, stats in groups) - len(events)),
            tallies=tuple(item for item in second.tallies if self.passes_tally(item[0], item[1])),
        )

    def passes_tally(self, op: str, dataset: str) -> bool:
        """Whether all calls of this operation on this dataset are counted."""
        found = self._tallies.get((op, dataset))
        if found is None:
            key = Key(op, 0, "", 0, 0, dataset, "", "")
            found = all(term.of_key(key) for term in self.tally_terms)
            found = found and (self._tally_scope is None or self._tally_scope(key))
            self._tallies[op, dataset] = found
        return found

    @property
    def blind(self) -> bool:
        """Whether all-calls statistics do not answer a part of the query."""
        return len(self.tally_terms) < len(self._query.terms)

    def _passes(self, key: Key) -> bool:
        found = self._keys.get(key)
        if found is None:
            within = self._scope is None or self._scope(key)
            found = self._keys[key] = within and self._query.passes_key(key)
        return found

    def _parts(self, groups: Iterable[tuple[Key, Stats]], events: list[Event]) -> list[tuple[Key, Stats]]:
        calls: dict[Key, list[Event]] = {}
        for event in events:
            calls.setdefault(event.key, []).append(event)
        parts = ((key, self._part(stats, calls.get(key, []))) for key, stats in groups)
        return [(key, part) for key, part in parts if part is not None]

    def _part(self, stats: Stats, calls: list[Event]) -> Stats | None:
        if len(calls) >= stats.count:
            passing = [event for event in calls if self._query.passes_call(event)]
            return stats_of(passing) if passing else None
        names = {event.errno for event in calls} - {None}
        for term in self._query.of_call:
            if isinstance(term, Latency):
                continue
            if term.field == "why" and not term.of_waits(stats.waits):
                return None
            if term.field == "err" and not term.of_results(stats.count, stats.errors, map(str, names)):
                return None
        limits = [term for term in self._query.of_call if isinstance(term, Latency)]
        buckets = {
            bucket: count
            for bucket, count in stats.buckets.items()
            if all(limit.holds(min(bucket_middle(bucket), stats.max_ns)) for limit in limits)
        }
        return part_of(stats, buckets)


def narrowed(controls: Controls, query: Query) -> tuple[Controls, tuple[str, ...]]:
    """``controls`` with what of ``query`` the kernel can do exactly, and the keys of those terms.

    A term that would leave nothing is left to the screen: for the kernel an empty choice means everything.
    """
    words: list[str] = []
    for term in query.of_key:
        fewer = _fewer(controls, term)
        if fewer is not None:
            controls = fewer
            words.append(f"{term.field}:")
    return controls, tuple(dict.fromkeys(words))


def _fewer(controls: Controls, term: Term) -> Controls | None:
    if term.field in ("op", "class"):
        ops = frozenset(op for op in controls.wanted_ops if term.of_key(Key(op, 0, "", 0, 0, "", "", "")))
        return replace(controls, ops=ops) if ops else None
    if term.exclude or term.literals is None:
        return None
    if term.field == "pid":
        pids = frozenset(map(int, term.literals))
        pids = pids & controls.pids if controls.pids else pids
        return replace(controls, pids=pids) if pids else None
    if term.field in ("pool", "ds"):
        names = _common(controls.datasets, frozenset(term.literals))
        return replace(controls, datasets=names) if names and all(names) else None
    return None


def _common(old: frozenset[str], new: frozenset[str]) -> frozenset[str]:
    """The names below which lies what is below one of each; an empty ``old`` is everything."""
    if not old:
        return new
    inner = {a for a in old for b in new if under(a, b)}
    return frozenset(inner | {b for a in old for b in new if under(b, a)})


def covers(recorded: Controls, shown: Controls) -> bool:
    """Whether what ``shown`` lets through was let through by the filters a second was measured with.

    Of classes only operations asked for by name count: a class that is off is seen by its absence.
    """
    pids = not recorded.pids or (bool(shown.pids) and shown.pids <= recorded.pids)
    ops = not recorded.ops or shown.wanted_ops <= recorded.ops
    datasets = not recorded.datasets or (
        bool(shown.datasets) and all(map(recorded.wants_dataset, shown.datasets))
    )
    return pids and ops and datasets
