"""The canary from outside: the process of canary_program.py, its file, and the end of both."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from zfstop.doctor import canary_program as program
from zfstop.doctor.place import Place
from zfstop.errors import Exit, UserError
from zfstop.text import visible

_TICK_SECONDS = 0.1
#: No call of the canary takes so long on a pool that works.
_PATIENCE_SECONDS = 60.0
_DYING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """What the canary saw itself; times in ns of CLOCK_MONOTONIC, the clock of the events."""

    step: str
    start: int
    end: int
    result: int
    inode: int


class Canary:
    """The process, waiting for its word. ``name`` is the file's name, before the rename."""

    def __init__(self, place: Place, directory: int, name: bytes) -> None:
        self.place = place
        self.directory = directory
        self.name = name
        command = [sys.executable, "-I", "-B", program.__file__, str(directory), name.decode()]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[directory],
            # Ctrl+C at the terminal is for zfstop, which then takes the file away.
            start_new_session=True, cwd="/",
        )  # fmt: skip
        self._text = b""

    @property
    def pid(self) -> int:
        """The process whose calls are to be seen."""
        return self._process.pid

    def wait_until_ready(self, ended: threading.Event) -> None:
        """Wait until the process is up, or ``ended`` is set. Raises UserError when it does not come up."""
        if not self._line(ended) and not ended.is_set():
            raise UserError(
                Exit.NOT_READY, "the canary's process could not be started", f"{sys.executable} -V"
            )

    def sing(self, ended: threading.Event) -> list[Call]:
        """Let it make its calls and return them. Raises UserError when one fails or does not return."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"go\n")
            self._process.stdin.flush()
        calls: list[Call] = []
        while len(calls) < len(program.STEPS) and not ended.is_set():
            said = self._line(ended)
            if said:
                calls.append(Call(**said))
            if not said or calls[-1].result < 0:
                break
        if not ended.is_set():
            _check(calls, self.place)
        return calls

    def _line(self, ended: threading.Event) -> dict[str, Any]:
        """The next line of the process; empty at its end, when ``ended`` is set, or when patience is."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while b"\n" not in self._text:
            if ended.is_set() or time.monotonic() > deadline:
                return {}
            if select.select([self._process.stdout], [], [], _TICK_SECONDS)[0]:
                more = os.read(self._process.stdout.fileno(), 4096)
                if not more:
                    return {}
                self._text += more
        line, _, self._text = self._text.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        """End the process and take the file away. Raises UserError if the file may have stayed.

        A process that hangs in ZFS cannot be ended, and whoever removed its file would hang beside it.
        """
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=_TICK_SECONDS)
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._process.wait(_DYING_SECONDS)
            program.remove(self.directory, self.name)
        except (OSError, subprocess.TimeoutExpired) as failure:
            why = failure.strerror if isinstance(failure, OSError) else "the process hangs in ZFS"
            raise UserError(
                Exit.NOT_READY,
                f"the canary's file {self.name.decode()} may still be in {self.place.dataset} ({why})",
                "zpool status -x, then remove the file",
            ) from None


@contextmanager
def caged(place: Place) -> Iterator[Canary]:
    """A canary in that place, gone with its file at the end."""
    try:
        directory = os.open(place.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as failure:
        raise UserError(
            Exit.NOT_READY,
            f"{visible(place.directory)} cannot be opened ({failure.strerror})",
            f"zfs mount {place.dataset}",
        ) from None
    try:
        canary = Canary(place, directory, b".zfstop-canary-" + secrets.token_hex(8).encode())
        try:
            yield canary
        finally:
            canary.end()
    finally:
        os.close(directory)


def _check(calls: Sequence[Call], place: Place) -> None:
    """Raise unless the canary made all its calls."""
    if calls and calls[-1].result < 0:
        why = os.strerror(-calls[-1].result)
        raise UserError(
            Exit.NOT_READY,
            f"the canary could not {calls[-1].step} its file in {place.dataset} ({why})",
            f"zfs list -o space {place.dataset}; zpool status -x",
        )
    if len(calls) < len(program.STEPS):
        raise UserError(
            Exit.NOT_READY,
            f"the canary's {program.STEPS[len(calls)]} in {place.dataset} has not returned",
            "zpool status -x",
        )
