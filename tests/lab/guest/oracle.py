"""The oracle's program, driven: prepared at datasets of its own, with a file whose reads wait for their disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness import MOMENT_SECONDS, Program, sh, until

THREADS = (1, 16, 128, 512)
ROUNDS = 2048
# The kernel cuts a delay to its tick of 4 ms: whoever waits for the disk sleeps SLEEP_MS at least.
DELAY_MS = 16
SLEEP_MS = 10
# Enough that no delayed read waits for another one's delay.
_LANES = 64
_BLOCK = 4096
_SMALL = ("-o", "recordsize=4K", "-o", "xattr=sa", "-o", "compression=off")
_STALL_SECONDS = 120


class Oracle(Program):
    """The program with so many threads, at a dataset of its own; ``asleep``: reads of the cold file, no more."""

    def __init__(self, directory: Path, threads: int, asleep: bool) -> None:
        self.threads = threads
        self.asleep = asleep
        name = f"oracle{threads}{'-asleep' if asleep else ''}"
        self.dataset = f"tank/{name}"
        self.log = directory / f"{name}.log"
        sh("zfs", "create", *_SMALL, self.dataset)
        Path("/", self.dataset, "seen").write_text("a snapshot keeps it")
        sh("zfs", "snapshot", f"{self.dataset}@kept")
        known = [self.dataset, "tank/cold/cold", "kept", str(threads), str(self.log)]
        super().__init__([str(directory / "oracle"), *known, *(["asleep"] if asleep else [])])

    def ready(self) -> None:
        """Wait until it has made its files."""
        assert json.loads(self.first_line(MOMENT_SECONDS)) == {"ready": self.pid}

    def work(self, until_round: int | None) -> dict[str, int]:
        """Let it go on to that round, or to its end; the operations it is owed in all by then, by name."""
        assert self.process.stdin is not None
        answers = len(self.out)
        if until_round is None:
            self.process.stdin.close()
        else:
            self.process.stdin.write(f"{until_round}\n".encode())
            self.process.stdin.flush()
        until(
            "the oracle's answer",
            lambda: len(self.out) > answers or self.process.poll() is not None,
            _STALL_SECONDS,
        )
        assert len(self.out) > answers, self.errors()
        owed: dict[str, int] = json.loads(self.out[-1])["expected"]
        return owed


@contextmanager
def oracles(directory: Path, threads: Sequence[int], asleep: Sequence[int] = ()) -> Iterator[list[Oracle]]:
    """One for each number of threads, then for each of ``asleep``, ready; reads of the cold file wait for the disk."""
    source = f"{os.environ['LAB']}/tests/lab/oracle.c"
    sh("gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", str(directory / "oracle"), source)
    with ExitStack() as stack:
        stack.enter_context(_no_prefetch())
        stack.enter_context(_cold_file())
        made = [stack.enter_context(_oracle(directory, count, False)) for count in threads]
        made += [stack.enter_context(_oracle(directory, count, True)) for count in asleep]
        sh("zpool", "sync", "tank")
        stack.enter_context(_slow_reads())
        yield made


@contextmanager
def _oracle(directory: Path, threads: int, asleep: bool) -> Iterator[Oracle]:
    oracle = Oracle(directory, threads, asleep)
    try:
        oracle.ready()
        yield oracle
    finally:
        oracle.close()
        sh("zfs", "destroy", "-R", oracle.dataset)


@contextmanager
def _cold_file() -> Iterator[None]:
    """No cache ever holds its data."""
    sh("zfs", "create", *_SMALL, "-o", "primarycache=metadata", "-o", "sync=disabled", "tank/cold")
    Path("/tank/cold/cold").write_bytes(b"cold" * (_BLOCK // 4) * ROUNDS)
    yield
    sh("zfs", "destroy", "tank/cold")


@contextmanager
def _no_prefetch() -> Iterator[None]:
    file = Path("/sys/module/zfs/parameters/zfs_prefetch_disable")
    before = file.read_text()
    file.write_text("1")
    yield
    file.write_text(before)


@contextmanager
def _slow_reads() -> Iterator[None]:
    disk = sh("zpool", "list", "-vHPL", "tank").splitlines()[1].split()[0]
    sh("zinject", "-d", disk, "-D", f"{DELAY_MS}:{_LANES}", "-T", "read", "tank")
    try:
        yield
    finally:
        sh("zinject", "-c", "all")
