"""What only ``zpool status`` and ``zfs get`` know, asked rarely and by a thread of its own.

While a pool hangs, so may these commands, for ever and beyond every signal. Then nothing is known, nobody waits, and
no other command is begun before the one that hangs has ended.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from zfstop.model.events import is_unknown
from zfstop.model.zfs_state import Properties
from zfstop.mounts import KSTAT
from zfstop.namespaces import read
from zfstop.text import visible
from zfstop.zfs.answers import ASKED, PoolAnswer, parse_properties, parse_status
from zfstop.zfs.datasets import parse_objset

#: Seconds from one question to the next: of itself, and at least.
_EVERY_SECONDS: Final = 30.0
_LEAST_SECONDS: Final = 2.0
_TIMEOUT_SECONDS: Final = 10.0
_LEAVE_SECONDS: Final = 0.2
#: Datasets whose properties are asked for, those that were wanted last.
_MOST_DATASETS: Final = 64
_DATASET: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.: -]*(/[A-Za-z0-9_.: -]+)*", re.ASCII)
_PLACES: Final = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"

#: Words of a command -> its output; None when it cannot be run, or did not end in time.
Run = Callable[[list[str]], bytes | None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered last. ``objsets``: dataset -> the kstat file of its own, where ZFS has one."""

    pools: Mapping[str, PoolAnswer] = field(default_factory=dict)
    properties: tuple[Properties, ...] = ()
    objsets: Mapping[str, str] = field(default_factory=dict)


class Commands:
    """Runs commands one after another, each for a limited time."""

    def __init__(self, timeout_s: float = _TIMEOUT_SECONDS) -> None:
        self._timeout_s = timeout_s
        self._last: subprocess.Popen[bytes] | None = None

    def run(self, words: list[str]) -> bytes | None:
        """Output of a command, whatever its status; None as long as one that was begun before has not ended."""
        if self._last is not None and self._last.poll() is None:
            return None
        path = shutil.which(words[0], path=f"{_PLACES}:{os.environ.get('PATH', '')}")
        if path is None:
            return None
        try:
            # A session of its own: Ctrl+C is for the screen.
            self._last = subprocess.Popen(
                [path, *words[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env={"PATH": _PLACES, "LC_ALL": "C"}, start_new_session=True,
            )  # fmt: skip
        except OSError:
            return None
        try:
            return self._last.communicate(timeout=self._timeout_s)[0]
        except subprocess.TimeoutExpired:
            self.end()
            return None

    def end(self) -> None:
        """Kill the one that runs; in the kernel it may hang on, and nobody waits for it."""
        if self._last is not None:
            with contextlib.suppress(OSError):
                self._last.kill()


class Inquiry:
    """The thread that asks. ``answers`` may be read, and everything called, by any thread at any time."""

    def __init__(
        self, run: Run | None = None, kstat: str = KSTAT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._commands = Commands()
        self._run = run or self._commands.run
        self._kstat = kstat
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._wanted: dict[str, None] = {}
        self._json = True
        self._thread: threading.Thread | None = None
        self.answers = Answers()

    def start(self) -> None:
        """Begin, or begin again."""
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._loop, args=[self._stop], name="zfstop-inquiry", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End; whatever hangs is left behind."""
        self._stop.set()
        self._wake.set()
        self._commands.end()
        if self._thread is not None:
            self._thread.join(_LEAVE_SECONDS)

    def want(self, datasets: Iterable[str]) -> None:
        """Ask for the properties of these too, snapshots as their datasets."""
        names = {name.partition("@")[0]: None for name in datasets}
        with self._lock:
            for name in names:
                if _DATASET.fullmatch(name) and not is_unknown(name):
                    self._wanted.pop(name, None)
                    self._wanted[name] = None
            while len(self._wanted) > _MOST_DATASETS:
                del self._wanted[next(iter(self._wanted))]

    def ask(self) -> None:
        """Ask now, or as soon as it is not too often."""
        self._wake.set()

    def inquire(self) -> None:
        """Ask everything once, in this thread."""
        with self._lock:
            wanted = sorted(self._wanted)
        status = self._status()
        properties: dict[str, Properties] = {}
        if wanted and status is not None:
            words = ["zfs", "get", "-Hp", "-o", "name,property,value", ",".join(ASKED), *wanted]
            properties = parse_properties(self._run(words) or b"")
        self.answers = Answers(
            parse_status(status or b""),
            tuple(properties[name] for name in wanted if name in properties),
            self._objsets(),
        )

    def _status(self) -> bytes | None:
        """OpenZFS before 2.3 knows no -j."""
        if self._json:
            found = self._run(["zpool", "status", "-j", "-p"])
            if found is None or found.strip():
                return found
            self._json = False
        return self._run(["zpool", "status", "-p"])

    def _objsets(self) -> dict[str, str]:
        found = {}
        for path in glob.glob(f"{glob.escape(self._kstat)}/*/objset-*"):
            name = parse_objset(read(path))
            if name:
                found[visible(name)] = path
        return found

    def _loop(self, stop: threading.Event) -> None:
        while not stop.is_set():
            asked = self._clock()
            self.inquire()
            self._wake.wait(_EVERY_SECONDS)
            self._wake.clear()
            stop.wait(max(0.0, _LEAST_SECONDS - (self._clock() - asked)))
