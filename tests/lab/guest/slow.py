"""Calls made slow by one known cause each, by ZFS's own means; every context undoes what it did.

A `Sleeper` is the program of sleeper.c, which keeps its own account of each call.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from harness import DISKS, MOMENT_SECONDS, Program, sh, until

MS = 1_000_000
_THIN = 64 << 20
#: What x86-64 calls them.
_PREAD_PWRITE = ("17", "18")
_PARAMETERS = Path("/sys/module/zfs/parameters")


@cache
def _binary() -> str:
    binary = f"{os.environ['LAB']}/sleeper"
    source = f"{os.environ['LAB']}/tests/lab/sleeper.c"
    sh("gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", binary, source)
    return binary


class Account(NamedTuple):
    """One call by its own thread's clocks, in ns.

    ``handed`` is how long its page faults waited on purpose, ``around`` the time with the reading of the clocks.
    """

    op: str
    offset: int
    result: int
    start: int
    end: int
    tid: int
    cpu: int
    runqueue: int
    sleeps: int
    handed: int
    around: int

    @property
    def took(self) -> int:
        """From the clock before to the clock after."""
        return self.end - self.start

    @property
    def slept(self) -> int:
        """What was neither spent on a processor nor waiting for one."""
        return max(0, self.took - self.cpu - self.runqueue)


class Sleeper(Program):
    """The program, ready and waiting for its go."""

    def __init__(self, *words: str, comm: str = "sleeper") -> None:
        super().__init__([_binary(), "-c", comm, *words])
        assert json.loads(self.first_line(MOMENT_SECONDS)) == {"ready": self.pid}

    def go(self) -> None:
        """Let it make its calls."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()

    def until_it_waits(self) -> None:
        """Until its read or write sleeps."""
        within = Path(f"/proc/{self.pid}/syscall")
        until("the call waits", lambda: within.read_text().split()[0] in _PREAD_PWRITE)

    def accounts(self) -> list[Account]:
        """Of every call that has returned so far."""
        return [Account(**json.loads(line)) for line in self.out[1:] if line.endswith(b"\n")]

    def finish(self, seconds: float = 300) -> list[Account]:
        """Of every call, once it has ended."""
        assert self.wait(seconds) == 0, self.errors()
        return self.accounts()


@contextmanager
def sleeper(*words: str, comm: str = "sleeper") -> Iterator[Sleeper]:
    """One, ended with the context."""
    started = Sleeper(*words, comm=comm)
    try:
        yield started
    finally:
        started.close()


@contextmanager
def parameter(name: str, value: int) -> Iterator[None]:
    """A parameter of the ZFS module at another value."""
    file = _PARAMETERS / name
    before = file.read_text()
    file.write_text(str(value))
    try:
        yield
    finally:
        file.write_text(before)


@contextmanager
def dataset(name: str, *options: str) -> Iterator[Path]:
    """A dataset with uncompressed records; yields where it is mounted."""
    words = [word for option in ("compression=off", *options) for word in ("-o", option)]
    sh("zfs", "create", *words, name)
    try:
        yield Path("/", name)
    finally:
        sh("zpool", "sync", name.split("/")[0])
        sh("zfs", "destroy", "-R", name)


def disk_of(pool: str) -> str:
    """The first device of a pool."""
    return sh("zpool", "list", "-vHPL", pool).splitlines()[1].split()[0]


@contextmanager
def delayed(
    pool: str, kind: str, milliseconds: int, lanes: int = 64, disk: str | None = None
) -> Iterator[None]:
    """Each ``kind`` (read, write) of a disk of the pool takes so long; ``lanes`` of them at a time."""
    device = disk or disk_of(pool)
    injected = _number(sh("zinject", "-d", device, "-D", f"{milliseconds}:{lanes}", "-T", kind, pool))
    try:
        yield
    finally:
        sh("zinject", "-c", injected)


@contextmanager
def cold(name: str, size: int) -> Iterator[str]:
    """A file of ``size`` in a dataset of its own, no record of which is ever in the cache, nor read ahead."""
    with dataset(name, "primarycache=metadata") as directory, parameter("zfs_prefetch_disable", 1):
        file = directory / "cold"
        file.write_bytes(os.urandom(size))
        sh("zpool", "sync", name.split("/")[0])
        yield str(file)


@contextmanager
def log_device(pool: str) -> Iterator[str]:
    """A pool with a log device of its own; yields its path."""
    disk = DISKS / f"{pool}.log"
    with disk.open("wb") as file:
        file.truncate(256 << 20)
    sh("zpool", "add", "-f", pool, "log", str(disk))
    try:
        yield str(disk)
    finally:
        sh("zpool", "remove", pool, str(disk))
        disk.unlink()


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """So many programs that do nothing but run."""
    with ExitStack() as stack:
        for number in range(count):
            stack.enter_context(sleeper("spin", "-", "0", "0", "0", comm=f"hog{number}"))
        yield


def threads_named(name: str) -> list[int]:
    """Threads of the kernel with that name."""
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if comm.read_text().strip() == name:
                found.append(int(comm.parent.name))
    return found


@contextmanager
def slowed(name: str) -> Iterator[None]:
    """The kernel's threads of that name get a tenth of one processor, all others what they need."""
    threads, every = threads_named(name), os.sched_getaffinity(0)
    assert threads, f"no thread {name}"
    cpu = max(every)
    with ExitStack() as stack:
        hog = stack.enter_context(sleeper("spin", "-", "0", "0", "0", comm="hog"))
        os.sched_setaffinity(hog.pid, {cpu})
        for thread in threads:
            stack.callback(os.setpriority, os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread))
            stack.callback(os.sched_setaffinity, thread, every)
            os.setpriority(os.PRIO_PROCESS, thread, 10)
            os.sched_setaffinity(thread, {cpu})
        yield


def arc(key: str) -> int:
    """A figure of the cache."""
    lines = Path("/proc/spl/kstat/zfs/arcstats").read_text().splitlines()
    return next(int(line.split()[2]) for line in lines if line.startswith(f"{key} "))


@contextmanager
def small_cache(size: int) -> Iterator[None]:
    """The cache can hold no more than ``size``, from now on."""
    least, most = arc("c_min"), arc("c_max")
    smallest, largest = _PARAMETERS / "zfs_arc_min", _PARAMETERS / "zfs_arc_max"
    smallest.write_text(str(size // 2))
    largest.write_text(str(size))
    try:
        yield
    finally:
        # What they held before, 0, would change nothing; and of itself the cache grows only when it is used.
        largest.write_text(str(most))
        smallest.write_text(str(most // 2))
        smallest.write_text(str(least))


@contextmanager
def thin_pool(name: str) -> Iterator[Path]:
    """A pool whose disk fails as soon as it holds more than _THIN: then it is suspended.

    Injected errors do not do that: ZFS writes elsewhere, again and again. Yields where it is mounted; who uses it ends
    only after `mend`.
    """
    under = Path("/run", name)
    under.mkdir()
    sh("mount", "-t", "tmpfs", "-o", f"size={_THIN}", "thin", str(under))
    disk = under / "disk"
    with disk.open("wb") as file:
        file.truncate(512 << 20)
    with ExitStack() as stack:
        stack.callback(under.rmdir)
        stack.callback(sh, "umount", str(under))
        options = ("-o", "cachefile=none", "-O", "compression=off")
        sh("zpool", "create", "-f", *options, name, str(disk))
        stack.callback(sh, "zpool", "destroy", "-f", name)
        stack.callback(mend, name)
        yield Path("/", name)


def mend(thin: str) -> None:
    """The disk of a thin pool is well again, and whoever waited goes on."""
    sh("mount", "-o", "remount,size=1G", f"/run/{thin}")
    sh("zpool", "clear", thin)


def is_suspended(pool: str) -> bool:
    """Whether the kernel says so."""
    return "SUSPENDED" in Path(f"/proc/spl/kstat/zfs/{pool}/state").read_text()


def _number(said: str) -> str:
    """Of the handler zinject has added."""
    return next(word for word in said.split() if word.isdigit())
