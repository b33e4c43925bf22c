"""Plays a recording as if it happened now: the feed behind ``zfstop --demo``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from zfstop.errors import Exit, UserError
from zfstop.model.aggregate import restrict
from zfstop.model.events import is_unknown
from zfstop.model.history import History, Second
from zfstop.model.state import Controls, Host, Phase, ProbeReport, Status
from zfstop.recording import Meta, Recording
from zfstop.units import format_threshold

STARTS_OVER = "demo starts over"


class Player:
    """A feed.Feed that gives out the seconds of a recording, one in every second of real time."""

    def __init__(
        self,
        recording: Recording,
        *,
        loop: bool = True,
        preload: int = 60,
        autoplay: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """``preload`` seconds are in the history from the start; with ``autoplay`` off, only :meth:`advance` adds more.

        ``clock`` gives seconds; ``wait`` pauses for some of them and returns True when the player is to end.
        Raises UserError for a recording without a single second.
        """
        self._recorded = recording.seconds()
        if not self._recorded:
            raise UserError(Exit.BAD_RECORDING, "the recording holds no whole second")
        self._meta = recording.meta
        self._loop, self._preload, self._autoplay = loop, preload, autoplay
        self._clock = clock
        self._ending = threading.Event()
        self._wait = wait or self._ending.wait
        self._history = History()
        self._lock = threading.Lock()
        self._position = 0
        self._asked: Controls | None = None
        self._thread: threading.Thread | None = None
        self._floor_ns = min(second.controls.threshold_ns for second in self._recorded)
        self._datasets = _datasets(self._recorded)
        self._slots = {
            (probe.op, probe.symbol): slot for slot, probe in enumerate(recording.meta.probes.attached)
        }

    @property
    def history(self) -> History:
        return self._history

    def status(self) -> Status:
        """DEMO, with a note where and when it was recorded."""
        return Status(Phase.DEMO, _origin(self._meta))

    def host(self) -> Host:
        return self._meta.host

    def probes(self) -> ProbeReport:
        return self._meta.probes

    def controls(self) -> Controls:
        """What was asked for last; before that, what the newest second was recorded with."""
        with self._lock:
            return self._asked or self._recorded[max(0, self._position - 1) % len(self._recorded)].controls

    def control(self, controls: Controls) -> None:
        """In force from the next second on.

        Raises UserError for a threshold below every one that was recorded with.
        """
        if controls.threshold_ns < self._floor_ns:
            floor = format_threshold(self._floor_ns)
            raise UserError(
                Exit.USAGE, f"this recording holds nothing below {floor}", f"ask for {floor} or more"
            )
        with self._lock:
            self._asked = controls

    def datasets(self) -> tuple[str, ...]:
        """Names of all datasets in the recording, sorted."""
        return self._datasets

    def start(self) -> None:
        """Fill the history with the first seconds at once, then go on in the background."""
        if self._thread is not None or self._position:
            return
        self.advance(min(self._preload, len(self._recorded)))
        if self._autoplay:
            self._thread = threading.Thread(target=self._play, name="zfstop player", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, at once."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def advance(self, count: int) -> None:
        """Append the next ``count`` seconds now; fewer at the end when the recording is not played in a loop."""
        with self._lock:
            for _ in range(count):
                if self._at_end():
                    return
                self._history.append(self._next())

    def _play(self) -> None:
        due = self._clock() + 1.0
        while not self._wait(max(0.0, due - self._clock())) and not self._ending.is_set():
            self.advance(1)
            if self._at_end():
                return
            # A host that slept must not see all the seconds it missed in one burst.
            due = max(due + 1.0, self._clock())

    def _at_end(self) -> bool:
        return not self._loop and self._position >= len(self._recorded)

    def _next(self) -> Second:
        second = self._recorded[self._position % len(self._recorded)]
        again = self._position and self._position % len(self._recorded) == 0
        self._position += 1
        if self._asked is not None and self._asked != second.controls:
            second = restrict(second, self._asked, self._slots)
        return replace(second, notes=(STARTS_OVER, *second.notes)) if again else second


def _origin(meta: Meta) -> str:
    where = f"in {meta.place}" if meta.place else f"on {meta.host.name}"
    return f"recorded {meta.started[:10]} {where}, Linux {meta.host.kernel}, OpenZFS {meta.host.zfs}"


def _datasets(seconds: tuple[Second, ...]) -> tuple[str, ...]:
    names = {key.dataset for second in seconds for key, _ in second.groups}
    names |= {event.key.dataset for second in seconds for event in second.events}
    return tuple(sorted(name for name in names if name and not is_unknown(name)))
