"""A feed that says what it is told to, and a small busy host to put into it: the same every time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from zfstop.errors import UserError
from zfstop.model.aggregate import groups_of
from zfstop.model.costs import Cost, Costs, Watch
from zfstop.model.events import Event, Key
from zfstop.model.histogram import bucket_of, merge
from zfstop.model.history import History, InFlight, Second, Stats, Tally
from zfstop.model.state import Attached, Controls, Counts, Host, Phase, ProbeReport, Rejected, Status
from zfstop.model.waits import Waits
from zfstop.model.zfs_state import Commits, Figures, PoolState, Properties, Scan, Txg, ZfsState
from zfstop.zfs.operations import BY_NAME, DEFAULT_CLASSES, OPERATIONS

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
        uid: int = 0, cgroup: int = 1, where: str = "", inner_pid: int = 0) -> Key:  # fmt: skip
    """A key with what a test does not care for filled in."""
    symbol = {"fsync": "zpl_fsync"}.get(op, f"zpl_{op}")
    return Key(op, pid, comm, uid, cgroup, dataset, path, symbol, where, inner_pid)


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
    placed = Counts(**{"seen": seen, "below": 2000, **counts})
    returned = placed.seen + placed.below + placed.lost + placed.rejected
    slots = (placed._replace(entered=returned + placed.full + placed.missed, returned=returned),)
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

    playback = None

    def __init__(self, seconds: Iterable[Second] = (), status: Status | None = None) -> None:
        self.history = History()
        self.now_status = status or Status(Phase.LIVE)
        self.now_controls = Controls()
        self.now_probes = PROBES
        self.now_host = Host("db1", "6.12.57+deb13-amd64", "2.3.9")
        self.names: tuple[str, ...] = ("rpool", "rpool/log", "tank", "tank/bak", "tank/data", "tank/pg")
        self.refuse: UserError | None = None
        self.now_costs = Costs()
        self.watched: list[Watch] = []
        self.zfs_asked = 0
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

    def costs(self) -> Costs:
        return self.now_costs

    def watch_costs(self, how: Watch) -> None:
        self.watched.append(how)

    def ask_zfs(self) -> None:
        self.zfs_asked += 1

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


#: Where the programs below are, and the PID inside for those in a container.
_WHERE = {
    "postgres": ("docker:3f9a1c2b4d5e", 17),
    "dd": ("user:1000", 0),
    "qemu-vm102": ("vm:102", 0),
    "mysqld": ("lxc:shop/mysql.service", 311),
    "rsyslogd": ("rsyslog.service", 0),
    "prometheus": ("pod:6ed1f3a0/8b1c0d2e3f4a", 1),
    "borg": ("user:1000/borg.service", 0),
    "journald": ("systemd-journald.service", 0),
    "etcd": ("pod:0c62b5b6/77aa01c2d3e4", 1),
}
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


@cache
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
        who = key(op, pid, comm, dataset, path, 100 + number, 1, *_WHERE[comm])
        groups.append((who, stats(*latencies, size=size)))
    return second(groups, at)


def busy_feed(length: int = 90) -> FakeFeed:
    """A feed that has seen ``length`` seconds of the busy host."""
    return FakeFeed(busy_second(at) for at in range(length))


def busy_state(at: int) -> ZfsState:
    """ZFS on the busy host: a sync every five seconds, and from 30 to 36 one that takes long; rpool is scrubbed."""
    end, phase = (1000 + at) * 10**9, at % 60
    number, begun, took = 9_114_000 + at // 5, at % 5, 700 * MS
    stalled = 30 <= phase < 36
    if stalled:
        number, begun, took = 9_114_000 + (at - phase + 30) // 5, phase - 30, 5_200 * MS
    synced = end - begun * 10**9 - 400 * MS
    done = begun * 10**9 + 400 * MS >= took
    sync = Txg(
        number, "C" if done else "S", synced - 5_000 * MS, 4_999 * MS, 10_000, 990_000, took if done else 0
    )
    if done:
        sync = sync._replace(dirty=took // MS << 19, nread=0, nwritten=took // MS << 18)
    return ZfsState(
        pools=(
            PoolState("rpool", "ONLINE", (), Scan("scrub", 0.41), False),
            PoolState("tank", "ONLINE", (sync, Txg(number + 1, "O", synced - MS)), Scan(), False),
        ),
        figures=Figures(
            dirty_max=4 << 30, delay_percent=60, txg_history=100, txg_timeout=5, delays=1204 if stalled else 0,
            over_max=3 if stalled else 0, throttles=0, reserves=0, zil_commits=212, arc_size=31 << 29,
            arc_target=1 << 34, arc_max=1 << 34, arc_hits=11_400, arc_misses=1_100, arc_throttles=0, arc_need_free=0,
        ),
        commits=(Commits("tank/pg", 180), Commits("tank/k8s", 32)),
        properties=(
            Properties("tank/bak", 1 << 20, "disabled", "zstd"), Properties("tank/k8s", 131072, "standard", "on"),
            Properties("tank/pg", 8192, "standard", "lz4"),
        ),
    )  # fmt: skip


def state_second(at: int) -> Second:
    """A second of the busy host, with what ZFS says of itself."""
    return replace(busy_second(at), zfs=busy_state(at))


def state_feed(length: int = 90, **states: str) -> FakeFeed:
    """The busy host with ZFS; in the last second pools (by name) are in other states."""
    feed = FakeFeed(map(state_second, range(length - 1)))
    state = busy_state(length - 1)
    pools = tuple(replace(pool, state=states.get(pool.name, pool.state)) for pool in state.pools)
    feed.history.append(replace(busy_second(length - 1), zfs=replace(state, pools=pools)))
    return feed


#: op -> calls a second and typical latency (us) of a host that does a little of everything.
_EVERYTHING = {
    "read": (9000, 40), "write": (4100, 90), "fsync": (210, 2400), "open": (850, 12), "release": (850, 3),
    "lookup": (2600, 5), "create": (60, 180), "mkdir": (4, 210), "symlink": (1, 190), "link": (1, 160),
    "unlink": (55, 240), "rmdir": (2, 260), "rename": (31, 220), "setattr": (40, 70), "truncate": (6, 400),
    "getattr": (7200, 2), "readdir": (90, 130), "readlink": (15, 4), "xattr-get": (400, 9), "xattr-list": (30, 11),
    "fallocate": (1, 900), "seek": (12, 30), "copy": (2, 5000), "evict": (70, 600), "page-read": (120, 300),
    "readahead": (60, 800), "page-mkwrite": (20, 15), "zvol-write": (300, 1500),
}  # fmt: skip
EVERY_PROBE = ProbeReport(
    attached=tuple(
        Attached(op.name, op.tiers[0][0].symbol, "zfs", op.tiers[0][0].decoder, "fentry/fexit")
        for op in OPERATIONS
        if op.name not in ("clone", "dedupe", "page-write")
    ),
    rejected=(
        Rejected("read", "zpl_aio_read", "absent"),
        Rejected("clone", "zpl_remap_file_range", "absent"),
        Rejected("clone", "zpl_clone_file_range", "absent"),
        Rejected("dedupe", "zpl_remap_file_range", "absent"),
        Rejected("dedupe", "zpl_dedupe_file_range", "absent"),
        Rejected("page-write", "zpl_writepages", "not traceable"),
    ),
    notes=("zfs.ko has type information (BTF)",),
)


@cache
def everything_second(at: int) -> Second:
    """Second ``at`` of a host where every class is called, and fsync, evict and page-mkwrite are slow now and then."""
    groups = [
        (key("fsync", 2431, "postgres", "tank/pg", "data/pg_wal/0000000A"), stats(*[40 * MS] * 3, size=8192)),
        (key("evict", 931, "rm", "tank/bak", "old/2024.tar"), stats(*[900 * MS] * (at % 2 + 1))),
        (key("xattr-list", 18820, "borg", "tank/home", "ann/.cache"), stats(30 * MS)),
        (key("page-mkwrite", 7741, "mongod", "tank/db", "journal/WiredTigerLog.0001"), stats(25 * MS)),
        (key("rename", 4410, "mv", "tank/k8s", "etcd/member/snap/db.tmp"), stats(21 * MS, errors=1)),
    ]
    slow = {who.op: part.count for who, part in groups}
    slots = []
    found: list[tuple[str, str, Tally]] = []
    for probe in EVERY_PROBE.attached:
        calls, us = _EVERYTHING.get(probe.op, (0, 0))
        off = BY_NAME[probe.op].group not in DEFAULT_CLASSES
        seen = slow.get(probe.op, 0) if not off else 0
        slots.append(
            Counts() if off else Counts(entered=calls, returned=calls, seen=seen, below=calls - seen)
        )
        if calls and not off:
            spread = {bucket_of(us * 1000 * times // 2): calls // 4 + 1 for times in (1, 2, 3, 9)}
            found.append((probe.op, "tank", Tally(calls, 0, calls * us * 1000, 0, spread)))
    shown = tuple(item for item in groups if BY_NAME[item[0].op].group in DEFAULT_CLASSES)
    return Second(
        EPOCH + at, (1000 + at) * 10**9, 10**9, Controls(), shown, slots=tuple(slots), tallies=tuple(found)
    )


def everything_feed(length: int = 20) -> FakeFeed:
    """A feed with a probe for nearly every operation, and most of them called."""
    feed = FakeFeed(everything_second(at) for at in range(length))
    feed.now_probes = EVERY_PROBE
    return feed


def costs_of_everything() -> Costs:
    """2 runs a call, 300 ns each; what is off is not run."""
    return Costs(
        {
            op: Cost(calls * 2, calls * 600e-9) if BY_NAME[op].group in DEFAULT_CLASSES else Cost(0, 0)
            for op, (calls, _) in _EVERYTHING.items()
        }
    )


#: comm -> share of its time by cause, per mille; nobody looked at borg.
_SPENT = {
    "postgres": Waits(zil=910, lock=40, cpu=50),
    "dd": Waits(throttle=780, disk=60, txg=110, cpu=50),
    "qemu-vm102": Waits(disk=520, lock=310, runqueue=90, cpu=80),
    "mysqld": Waits(disk=970, runqueue=20, cpu=10),
    "rsyslogd": Waits(runqueue=880, cpu=120),
    "prometheus": Waits(other=640, disk=200, cpu=160),
    "journald": Waits(txg=700, memory=200, cpu=100),
    "etcd": Waits(memory=560, zil=300, cpu=140),
}


def why_second(at: int) -> Second:
    """Second ``at`` of the busy host, where somebody looked."""
    found = busy_second(at)
    groups = tuple(
        (who, replace(part, waits=_SPENT[who.comm].part(part.total_ns, 1000) if who.comm in _SPENT else None))
        for who, part in found.groups
    )
    hung = InFlight(
        key("fsync", 2440, "postgres", "tank/pg", "data/pg_wal/00000001000000A20000003F"),
        2440, 4200 * MS, None, None, "zil_commit", Waits(zil=4150 * MS, cpu=50 * MS),
    )  # fmt: skip
    return replace(found, groups=groups, stuck=(hung,) if at % 60 > 28 else ())


def why_feed(length: int = 90) -> FakeFeed:
    """A feed that has seen ``length`` seconds of the busy host, and where its time went."""
    return FakeFeed(why_second(at) for at in range(length))


#: The process that is followed down to its calls.
PG = key("fsync", 2431, "postgres", "tank/pg", "base/1", 26, 7, "postgresql.service", 17)


def call(who: Key, ms: int, at: int, result: int = 0, to: str = "") -> Event:
    """One call that ended a quarter of a second before second ``at`` did."""
    return Event(who, (1000 + at) * 10**9 - 250 * MS, ms * MS, 99, 4096, 8192, result, bucket_of(ms * MS), to)


def with_calls(calls: list[Event], at: int, kept: int | None = None) -> Second:
    """A second of these calls, of which the first ``kept`` are there one by one."""
    shown = tuple(calls[:kept])
    return replace(
        second(groups_of(calls), at), events=shown, thinned=len(calls) - len(shown), clock=EPOCH + at
    )


def calls_feed(kept: int | None = None) -> FakeFeed:
    """postgres reads and syncs two files, dd writes one; three seconds of it."""
    who = [PG, PG._replace(op="read"), PG._replace(path="base/2")]
    dd = key("write", 25686, "dd", "tank/bak", "nightly/data1")
    return FakeFeed(
        with_calls([*(call(each, 40 + n, at) for n, each in enumerate(who)), call(dd, 20, at)], at, kept)
        for at in range(3)
    )
