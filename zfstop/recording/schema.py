"""What a recording is: its format and tables (the package tells what they mean), and what it is in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from zfstop import __version__
from zfstop.model.history import Second
from zfstop.model.state import Host, ProbeReport

FORMAT: Final = 1
#: "ZFST" at byte 68, for file(1).
APPLICATION_ID: Final = 0x5A465354
#: Compared letter by letter when a file is opened: a change here is a new FORMAT.
SCHEMA: Final = {
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "texts": "CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    "keys": (
        "CREATE TABLE keys (id INTEGER PRIMARY KEY, op INTEGER, pid INTEGER, comm INTEGER, uid INTEGER,"
        " cgroup INTEGER, dataset INTEGER, path INTEGER, symbol INTEGER)"
    ),
    "seconds": (
        "CREATE TABLE seconds (id INTEGER PRIMARY KEY, clock REAL, mono_ns INTEGER, length_ns INTEGER,"
        " threshold_ns INTEGER, filters TEXT, in_flight INTEGER, thinned INTEGER, slots INTEGER, notes TEXT)"
    ),
    "counters": (
        "CREATE TABLE counters (second INTEGER, slot INTEGER, counter INTEGER, value INTEGER,"
        " PRIMARY KEY (second, slot, counter)) WITHOUT ROWID"
    ),
    "groups": (
        "CREATE TABLE groups (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, calls INTEGER, errors INTEGER,"
        " total_ns INTEGER, max_ns INTEGER, bytes INTEGER, buckets TEXT)"
    ),
    "tallies": (
        "CREATE TABLE tallies (id INTEGER PRIMARY KEY, second INTEGER, op INTEGER, dataset INTEGER, errors INTEGER,"
        " total_ns INTEGER, bytes INTEGER, buckets TEXT)"
    ),
    "stuck": (
        "CREATE TABLE stuck (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, tid INTEGER, age_ns INTEGER,"
        " file_offset INTEGER, size INTEGER, waits_in INTEGER)"
    ),
    "events": (
        "CREATE TABLE events (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, before_ns INTEGER,"
        " latency_ns INTEGER, tid INTEGER, file_offset INTEGER, size INTEGER, result INTEGER, ino INTEGER,"
        " bucket INTEGER)"
    ),
}
PER_SECOND: Final = 1 << 20
MAX_INT: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Meta:
    """What a recording is of. ``started`` is ISO 8601 with a zone; ``place`` is free text and may be empty."""

    host: Host
    started: str
    place: str = ""
    probes: ProbeReport = field(default_factory=ProbeReport)
    zfstop: str = __version__


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was read and checked as a whole; the file is closed again."""

    meta: Meta
    _seconds: tuple[Second, ...]

    def seconds(self) -> tuple[Second, ...]:
        """All seconds, in order of time."""
        return self._seconds
