"""The background thread: drains the probes, closes a second every second, and is the history's only writer."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from zfstop.callers import Callers
from zfstop.errors import Exit, UserError
from zfstop.guard import Guard
from zfstop.kernel import host
from zfstop.kernel.accumulate import Accumulator
from zfstop.kernel.costs import Meter
from zfstop.kernel.head_start import HeadStart
from zfstop.kernel.names import Names
from zfstop.kernel.source import LiveSource, Loaded, pid_room
from zfstop.model.costs import WAITS, Costs, Usage, Watch
from zfstop.model.events import Event, Key
from zfstop.model.history import History, InFlight, Second, Stats, Tally
from zfstop.model.relief import Limits
from zfstop.model.state import Controls, Counts, Host, Phase, ProbeReport, Status
from zfstop.model.zfs_state import ZfsState
from zfstop.mounts import Mounts, known_datasets, pool_imported
from zfstop.observer import Observer, heaviest
from zfstop.text import visible
from zfstop.usage import OwnUsage
from zfstop.zfs.operations import mask_of

_POLL_SECONDS = 0.05
_WAIT_FOR_ZFS_SECONDS = 0.5
#: Probes by fentry hold the module, which so could not be unloaded. After this time without a pool they are given up.
_WITHOUT_POOL_SECONDS = 5.0
_TAP_CHUNKS = 64
#: Detaching takes a while; what is left then goes with the process.
_DETACH_SECONDS = 30
#: A dataset that is not mounted, new or renamed, is known after this time at the latest.
_LIST_NS = 30_000_000_000
#: Younger calls in flight are no news.
STUCK_NS = 1_000_000_000


class Collector:
    """A live :class:`zfstop.feed.Feed`.

    ``keep_events`` whole events of every second go into the history, which then must be short: a recording wants
    them, the screen does not. With ``tap`` every event is also put, decoded, into a bounded queue; while that is
    full the collector waits, the ring fills, and the kernel counts what is lost: a slow reader of ``trace`` is never
    lied to. An ``observer`` adds the state of ZFS to every second. ``begun`` is for its first start.
    """

    def __init__(
        self,
        controls: Controls,
        limits: Limits | None = None,
        *,
        keep_events: int = 0,
        seconds: int = 1800,
        tap: bool = False,
        observer: Observer | None = None,
        begun: HeadStart | None = None,
    ) -> None:
        self._history = History(seconds)
        self._controls = controls
        self._asked = controls
        self._most_pids = len(controls.pids)
        self._keep = keep_events
        self.observer = observer
        self._begun = begun
        self._status = Status(Phase.STARTING, "starting")
        self._host = host.describe()
        self._probes = ProbeReport()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zfstop-collector", daemon=True)
        self._datasets: tuple[str, ...] = ()
        self._listed = (-1, 0)
        self._costs = Costs()
        self._limits = limits or Limits()
        self._waits = _Waits()
        self.guard = Guard(self._limits, {WAITS: self._waits})
        self._watch = Watch.NOT
        self._meter: Meter | None = None
        self.tap: queue.Queue[Sequence[Event]] | None = queue.Queue(_TAP_CHUNKS) if tap else None
        self.error: UserError | None = None

    @property
    def history(self) -> History:
        """Where the seconds go."""
        return self._history

    @property
    def playback(self) -> None:
        """Nothing is played: it happens."""

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
        self._check_room(controls)
        with self._lock:
            self._asked = controls
        self._wake.set()

    def _check_room(self, controls: Controls) -> None:
        room = pid_room(self._most_pids)
        if len(controls.pids) > room:
            raise UserError(
                Exit.USAGE,
                f"there is room for {room} process IDs now",
                "start zfstop with all of them, by -p, or filter by dataset",
            )

    def datasets(self) -> tuple[str, ...]:
        """Known datasets, as of the last second."""
        return self._datasets

    def costs(self) -> Costs:
        """Of the second counted last; without a figure while nobody watches."""
        return self._costs

    def ask_zfs(self) -> None:
        """Its commands, by a thread of their own, within seconds."""
        if self.observer is not None:
            self.observer.ask()

    def watch_costs(self, how: Watch) -> None:
        """At once: also when this process is stopped next."""
        with self._lock:
            self._watch = how
            if self._meter is not None:
                self._meter.watch(self._least_watch, time.monotonic_ns())

    @property
    def _least_watch(self) -> Watch:
        """A budget is kept by counting every second."""
        return self._watch if self._limits.budget is None else Watch.CLOSELY

    @property
    def told(self) -> tuple[str, ...]:
        """What is measured less than was asked for, for now, in words."""
        return self.guard.notes

    @contextlib.contextmanager
    def _measuring(self, meter: Meter) -> Iterator[Meter]:
        """The meter obeys :meth:`watch_costs`, and in the end counts no more."""
        with self._lock:
            self._meter = meter
            meter.watch(self._least_watch, time.monotonic_ns())
        try:
            yield meter
        finally:
            with self._lock:
                self._meter, self._costs = None, Costs()
                meter.watch(Watch.NOT, time.monotonic_ns())

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
            self._thread.join(_DETACH_SECONDS)

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
        finally:
            self._end_begun()

    def _end_begun(self) -> None:
        if self._begun is not None:
            self._begun.close()
            self._begun = None

    def _fail(self, error: UserError) -> None:
        self.error = error
        self._status = Status(Phase.FAILED, error.sentence, error.problem)

    def _wait_and_trace(self) -> None:
        with contextlib.closing(Mounts()) as mounts, contextlib.closing(Callers()) as callers:
            while not self._stop.is_set():
                self._datasets = known_datasets(mounts)
                if not host.zfs_loaded():
                    self._wait(host.no_zfs())
                    continue
                if not pool_imported():
                    self._wait(host.no_pool())
                    continue
                with contextlib.closing(LiveSource()) as source:
                    self._trace(source, mounts, callers)

    def _wait(self, missing: UserError) -> None:
        # That may take long.
        self._end_begun()
        self._status = Status(Phase.WAITING, f"{missing.sentence}; waiting for it", missing.problem)
        self._stop.wait(_WAIT_FOR_ZFS_SECONDS)

    def _trace(self, source: LiveSource, mounts: Mounts, callers: Callers) -> None:
        identity = host.zfs_identity()
        self._host = host.describe()
        self._status = Status(Phase.STARTING, "starting")
        begun, self._begun = self._begun, None
        wanted = mask_of(self.controls().wanted_ops)
        source.open(self._stage, self._stop.is_set, wanted, self._most_pids, begun)
        self._probes = source.loaded.report
        self._history.clear_slots()
        if self.controls().datasets:
            mounts.look_everywhere()
        self._waits.source = source
        self._apply(source, mounts, self.guard.relief.applied(self.controls()))
        self._status = Status(Phase.LIVE, "")
        idle = _Idle()
        asking = self.observer.asking() if self.observer else contextlib.nullcontext()
        meter = Meter(_programs(source.loaded) | {WAITS: source.wait_programs})
        with asking, self._measuring(meter):
            _Tracing(self, source, mounts, callers, meter).run(
                lambda: self._stop.is_set() or host.zfs_identity() != identity or idle.long_enough()
            )

    def _stage(self, text: str) -> None:
        self._status = Status(Phase.STARTING, text)

    def _apply(self, source: LiveSource, mounts: Mounts, controls: Controls) -> None:
        devs = None
        if controls.datasets:
            devs = frozenset(dev for dev, name in mounts.devices().items() if controls.wants_dataset(name))
        source.apply(controls.threshold_ns, mask_of(controls.wanted_ops), controls.pids, devs)
        self._probes = source.loaded.report
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
        asked = self.guard.relief.applied(self.controls())
        if asked.datasets - self._controls.datasets:
            # A device that only a container has is found by a search; once found, filters are put in force again.
            mounts.seek_everywhere()
        if asked != self._controls or (remounted and asked.datasets):
            self._apply(source, mounts, asked)

    def tell_costs(self, costs: Costs, own: Usage | None) -> None:
        """What the programs cost in the second counted last, and the process in the one that ends."""
        with self._lock:
            self._costs = Costs() if self._watch is Watch.NOT else replace(costs, own=own)

    def name_sleeps(self, source: LiveSource, groups: Sequence[tuple[Key, Stats]], now_ns: int) -> None:
        """Have sleeps named that nothing explains, when the second that ends had some worth it."""
        waits = [stats.waits for _, stats in groups if stats.waits is not None]
        source.name_sleeps(sum(item.other for item in waits), sum(item.total for item in waits), now_ns)
        self._probes = source.loaded.report

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


class _Waits:
    """The sleeps of calls, as something that a budget can give up."""

    def __init__(self) -> None:
        self.source: LiveSource | None = None

    def can_give_up(self) -> bool:
        """Whether they are watched."""
        return self.source is not None and self.source.watches_waits

    def give_up(self) -> None:
        """In force for the next operation."""
        self._watch(False)

    def take_back(self) -> None:
        """The same."""
        self._watch(True)

    def _watch(self, on: bool) -> None:
        if self.source is not None:
            self.source.watch_waits(on)


class _Idle:
    """For how long no pool has been imported; looks once a second."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._next = 0.0

    def long_enough(self) -> bool:
        """Whether there is nothing to trace, and the module should be free to go."""
        now = time.monotonic_ns() / 1e9
        if now < self._next:
            return False
        self._next = now + 1
        if pool_imported():
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= _WITHOUT_POOL_SECONDS


class _Tracing:
    """The loop from attach to detach."""

    def __init__(
        self, collector: Collector, source: LiveSource, mounts: Mounts, callers: Callers, meter: Meter
    ) -> None:
        self._collector = collector
        self._meter = meter
        self._source = source
        self._mounts = mounts
        self._names = Names(source.loaded.slots, source.paths, mounts, callers, source.function_at)
        self._second = Accumulator(collector.keep)
        self._counts: tuple[Counts, ...] = tuple(Counts() for _ in source.loaded.slots)
        self._in_flight = source.in_flight(mounts, callers)
        self._missed: dict[int, int] = {}
        self._volumes_named = False
        self._tallied: dict[tuple[str, str], Tally] = {}
        self._begun = time.monotonic_ns()
        self._own = OwnUsage()

    def run(self, ended: Callable[[], bool]) -> None:
        """Until ``ended``; the last, partial second is closed too."""
        while True:
            last = ended()
            self._source.take_paths()
            self._learn_volumes()
            remounted = self._drain() or self._volumes_named
            self._volumes_named = False
            self._collector.refresh_controls(self._source, self._mounts, remounted)
            if last or time.monotonic_ns() - self._begun >= 1_000_000_000:
                self._close_second()
            if last:
                return
            self._collector.sleep(_POLL_SECONDS)

    def _drain(self) -> bool:
        """Take what is in the ring; whether names of devices are others than before.

        Every record gets the name its device had. A change is looked for when a chunk has been taken and not yet
        named: then all before it have the old names. What the ring held when the change was seen may be of either
        side; it has been read when a whole drain that began later has ended.
        """
        settles, turned = self._mounts.doubt, False
        for chunk in itertools.chain(self._source.drain(), [b""]):
            if self._mounts.changed():
                self._name_so_far()
                self._mounts.turn()
                settles, turned = False, True
            if chunk:
                self._take(chunk)
        if settles:
            self._name_so_far()
            self._mounts.settle()
        return settles or turned

    def _take(self, chunk: bytes) -> None:
        self._learn_volumes()
        self._second.add(chunk)
        self._second.name_new(self._names)
        if self._collector.tap is not None:
            self._collector.offer(self._names.events(chunk))

    def _learn_volumes(self) -> None:
        self._volumes_named |= self._mounts.learn(self._source.paths.volumes())

    def _name_so_far(self) -> None:
        self._second.settle(self._names)
        self._add_tallies()

    def _close_second(self) -> None:
        now = time.monotonic_ns()
        self._source.settle()
        stuck = self._stuck(now)
        counts = self._counts_now()
        groups, events, thinned = self._second.close(self._names)
        self._names.end_second()
        self._collector.name_sleeps(self._source, groups, now)
        self._source.paths.tidy()
        tallies = self._tallies()
        costs, guard = self._meter.read(now), self._collector.guard
        second = Second(
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
            tallies=tallies,
            notes=guard.notes,
            zfs=self._observed(groups, tallies),
        )
        guard.observe(second, costs, self._collector.controls())
        self._collector.append(second, self._mounts)
        self._collector.tell_costs(costs, self._own.read())
        self._counts, self._begun = counts, now

    def _observed(
        self, groups: tuple[tuple[Key, Stats], ...], tallies: tuple[tuple[str, str, Tally], ...]
    ) -> ZfsState | None:
        """What ZFS says of itself; of the datasets in this second more than of others."""
        observer = self._collector.observer
        if observer is None:
            return None
        slow = heaviest((key.dataset, stats.total_ns) for key, stats in groups)
        return observer.look(slow, heaviest((dataset, tally.calls) for _, dataset, tally in tallies))

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

    def _add_tallies(self) -> None:
        for (op, dev), tally in self._source.tallies().items():
            where = op, self._mounts.name(dev)
            self._tallied[where] = tally.plus(self._tallied[where]) if where in self._tallied else tally

    def _tallies(self) -> tuple[tuple[str, str, Tally], ...]:
        self._add_tallies()
        tallied, self._tallied = self._tallied, {}
        return tuple((op, dataset, tally) for (op, dataset), tally in tallied.items())


def _programs(loaded: Loaded) -> dict[str, tuple[int, ...]]:
    """Operation -> descriptors of its programs; those of a function that serves two operations are in both."""
    found: dict[str, tuple[int, ...]] = {}
    for slot, fds in loaded.programs.items():
        op = loaded.slots[slot].op
        found[op] = (*found.get(op, ()), *fds)
    return found


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
