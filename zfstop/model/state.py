"""The state around the events: who measures, with what in force, attached where, and in what condition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from zfstop.model.events import pool_of
from zfstop.zfs.operations import DEFAULT_CLASSES, wanted


class Counts(NamedTuple):
    """Counters of one probe, in the order of ``events.COUNTERS``; see program.c for where each is counted.

    ``missed`` returns are counted there when the thread comes again, and in kernel/in_flight.py when it cannot;
    entries that the kernel skipped are added in kernel/source.py.
    """

    entered: int = 0
    returned: int = 0
    seen: int = 0
    below: int = 0
    filtered: int = 0
    lost: int = 0
    full: int = 0
    rejected: int = 0
    unmatched: int = 0
    pathless: int = 0
    filtered_dev: int = 0
    queued: int = 0
    untallied: int = 0
    missed: int = 0

    def plus(self, other: Counts) -> Counts:
        """Member-wise sum."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: Counts) -> Counts:
        """Member-wise difference: what was counted since ``other``."""
        return Counts(*(a - b for a, b in zip(self, other, strict=True)))

    @property
    def in_flight(self) -> int:
        """Of cumulative counts: calls recorded at entry that have not returned."""
        return self.entered - self.filtered - self.full - (self.returned - self.unmatched) - self.missed

    @property
    def losses(self) -> int:
        """Operations the user might have seen and did not: ring or in-flight map full, rejected, return missed."""
        return self.lost + self.full + self.rejected + self.missed


def total(counts: Iterable[Counts]) -> Counts:
    """Sum over probes."""
    result = Counts()
    for item in counts:
        result = result.plus(item)
    return result


@dataclass(frozen=True, slots=True)
class Controls:
    """What the operator asked for. Empty sets (but of classes) mean "all"."""

    threshold_ns: int = 10_000_000
    pids: frozenset[int] = frozenset()
    #: Names of pools or datasets. A name takes its children with it.
    datasets: frozenset[str] = frozenset()
    #: Operations asked for by name; they count whatever their class.
    ops: frozenset[str] = frozenset()
    classes: frozenset[str] = DEFAULT_CLASSES

    @property
    def wanted_ops(self) -> frozenset[str]:
        """Names of the operations to measure."""
        return wanted(self.ops, self.classes)

    @property
    def filtered(self) -> bool:
        """Whether anything but the threshold hides operations."""
        return bool(self.pids or self.datasets or self.ops)

    def wants_dataset(self, dataset: str) -> bool:
        """Whether a dataset (or snapshot) passes the dataset filter."""
        return not self.datasets or any(under(dataset, name) for name in self.datasets)


def under(dataset: str, name: str) -> bool:
    """Whether ``dataset`` is ``name``, a descendant of it, or a snapshot of either."""
    return dataset == name or dataset.startswith((name + "/", name + "@"))


class Phase(Enum):
    """Where the feed is on its way. The value is the word on the status line."""

    STARTING = "STARTING"
    WAITING = "WAITING"
    LIVE = "LIVE"
    FAILED = "FAILED"
    DEMO = "DEMO"
    REPLAY = "REPLAY"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something the user can mend: one sentence, and the command that mends it (may be empty)."""

    sentence: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The feed's condition; ``note`` says what is going on, in words (where and when a demo or replay was recorded)."""

    phase: Phase
    note: str = ""
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """Where the events come from."""

    name: str
    kernel: str
    zfs: str


@dataclass(frozen=True, slots=True)
class Attached:
    """One attached probe pair. Its position in ``ProbeReport.attached`` is the slot of its events and counts."""

    op: str
    symbol: str
    module: str
    decoder: str
    kind: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A candidate that was tried and not taken, and why."""

    op: str
    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What is attached for each operation, and what is not.

    ``waits`` are the functions around which sleeps are watched; their ``op`` is the cause, or "sleep" where the
    caller tells it.
    """

    attached: tuple[Attached, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = field(default=())
    waits: tuple[Attached, ...] = ()

    @property
    def ops(self) -> tuple[str, ...]:
        """Operations with at least one probe, in table order."""
        return tuple(dict.fromkeys(probe.op for probe in self.attached))


def pools_of(datasets: Iterable[str]) -> tuple[str, ...]:
    """The pools of these datasets, sorted, each once."""
    return tuple(sorted({pool_of(name) for name in datasets} - {""}))
