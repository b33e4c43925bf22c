"""The records that cross from the kernel, in one place for C and Python.

``EVENT`` and ``PATH_HEADER`` are turned into C structs by :func:`c_structs` and into ``struct`` formats here, so
the two sides cannot drift apart. All integers are native-endian; times are nanoseconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import errno
import re
import struct
from dataclasses import dataclass
from typing import NamedTuple

from zfstop.model.waits import Waits

_C_TYPES = {
    "Q": "unsigned long long",
    "q": "long long",
    "I": "unsigned int",
    "H": "unsigned short",
    "s": "char",
}
COMM_BYTES = 16
_STAND_IN = re.compile(r"dev \d+:\d+", re.ASCII)

#: (name, struct code). The run from ``path_id`` to ``flags`` is the group key and is compared as bytes.
EVENT: tuple[tuple[str, str], ...] = (
    ("ts_ns", "Q"),
    ("latency_ns", "Q"),
    ("offset", "q"),
    ("size", "Q"),
    ("result", "q"),
    ("target", "Q"),
    ("path_id", "Q"),
    ("cgroup", "Q"),
    ("comm", f"{COMM_BYTES}s"),
    ("pid", "I"),
    ("dev", "I"),
    ("uid", "I"),
    ("slot", "H"),
    ("flags", "H"),
    ("tid", "I"),
    ("bucket", "H"),
    ("known", "H"),
    ("waits", "16s"),
    ("slept_in", "Q"),
)
#: ``waits``, if they are ``known``: 65536ths of the latency by cause, as in Waits; what is left is the CPU's.
WAITS_STRUCT = struct.Struct("=8H")
SHARE_BITS = 16
PATH_HEADER: tuple[tuple[str, str], ...] = (("path_id", "Q"), ("length", "I"), ("flags", "I"))

#: Flags of an event.
NO_OFFSET = 1
ALL_SIZE = 2
DELETED = 4
NO_PATH = 8
#: The inode is that of the directory in which the operation's name stands.
IN_DIRECTORY = 16
#: Flags of a path: more components than the program walks; the name of a volume.
PATH_CUT = 1
PATH_VOLUME = 2

#: Counters the program keeps per probe and CPU, in the order of the C enum.
COUNTERS = (
    "entered",
    "returned",
    "seen",
    "below",
    "filtered",
    "lost",
    "full",
    "rejected",
    "unmatched",
    "pathless",
    "filtered_dev",
    "queued",
    "untallied",
    "missed",
)

#: The statistics of all calls, slow or not: one entry for each probe, device and power of two of the latency. These
#: are the bits of a u64, the lowest first.
TALLY_KEY: tuple[tuple[str, str], ...] = (("dev", "I"), ("slot", "H"), ("octave", "H"))
TALLY_SLICES = 16
#: What the program answers about a call in flight.
IN_FLIGHT_CALL: tuple[tuple[str, str], ...] = (
    ("ts_ns", "Q"),
    ("offset", "q"),
    ("size", "Q"),
    ("path_id", "Q"),
    ("dev", "I"),
    ("flags", "I"),
)
TALLY: tuple[tuple[str, str], ...] = (
    ("calls", f"{TALLY_SLICES}Q"),
    ("errors", "Q"),
    ("sum_ns", "Q"),
    ("bytes", "Q"),
)

_KEY_FIELDS = ("path_id", "cgroup", "comm", "pid", "dev", "uid", "slot", "flags")
EVENT_STRUCT = struct.Struct("=" + "".join(code for _, code in EVENT))
PATH_STRUCT = struct.Struct("=" + "".join(code for _, code in PATH_HEADER))
IN_FLIGHT_STRUCT = struct.Struct("=" + "".join(code for _, code in IN_FLIGHT_CALL))
TALLY_KEY_STRUCT = struct.Struct("=" + "".join(code for _, code in TALLY_KEY))
TALLY_STRUCT = struct.Struct("=" + "".join(code for _, code in TALLY))
KEY_STRUCT = struct.Struct("=" + "".join(dict(EVENT)[name] for name in _KEY_FIELDS))
#: One ring record with its 8-byte header, reduced to what the aggregation needs:
#: header, latency_ns, size, result, key, bucket, known, waits.
RING_HEADER_BYTES = 8
RECORD_STRUCT = struct.Struct(f"=I4x8xQ8xQq8x{KEY_STRUCT.size}s4xHH16s8x")
RECORD_BYTES = RECORD_STRUCT.size


def c_structs() -> str:
    """C text of ``struct event``, ``struct path_header`` and the counter enum: fixed words and numbers only."""
    lines = ["struct event {", *map(_c_member, EVENT), "};"]
    lines += ["struct path_header {", *map(_c_member, PATH_HEADER), "};"]
    lines += ["struct in_flight_call {", *map(_c_member, IN_FLIGHT_CALL), "};"]
    lines += ["struct tally {", *map(_c_member, TALLY), "};"]
    lines += ["enum counter {", *(f"  C_{name.upper()}," for name in COUNTERS), "  COUNTERS", "};"]
    flags = {"ALL_SIZE": ALL_SIZE, "DELETED": DELETED, "NO_PATH": NO_PATH}
    lines += [f"#define EVENT_{name} {value}" for name, value in flags.items()]
    return "\n".join([*lines, f"#define PATH_CUT {PATH_CUT}", f"#define PATH_VOLUME {PATH_VOLUME}", ""])


def _c_member(field: tuple[str, str]) -> str:
    name, code = field
    count = f"[{code[:-1]}]" if code[:-1] else ""
    return f"  {_C_TYPES[code[-1]]} {name}{count};"


def waits_of(latency_ns: int, shares: tuple[int, ...]) -> Waits:
    """The nanoseconds behind the shares of the kernel's record."""
    blocked = [latency_ns * share >> SHARE_BITS for share in shares]
    return Waits._make([*blocked, latency_ns - sum(blocked)])


class RawEvent(NamedTuple):
    """One event as the kernel wrote it; the fields are those of ``EVENT``."""

    ts_ns: int
    latency_ns: int
    offset: int
    size: int
    result: int
    target: int
    path_id: int
    cgroup: int
    comm: bytes
    pid: int
    dev: int
    uid: int
    slot: int
    flags: int
    tid: int
    bucket: int
    known: int
    waits: bytes
    slept_in: int


class RawKey(NamedTuple):
    """The group key of an event as the kernel wrote it."""

    path_id: int
    cgroup: int
    comm: bytes
    pid: int
    dev: int
    uid: int
    slot: int
    flags: int


class Key(NamedTuple):
    """Who waited on what: the finest grouping the history keeps. All text is already safe to show.

    ``where`` is the owner of the cgroup (zfs/owners.py), ``inner_pid`` the PID as the process itself sees it; they
    are empty and 0 where there is none, or none is known. ``cause`` is empty but where groups are split by it
    (model/causes.py).
    """

    op: str
    pid: int
    comm: str
    uid: int
    cgroup: int
    dataset: str
    path: str
    symbol: str
    where: str = ""
    inner_pid: int = 0
    cause: str = ""

    @property
    def pool(self) -> str:
        """The pool of the dataset; empty when the dataset is not known (``dev 0:57``)."""
        return pool_of(self.dataset)

    @property
    def directory(self) -> str:
        """The directory the file is in; empty for the dataset's own."""
        return self.path.rpartition("/")[0]


def pool_of(dataset: str) -> str:
    """``tank/data@snap`` -> ``tank``; an unknown device has no pool."""
    return "" if is_unknown(dataset) else dataset.split("/", 1)[0].split("@", 1)[0]


def unknown_dataset(dev: int) -> str:
    """What is shown for a device no mount table names: major:minor as in mountinfo, never a guess."""
    return f"dev {dev >> 20}:{dev & 0xFFFFF}"


def is_unknown(dataset: str) -> bool:
    """Whether the name is a stand-in. A pool may be called ``dev`` or ``dev box``: the numbers tell."""
    return dataset.startswith("dev ") and _STAND_IN.fullmatch(dataset) is not None


@dataclass(frozen=True, slots=True)
class Event:
    """One slow operation. ``ts_ns`` is its end; ``result`` is what the kernel function returned.

    ``to`` is the other path of a rename, link, copy, clone or dedupe. ``waits`` is None where nobody looked (an old
    recording, a kernel that does not tell); ``slept_in`` is the kernel function of the longest of its other waits,
    "" where that is not known.
    """

    key: Key
    ts_ns: int
    latency_ns: int
    tid: int
    offset: int | None
    size: int | None
    result: int
    bucket: int
    to: str = ""
    waits: Waits | None = None
    slept_in: str = ""

    @property
    def errno(self) -> str | None:
        """``EIO`` and the like for a failed call, else None."""
        return errno.errorcode.get(-self.result, f"E{-self.result}") if self.result < 0 else None
