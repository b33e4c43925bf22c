"""Plays a recording as if it happened now: the feed behind ``zfstop --demo``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from zfstop.errors import Exit, UserError
from zfstop.model.aggregate import restrict
from zfstop.model.costs import Costs, Watch
from zfstop.model.events import is_unknown
from zfstop.model.history import History, Second
from zfstop.model.state import Controls, Host, Phase, ProbeReport, Status
from zfstop.recording import Meta, Recording
from zfstop.units import format_threshold

STARTS_OVER = "demo starts over"


class Played:
    """What a feed of a recording answers, whichever way it is played."""

    def __init__(self, meta: Meta) -> None:
        self._meta = meta
        self._slots = {(probe.op, probe.symbol): slot for slot, probe in enumerate(meta.probes.attached)}

    def host(self) -> Host:
        """Where it was recorded."""
        return self._meta.host

    def probes(self) -> ProbeReport:
        """What was measured then."""
        return self._meta.probes

    def costs(self) -> Costs:
        """None: a recording holds calls, not what it cost to measure them."""
        return Costs(note="not in a recording")

    def watch_costs(self, how: Watch) -> None:
        """There is nothing to watch."""

    def ask_zfs(self) -> None:
        """There is nobody to ask."""


def refuse_below(floor_ns: int, controls: Controls) -> None:
    """Raises UserError for a threshold below every one that was recorded with."""
    if controls.threshold_ns < floor_ns:
        floor = format_threshold(floor_ns)
        raise UserError(Exit.USAGE, f"this recording holds nothing below {floor}", f"ask for {floor} or more")


class Player(Played):
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
        super().__init__(recording.meta)
        self._recorded = recording.seconds()
        if not self._recorded:
            raise UserError(Exit.BAD_RECORDING, "the recording holds no whole second")
        self._loop, self._preload, self._autoplay = loop, preload, autoplay
        self._clock = clock
        self._ending = threading.Event()
        self._wait = wait or self._ending.wait
        self._history = History()
        self._lock = threading.Lock()
        self._position = self._last_ns = 0
        self._asked: Controls | None = None
        self._thread: threading.Thread | None = None
        self._floor_ns = min(second.controls.threshold_ns for second in self._recorded)
        self._datasets = _datasets(self._recorded)

    @property
    def history(self) -> History:
        return self._history

    @property
    def playback(self) -> None:
        """It cannot be held: what is played is the newest."""

    def status(self) -> Status:
        """DEMO, with a note where and when it was recorded."""
        return Status(Phase.DEMO, origin(self._meta))

    def controls(self) -> Controls:
        """What was asked for last; before that, what the newest second was recorded with."""
        with self._lock:
            return self._asked or self._recorded[max(0, self._position - 1) % len(self._recorded)].controls

    def control(self, controls: Controls) -> None:
        """In force from the next second on.

        Raises UserError for a threshold below every one that was recorded with.
        """
        refuse_below(self._floor_ns, controls)
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
        if second.mono_ns - second.length_ns != self._last_ns:
            # The first again, or seconds are missing: what was counted until now does not go on here.
            self._history.clear_slots()
        self._last_ns = second.mono_ns
        self._position += 1
        if self._asked is not None and self._asked != second.controls:
            second = restrict(second, self._asked, self._slots)
        return replace(second, notes=(STARTS_OVER, *second.notes)) if again else second


def origin(meta: Meta, minutes: bool = False) -> str:
    """Where and when it was recorded, in words; with the time of day or without."""
    when = meta.started.replace("T", " ")[: 16 if minutes else 10]
    where = f"in {meta.place}" if meta.place else f"on {meta.host.name}"
    return f"recorded {when} {where}, Linux {meta.host.kernel}, OpenZFS {meta.host.zfs}"


def _datasets(seconds: tuple[Second, ...]) -> tuple[str, ...]:
    names = {key.dataset for second in seconds for key, _ in second.groups}
    names |= {event.key.dataset for second in seconds for event in second.events}
    return tuple(sorted(name for name in names if name and not is_unknown(name)))
