"""What the doctor says: facts with a verdict, each with what mends it. No files, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from zfstop.errors import UserError
from zfstop.model.state import Attached

#: The remedy for what no user can mend.
REPORT_IT = "zfstop doctor --json > ticket.json, and report it as a bug of zfstop"


class Verdict(Enum):
    """``WARN`` costs speed or comfort, never the truth of what is shown; ``FAIL`` does, or stops zfstop altogether."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Fact:
    """One line. ``remedy`` is a command or an action, empty where all is well; ``detail`` what a compiler said."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""
    detail: tuple[str, ...] = ()


def passed(name: str, text: str) -> Fact:
    """All is well."""
    return Fact(name, Verdict.PASS, text)


def warned(name: str, text: str, remedy: str) -> Fact:
    """It works, at a price."""
    return Fact(name, Verdict.WARN, text, remedy)


def failed(name: str, text: str, remedy: str) -> Fact:
    """It does not work."""
    return Fact(name, Verdict.FAIL, text, remedy)


def refused(name: str, error: UserError) -> Fact:
    """The same sentence and remedy as where the failure stops a command."""
    return Fact(name, Verdict.FAIL, error.sentence, error.remedy, tuple(error.detail.splitlines()[:20]))


@dataclass(frozen=True, slots=True)
class Served:
    """One operation: what is attached for it, or would be, and the verdict on that."""

    op: str
    fact: Fact
    probes: tuple[Attached, ...]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One call of the canary and what zfstop made of it. ``seen_ns`` None: not reported; times in nanoseconds."""

    step: str
    op: str
    fact: Fact
    caller_ns: int
    seen_ns: int | None


@dataclass(frozen=True, slots=True)
class Song:
    """The canary's part. ``fact`` sums it up or says why it did not sing; ``unchecked``: operations not traced."""

    fact: Fact
    dataset: str = ""
    sightings: tuple[Sighting, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def every_fact(self) -> tuple[Fact, ...]:
        """Of every call, then the sum."""
        return (*(sighting.fact for sighting in self.sightings), self.fact)

    @property
    def right(self) -> bool:
        """Whether every call that could be checked was reported right."""
        return bool(self.sightings) and all(fact.verdict is not Verdict.FAIL for fact in self.every_fact)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything. ``attached``: the probes were really attached; ``song`` None: nobody asked for the canary."""

    facts: tuple[Fact, ...]
    operations: tuple[Served, ...]
    attached: bool
    song: Song | None = None

    @property
    def every_fact(self) -> tuple[Fact, ...]:
        """Those of the host, of the operations and of the canary."""
        operations = tuple(served.fact for served in self.operations)
        return (*self.facts, *operations, *(self.song.every_fact if self.song else ()))

    @property
    def ready(self) -> bool:
        """Whether zfstop tells the truth here, as far as was asked."""
        fine = all(fact.verdict is not Verdict.FAIL for fact in self.every_fact)
        return self.attached and fine and (self.song is None or self.song.right)
