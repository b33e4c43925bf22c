"""The background thread: drains the probes, closes a second every second, and is the history's only writer."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence

from zfstop.errors import Exit, UserError
from zfstop.kernel import host
from zfstop.kernel.accumulate import Accumulator
from zfstop.kernel.names import Names
from zfstop.kernel.source import LiveSource
from zfstop.model.events import Event
from zfstop.model.history import History, InFlight, Second, Tally
from zfstop.model.state import Controls, Counts, Host, Phase, ProbeReport, Status
from zfstop.mounts import Mounts, known_datasets
from zfstop.text import visible
from zfstop.zfs.operations import mask_of

_POLL_SECONDS = 0.05
_WAIT_FOR_ZFS_SECONDS = 0.5
_TAP_CHUNKS = 64
#: A dataset that is not mounted, new or renamed, is known after this time at the latest.
_LIST_NS = 30_000_000_000
#: Younger calls in flight are no news.
STUCK_NS = 1_000_000_000


class Collector:
    """A live :class:`zfstop.feed.Feed`.

    ``keep_events`` whole events of every second go into the history, which then must be short: a recording wants
    them, the screen does not. With ``tap`` every event is also put, decoded, into a bounded queue; while that is
    full the collector waits, the ring fills, and the kernel counts what is lost: a slow reader of ``trace`` is never
    lied to.
    """

    def __init__(
        self, controls: Controls, *, keep_events: int = 0, seconds: int = 1800, tap: bool = False
    ) -> None:
        self._history = History(seconds)
        self._controls = controls
        self._asked = controls
        self._keep = keep_events
        self._status = Status(Phase.STARTING, "starting")
        self._host = host.describe()
        self._probes = ProbeReport()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zfstop-collector", daemon=True)
        self._datasets: tuple[str, ...] = ()
        self._listed = (-1, 0)
        self.tap: queue.Queue[Sequence[Event]] | None = queue.Queue(_TAP_CHUNKS) if tap else None
        self.error: UserError | None = None

    @property
    def history(self) -> History:
        """Where the seconds go."""
        return self._history

    def status(self) -> Status:
        """What is going on."""
        return self._status

    def host(self) -> Host:
        """This host."""
        return self._host

    def probes(self) -> ProbeReport:
        """What is attached."""
        return self._probes

    def controls(self) -> Controls:
        """What was asked for last."""
        with self._lock:
            return self._asked

    def control(self, controls: Controls) -> None:
        """Ask for other filters; the thread puts them in force within milliseconds."""
        check_datasets(controls, self.datasets())
        with self._lock:
            self._asked = controls
        self._wake.set()

    def datasets(self) -> tuple[str, ...]:
        """Known datasets, as of the last second."""
        return self._datasets

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def request_stop(self) -> None:
        """Begin to end: what is in the ring still goes through the tap."""
        self._stop.set()
        self._wake.set()

    def stop(self) -> None:
        """Detach and wait for it; what was not read from the tap is given up."""
        self.tap = None
        self.request_stop()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5)

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread.is_alive()

    # From here on everything runs in the thread.

    def _run(self) -> None:
        try:
            self._wait_and_trace()
        except UserError as error:
            # Ended while it was loading: that is no failure.
            if not self._stop.is_set():
                self._fail(error)
        except Exception as error:  # a bug of ours: the screen must say so rather than stand still
            text = visible(f"{type(error).__name__}: {error}")
            self._fail(
                UserError(Exit.INTERNAL, f"the collector stopped: {text}", "report this as a bug of zfstop")
            )

    def _fail(self, error: UserError) -> None:
        self.error = error
        self._status = Status(Phase.FAILED, error.sentence, error.problem)

    def _wait_and_trace(self) -> None:
        with contextlib.closing(Mounts()) as mounts:
            while not self._stop.is_set():
                self._datasets = known_datasets(mounts)
                if not host.zfs_loaded():
                    self._wait_for_zfs()
                    continue
                with contextlib.closing(LiveSource()) as source:
                    self._trace(source, mounts)

    def _wait_for_zfs(self) -> None:
        missing = host.no_zfs()
        note = f"{missing.sentence}; waiting for it"
        self._status = Status(Phase.WAITING, note, missing.problem)
        self._stop.wait(_WAIT_FOR_ZFS_SECONDS)

    def _trace(self, source: LiveSource, mounts: Mounts) -> None:
        identity = host.zfs_identity()
        self._host = host.describe()
        self._status = Status(Phase.STARTING, "starting")
        source.open(self._stage, self._stop.is_set)
        self._probes = source.loaded.report
        self._history.clear_slots()
        self._apply(source, mounts, self.controls())
        self._status = Status(Phase.LIVE, "")
        _Tracing(self, source, mounts).run(lambda: self._stop.is_set() or host.zfs_identity() != identity)

    def _stage(self, text: str) -> None:
        self._status = Status(Phase.STARTING, text)

    def _apply(self, source: LiveSource, mounts: Mounts, controls: Controls) -> None:
        devs = None
        if controls.datasets:
            devs = frozenset(dev for dev, name in mounts.devices().items() if controls.wants_dataset(name))
        source.apply(controls.threshold_ns, mask_of(controls.ops), controls.pids, devs)
        self._controls = controls

    def offer(self, events: Sequence[Event]) -> None:
        """Put events into the tap; waits while it is full, also at the end, unless the reader has gone."""
        while (tap := self.tap) is not None:
            try:
                tap.put(events, timeout=0.1)
                return
            except queue.Full:
                continue

    def refresh_controls(self, source: LiveSource, mounts: Mounts, remounted: bool) -> None:
        """Put asked filters in force; device filters also after a change of the mount table."""
        asked = self.controls()
        if asked != self._controls or (remounted and asked.datasets):
            self._apply(source, mounts, asked)

    def append(self, second: Second, mounts: Mounts) -> None:
        """One second to the history. Datasets are listed anew when mounts changed, and seldom else: a file each."""
        self._history.append(second)
        generation, listed_ns = self._listed
        if mounts.generation != generation or second.mono_ns - listed_ns > _LIST_NS:
            self._datasets = known_datasets(mounts)
            self._listed = mounts.generation, second.mono_ns

    @property
    def keep(self) -> int:
        """Whole events kept in each second."""
        return self._keep

    @property
    def in_force(self) -> Controls:
        """What the kernel filters by now."""
        return self._controls

    def sleep(self, seconds: float) -> None:
        """Wait, but not past a change of the controls or the end."""
        self._wake.wait(seconds)
        self._wake.clear()


class _Tracing:
    """The loop from attach to detach."""

    def __init__(self, collector: Collector, source: LiveSource, mounts: Mounts) -> None:
        self._collector = collector
        self._source = source
        self._mounts = mounts
        self._names = Names(source.loaded.slots, source.paths, mounts)
        self._second = Accumulator(collector.keep)
        self._counts: tuple[Counts, ...] = tuple(Counts() for _ in source.loaded.slots)
        self._in_flight = source.in_flight(mounts)
        self._missed: dict[int, int] = {}
        self._begun = time.monotonic_ns()

    def run(self, ended: Callable[[], bool]) -> None:
        """Until ``ended``; the last, partial second is closed too."""
        while True:
            last = ended()
            self._collector.refresh_controls(self._source, self._mounts, self._mounts.changed())
            self._drain()
            if last or time.monotonic_ns() - self._begun >= 1_000_000_000:
                self._close_second()
            if last:
                return
            self._collector.sleep(_POLL_SECONDS)

    def _drain(self) -> None:
        for chunk in self._source.drain():
            self._second.add(chunk)
            if self._collector.tap is not None:
                self._collector.offer(self._names.events(chunk))

    def _close_second(self) -> None:
        now = time.monotonic_ns()
        stuck = self._stuck(now)
        counts = self._counts_now()
        groups, events, thinned = self._second.close(self._names)
        self._source.paths.tidy()
        self._collector.append(
            Second(
                clock=time.time(),
                mono_ns=now,
                length_ns=now - self._begun,
                controls=self._collector.in_force,
                groups=groups,
                events=events,
                thinned=thinned,
                slots=tuple(a.minus(b) for a, b in zip(counts, self._counts, strict=True)),
                # The counters of a slot are not read at one instant: a call in between must not make this negative.
                in_flight=max(0, sum(item.in_flight for item in counts)),
                stuck=stuck,
                tallies=self._tallies(),
            ),
            self._mounts,
        )
        self._counts, self._begun = counts, now

    def _stuck(self, now_ns: int) -> tuple[InFlight, ...]:
        """What is in flight for longer than the threshold, and than any call should take to be worth a line."""
        controls = self._collector.in_force
        calls, missed = self._in_flight.older_than(now_ns, max(controls.threshold_ns, STUCK_NS))
        for slot, count in missed.items():
            self._missed[slot] = self._missed.get(slot, 0) + count
        return tuple(call for call in calls if controls.wants_dataset(call.key.dataset))

    def _counts_now(self) -> tuple[Counts, ...]:
        slots = self._source.loaded.slots
        kernel = self._source.counts()
        return tuple(
            c._replace(missed=c.missed + self._missed.get(slot, 0))
            for slot, c in zip(slots, kernel, strict=True)
        )

    def _tallies(self) -> tuple[tuple[str, str, Tally], ...]:
        named: dict[tuple[str, str], Tally] = {}
        for (op, dev), tally in self._source.tallies().items():
            where = op, self._mounts.name(dev, os.getpid())
            named[where] = tally.plus(named[where]) if where in named else tally
        return tuple((op, dataset, tally) for (op, dataset), tally in named.items())


def check_datasets(controls: Controls, known: tuple[str, ...]) -> None:
    """Raise for a pool or dataset nobody knows, listing the known ones; not while nothing is known at all."""
    unknown = sorted(controls.datasets - set(known))
    if not unknown or not known:
        return
    shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    raise UserError(
        Exit.UNKNOWN_NAME,
        f"there is no pool or dataset '{visible(unknown[0])}'; known: {shown}",
        "zfs list -o name",
    )


def check_pids(pids: frozenset[int]) -> None:
    """Raise for a PID that no process has."""
    missing = sorted(pid for pid in pids if not os.path.exists(f"/proc/{pid}"))
    if missing:
        raise UserError(
            Exit.UNKNOWN_NAME,
            f"there is no process {missing[0]}",
            "ps -e, or leave -p out and filter with P later",
        )
