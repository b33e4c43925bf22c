"""On the kprobe tier no return is missed, and the probes this takes are gone when their screen is, however it went."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from harness import ATTACH_SECONDS, DISKS, OUT, Program, Trace, sh, until

import zfstop.kernel
from zfstop.kernel import kretprobes

THREADS = 512
EVENTS = Path("/sys/kernel/tracing/kprobe_events")
SECONDS = 5.0
KERNEL = str(Path(zfstop.kernel.__file__).parent)
READER = """
import os, sys, threading
threading.stack_size(1 << 16)
fd = os.open(sys.argv[1], os.O_RDONLY)
def read(i):
    gate.wait()
    assert len(os.pread(fd, 512, i * 4096)) == 512
threads = [threading.Thread(target=read, args=[i]) for i in range(int(sys.argv[2]))]
gate = threading.Barrier(len(threads))
print("ready", flush=True)
sys.stdin.readline()
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


class Returns(Program):
    """returns.py, attached."""

    def __init__(self, how: str, pid: int) -> None:
        script = str(Path(__file__).parent / "returns.py")
        super().__init__(["/usr/bin/python3", "-I", script, KERNEL, how, "zpl_iter_read", str(pid)])
        try:
            self.ready: dict[str, Any] = json.loads(self.first_line(ATTACH_SECONDS))
        except BaseException:
            self.close()
            raise

    def counts(self) -> dict[str, int]:
        """Entries and returns so far."""
        before = len(self.out)
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        until("the counts", lambda: len(self.out) > before)
        counts: dict[str, int] = json.loads(self.out[-1])
        return counts


@pytest.fixture
def returns(stack: ExitStack) -> Callable[[str, int], Returns]:
    """Start returns.py and wait until it is attached."""

    def start(how: str, pid: int) -> Returns:
        program = Returns(how, pid)
        stack.callback(program.close)
        return program

    return start


@pytest.fixture
def small_records() -> Iterator[Callable[[], str]]:
    """A file of as many small records as there are threads; the value empties the cache and gives its path."""
    prefetch = Path("/sys/module/zfs/parameters/zfs_prefetch_disable")
    before = prefetch.read_text()
    prefetch.write_text("1")
    sh("zfs", "create", "-o", "recordsize=4K", "-o", "compression=off", "tank/small")
    file = Path("/tank/small/file")
    file.write_bytes(os.urandom(4096 * THREADS))

    def cold() -> str:
        sh("zpool", "export", "tank")
        sh("zpool", "import", "-o", "cachefile=none", "-d", str(DISKS), "tank")
        return str(file)

    yield cold
    prefetch.write_text(before)
    sh("zfs", "destroy", "tank/small")


def test_512_sleeping_threads_miss_nothing_where_the_kernels_own_number_misses_most(
    returns: Callable[[str, int], Returns],
    small_records: Callable[[], str],
    delay: Callable[[str, int], None],
) -> None:
    missed = {}
    for how in ("pmu", "pool"):
        reader = Program([sys.executable, "-c", READER, small_records(), str(THREADS)])
        try:
            reader.first_line(60)
            probes = returns(how, reader.pid)
            delay("tank", 50)
            reader.process.communicate(b"go\n", 300)
            assert reader.process.returncode == 0
            counts = probes.counts()
            profile = Path("/sys/kernel/tracing/kprobe_profile").read_text()
        finally:
            sh("zinject", "-c", "all")
            reader.process.kill()
        probes.close()
        with (OUT / "returns.txt").open("a") as file:
            print(how, counts, profile, file=file)
        assert counts["entered"] == THREADS
        missed[how] = counts["entered"] - counts["returned"]
    assert missed["pool"] == 0
    assert missed["pmu"] > THREADS / 2


def test_zfstop_itself_misses_none_of_them(
    trace: Callable[..., Trace],
    small_records: Callable[[], str],
    delay: Callable[[str, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZFSTOP_ATTACH", "kprobe")
    reader = Program([sys.executable, "-c", READER, small_records(), str(THREADS)])
    try:
        reader.first_line(60)
        tracer = trace("0", "-p", str(reader.pid), "--op", "read")
        delay("tank", 50)
        reader.process.communicate(b"go\n", 300)
        events = tracer.stop()
    finally:
        sh("zinject", "-c", "all")
        reader.process.kill()
    reads = tracer.summary["per_op"]["read"]
    assert (reads["seen"], reads["missed"], reads["in_flight"]) == (THREADS, 0, 0)
    assert {event["offset"] for event in events} == {4096 * number for number in range(THREADS)}


@pytest.mark.parametrize("wait", [0, 1, 3, 5, 7])
def test_nothing_is_left_of_a_trace_killed_on_the_kprobe_tier(
    wait: int, trace: Callable[..., Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZFSTOP_ATTACH", "kprobe")
    # 0 is after it has attached, the others are seconds into its loading.
    tracer = trace("0", attached=not wait)
    if wait:
        time.sleep(wait)
    else:
        assert "r4096:zfstop_" in EVENTS.read_text()
    started = time.monotonic()
    tracer.process.kill()
    tracer.wait()
    until("the end of loader and events", lambda: not busy(), ATTACH_SECONDS if wait else SECONDS)
    with (OUT / "returns.txt").open("a") as file:
        print(f"trace killed ({wait} s): gone after {time.monotonic() - started:.2f} s", file=file)


def busy() -> bool:
    """Whether an event of zfstop, or a process that could make one or should remove it, is there."""
    if ":zfstop_" in EVENTS.read_text():
        return True
    found = subprocess.run(["pgrep", "-f", "kernel/loader.py|zfstop-guardian"], capture_output=True)
    return found.returncode == 0


def left(group: str) -> list[str]:
    """Events of a group that are in the kernel."""
    return [line for line in EVENTS.read_text().splitlines() if f":{group}/" in line]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_owner_dies(
    number: signal.Signals, returns: Callable[[str, int], Returns]
) -> None:
    probes = returns("pool", os.getpid())
    group = probes.ready["group"]
    assert len(left(group)) == 1
    # As a service is stopped: every process of it at once.
    os.kill(probes.ready["guardian"], signal.SIGTERM)
    started = time.monotonic()
    probes.process.send_signal(number)
    until("the events' end", lambda: not left(group), SECONDS)
    with (OUT / "returns.txt").open("a") as file:
        print(f"{number.name}: gone after {time.monotonic() - started:.2f} s", file=file)
    until("the guardian's end", lambda: not Path(f"/proc/{probes.ready['guardian']}").exists())


def test_what_a_killed_guardian_left_is_swept_and_what_is_in_use_stays(
    returns: Callable[[str, int], Returns],
) -> None:
    dead, alive = returns("pool", os.getpid()), returns("pool", os.getpid())
    status = Path(f"/proc/{alive.ready['guardian']}/status").read_text()
    with (OUT / "returns.txt").open("a") as file:
        print("guardian", [line for line in status.splitlines() if "RSS" in line], file=file)
    os.kill(dead.ready["guardian"], signal.SIGKILL)
    dead.process.kill()
    dead.wait()
    time.sleep(1)
    assert len(left(dead.ready["group"])) == 1
    removed = kretprobes.sweep()
    assert [event.split("/")[0] for event in removed] == [dead.ready["group"]]
    assert not left(dead.ready["group"])
    assert len(left(alive.ready["group"])) == 1
    before = alive.counts()["returned"]
    Path("/tank/data/read").write_bytes(b"x" * 100)
    assert Path("/tank/data/read").read_bytes()
    assert alive.counts()["returned"] > before


def test_a_group_whose_maker_is_gone_is_not_swept_while_it_is_in_use(
    returns: Callable[[str, int], Returns],
) -> None:
    alive = returns("pool", os.getpid())
    group = alive.ready["group"]
    # The loader, which makes the probes, ends while the screen goes on: the kernel itself must refuse then.
    (event,) = (line.split()[0].split(":")[1] for line in left(group))
    fd = os.open(EVENTS, os.O_WRONLY | os.O_APPEND)
    with pytest.raises(OSError, match="busy"):
        os.write(fd, f"-:{event}\n".encode())
    os.close(fd)
    assert len(left(group)) == 1
