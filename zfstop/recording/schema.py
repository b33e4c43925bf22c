"""What a recording is: its format and tables (the package tells what they mean), and what it is in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from zfstop import __version__
from zfstop.model.history import Second
from zfstop.model.state import Host, ProbeReport

FORMAT: Final = 3
#: "ZFST" at byte 68, for file(1).
APPLICATION_ID: Final = 0x5A465354
#: Compared letter by letter when a file is opened: a change here is a new FORMAT.
SCHEMA: Final = {
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "texts": "CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    "keys": (
        "CREATE TABLE keys (id INTEGER PRIMARY KEY, op INTEGER, pid INTEGER, comm INTEGER, uid INTEGER,"
        " cgroup INTEGER, dataset INTEGER, path INTEGER, symbol INTEGER, owner INTEGER, inner_pid INTEGER)"
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
        " total_ns INTEGER, max_ns INTEGER, bytes INTEGER, buckets TEXT, waits TEXT)"
    ),
    "tallies": (
        "CREATE TABLE tallies (id INTEGER PRIMARY KEY, second INTEGER, op INTEGER, dataset INTEGER, errors INTEGER,"
        " total_ns INTEGER, bytes INTEGER, buckets TEXT)"
    ),
    "stuck": (
        "CREATE TABLE stuck (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, tid INTEGER, age_ns INTEGER,"
        " file_offset INTEGER, size INTEGER, waits_in INTEGER, waits TEXT)"
    ),
    "events": (
        "CREATE TABLE events (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, before_ns INTEGER,"
        " latency_ns INTEGER, tid INTEGER, file_offset INTEGER, size INTEGER, result INTEGER,"
        " to_path INTEGER, bucket INTEGER, waits TEXT, slept_in INTEGER)"
    ),
    "zfs": (
        "CREATE TABLE zfs (second INTEGER PRIMARY KEY, commits TEXT, properties INTEGER, dirty_max INTEGER,"
        " delay_percent INTEGER, txg_history INTEGER, txg_timeout INTEGER, delays INTEGER, over_max INTEGER,"
        " throttles INTEGER, reserves INTEGER, wrlog_delays INTEGER, frees_delays INTEGER, zil_commits INTEGER,"
        " arc_size INTEGER, arc_target INTEGER, arc_max INTEGER, arc_hits INTEGER, arc_misses INTEGER,"
        " arc_throttles INTEGER, arc_need_free INTEGER)"
    ),
    "pools": (
        "CREATE TABLE pools (id INTEGER PRIMARY KEY, second INTEGER, pool INTEGER, state INTEGER, scan INTEGER,"
        " scan_done REAL, scan_paused INTEGER, log INTEGER)"
    ),
    "txgs": (
        "CREATE TABLE txgs (id INTEGER PRIMARY KEY, second INTEGER, pool INTEGER, txg INTEGER, state INTEGER,"
        " birth_before_ns INTEGER, open_ns INTEGER, quiesce_ns INTEGER, wait_ns INTEGER, sync_ns INTEGER,"
        " dirty INTEGER, nread INTEGER, nwritten INTEGER)"
    ),
}
#: What earlier formats had instead. Format 2 knew neither waits nor the state of ZFS.
_SCHEMA_2: Final = {
    name: SCHEMA[name] for name in ("meta", "texts", "keys", "seconds", "counters", "tallies")
} | {
    "groups": (
        "CREATE TABLE groups (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, calls INTEGER, errors INTEGER,"
        " total_ns INTEGER, max_ns INTEGER, bytes INTEGER, buckets TEXT)"
    ),
    "stuck": (
        "CREATE TABLE stuck (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, tid INTEGER, age_ns INTEGER,"
        " file_offset INTEGER, size INTEGER, waits_in INTEGER)"
    ),
    "events": (
        "CREATE TABLE events (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, before_ns INTEGER,"
        " latency_ns INTEGER, tid INTEGER, file_offset INTEGER, size INTEGER, result INTEGER,"
        " to_path INTEGER, bucket INTEGER)"
    ),
}
#: Format 1 knew neither owners nor inner PIDs, and had an inode number where the other path of an event is now.
_SCHEMA_1: Final = _SCHEMA_2 | {
    "keys": (
        "CREATE TABLE keys (id INTEGER PRIMARY KEY, op INTEGER, pid INTEGER, comm INTEGER, uid INTEGER,"
        " cgroup INTEGER, dataset INTEGER, path INTEGER, symbol INTEGER)"
    ),
    "events": (
        "CREATE TABLE events (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, before_ns INTEGER,"
        " latency_ns INTEGER, tid INTEGER, file_offset INTEGER, size INTEGER, result INTEGER, ino INTEGER,"
        " bucket INTEGER)"
    ),
}
#: The tables of every format that can be read, by what ``meta`` calls it.
SCHEMAS: Final = {"1": _SCHEMA_1, "2": _SCHEMA_2, str(FORMAT): SCHEMA}
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
