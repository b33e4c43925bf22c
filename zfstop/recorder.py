"""Recording beside the screen: a thread that copies what comes into a file. Disks that hang or fill up stop only it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime

from zfstop.errors import Exit, UserError
from zfstop.feed import Feed
from zfstop.model.history import Second
from zfstop.model.state import Phase
from zfstop.recording import Meta, Writer
from zfstop.recording.paths import shown_path
from zfstop.text import visible

_TICK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class RecorderState:
    """``name`` is the file's as it can be shown; ``missing`` seconds went by while the disk was busy; ``error`` is why
    it stopped by itself, ``ended`` that the file is complete.
    """

    name: str
    seconds: int = 0
    missing: int = 0
    error: UserError | None = None
    ended: bool = False


class Recorder:
    """Records a feed from now on. The state may be read from any thread."""

    def __init__(self, feed: Feed, path: str) -> None:
        """Raises UserError when the file cannot be made; begins at once."""
        self._history = feed.history
        self._position = feed.history.end
        self._writer = Writer(path, _meta(feed))
        self._state = RecorderState(shown_path(path))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zfstop-recorder", daemon=True)
        self._thread.start()

    @property
    def state(self) -> RecorderState:
        """How it goes."""
        return self._state

    def told(self) -> str:
        """How it went, in one sentence."""
        state = self._state
        if state.error is not None:
            return state.error.sentence
        missing = f", {state.missing} are missing: the disk was too slow" if state.missing else ""
        doing = "" if state.ended else "; the disk is still busy with it"
        return f"{state.seconds} seconds recorded in {state.name}{missing}{doing}"

    def stop(self) -> None:
        """Begin to end; the file is complete once the state says so."""
        self._ending.set()

    def join(self, seconds: float) -> None:
        """Wait for the end, not for ever: a disk that hangs must not keep the program."""
        self.stop()
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            with self._writer:
                ending = False
                while not ending:
                    # What came before the end was asked for is recorded too.
                    ending = self._ending.wait(_TICK_SECONDS)
                    self._copy()
        except UserError as error:
            self._state = replace(self._state, error=error)
        except Exception as error:  # a bug of ours: the screen must say so rather than seem to record on
            sentence = f"recording stopped: {visible(f'{type(error).__name__}: {error}')}"
            self._state = replace(self._state, error=UserError(Exit.INTERNAL, sentence))
        self._state = replace(self._state, ended=True)

    def _copy(self) -> None:
        end = self._history.end
        seconds = self._history.between(self._position, end)
        missing = self._state.missing + end - self._position - len(seconds)
        self._position = end
        for second in seconds:
            self._writer.append(second)
            self._state = replace(self._state, seconds=self._state.seconds + 1, missing=missing)


def default_name(host: str, now: datetime) -> str:
    """``db1-20260114-140322.zfstop``: sorts by host and time, and needs no quotes in a shell."""
    return f"{safe_name(host)}-{now:%Y%m%d-%H%M%S}.zfstop"


def safe_name(host: str) -> str:
    """The host as a part of a file's name."""
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in host)
    return safe.strip("-")[:40] or "zfstop"


def _meta(feed: Feed) -> Meta:
    """A demo is recorded with the time it is of."""
    demo = feed.status().phase is Phase.DEMO
    newest: tuple[Second, ...] = feed.history.between(feed.history.end - 1, feed.history.end)
    now = datetime.fromtimestamp(newest[-1].clock) if demo and newest else datetime.now()
    started = now.astimezone().isoformat(timespec="seconds")
    return Meta(feed.host(), started, "the demo of zfstop" if demo else "", feed.probes())
