"""Where the time of a call went, against what was made slow and against the caller's own clocks: one scenario a cause.

Of each call its own thread knows how long it took, how long it ran, how long it waited to run, and whether it slept at
all (sleeper.c). A scenario lets it sleep in one thing only, so what it slept is known to be under that cause. The table
of injected against reported causes is printed and left in waits.json.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import (
    OUT,
    RECORD,
    SUITE,
    Event,
    Follower,
    Trace,
    sh,
    until,
    until_it_waits_for_its_disk,
)
from slow import (
    MS,
    Account,
    Sleeper,
    arc,
    cold,
    dataset,
    delayed,
    hogs,
    is_suspended,
    log_device,
    mend,
    parameter,
    sleeper,
    slowed,
    small_cache,
    thin_pool,
)

CAUSES = ("disk", "throttle", "txg", "zil", "lock", "memory", "runqueue", "other", "cpu")
#: What somebody would be blamed for.
BLAMES = ("disk", "throttle", "txg", "zil", "lock", "memory")
OPS = "read,write,fsync,open,lookup,create,seek,syncfs,page-read,readahead"
RIGHT_SHARE = 0.95
BLAMED_SHARE = 0.02
SUM_ERROR = 0.01
DATASET = "tank/waits"
#: So many calls of somebody who has not to wait; a busy host lets some of them sleep.
BESIDE = 100
#: What has to leave the cache where there must be room.
CACHED = 192 << 20
#: The kernel cuts a delay to its tick.
TICK_NS = 4 * MS
#: Whoever was killed has told nothing.
NOBODY = Account("read", *[0] * 10)


@dataclass(frozen=True)
class Seen:
    """A call by its own account, and what zfstop said of it."""

    account: Account
    events: tuple[Event, ...]

    @property
    def waits(self) -> Counter[str]:
        """ns by cause, of all its events."""
        total: Counter[str] = Counter()
        for event in self.events:
            total.update(event["waits"])
        return total

    @property
    def outside(self) -> int:
        """ns before and after its events, with the reading of the clocks."""
        return self.account.around - sum(event["latency_ns"] for event in self.events)


class Tracing(Follower):
    """One `zfstop trace` for all of the scenarios."""

    def seen(self, program: Sleeper) -> list[Seen]:
        """All calls of a program that has ended, each with its events."""
        accounts = program.accounts()
        until(
            "the events of every call",
            lambda: all(seen.events for seen in _pair(accounts, self.of(program.pid))),
        )
        return _pair(accounts, self.of(program.pid))


def _pair(accounts: Iterable[Account], events: Iterable[Event]) -> list[Seen]:
    """Calls with the events inside them."""
    left = sorted(events, key=lambda event: event["ts_ns"])
    pairs = []
    for account in accounts:
        inside = tuple(
            event
            for event in left
            if event["tid"] == account.tid
            and account.start <= event["ts_ns"] - event["latency_ns"]
            and event["ts_ns"] <= account.end
        )
        pairs.append(Seen(account, inside))
    return pairs


@dataclass(frozen=True)
class Made:
    """What a scenario has done. Of the programs those calls count that did ``op`` and slept for so long.

    Where calls sleep a little in something else too, those that count have slept so long that it is nothing beside.
    """

    programs: tuple[Sleeper, ...]
    op: str
    delayed_ns: int = 5 * MS


def _run(*programs: Sleeper) -> None:
    for program in programs:
        program.go()
    for program in programs:
        program.finish()


def reads_from_a_slow_disk(stack: ExitStack) -> Made:
    file = stack.enter_context(cold(DATASET, 40 * RECORD))
    program = stack.enter_context(sleeper("read", file, "20", "4096", str(RECORD)))
    stack.enter_context(delayed("tank", "read", 40))
    _run(program)
    return Made((program,), "read")


def partial_writes_of_cold_records(stack: ExitStack) -> Made:
    file = stack.enter_context(cold(DATASET, 40 * RECORD))
    program = stack.enter_context(sleeper("write", file, "15", "4096", str(RECORD)))
    stack.enter_context(delayed("tank", "read", 40))
    _run(program)
    return Made((program,), "write")


def writes_delayed_for_dirty_data(stack: ExitStack) -> Made:
    """Far below the limit: each waits for a computed while."""
    directory = stack.enter_context(dataset(DATASET))
    values = {
        "zfs_dirty_data_max": 64 << 20,
        "zfs_delay_min_dirty_percent": 5,
        "zfs_delay_scale": 400 * MS,
        "zfs_dirty_data_sync_percent": 90,
        "zfs_txg_timeout": 60,
    }
    for name, value in values.items():
        stack.enter_context(parameter(name, value))
    program = stack.enter_context(sleeper("write", f"{directory}/file", "80", str(RECORD), str(RECORD)))
    _run(program)
    return Made((program,), "write")


def writes_at_the_limit_of_dirty_data(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET))
    stack.enter_context(parameter("zfs_dirty_data_max", 8 << 20))
    program = stack.enter_context(sleeper("write", f"{directory}/file", "200", str(RECORD), str(RECORD)))
    stack.enter_context(delayed("tank", "write", 30, lanes=4))
    _run(program)
    return Made((program,), "write")


def creates_while_others_fill_the_pool(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET))
    stack.enter_context(parameter("zfs_dirty_data_max", 8 << 20))
    writer = stack.enter_context(sleeper("write", f"{directory}/file", "5000", str(RECORD), str(RECORD)))
    program = stack.enter_context(sleeper("-p", "30", "create", f"{directory}/new", "100", "0", "0"))
    stack.enter_context(delayed("tank", "write", 30, lanes=4))
    writer.go()
    time.sleep(1)
    _run(program)
    return Made((program,), "create")


def holes_sought_in_dirty_files(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET, "sync=disabled"))
    program = stack.enter_context(sleeper("seek", f"{directory}/file", "3", "4096", "4096"))
    stack.enter_context(delayed("tank", "write", 60, lanes=2))
    _run(program)
    return Made((program,), "seek")


def writes_while_dirty_data_fill_the_cache(stack: ExitStack) -> Made:
    """No limit of dirty data, but the cache can hold no more: wait until the transaction group is on disk."""
    directory = stack.enter_context(dataset(DATASET))
    stack.enter_context(small_cache(64 << 20))
    stack.enter_context(parameter("zfs_dirty_data_max", 256 << 20))
    program = stack.enter_context(sleeper("write", f"{directory}/file", "240", str(1 << 20), str(1 << 20)))
    stack.enter_context(delayed("tank", "write", 20, lanes=2))
    _run(program)
    return Made((program,), "write", 500 * MS)


def _first_fsync(directory: Path) -> None:
    """A dataset's first fsync waits for a transaction group that has the log's first block."""
    program = Sleeper("fsync", f"{directory}/first", "1", "4096", "0")
    _run(program)
    program.close()


def fsyncs_with_a_slow_disk(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET))
    _first_fsync(directory)
    program = stack.enter_context(sleeper("fsync", f"{directory}/file", "20", "16384", "16384"))
    stack.enter_context(delayed("tank", "write", 30))
    _run(program)
    return Made((program,), "fsync")


def fsyncs_of_two_threads(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET))
    _first_fsync(directory)
    programs = [
        stack.enter_context(sleeper("fsync", f"{directory}/{name}", "15", "16384", "16384"))
        for name in ("one", "two")
    ]
    stack.enter_context(delayed("tank", "write", 30))
    _run(*programs)
    return Made(tuple(programs), "fsync")


def fsyncs_with_a_slow_log_device(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET))
    log = stack.enter_context(log_device("tank"))
    _first_fsync(directory)
    program = stack.enter_context(sleeper("fsync", f"{directory}/file", "20", "16384", "16384"))
    stack.enter_context(delayed("tank", "write", 30, disk=log))
    _run(program)
    return Made((program,), "fsync")


def synchronous_writes(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET))
    _first_fsync(directory)
    program = stack.enter_context(sleeper("-d", "write", f"{directory}/file", "20", "16384", "16384"))
    stack.enter_context(delayed("tank", "write", 30))
    _run(program)
    return Made((program,), "write")


def _behind_a_slow_one(stack: ExitStack, op: str) -> Made:
    """One call reads a record from a slow disk; those that count come while it does."""
    file = stack.enter_context(cold(DATASET, RECORD))
    words = (op, file, "1", "4096", "0")
    first = stack.enter_context(sleeper(*words, comm="first"))
    others = tuple(stack.enter_context(sleeper(*words)) for _ in range(6))
    stack.enter_context(delayed("tank", "read", 2000))
    first.go()
    first.until_it_waits()
    _run(*others)
    return Made(others, op, 100 * MS)


def writes_of_a_locked_range(stack: ExitStack) -> Made:
    """The first one holds the range while it reads the rest of the record."""
    return _behind_a_slow_one(stack, "write")


def reads_of_what_another_one_is_reading(stack: ExitStack) -> Made:
    return _behind_a_slow_one(stack, "read")


@contextmanager
def _shrinking_cache() -> Iterator[None]:
    """The cache is full, has to become small, and does so slowly: whoever wants room waits until it has."""
    with dataset(f"{DATASET}-cached", "checksum=off") as directory:
        with (directory / "cached").open("wb") as large:
            for _ in range(CACHED >> 20):
                large.write(bytes(1 << 20))
        sh("zpool", "sync", "tank")
        assert arc("size") > CACHED, "the cache is not full"
        with parameter("zfs_arc_eviction_pct", 32_000_000), slowed("arc_evict"), small_cache(64 << 20):
            yield


def reads_while_the_cache_has_to_shrink(stack: ExitStack) -> Made:
    """Each of a file of its own: what one reads while it waits, another one would wait for (and that is *lock*)."""
    file = stack.enter_context(cold(DATASET, 4096))
    files = [f"{file}{number}" for number in range(8)]
    for name in files:
        Path(name).write_bytes(Path(file).read_bytes())
    sh("zpool", "sync", "tank")
    programs = tuple(stack.enter_context(sleeper("read", name, "1", "4096", "0")) for name in files)
    with _shrinking_cache():
        _run(*programs)
    return Made(programs, "read", 50 * MS)


def writes_while_the_cache_has_to_shrink(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET))
    programs = tuple(
        stack.enter_context(sleeper("write", f"{directory}/file{number}", "1", "16384", "0"))
        for number in range(8)
    )
    with _shrinking_cache():
        _run(*programs)
    return Made(programs, "write", 50 * MS)


def cached_reads_on_a_busy_host(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET))
    file = directory / "file"
    file.write_bytes(bytes(2 << 20))
    sh("zpool", "sync", "tank")
    program = stack.enter_context(sleeper("read", str(file), "40", str(2 << 20), "0"))
    stack.enter_context(hogs(6))
    _run(program)
    return Made((program,), "read")


def reads_into_memory_that_is_handed_out_late(stack: ExitStack) -> Made:
    """A page fault in the middle of the copy: something no table of causes knows."""
    directory = stack.enter_context(dataset(DATASET))
    file = directory / "file"
    file.write_bytes(bytes(1 << 20))
    program = stack.enter_context(sleeper("-u", "50", "read", str(file), "10", "4096", "4096"))
    _run(program)
    return Made((program,), "read")


def writes_of_memory_that_is_handed_out_late(stack: ExitStack) -> Made:
    directory = stack.enter_context(dataset(DATASET))
    program = stack.enter_context(sleeper("-u", "50", "write", f"{directory}/file", "10", "4096", "4096"))
    _run(program)
    return Made((program,), "write")


Scenario = Callable[[ExitStack], Made]
SCENARIOS: dict[Scenario, str] = {
    reads_from_a_slow_disk: "disk",
    partial_writes_of_cold_records: "disk",
    writes_delayed_for_dirty_data: "throttle",
    writes_at_the_limit_of_dirty_data: "throttle",
    creates_while_others_fill_the_pool: "throttle",
    holes_sought_in_dirty_files: "txg",
    writes_while_dirty_data_fill_the_cache: "txg",
    fsyncs_with_a_slow_disk: "zil",
    fsyncs_of_two_threads: "zil",
    fsyncs_with_a_slow_log_device: "zil",
    synchronous_writes: "zil",
    writes_of_a_locked_range: "lock",
    reads_of_what_another_one_is_reading: "lock",
    reads_while_the_cache_has_to_shrink: "memory",
    writes_while_the_cache_has_to_shrink: "memory",
    cached_reads_on_a_busy_host: "runqueue",
    reads_into_memory_that_is_handed_out_late: "other",
    writes_of_memory_that_is_handed_out_late: "other",
}


class Table:
    """ns by injected cause, scenario, and reported cause; and how many calls that never slept were blamed."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Counter[str]] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.ran: Counter[str] = Counter()

    def add(self, cause: str, scenario: str, reported: Counter[str], **facts: Any) -> None:
        """A scenario that has been made; the last time it was made counts."""
        self.rows[cause, scenario] = reported
        self.facts[scenario] = facts
        # At once too: an emulated machine may be ended before the test is.
        print("\n" + _row(f"{cause}: {scenario}", _percent(reported)), facts, flush=True)

    def close(self) -> None:
        """For the log and for the host, in per cent."""
        causes: dict[str, Counter[str]] = {"cpu": self.ran}
        for (cause, _), reported in self.rows.items():
            causes.setdefault(cause, Counter()).update(reported)
        lines = [_row("injected", dict.fromkeys(CAUSES))]
        lines += [_row(cause, _percent(causes[cause])) for cause in CAUSES if cause in causes]
        lines += ["", *(_row(f"{cause}: {name}", _percent(r)) for (cause, name), r in self.rows.items())]
        print(
            f"\n{SUITE}: injected cause x reported cause, per cent of time\n" + "\n".join(lines), flush=True
        )
        left = {
            "suite": SUITE,
            "per_cent": {cause: _percent(reported) for cause, reported in causes.items()},
            "scenarios": {
                name: {"injected": cause, "per_cent": _percent(reported), **self.facts[name]}
                for (cause, name), reported in self.rows.items()
            },
        }
        (OUT / "waits.json").write_text(json.dumps(left, indent=1))


def _percent(reported: Counter[str]) -> dict[str, float]:
    total = max(1, reported.total())
    return {cause: round(100 * reported[cause] / total, 2) for cause in CAUSES}


def _row(name: str, values: dict[str, Any]) -> str:
    return f"{name:<52}" + "".join(
        f"{cause if value is None else value:>9}" for cause, value in values.items()
    )


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    table = Table()
    yield table
    table.close()


@pytest.fixture(scope="module")
def tracing() -> Iterator[Tracing]:
    trace = Trace("0", "--op", OPS, attached=False)
    try:
        trace.attached()
        yield Tracing(trace)
    finally:
        trace.close()


@pytest.fixture
def control(stack: ExitStack) -> Sleeper:
    """Somebody who reads something from the cache all the while, and never has to wait for it."""
    file = Path("/tank/data/control")
    file.write_bytes(bytes(RECORD))
    sh("zpool", "sync", "tank")
    return stack.enter_context(sleeper("-p", "20", "read", str(file), "5000", "4096", "0", comm="control"))


def known(seen: Seen, cause: str, delayed_ns: int = Made.delayed_ns) -> int:
    """ns that the call is known to have spent in the scenario's cause, at least."""
    account = seen.account
    if cause == "runqueue":
        # Some of it was between the clocks and the call, or between two clocks.
        return max(0, account.runqueue - max(0, seen.outside))
    if cause == "other":
        return account.handed
    return account.slept if account.sleeps and account.slept >= delayed_ns else 0


def injected_as_reported(calls: Iterable[Seen], cause: str) -> Counter[str]:
    """ns of the calls by reported cause, without what the callers say was running, or waiting to run.

    Unless that is the cause: of a call that never slept, running is all that was injected.
    """
    total: Counter[str] = Counter()
    for seen in calls:
        waits = seen.waits
        if cause != "cpu":
            waits["cpu"] = max(0, waits["cpu"] - seen.account.cpu)
        if cause != "runqueue":
            waits["runqueue"] = max(0, waits["runqueue"] - seen.account.runqueue)
        total.update(waits)
    return total


def main_cause(waits: Counter[str]) -> str:
    """The one with the largest share."""
    return max(CAUSES, key=lambda cause: waits[cause])


def check_sums(calls: Iterable[Seen]) -> None:
    """Every event has every field, none below zero, and together they are its latency."""
    for seen in calls:
        for event in seen.events:
            assert set(event["waits"]) == set(CAUSES), event
            assert all(isinstance(ns, int) and ns >= 0 for ns in event["waits"].values()), event
            off = abs(sum(event["waits"].values()) - event["latency_ns"])
            assert off <= SUM_ERROR * event["latency_ns"], event
            assert event["slept_in"] is None or isinstance(event["slept_in"], str), event


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_time_is_under_its_cause(
    scenario: Scenario, tracing: Tracing, control: Sleeper, stack: ExitStack, table: Table
) -> None:
    cause = SCENARIOS[scenario]
    control.go()
    with ExitStack() as made:
        done = scenario(made)
        until("somebody beside had enough calls", lambda: len(control.accounts()) >= BESIDE)
        control.close()
        every = [seen for program in done.programs for seen in tracing.seen(program)]
        beside = tracing.seen(control)
    calls = [seen for seen in every if seen.account.op == done.op and known(seen, cause, done.delayed_ns)]
    idle = [seen for seen in [*every, *beside] if not seen.account.sleeps]
    blamed = [seen for seen in idle if main_cause(seen.waits) in BLAMES]
    injected = sum(known(seen, cause) for seen in calls)
    right = sum(min(known(seen, cause), seen.waits[cause]) for seen in calls)
    table.add(
        cause,
        scenario.__name__,
        injected_as_reported(calls, cause),
        calls=len(calls),
        injected_ms=injected // MS,
        right_share=round(right / max(1, injected), 4),
        idle=len(idle),
        blamed=len(blamed),
        slept_in=Counter(event["slept_in"] for seen in calls for event in seen.events),
    )

    table.ran.update(injected_as_reported(idle, "cpu"))

    assert len(calls) >= 2
    assert injected >= 100 * MS, "the scenario made nothing slow"
    check_sums([*every, *beside])
    assert right >= RIGHT_SHARE * injected
    assert len(idle) >= BESIDE / 2
    assert len(blamed) <= BLAMED_SHARE * len(idle), blamed[:5]
    if cause == "runqueue":
        assert not sum(seen.waits["disk"] for seen in calls)
    if cause == "other":
        slept_in = {event["slept_in"] for seen in calls for event in seen.events}
        assert slept_in <= {None, "handle_userfault"}


def test_everything_at_once_is_told_apart(
    tracing: Tracing, control: Sleeper, stack: ExitStack, table: Table
) -> None:
    """Four causes at a time on a host that is too small for them, each in a program of its own."""
    file = stack.enter_context(cold(DATASET, 20 * RECORD))
    other_pool = stack.enter_context(dataset("dozer/waits"))
    _first_fsync(other_pool)
    for name in ("plain", "locked"):
        (other_pool / name).write_bytes(bytes(RECORD))
    words = {
        "disk": ("read", file, "20", "4096", str(RECORD)),
        "zil": ("fsync", f"{other_pool}/file", "15", "16384", "16384"),
        "other": ("-u", "50", "read", f"{other_pool}/plain", "20", "4096", "4096"),
        "lock": ("write", f"{other_pool}/locked", "5", "4096", "0"),
    }
    # Whoever reads into memory that is not there yet holds the range as long.
    holder = stack.enter_context(
        sleeper("-u", "300", "read", f"{other_pool}/locked", "15", "4096", "0", comm="holder")
    )
    programs = {cause: stack.enter_context(sleeper(*words[cause], comm=cause)) for cause in words}
    stack.enter_context(delayed("tank", "read", 100))
    stack.enter_context(delayed("dozer", "write", 40))
    stack.enter_context(hogs(2))
    control.go()
    holder.go()
    holder.until_it_waits()
    _run(*programs.values())
    control.close()

    for cause, program in programs.items():
        every = tracing.seen(program)
        calls = [seen for seen in every if known(seen, cause)]
        injected = sum(known(seen, cause) for seen in calls)
        right = sum(min(known(seen, cause), seen.waits[cause]) for seen in calls)
        table.add(cause, f"everything_at_once_{cause}", injected_as_reported(calls, cause), calls=len(calls))
        check_sums(every)
        assert injected >= 100 * MS
        assert right >= RIGHT_SHARE * injected, cause
    idle = [seen for seen in tracing.seen(control) if not seen.account.sleeps]
    assert sum(main_cause(seen.waits) in BLAMES for seen in idle) <= BLAMED_SHARE * len(idle)


def test_a_wait_within_a_wait_within_a_wait_is_never_something_else(
    tracing: Tracing, stack: ExitStack
) -> None:
    """A dataset's first fsync waits for a transaction group in the log's commit; another one waits for the first."""
    directory = stack.enter_context(dataset(DATASET))
    programs = [
        stack.enter_context(sleeper("fsync", f"{directory}/{name}", "1", "16384", "0")) for name in "ab"
    ]
    stack.enter_context(delayed("tank", "write", 60, lanes=4))
    _run(*programs)
    for program in programs:
        every = tracing.seen(program)
        check_sums(every)
        (fsync,) = (seen for seen in every if seen.account.op == "fsync")
        assert fsync.account.slept > 100 * MS
        waits = fsync.waits
        assert waits["zil"] + waits["txg"] + waits["other"] >= RIGHT_SHARE * fsync.account.slept
        assert main_cause(waits) in ("zil", "txg")


def test_a_wait_for_a_call_inside_a_call_is_told_of_both(tracing: Tracing, stack: ExitStack) -> None:
    """What is written is a mapped file, the pages of which have to be read from a slow disk first."""
    file = stack.enter_context(cold(DATASET, 8 * RECORD))
    target = stack.enter_context(dataset("dozer/waits"))
    words = ("-m", file, "write", f"{target}/copy", "8", "4096", str(RECORD))
    program = stack.enter_context(sleeper(*words))
    stack.enter_context(delayed("tank", "read", 60))
    _run(program)
    every = tracing.seen(program)
    check_sums(every)
    for write in every:
        (outer,) = (event for event in write.events if event["op"] == "write")
        inner = [event for event in write.events if event["op"] in ("readahead", "page-read")]
        assert write.account.slept > 50 * MS
        assert outer["waits"]["disk"] >= RIGHT_SHARE * write.account.slept
        assert sum(event["waits"]["disk"] for event in inner) >= RIGHT_SHARE * write.account.slept
        assert {event["path"] for event in inner} == {"cold"}


def test_a_thread_killed_while_its_disk_reads_has_waited_for_the_disk(
    tracing: Tracing, stack: ExitStack
) -> None:
    milliseconds = 1500
    file = stack.enter_context(cold(DATASET, RECORD))
    program = stack.enter_context(sleeper("read", file, "1", "4096", "0"))
    stack.enter_context(delayed("tank", "read", milliseconds))
    program.go()
    time.sleep(0.5)
    program.close()
    (event,) = until("the event of the killed", lambda: reads_of(tracing, program))
    assert event["waits"]["disk"] >= RIGHT_SHARE * milliseconds * MS - TICK_NS
    check_sums([Seen(NOBODY, (event,))])


def test_a_thread_killed_in_something_never_seen_has_waited_for_something_else(
    tracing: Tracing, stack: ExitStack
) -> None:
    directory = stack.enter_context(dataset(DATASET))
    Path(directory, "file").write_bytes(bytes(RECORD))
    program = stack.enter_context(sleeper("-u", "60000", "read", f"{directory}/file", "1", "4096", "0"))
    program.go()
    time.sleep(2)
    program.close()
    (event,) = until("the event of the killed", lambda: reads_of(tracing, program))
    assert event["latency_ns"] > 500 * MS
    assert event["waits"]["other"] >= RIGHT_SHARE * event["latency_ns"]
    assert event["slept_in"] in (None, "handle_userfault")
    check_sums([Seen(NOBODY, (event,))])


def reads_of(tracing: Tracing, program: Sleeper) -> list[Event]:
    return [event for event in tracing.of(program.pid) if event["op"] == "read"]


def in_flight_of(tracer: Trace, program: Sleeper) -> dict[str, Any]:
    """The one call of the program that had not returned at the end."""
    tracer.stop()
    (call,) = (call for call in tracer.in_flight if call["pid"] == program.pid)
    assert set(call["waits"]) == set(CAUSES)
    assert abs(sum(call["waits"].values()) - call["age_ns"]) <= SUM_ERROR * call["age_ns"]
    return call


def test_a_call_in_flight_says_what_it_has_waited_for_so_far(
    trace: Callable[..., Trace], stack: ExitStack
) -> None:
    file = stack.enter_context(cold(DATASET, RECORD))
    program = stack.enter_context(sleeper("read", file, "1", "4096", "0"))
    tracer = trace("0", "-p", str(program.pid), "--op", "read")
    stack.enter_context(delayed("tank", "read", 20_000))
    program.go()
    until_it_waits_for_its_disk(program.pid)
    call = in_flight_of(tracer, program)
    assert call["age_ns"] > 1000 * MS
    assert call["waits"]["disk"] >= RIGHT_SHARE * call["age_ns"]


def test_a_call_whose_pool_is_suspended_waits_for_what_only_the_pool_can_do(
    trace: Callable[..., Trace], stack: ExitStack
) -> None:
    directory = stack.enter_context(thin_pool("thin"))
    filler = stack.enter_context(
        sleeper("write", f"{directory}/filler", "300", str(1 << 20), str(1 << 20), comm="filler")
    )
    program = stack.enter_context(
        sleeper("-p", "20", "fsync", f"{directory}/file", "100000", "16384", "16384")
    )
    tracer = trace("0", "-p", str(program.pid), "--op", "write,fsync")
    stack.callback(mend, "thin")
    program.go()
    filler.go()
    until("the pool is suspended", lambda: is_suspended("thin"))
    time.sleep(5)
    call = in_flight_of(tracer, program)
    assert call["age_ns"] > 2000 * MS
    waits = call["waits"]
    assert waits["txg"] + waits["zil"] + waits["throttle"] >= RIGHT_SHARE * call["age_ns"]
