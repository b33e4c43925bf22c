"""What ZFS says of itself is what its own files and commands say at the same time, also while a pool hangs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from harness import ATTACH_SECONDS, DISKS, SUITE, Terminal, Trace, Workload, sh, until

KSTAT = Path("/proc/spl/kstat/zfs")
#: Nothing is that slow: only the lines on ZFS are wanted.
QUIET = ("10s", "--op", "fsync", "--state")
COMMITS = 20
SECOND = 10**9


@pytest.fixture
def pool() -> Iterator[str]:
    """A pool of this test's own, called ``state``; whatever hangs in it is let go at the end."""
    for name in ("state", "state.log"):
        with (DISKS / name).open("wb") as disk:
            disk.truncate(512 << 20)
    sh("zpool", "create", "-f", "-o", "cachefile=none", "-o", "failmode=wait", "state", str(DISKS / "state"))
    yield "state"
    sh("zinject", "-c", "all")
    with suppress(AssertionError):
        sh("zpool", "clear", "state")
    until("the pool is whole", lambda: (KSTAT / "state/state").read_text().strip() == "ONLINE")
    sh("zpool", "destroy", "state")


def counter(kstat: str, name: str) -> int:
    """A named kstat."""
    lines = (line.split() for line in (KSTAT / kstat).read_text().splitlines())
    return next(int(line[2]) for line in lines if line[:1] == [name])


def parameter(name: str) -> int:
    return int(Path("/sys/module/zfs/parameters", name).read_text())


def txg_lines(pool: str) -> dict[int, dict[str, str]]:
    """The kstat ``txgs`` by number."""
    head, *lines = (line.split() for line in (KSTAT / pool / "txgs").read_text().splitlines() if line.strip())
    return {int(line[0]): dict(zip(head, line, strict=True)) for line in lines}


def told(trace: Trace, pool: str) -> list[dict[str, Any]]:
    """What was said of the pool, second by second."""
    return [item for state in trace.states for item in state["pools"] if item["pool"] == pool]


def newest(trace: Trace, pool: str) -> dict[str, Any]:
    return (told(trace, pool) or [{}])[-1]


def test_the_figures_are_those_of_the_kstats(
    trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    running = trace(*QUIET)
    until("two lines", lambda: len(running.states) > 1)
    before, lines = counter("zil", "zil_commit_count"), len(running.states)
    writer = workload("calls", "/tank/data", str(COMMITS))
    writer.run()
    committed = counter("zil", "zil_commit_count") - before
    assert committed >= COMMITS
    until(
        "they are told",
        lambda: sum(state["zil_commits"] or 0 for state in running.states[lines:]) >= committed,
    )
    seconds = len(running.states)
    until("and no more", lambda: len(running.states) > seconds + 2)
    assert (
        sum(state["zil_commits"] for state in running.states[1:])
        == counter("zil", "zil_commit_count") - before
    )

    state = running.states[-1]
    assert state["dirty_max"] == parameter("zfs_dirty_data_max")
    assert state["delay_percent"] == parameter("zfs_delay_min_dirty_percent")
    assert state["txg_history"] == parameter("zfs_txg_history")
    assert state["txg_timeout"] == parameter("zfs_txg_timeout")
    assert state["arc_max"] == counter("arcstats", "c_max")
    assert 0.5 < state["arc_size"] / counter("arcstats", "size") < 2
    assert state["delays"] == state["over_max"] == 0
    own = sum(state["commits"].get("tank/data", 0) for state in running.states)
    # Releases before 2.2 do not count them by dataset.
    assert own == 0 if SUITE == "bookworm" else 0 < own <= committed


def test_transaction_groups_are_those_of_the_kstat(trace: Callable[..., Trace]) -> None:
    begun = max(txg_lines("tank"))
    running = trace(*QUIET)
    for number in range(3):
        Path(f"/tank/bak/txg{number}").write_bytes(b"x" * (2 << 20))
        sh("zpool", "sync", "tank")
    last = max(number for number, line in txg_lines("tank").items() if line["state"] == "C")

    def seen() -> dict[int, dict[str, Any]]:
        groups = (txg for item in told(running, "tank") for txg in item["txgs"] if txg["state"] == "C")
        return {txg["number"]: txg for txg in groups}

    until("the last of them is told", lambda: last in seen())
    lines = txg_lines("tank")
    monotonic, raw = (
        time.clock_gettime_ns(clock) for clock in (time.CLOCK_MONOTONIC, time.CLOCK_MONOTONIC_RAW)
    )
    found = {number: txg for number, txg in seen().items() if number in lines}
    assert set(found) >= {number for number in lines if begun < number <= last}
    assert max(txg["dirty"] for txg in found.values()) >= 2 << 20
    for number, txg in found.items():
        line = lines[number]
        names = {"open_ns": "otime", "quiesce_ns": "qtime", "wait_ns": "wtime", "sync_ns": "stime"}
        names |= {"dirty": "ndirty", "nread": "nread", "nwritten": "nwritten"}
        assert {name: txg[name] for name in names} == {
            name: int(line[column]) for name, column in names.items()
        }
        assert abs(txg["birth_ns"] - int(line["birth"]) - (monotonic - raw)) < 5_000_000
    # On the time axis: it ended between the line that tells of it first and the one before.
    states = running.states
    for before, state in pairwise(states):
        known = {txg["number"] for item in before["pools"] for txg in item["txgs"] if txg["state"] == "C"}
        (item,) = (item for item in state["pools"] if item["pool"] == "tank")
        for txg in item["txgs"]:
            if txg["state"] == "C" and txg["number"] not in known and txg["number"] > begun:
                ended = sum(txg[name] for name in ("birth_ns", "open_ns", "quiesce_ns", "wait_ns", "sync_ns"))
                assert before["ts_ns"] - SECOND < ended < state["ts_ns"] + SECOND


def test_a_scrub_a_log_device_and_properties_are_seen(
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    pool: str,
    delay: Callable[[str, int], None],
) -> None:
    sh("zfs", "create", "-o", "recordsize=16K", "-o", "sync=always", "-o", "compression=lz4", f"{pool}/set")
    Path(f"/{pool}/set/big").write_bytes(os.urandom(32 << 20))
    sh("zpool", "sync", pool)
    running = trace("0", "--op", "fsync", "--state")
    workload("calls", f"/{pool}/set", "3").run()
    delay(pool, 500)
    sh("zpool", "scrub", pool)

    def scan() -> dict[str, Any] | None:
        found: dict[str, Any] | None = newest(running, pool)["scan"]
        return found if found and found["kind"] else None

    found = until("the scrub", scan, ATTACH_SECONDS)
    assert (found["kind"], found["paused"]) == ("scrub", False)
    assert 0 <= found["done"] <= 1
    assert newest(running, pool)["log"] is False
    assert newest(running, pool)["state"] == "ONLINE"
    sh("zpool", "scrub", "-s", pool)
    sh("zpool", "add", "-f", pool, "log", str(DISKS / "state.log"))
    until("a log device", lambda: newest(running, pool)["log"], ATTACH_SECONDS)
    assert newest(running, pool)["scan"]["kind"] == ""

    def properties() -> dict[str, Any] | None:
        return next(
            (item for item in running.states[-1]["properties"] if item["dataset"] == f"{pool}/set"), None
        )

    assert until("its properties", properties, ATTACH_SECONDS) == {
        "dataset": f"{pool}/set",
        "recordsize": 16384,
        "sync": "always",
        "compression": "lz4",
    }


def children(pid: int) -> list[str]:
    """Programs that a process has begun and that have not ended."""
    done = subprocess.run(["ps", "--ppid", str(pid), "-o", "stat=,comm="], capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if not line.startswith("Z")]


@pytest.mark.skipif(SUITE != "forky", reason="a slow disk holds zpool add for too long to wait for here")
def test_seconds_go_on_while_the_commands_of_zfs_hang(
    trace: Callable[..., Trace], stack: ExitStack, pool: str
) -> None:
    running = trace(*QUIET)
    until("answers", lambda: newest(running, "tank").get("scan"), ATTACH_SECONDS)
    # A change of the pool holds the lock of all pools until it is written.
    sh("zinject", "-d", str(DISKS / pool), "-D", "2000:1", "-T", "write", pool)
    adds = subprocess.Popen(["zpool", "add", "-f", pool, "log", str(DISKS / "state.log")])
    asks = subprocess.Popen(["zpool", "status", "tank"], stdout=subprocess.DEVNULL)
    for started in (adds, asks):
        stack.callback(started.wait, ATTACH_SECONDS)
    stack.callback(sh, "zinject", "-c", "all")
    time.sleep(5)
    assert asks.poll() is None, "zpool status hangs"
    begun, most = len(running.states), 0

    def unknown() -> bool:
        nonlocal most
        most = max(most, len(children(running.pid)))
        return newest(running, "tank")["scan"] is None

    until("nothing is known any more", unknown, ATTACH_SECONDS)
    assert most == 1
    assert asks.poll() is None, "zpool status still hangs"
    times = [state["ts_ns"] for state in running.states[begun - 1 :]]
    assert len(times) > 5
    assert max(after - before for before, after in pairwise(times)) < 10 * SECOND
    sh("zinject", "-c", "all")
    assert adds.wait(ATTACH_SECONDS) == 0
    until("all is known again", lambda: newest(running, pool)["log"], ATTACH_SECONDS)
    running.stop()


def suspend(pool: str) -> None:
    """Let every write to the pool fail, and have something to write."""
    disk = str(DISKS / pool)
    sh("zinject", "-d", disk, "-e", "io", "-T", "write", pool)
    sh("zinject", "-d", disk, "-e", "nxio", "-T", "probe", pool)
    Path(f"/{pool}/doomed").write_bytes(b"x" * (1 << 20))
    subprocess.Popen(["sync", "-f", f"/{pool}/doomed"], stderr=subprocess.DEVNULL)
    until("the pool is suspended", lambda: (KSTAT / pool / "state").read_text().strip() == "SUSPENDED")


@pytest.mark.skipif(SUITE == "bookworm", reason="injected errors have not suspended a pool of OpenZFS 2.1")
def test_a_suspended_pool_is_shouted_and_everything_else_goes_on(
    terminal: Callable[..., Terminal], workload: Callable[..., Workload], pool: str
) -> None:
    screen = terminal("exec zfstop 0", columns=140, lines=40)
    screen.wait_for("LIVE", seconds=ATTACH_SECONDS)
    program = workload("loop", "/tank/data", "lab-loop.file", "100", comm="lab-loop")
    program.go()
    screen.wait_for("lab-loop.file", " write ")
    suspend(pool)
    screen.wait_for("SUSPENDED: state, writes hang [z]")
    clocks: set[str] = set()

    def seconds() -> int:
        line = screen.line(" LIVE ")
        assert line, screen.text()
        clocks.add(line.partition(" LIVE ")[2].split()[0])
        return len(clocks)

    until("seconds go on", lambda: seconds() > 8)
    row = screen.line("lab-loop.file", " write ")
    until("rows go on", lambda: screen.line("lab-loop.file", " write ") != row)
    screen.keys("z")
    screen.wait_for("state  SUSPENDED", "all its writes hang")
    screen.keys("Escape")
    sh("zinject", "-c", "all")
    sh("zpool", "clear", pool)
    until("it is over", lambda: not screen.line("SUSPENDED"))
