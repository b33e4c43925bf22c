"""The background thread: every second once, every event once, filters at once, and an end on every way out.

The probes are made up; a second lasts a twentieth of one.
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from zfstop import collector as module
from zfstop.collector import Collector, check_datasets, check_pids
from zfstop.errors import Exit, UserError
from zfstop.feed import Feed
from zfstop.kernel import bpf, host
from zfstop.kernel.paths import Paths
from zfstop.model.costs import Watch
from zfstop.model.events import EVENT_STRUCT, PATH_STRUCT, RawEvent
from zfstop.model.relief import Limits
from zfstop.model.state import Attached, Controls, Counts, Phase, ProbeReport
from zfstop.zfs.operations import mask_of

MS = 1_000_000
SPEED = 20
PROBE = Attached("read", "zpl_iter_read", "zfs", "kiocb_iter", "kprobe pair")
ALL = mask_of(Controls().wanted_ops)


def records(first: int, count: int) -> bytes:
    """Records whose tid tells them apart."""
    return b"".join(
        struct.pack("=II", EVENT_STRUCT.size, 0)
        + EVENT_STRUCT.pack(
            *RawEvent(
                10**12,
                20 * MS,
                0,
                512,
                512,
                1,
                1,
                1,
                b"dd",
                812,
                57,
                0,
                0,
                0,
                first + number,
                300,
                0,
                bytes(16),
                0,
            )
        )
        for number in range(count)
    )


class Nothing:
    """No call is in flight."""

    def older_than(self, now_ns: int, age_ns: int) -> tuple[tuple[Any, ...], dict[int, int]]:
        return (), {}


class Source:
    """Stands for LiveSource."""

    opened: list[Source]
    opening: Callable[[Source], None]

    def __init__(self) -> None:
        self.paths = Paths(lambda ids: None, 100)
        self.paths.add(PATH_STRUCT.pack(1, 2, 0) + b"f\0")
        self.loaded = SimpleNamespace(slots={0: PROBE}, report=ProbeReport((PROBE,)), programs={0: (41, 42)})
        self.chunks: list[bytes] = []
        self.applied: list[tuple[int, int, frozenset[int], frozenset[int] | None]] = []
        self.wait_programs = (43,)
        self.seen = 0
        self.lost = 0
        self.closed = 0
        self.stage: Callable[[str], None]
        self.stopping: Callable[[], bool]

    def open(
        self,
        stage: Callable[[str], None],
        stopping: Callable[[], bool],
        operations: int,
        pids: int,
        begun: object,
    ) -> None:
        self.stage, self.stopping, self.begun = stage, stopping, begun
        stage("compiling the probes")
        Source.opening(self)
        Source.opened.append(self)

    def apply(self, threshold: int, ops: int, pids: frozenset[int], devs: frozenset[int] | None) -> None:
        self.applied.append((threshold, ops, pids, devs))

    def drain(self) -> Iterator[bytes]:
        while self.chunks:
            chunk = self.chunks.pop(0)
            self.seen += len(chunk) // (EVENT_STRUCT.size + 8)
            yield chunk

    def counts(self) -> tuple[Counts, ...]:
        calls = self.seen + self.lost + 7
        return (Counts(entered=calls, returned=calls, seen=self.seen, below=7, lost=self.lost),)

    def tallies(self) -> Mapping[tuple[str, int], Any]:
        return {}

    def in_flight(self, mounts: object, callers: object) -> Nothing:
        return Nothing()

    def take_paths(self) -> None: ...

    def name_sleeps(self, other_ns: int, total_ns: int, now_ns: int) -> None: ...

    watches_waits = False

    def function_at(self, address: int) -> str:
        return ""

    def settle(self) -> None: ...

    def close(self) -> None:
        self.closed += 1


class Mounts:
    """Stands for mounts.Mounts: ``table`` is the truth, which the collector sees when ``moved`` is set."""

    table: dict[int, str]
    moved = False
    sought = 0

    def __init__(self) -> None:
        self.generation = 0
        self.doubt = False
        self._names = dict(Mounts.table)

    def devices(self) -> dict[int, str]:
        return dict(self._names)

    def name(self, dev: int, pid: int | None = None) -> str:
        return self._names.get(dev, f"dev 0:{dev}")

    def learn(self, volumes: dict[int, str]) -> bool:
        return False

    def changed(self) -> bool:
        moved, Mounts.moved = Mounts.moved, False
        return moved

    def turn(self) -> None:
        both = self._names.items() & Mounts.table.items()
        self._names = {**dict.fromkeys(self._names, "in doubt"), **dict(both)}
        self.doubt = True
        self.generation += 1

    def settle(self) -> None:
        self._names = dict(Mounts.table)
        self.doubt = False
        self.generation += 1

    def look_everywhere(self) -> None:
        Mounts.sought += 1

    seek_everywhere = look_everywhere

    def close(self) -> None: ...


class Machine:
    """What the test changes while the thread runs."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.identity: int | None = 1
        self.pool = True
        self.collectors: list[Collector] = []
        Source.opened, Source.opening = [], staticmethod(lambda source: None)
        Mounts.table, Mounts.moved, Mounts.sought = {57: "tank", 58: "tank/a", 59: "fast"}, False, 0
        patch.setattr(module, "LiveSource", Source)
        patch.setattr(module, "Mounts", Mounts)
        patch.setattr(module, "known_datasets", lambda mounts: tuple(sorted(Mounts.table.values())))
        patch.setattr(module, "pool_imported", lambda: self.pool)
        patch.setattr(module, "_POLL_SECONDS", 0.002)
        patch.setattr(module, "_WAIT_FOR_ZFS_SECONDS", 0.005)
        patch.setattr(host, "zfs_loaded", lambda: self.identity is not None)
        patch.setattr(host, "zfs_identity", lambda: self.identity)
        patch.setattr(host, "no_zfs", lambda: UserError(Exit.NO_ZFS, "no zfs", "modprobe zfs"))
        quick = SimpleNamespace(monotonic_ns=lambda: time.monotonic_ns() * SPEED, time=time.time)
        patch.setattr(module, "time", quick)

    def start(self, controls: Controls | None = None, **options: Any) -> Collector:
        collector = Collector(controls or Controls(), **options)
        self.collectors.append(collector)
        collector.start()
        return collector

    def live(self, controls: Controls | None = None, **options: Any) -> tuple[Collector, Source]:
        collector = self.start(controls, **options)
        until(lambda: collector.status().phase is Phase.LIVE)
        return collector, Source.opened[-1]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine(monkeypatch)
    yield machine
    for collector in machine.collectors:
        collector.stop()
        assert not collector.running


def until(true: Callable[[], object], seconds: float = 30, what: str = "it never came to that") -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.001)


def seconds(collector: Collector) -> tuple[Any, ...]:
    return collector.history.between(0, collector.history.end)


def tids(collector: Collector) -> list[int]:
    return [event.tid for second in seconds(collector) for event in second.events]


def test_it_is_a_feed(machine: Machine) -> None:
    feed: Feed = machine.live()[0]
    assert feed.datasets() == ("fast", "tank", "tank/a")
    assert feed.probes().attached == (PROBE,)


def test_it_says_what_it_is_doing_until_it_is_live(machine: Machine) -> None:
    gate = threading.Event()
    Source.opening = staticmethod(lambda source: gate.wait(5))  # type: ignore[assignment]
    collector = machine.start()
    until(lambda: collector.status().note == "compiling the probes")
    assert collector.status().phase is Phase.STARTING
    gate.set()
    until(lambda: collector.status().phase is Phase.LIVE)


def test_every_second_is_closed_once_and_holds_what_came_in_it(machine: Machine) -> None:
    collector, source = machine.live(keep_events=10_000)
    for number in range(40):
        source.chunks.append(records(number * 10, 10))
        time.sleep(0.005)
    until(lambda: collector.history.end >= 4)
    collector.stop()
    found = seconds(collector)
    assert tids(collector) == list(range(400)), "each event once, in order"
    assert sum(stats.count for second in found for _, stats in second.groups) == 400
    assert all(second.length_ns >= 1_000_000_000 for second in found[:-1])
    for earlier, later in itertools.pairwise(found):
        assert later.mono_ns - earlier.mono_ns == later.length_ns, "no time is lost between two seconds"
    counts, slots = collector.history.totals()
    assert counts.seen == 400
    assert (counts.below, slots[0]) == (7, counts)
    assert sum(second.counts.seen for second in found) == 400


def test_only_so_many_whole_events_are_kept_and_the_rest_is_counted(machine: Machine) -> None:
    collector, source = machine.live(keep_events=25)
    source.chunks.append(records(0, 1000))
    collector.stop()
    found = seconds(collector)
    assert sum(len(second.events) + second.thinned for second in found) == 1000
    assert all(len(second.events) <= 25 for second in found)


def test_a_quiet_second_is_a_second_too(machine: Machine) -> None:
    collector, _ = machine.live()
    until(lambda: collector.history.end >= 3)
    assert all(second.groups == () for second in seconds(collector)[:3])


def test_filters_given_at_the_start_are_in_force_before_it_is_live(machine: Machine) -> None:
    controls = Controls(MS, frozenset({7}), frozenset({"tank"}), frozenset({"read"}))
    _, source = machine.live(controls)
    assert source.applied[0] == (MS, mask_of(frozenset({"read"})), frozenset({7}), frozenset({57, 58}))


def test_a_change_is_in_force_at_once_and_told_in_the_second(machine: Machine) -> None:
    collector, source = machine.live()
    begun = time.monotonic()
    collector.control(Controls(0))
    until(lambda: source.applied[-1] == (0, ALL, frozenset(), None))
    assert time.monotonic() - begun < 0.5
    assert collector.controls() == Controls(0)
    end = collector.history.end
    until(lambda: collector.history.end > end)
    assert seconds(collector)[-1].controls == Controls(0)
    assert len(source.applied) == 2, "nothing is applied again and again"


def test_an_unknown_dataset_is_refused_and_changes_nothing(machine: Machine) -> None:
    collector, source = machine.live()
    with pytest.raises(UserError, match="known: fast, tank, tank/a"):
        collector.control(Controls(datasets=frozenset({"tan"})))
    assert collector.controls() == Controls()
    assert len(source.applied) == 1


def test_a_new_mount_comes_under_the_filter_of_its_pool(machine: Machine) -> None:
    collector, source = machine.live(Controls(datasets=frozenset({"tank"})))
    Mounts.table = Mounts.table | {60: "tank/new", 61: "tankard"}
    Mounts.moved = True
    until(lambda: source.applied[-1][3] == frozenset({57, 58, 60}))
    assert collector.in_force == Controls(datasets=frozenset({"tank"}))


def test_a_filter_whose_dataset_is_unmounted_lets_nothing_through(machine: Machine) -> None:
    _, source = machine.live(Controls(datasets=frozenset({"fast"})))
    Mounts.table = {57: "tank"}
    Mounts.moved = True
    until(lambda: source.applied[-1][3] == frozenset(), what="none, which is not the same as all")


def test_without_a_dataset_filter_a_mount_changes_nothing(machine: Machine) -> None:
    collector, source = machine.live()
    Mounts.moved = True
    end = collector.history.end
    until(lambda: collector.history.end > end + 1)
    assert len(source.applied) == 1


def test_a_record_has_the_name_its_device_had_and_none_while_nobody_can_tell(machine: Machine) -> None:
    collector, source = machine.live(keep_events=100, tap=True)
    tap = collector.tap
    assert tap is not None

    def names_of(*chunks: bytes) -> list[str]:
        source.chunks += chunks
        return [tap.get(timeout=5)[0].key.dataset for _ in chunks]

    class Moving(list[bytes]):
        """A ring in which the number goes to another dataset after so many chunks were taken."""

        def pop(self, at: Any = 0) -> bytes:
            if len(self) == 2:
                Mounts.table, Mounts.moved = {57: "tank/other"}, True
            return super().pop(at)

    assert names_of(records(0, 1)) == ["tank"]
    # All of one drain: the change is seen with the second of three.
    source.chunks = Moving()
    source.chunks.extend([records(1, 1), records(2, 1), records(3, 1)])
    assert [tap.get(timeout=5)[0].key.dataset for _ in range(3)] == ["tank", "in doubt", "in doubt"]
    source.chunks = []
    until(lambda: names_of(records(4, 1)) == ["tank/other"])
    collector.stop()
    named = [(key.dataset, stats.count) for second in seconds(collector) for key, stats in second.groups]
    told = {dataset: sum(count for name, count in named if name == dataset) for dataset, _ in named}
    assert told["tank"] == 2
    assert told["in doubt"] >= 2
    assert sum(told.values()) == source.seen
    kept = [event.key.dataset for second in seconds(collector) for event in second.events]
    assert kept == sorted(kept, key=["tank", "in doubt", "tank/other"].index)


def test_devices_are_searched_for_when_a_dataset_is_asked_for_and_only_then(machine: Machine) -> None:
    collector, source = machine.live()
    collector.control(Controls(0))
    until(lambda: len(source.applied) == 2)
    assert not Mounts.sought
    collector.control(Controls(0, datasets=frozenset({"tank"})))
    until(lambda: len(source.applied) == 3)
    assert Mounts.sought == 1


# Ways out.


def test_a_failure_is_told_with_what_mends_it(machine: Machine) -> None:
    def fail(source: Source) -> None:
        raise UserError(Exit.NO_BCC, "no bcc", "apt-get install it")

    Source.opening = staticmethod(fail)
    collector = machine.start()
    until(lambda: not collector.running)
    status = collector.status()
    assert (status.phase, status.note) == (Phase.FAILED, "no bcc")
    assert status.problem is not None
    assert status.problem.remedy == "apt-get install it"
    assert collector.error is not None
    assert collector.error.status == Exit.NO_BCC


def test_a_bug_of_ours_stops_it_in_words(machine: Machine) -> None:
    collector, source = machine.live()
    source.chunks.append(b"not a record")
    until(lambda: not collector.running)
    assert collector.status().phase is Phase.FAILED
    assert collector.error is not None
    assert collector.error.status == Exit.INTERNAL
    assert collector.status().note.isprintable()
    assert source.closed, "detached all the same"


def test_ending_while_it_loads_is_no_failure(machine: Machine) -> None:
    def load(source: Source) -> None:
        until(source.stopping)
        raise UserError(Exit.LOAD_FAILED, "the probes could not be loaded")

    Source.opening = staticmethod(load)
    collector = machine.start()
    until(lambda: collector.status().note == "compiling the probes")
    begun = time.monotonic()
    collector.stop()
    assert time.monotonic() - begun < 1
    assert not collector.running
    assert collector.error is None
    assert collector.status().phase is not Phase.FAILED


def test_stopping_is_quick_detaches_and_may_be_done_twice(machine: Machine) -> None:
    collector, source = machine.live()
    source.chunks.append(records(0, 3))
    begun = time.monotonic()
    collector.stop()
    collector.stop()
    assert time.monotonic() - begun < 1
    assert source.closed == 1
    assert collector.history.totals()[0].seen == 3, "the last, partial second is closed too"


def test_stopping_before_it_started_is_no_trouble(machine: Machine) -> None:
    Collector(Controls()).stop()


# The tap.


def test_a_slow_reader_loses_nothing(machine: Machine) -> None:
    collector, source = machine.live(tap=True, keep_events=0)
    source.chunks += [records(number * 4, 4) for number in range(300)]
    tap = collector.tap
    assert tap is not None
    until(tap.full)
    held = len(source.chunks)
    time.sleep(0.05)
    assert len(source.chunks) == held > 0, "while nobody reads, the rest stays in the ring"
    found = [event.tid for _ in range(300) for event in tap.get(timeout=5)]
    assert found == list(range(1200))


def test_what_is_in_the_ring_at_the_end_still_comes_through_the_tap(machine: Machine) -> None:
    collector, source = machine.live(tap=True)
    tap = collector.tap
    assert tap is not None
    source.chunks += [records(number, 1) for number in range(200)]
    collector.request_stop()
    found = [event.tid for _ in range(200) for event in tap.get(timeout=5)]
    assert found == list(range(200))
    until(lambda: not collector.running)


def test_a_reader_that_has_gone_does_not_hold_the_end(machine: Machine) -> None:
    collector, source = machine.live(tap=True)
    source.chunks += [records(number, 1) for number in range(300)]
    until(lambda: collector.tap is not None and collector.tap.full())
    begun = time.monotonic()
    collector.stop()
    assert time.monotonic() - begun < 1
    assert not collector.running
    assert source.closed == 1


# ZFS comes and goes.


def test_it_waits_for_the_module_and_attaches_when_it_comes(machine: Machine) -> None:
    machine.identity = None
    collector = machine.start()
    until(lambda: collector.status().phase is Phase.WAITING)
    assert "waiting" in collector.status().note
    assert collector.status().problem is not None
    assert not Source.opened
    machine.identity = 5
    until(lambda: collector.status().phase is Phase.LIVE)


class Begun:
    """Stands for a loader that waits."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_loader_that_was_started_early_is_for_the_first_time_only(machine: Machine) -> None:
    begun: Any = Begun()
    collector, source = machine.live(begun=begun)
    machine.identity = 2
    until(lambda: len(Source.opened) == 2)
    assert (source.begun, Source.opened[-1].begun) == (begun, None)
    collector.stop()
    assert not begun.closed, "that is for the source to do"


def test_a_loader_that_was_started_early_does_not_wait_with_it(machine: Machine) -> None:
    begun: Any = Begun()
    machine.identity = None
    collector = machine.start(begun=begun)
    until(lambda: collector.status().phase is Phase.WAITING)
    assert begun.closed == 1
    machine.identity = 1
    until(lambda: collector.status().phase is Phase.LIVE)
    assert Source.opened[-1].begun is None


def test_a_reloaded_module_is_attached_anew_and_the_past_stays(machine: Machine) -> None:
    collector, first = machine.live(keep_events=100)
    first.chunks.append(records(0, 5))
    until(lambda: first.seen == 5)
    machine.identity = None
    until(lambda: collector.status().phase is Phase.WAITING)
    assert first.closed == 1
    machine.identity = 2
    until(lambda: len(Source.opened) == 2 and collector.status().phase is Phase.LIVE)
    second = Source.opened[-1]
    second.chunks.append(records(5, 2))
    until(lambda: second.seen == 2)
    collector.stop()
    assert tids(collector) == list(range(7))
    counts, slots = collector.history.totals()
    assert counts.seen == 7
    assert slots[0].seen == 2, "the counters of a probe begin anew with it"


def test_without_a_pool_the_module_is_let_go_and_attached_again_with_the_next(machine: Machine) -> None:
    collector, first = machine.live()
    machine.pool = False
    until(lambda: collector.status().phase is Phase.WAITING)
    assert first.closed == 1
    assert "no pool is imported" in collector.status().note
    assert len(Source.opened) == 1
    machine.pool = True
    until(lambda: len(Source.opened) == 2 and collector.status().phase is Phase.LIVE)


def test_a_pool_that_is_back_soon_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now, imported = 1000.0, True
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic_ns=lambda: int(now * 1e9)))
    monkeypatch.setattr(module, "pool_imported", lambda: imported)
    idle, given_up = module._Idle(), []
    for length, there in ((9, True), (4, False), (2, True), (4, False), (2, True), (9, False)):
        imported = there
        for _ in range(length):
            now += 1
            if idle.long_enough():
                given_up.append(now)
    assert given_up[:1] == [1000 + 21 + 1 + 5], "five seconds after the look that found none"


def test_filters_survive_a_reload(machine: Machine) -> None:
    collector, _ = machine.live()
    collector.control(Controls(5 * MS))
    machine.identity = 2
    until(lambda: len(Source.opened) == 2)
    until(lambda: Source.opened[-1].applied)
    assert Source.opened[-1].applied[0][0] == 5 * MS


# Checks of what was typed.


def test_known_names_pass_and_unknown_ones_list_the_known() -> None:
    known = tuple(f"pool{number}" for number in range(30))
    check_datasets(Controls(datasets=frozenset({"pool3"})), known)
    check_datasets(Controls(datasets=frozenset({"x"})), ())
    with pytest.raises(UserError, match=r"no pool or dataset 'nope'; known: pool0, .* and 18 more"):
        check_datasets(Controls(datasets=frozenset({"nope", "pool1"})), known)


def test_a_pid_must_have_a_process() -> None:
    check_pids(frozenset({1}))
    with pytest.raises(UserError, match="no process 4194304"):
        check_pids(frozenset({1, 4_194_304}))


def test_costs_are_counted_only_while_somebody_watches(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    runs = itertools.count()

    def enable() -> int:
        held.append(os.open(os.devnull, os.O_RDONLY))
        return held[-1]

    def is_open() -> bool:
        return os.path.exists(f"/proc/self/fd/{held[-1]}")

    monkeypatch.setattr(bpf, "enable_stats", enable)
    monkeypatch.setattr(bpf, "program_run", lambda fd: (next(runs) * 1000, fd))
    collector, _ = machine.live()
    until(lambda: collector.history.end >= 2)
    assert not held
    collector.watch_costs(Watch.CLOSELY)
    until(lambda: collector.costs().of)
    assert collector.costs().of["read"].share > 0
    assert collector.costs().of["read"].runs == 0
    assert collector.costs().of["waits"].share > 0
    own = collector.costs().own
    assert own is not None
    assert own.resident > 10 << 20
    collector.watch_costs(Watch.NOT)
    assert not is_open(), "at once: the process may be stopped next"
    until(lambda: not collector.costs().of)
    collector.watch_costs(Watch.CLOSELY)
    until(lambda: collector.costs().of)
    assert is_open()
    collector.stop()
    assert not is_open()
    assert len(held) == 2


def test_why_costs_cannot_be_had_is_told_and_asked_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse() -> int:
        asked.append(1)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(bpf, "enable_stats", refuse)
    collector, _ = machine.live()
    collector.watch_costs(Watch.CLOSELY)
    until(lambda: collector.costs().note == "the kernel does not tell: Operation not permitted")
    end = collector.history.end
    until(lambda: collector.history.end > end + 1)
    assert len(asked) == 1


def test_a_loss_raises_the_threshold_in_force_says_so_and_leaves_what_was_asked(machine: Machine) -> None:
    collector, source = machine.live(limits=Limits(auto_threshold=True))
    source.lost += 5
    until(lambda: source.applied[-1] == (20 * MS, ALL, frozenset(), None))
    until(lambda: seconds(collector)[-1].notes)
    newest = seconds(collector)[-1]
    assert newest.notes == ("flood: threshold 10ms -> 20ms for now",) == collector.told
    assert newest.controls.threshold_ns == 20 * MS
    assert collector.controls() == Controls()
    collector.control(Controls(50 * MS))
    until(lambda: source.applied[-1][0] == 50 * MS)
    until(lambda: not seconds(collector)[-1].notes and not collector.told)


def test_over_budget_an_operation_is_detached_and_costs_are_counted_unasked(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = itertools.count()
    monkeypatch.setattr(bpf, "enable_stats", lambda: os.open(os.devnull, os.O_RDONLY))
    monkeypatch.setattr(bpf, "program_run", lambda fd: (next(spent) * 10**9, fd))
    collector, source = machine.live(limits=Limits(budget=0.01))
    until(lambda: source.applied[-1][1] == mask_of(Controls().wanted_ops - {"read", "write", "fsync"}))
    until(lambda: collector.told == ("budget 1%: gave up data for now (nothing is measured)",))
    assert collector.costs().total is None, "nobody looks at them"


def test_more_pids_than_there_is_room_for_are_refused_and_those_of_the_start_have_room(
    machine: Machine,
) -> None:
    collector, source = machine.live()
    with pytest.raises(UserError, match="room for 4096 process IDs now"):
        collector.control(Controls(pids=frozenset(range(1, 4098))))
    assert len(source.applied) == 1
    many, _ = machine.live(Controls(pids=frozenset(range(1, 100_001))))
    many.control(Controls(pids=frozenset(range(1, 131_073))))
    with pytest.raises(UserError, match="room for 131072 "):
        many.control(Controls(pids=frozenset(range(1, 131_074))))
