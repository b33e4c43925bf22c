"""The canary: a process of its own, because zfstop does not show its own calls. Run as ``PYTHON -I FD NAME``.

FD is the open directory, NAME the name of the file. It says {"ready": PID}, waits for a line on standard input, then
makes the calls of ``STEPS`` in their order and prints each with what it saw itself (CLOCK_MONOTONIC nanoseconds). End
of input instead of a line means that nobody listens any more: then nothing is made.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

#: Odd on purpose, so that no default and no rounding can look right.
SIZE = 12_345
OFFSET = 4_097
READ_OFFSET = 8_191
#: Reaches over the end of the file: asked for and read differ.
READ_SIZE = 20_000
READ_RESULT = OFFSET + SIZE - READ_OFFSET
STEPS = ("create", "write", "sync", "read", "rename", "delete")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def renamed(name: bytes) -> bytes:
    """What the file is called after the rename."""
    return name + b"-renamed"


class Canary:
    """The file and what is done with it; every method is one step and returns the result of one system call."""

    def __init__(self, directory: int, name: bytes) -> None:
        self._directory, self._name = directory, name
        self._file = -1

    def create(self) -> int:
        self._file = os.open(self._name, _FLAGS, 0o600, dir_fd=self._directory)
        return 0

    def write(self) -> int:
        return os.pwrite(self._file, b"z" * SIZE, OFFSET)

    def sync(self) -> int:
        os.fsync(self._file)
        return 0

    def read(self) -> int:
        return len(os.pread(self._file, READ_SIZE, READ_OFFSET))

    def rename(self) -> int:
        os.rename(self._name, renamed(self._name), src_dir_fd=self._directory, dst_dir_fd=self._directory)
        return 0

    def delete(self) -> int:
        os.unlink(renamed(self._name), dir_fd=self._directory)
        return 0

    @property
    def inode(self) -> int:
        """Number of the file, 0 while there is none."""
        return os.fstat(self._file).st_ino if self._file >= 0 else 0


def remove(directory: int, name: bytes) -> None:
    """Take the file away, whatever it is called by now."""
    for leftover in (name, renamed(name)):
        try:
            os.unlink(leftover, dir_fd=directory)
        except FileNotFoundError:
            continue


def timed(call: Callable[[], int]) -> dict[str, int]:
    """Make one call; begin, end and result, a negative errno when it failed."""
    begun = time.monotonic_ns()
    try:
        result = call()
    except OSError as failure:
        result = -(failure.errno or 1)
    return {"start": begun, "end": time.monotonic_ns(), "result": result}


def main() -> None:
    """Wait for the word, sing, and leave nothing behind."""
    directory, name = int(sys.argv[1]), os.fsencode(sys.argv[2])
    print(json.dumps({"ready": os.getpid()}), flush=True)
    if not sys.stdin.readline():
        return
    canary = Canary(directory, name)
    try:
        for step in STEPS:
            done = timed(getattr(canary, step))
            print(json.dumps({"step": step, "inode": canary.inode, **done}), flush=True)
            if done["result"] < 0:
                break
    finally:
        remove(directory, name)


if __name__ == "__main__":
    main()
