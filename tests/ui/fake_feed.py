"""A feed that says what it is told to, and a small busy host to put into it: the same every time."""

from __future__ import annotations

import math
from collections.abc import Iterable

from zfstop.errors import UserError
from zfstop.model.events import Key
from zfstop.model.histogram import bucket_of, merge
from zfstop.model.history import History, Second, Stats, Tally
from zfstop.model.state import Attached, Controls, Counts, Host, Phase, ProbeReport, Rejected, Status

MS = 1_000_000
#: 2026-01-14 14:00:00 UTC
EPOCH = 1_768_399_200.0

PROBES = ProbeReport(
    attached=(
        Attached("read", "zpl_iter_read", "zfs", "kiocb", "fentry/fexit"),
        Attached("write", "zpl_iter_write", "zfs", "kiocb", "fentry/fexit"),
        Attached("open", "zpl_open", "zfs", "inode, file", "kprobe pair"),
        Attached("fsync", "zpl_fsync", "zfs", "file", "fentry/fexit"),
    ),
    rejected=(
        Rejected("read", "zpl_aio_read", "absent"),
        Rejected("read", "zpl_read", "absent"),
        Rejected("fsync", "zpl_fsync.isra.0", "suffix variant: its arguments are not known"),
    ),
    notes=("zfs.ko has type information (BTF)",),
)


def key(op: str = "read", pid: int = 1234, comm: str = "fio", dataset: str = "tank/data", path: str = "a",
        uid: int = 0, cgroup: int = 1) -> Key:  # fmt: skip
    """A key with what a test does not care for filled in."""
    return Key(op, pid, comm, uid, cgroup, dataset, path, {"fsync": "zpl_fsync"}.get(op, f"zpl_{op}"))


def stats(*latencies_ns: int, errors: int = 0, size: int = 0) -> Stats:
    """The sums of these latencies; ``size`` is what each call asked for."""
    buckets: dict[int, int] = {}
    for latency in latencies_ns:
        bucket = bucket_of(latency)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    count = len(latencies_ns)
    return Stats(count, errors, sum(latencies_ns), max(latencies_ns), size * count, buckets)


def second(groups: Iterable[tuple[Key, Stats]] = (), at: int = 0, **counts: int) -> Second:
    """One second, ending ``at`` seconds after the epoch of the tests; ``counts`` are those of the first probe."""
    found = tuple(groups)
    seen = sum(part.count for _, part in found)
    slots = (Counts(**{"entered": 2000 + seen, "returned": 2000 + seen, "seen": seen} | counts),)
    return Second(
        EPOCH + at, (1000 + at) * 10**9, 10**9, Controls(), found, slots=slots, tallies=tallies(found)
    )


def tallies(groups: tuple[tuple[Key, Stats], ...]) -> tuple[tuple[str, str, Tally], ...]:
    """All calls of a second: the slow ones, and for each of them 40 that took 20 to 90 us."""
    found: dict[tuple[str, str], Tally] = {}
    for who, part in groups:
        quick = {bucket_of(us * 1000): part.count * 10 for us in (20, 30, 40, 90)}
        more = Tally(part.count * 41, part.errors, part.total_ns, part.bytes, merge((part.buckets, quick)))
        where = who.op, who.dataset
        found[where] = more.plus(found[where]) if where in found else more
    return tuple((op, dataset, tally) for (op, dataset), tally in found.items())


class FakeFeed:
    """Implements zfstop.feed.Feed with what a test puts in."""

    def __init__(self, seconds: Iterable[Second] = (), status: Status | None = None) -> None:
        self.history = History()
        self.now_status = status or Status(Phase.LIVE)
        self.now_controls = Controls()
        self.now_probes = PROBES
        self.now_host = Host("db1", "6.12.57+deb13-amd64", "2.3.9")
        self.names: tuple[str, ...] = ("rpool", "rpool/log", "tank", "tank/bak", "tank/data", "tank/pg")
        self.refuse: UserError | None = None
        for item in seconds:
            self.history.append(item)

    def status(self) -> Status:
        return self.now_status

    def host(self) -> Host:
        return self.now_host

    def probes(self) -> ProbeReport:
        return self.now_probes

    def controls(self) -> Controls:
        return self.now_controls

    def control(self, controls: Controls) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.now_controls = controls

    def datasets(self) -> tuple[str, ...]:
        return self.names

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


#: op, pid, comm, dataset, path, typical latency (ms), calls a second, size
_HOST = (
    ("fsync", 2431, "postgres", "tank/pg", "data/pg_wal/00000001000000A20000003F", 40, 11.0, 8192),
    ("write", 25686, "dd", "tank/bak", "nightly/data1", 30, 2.2, 131072),
    ("write", 9120, "qemu-vm102", "tank/vm", "102/disk-0.raw", 22, 1.4, 65536),
    ("read", 7741, "mysqld", "tank/my", "shop/orders.ibd", 18, 0.9, 16384),
    ("fsync", 2431, "postgres", "tank/pg", "data/base/16384/2619", 14, 0.6, 8192),
    ("open", 811, "rsyslogd", "rpool/log", "syslog", 12, 0.3, 0),
    ("write", 3302, "prometheus", "tank/mon", "wal/00000412", 11, 0.3, 32768),
    ("read", 18820, "borg", "tank/home", "ann/.cache/borg/7f0c1d/chunks [old]", 11, 0.2, 131072),
    ("write", 1402, "journald", "rpool/log", "journal/8c1e/system.journal", 10, 0.2, 4096),
    ("fsync", 4410, "etcd", "tank/k8s", "etcd/member/wal/0-12.wal", 10, 0.1, 4096),
)


def busy_second(at: int) -> Second:
    """Second ``at`` of a host with ten programs; from 30 to 36 a sync of the pool stalls what writes to tank."""
    stalled = 30 <= at % 60 < 36
    groups = []
    for number, (op, pid, comm, dataset, path, typical, rate, size) in enumerate(_HOST):
        calls = int((at + 1) * rate + number / 10) - int(at * rate + number / 10)
        if not calls:
            continue
        slow = 25 if stalled and op != "read" and dataset.startswith("tank") else 1
        waves = (1.6 + math.sin(at * 0.7 + number + call * 1.3) for call in range(calls))
        latencies = [int(typical * MS * slow * max(0.6, wave)) for wave in waves]
        groups.append((key(op, pid, comm, dataset, path, uid=100 + number), stats(*latencies, size=size)))
    return second(groups, at)


def busy_feed(length: int = 90) -> FakeFeed:
    """A feed that has seen ``length`` seconds of the busy host."""
    return FakeFeed(busy_second(at) for at in range(length))
