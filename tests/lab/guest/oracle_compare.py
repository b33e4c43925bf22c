"""What oracle.c knows of its calls against what zfstop said of them. Pure: no files, no clock.

Each event of the program must lie, from its beginning to its end, in one system call of its own thread. In each system
call every operation that is certain must be there once, with all its fields; what else is there must be something that
call may do.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

#: What may or may not come beside what is certain. A name that the kernel has forgotten is looked up again; the path to
#: a snapshot is not the thread's own; before a file is cut, its capabilities are asked for; a copy that cannot clone
#: reads and writes.
MAY: Mapping[str, frozenset[str]] = {
    "openat": frozenset({"lookup", "xattr-get"}),
    "newfstatat": frozenset({"lookup", "getattr"}),
    "ftruncate": frozenset({"xattr-get"}),
    "unlinkat": frozenset({"lookup"}),
    "renameat2": frozenset({"lookup"}),
    "linkat": frozenset({"lookup"}),
    "readlinkat": frozenset({"lookup"}),
    "copy_file_range": frozenset({"read", "write"}),
}
_REST = b',"errno":'
_DELETED = " (deleted)"
#: Findings are for people: the first ones of a kind tell.
_SHOWN = 12


class Expected(NamedTuple):
    """An operation that must be reported once. ``offset``, ``size`` and ``result`` None: not certain."""

    op: str
    dataset: str
    path: str
    to: str | None
    offset: int | None
    size: int | None
    result: int | None


class Call(NamedTuple):
    """A system call with the caller's own times in ns; ``switched`` None: nobody looked."""

    tid: int
    begin: int
    end: int
    name: str
    expected: tuple[Expected, ...]
    switched: bool | None = None

    @property
    def took(self) -> int:
        """ns, as the caller saw it."""
        return self.end - self.begin


class Seen(NamedTuple):
    """An event of zfstop; times in ns."""

    op: str
    pid: int
    tid: int
    dataset: str
    path: str
    to: str | None
    offset: int | None
    size: int | None
    result: int
    end: int
    latency: int


@dataclass
class Comparison:
    """Operations by name. ``pairs`` are the calls of one operation only, with the event that was right."""

    expected: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    beside: Counter[str] = field(default_factory=Counter)
    surplus: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    pairs: list[tuple[Call, Seen]] = field(default_factory=list)

    def stray(self, event: Seen) -> None:
        """Count an event that is in no call of its thread."""
        self.found(self.surplus, event.op, f"in no call of its thread: {event}")

    def found(self, kind: Counter[str], op: str, text: str) -> None:
        """Count a difference and keep the first of its kind and operation."""
        kind[op] += 1
        if kind[op] <= _SHOWN:
            self.findings.append(text)


def _number(text: str) -> int | None:
    return None if text == "-" else int(text)


def parse_log(lines: Iterable[str]) -> list[Call]:
    """The log of oracle.c (its format is told there)."""
    rows = (line[:-1].split("\t") for line in lines)
    return [_call(list(group)) for _, group in groupby(rows, key=itemgetter(0, 1))]


def _call(rows: Sequence[Sequence[str]]) -> Call:
    tid, begin, end, name = rows[0][:4]
    switched = rows[0][11]
    operations = tuple(_expected(row) for row in rows if row[4] != "-")
    return Call(
        int(tid), int(begin), int(end), name, operations, None if switched == "-" else switched == "1"
    )


def _expected(row: Sequence[str]) -> Expected:
    _, _, _, _, op, dataset, path, to, offset, size, result, _ = row
    return Expected(
        op, dataset, path, None if to == "-" else to, _number(offset), _number(size), _number(result)
    )  # fmt: skip


def seen(line: bytes) -> Seen:
    """An event line of ``zfstop trace --format json``."""
    # What follows is of no interest here, and a third of the work. Within a text the quotes would be escaped.
    event = json.loads(line[: line.index(_REST)].decode() + "}")
    return Seen(
        event["op"], event["pid"], event["tid"], event["dataset"], event["path"], event.get("to"),
        event["offset"], event["size"], event["result"], event["ts_ns"],
        event["latency_ns"],
    )  # fmt: skip


def agrees(expected: Expected, event: Seen) -> bool:
    """Whether an event says what is known of the operation."""
    op, dataset, path, to, offset, size, result = expected
    return (
        op == event.op
        and path == event.path
        and (offset is None or offset == event.offset)
        and (size is None or size == event.size)
        and (result is None or result == event.result)
        and to == event.to
        and dataset == event.dataset
    )


def compare(pid: int, calls: Iterable[Call], events: Iterable[Seen], attached: Collection[str]) -> Comparison:
    """What process ``pid`` did against what was reported of it; of operations not in ``attached`` nothing can be."""
    found = Comparison()
    of_thread: dict[int, list[Seen]] = {}
    for event in sorted(events, key=attrgetter("end")):
        of_thread.setdefault(event.tid, []).append(event)
    for tid, own in groupby(sorted(calls, key=itemgetter(0, 1)), key=itemgetter(0)):
        _compare_thread(found, pid, list(own), of_thread.pop(tid, []), attached)
    for strangers in of_thread.values():
        for event in strangers:
            found.stray(event)
    return found


def _compare_thread(
    found: Comparison, pid: int, calls: Sequence[Call], events: Sequence[Seen], attached: Collection[str]
) -> None:
    """Calls of one thread and its events, both by time; the calls do not overlap."""
    at, count = 0, len(events)
    for call in calls:
        inside = []
        while at < count and events[at].end <= call.end:
            event = events[at]
            at += 1
            if event.pid == pid and event.end - event.latency >= call.begin:
                inside.append(event)
            else:
                found.stray(event)
        _compare_call(found, call, inside, attached)
    for event in events[at:]:
        found.stray(event)


def _compare_call(found: Comparison, call: Call, inside: Sequence[Seen], attached: Collection[str]) -> None:
    wanted = [expected for expected in call.expected if expected.op in attached]
    found.expected.update(expected.op for expected in wanted)
    # First those that are right: of two of the same kind a wrong one must not take the other's place.
    right = _right(wanted, inside)
    found.right.update(wanted[number].op for number in right.values())
    if right and len(call.expected) == 1:
        found.pairs += [(call, inside[at]) for at in right]
    left = [event for at, event in enumerate(inside) if at not in right]
    placed = set(right.values())
    for expected in (expected for number, expected in enumerate(wanted) if number not in placed):
        other = next((event for event in left if event.op == expected.op), None)
        if other is None:
            found.found(found.missing, expected.op, f"missing in {call.name} of {call.tid}: {expected}")
        else:
            left.remove(other)
            found.found(found.wrong, expected.op, f"wrong in {call.name}:\n  {expected}\n  {other}")
    for event in left:
        if event.op in MAY.get(call.name, ()):
            found.beside[event.op] += 1
        else:
            found.found(found.surplus, event.op, f"too much in {call.name}: {event}")


def _right(wanted: Sequence[Expected], events: Sequence[Seen]) -> dict[int, int]:
    """Place of an event -> place of the operation that it tells right: as many pairs as there can be.

    An event that tells an operation of which little is certain may be the only one that tells another: then the first
    gives it up for another one (augmenting paths; a call has a handful of operations).
    """
    of: dict[int, int] = {}

    def place(number: int, tried: set[int]) -> bool:
        for at, event in enumerate(events):
            if at not in tried and agrees(wanted[number], event):
                tried.add(at)
                if at not in of or place(of[at], tried):
                    of[at] = number
                    return True
        return False

    for number in range(len(wanted)):
        place(number, set())
    return of


def nearest_rank(values: Sequence[int], share: float) -> int:
    """Of ascending values the one at or below which ``share`` of them lie, exactly."""
    return values[max(0, -int(-share * len(values) // 1) - 1)]


def balance(counts: Mapping[str, Any]) -> int:
    """What the calls of an operation came to, from its books in the summary."""
    words = "seen below filtered filtered_dev lost full missed rejected queued in_flight"
    return sum(counts[word] for word in words.split())


@dataclass(frozen=True)
class Slept:
    """The calls that waited for their disk, against the caller's own clock. Times in ns."""

    #: Median of what a call that did not wait takes around its operation, the probes included.
    cost: int
    #: (caller's own, zfstop's) of the calls whose thread kept its processor while it was not waiting.
    kept: tuple[tuple[int, int], ...]
    #: The same of the others; where they lost it nobody knows.
    switched: tuple[tuple[int, int], ...]

    def near(self, share: float) -> int:
        """How many of ``kept`` are at most ``share`` of the caller's own time, less the cost, below it."""
        return sum(shown >= own * (1 - share) - self.cost for own, shown in self.kept)


def slept(found: Comparison) -> Slept:
    """Sort the reads by whether they waited."""
    reads = [(call.took, event.latency, call.switched) for call, event in found.pairs if event.op == "read"]
    costs = sorted(own - shown for own, shown, switched in reads if switched is None)
    return Slept(
        nearest_rank(costs, 0.5),
        tuple((own, shown) for own, shown, switched in reads if switched is False),
        tuple((own, shown) for own, shown, switched in reads if switched),
    )
