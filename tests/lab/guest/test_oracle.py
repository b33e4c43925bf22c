"""Every operation of a program that keeps its own books: found once, everything right, at 1 to 512 threads."""

from __future__ import annotations

import gc
import json
import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import ATTACH_SECONDS, OUT, SUITE, until
from oracle import ROUNDS, SLEEP_MS, THREADS, Oracle, oracles
from oracle_compare import Call, Comparison, Seen, balance, compare, nearest_rank, parse_log, seen, slept

from zfstop.zfs.operations import DEFAULT_CLASSES, OPERATIONS

# The ring of names holds about 5,000: what one batch makes is read before the next begins.
BATCH = 512
CLASS_CALLS = 10_000
BUCKET_ERROR = 1 / 32
SHARES = {"p50_ns": 0.5, "p99_ns": 0.99, "p99_9_ns": 0.999}
STALL_SECONDS = 120
EVENT = b'{"type":"event",'
NEAR = 0.02


class TraceFile:
    """`zfstop trace` writing into a file: a quarter of a million lines, none of them parsed while it runs."""

    def __init__(self, file: Path, pids: list[int]) -> None:
        self.file = file
        self._counted = 0
        self._patience = STALL_SECONDS
        self.lines = 0
        with file.open("wb") as output:
            self.process = subprocess.Popen(
                ["zfstop", "trace", "0", "-p", ",".join(map(str, pids)), "--format", "json"],
                stdout=output,
                stderr=subprocess.PIPE,
            )
        until("the trace's first line", self.count, ATTACH_SECONDS)
        self.attached = {probe["op"] for probe in json.loads(self.file.open("rb").readline())["probes"]}

    def count(self) -> int:
        """Lines so far."""
        with self.file.open("rb") as lines:
            lines.seek(self._counted)
            while piece := lines.read(1 << 20):
                self._counted += len(piece)
                self.lines += piece.count(b"\n")
        assert self.process.poll() is None, self.process.communicate()[1]
        return self.lines

    def catch_up(self, lines: int) -> None:
        """Wait until it has so many lines. If for long it gets none some are missing, and nobody waits again."""
        before, deadline = self.lines, time.monotonic() + self._patience
        while self.count() < lines:
            if self.lines != before:
                before, deadline = self.lines, time.monotonic() + self._patience
            if time.monotonic() > deadline:
                self._patience = 1
                return
            time.sleep(0.1)

    def stop(self) -> None:
        """End it as Ctrl+C does."""
        self.process.send_signal(2)
        _, said = self.process.communicate(timeout=STALL_SECONDS)
        assert self.process.returncode == 0, said

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@dataclass(frozen=True)
class Outcome:
    """What came of everything: a comparison for each number of threads; of each operation zfstop's times, ascending."""

    comparisons: dict[int, Comparison]
    latencies: dict[str, list[int]]
    summary: dict[str, Any]
    attached: set[str]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Everything, once; the tests look at different sides of it."""
    directory = tmp_path_factory.mktemp("oracle")
    with oracles(directory, THREADS) as programs, ExitStack() as stack:
        trace = TraceFile(directory / "trace", [program.pid for program in programs])
        stack.callback(trace.close)
        for program in programs:
            drive(program, trace)
        trace.stop()
        found = read(programs, trace)
    report(found)
    return found


def drive(oracle: Oracle, trace: TraceFile) -> None:
    """All its rounds, no faster than the trace can name what it makes."""
    begun, before = time.monotonic(), trace.count()
    working = 0.0
    for rounds in (*range(BATCH, ROUNDS + 1, BATCH), None):
        batch = time.monotonic()
        owed = oracle.work(rounds)
        working += time.monotonic() - batch
        trace.catch_up(before + sum(count for op, count in owed.items() if op in trace.attached))
    assert oracle.wait() == 0, oracle.errors()
    print(
        f"oracle: {oracle.threads} threads, {sum(owed.values())} operations in {working:.0f} s, "
        f"{trace.lines - before} events after {time.monotonic() - begun:.0f} s",
        flush=True,
    )


def read(programs: list[Oracle], trace: TraceFile) -> Outcome:
    """Parse and compare."""
    events: dict[int, list[Seen]] = {program.pid: [] for program in programs}
    line = b""
    # A million objects, and no cycle among them.
    gc.disable()
    with trace.file.open("rb") as lines:
        for line in lines:
            if line.startswith(EVENT):
                event = seen(line)
                events[event.pid].append(event)
    last = json.loads(line)
    assert last["type"] == "summary"
    comparisons = {}
    latencies: dict[str, list[int]] = {}
    for program in programs:
        mine = events.pop(program.pid)
        with program.log.open() as log:
            calls = parse_log(log)
        tell_times(program.threads, calls)
        comparisons[program.threads] = compare(program.pid, calls, mine, trace.attached)
        for event in mine:
            latencies.setdefault(event.op, []).append(event.latency)
    gc.enable()
    return Outcome(comparisons, {op: sorted(times) for op, times in latencies.items()}, last, trace.attached)


def tell_times(threads: int, calls: list[Call]) -> None:
    """Where the program's time went: what takes longest in all, in ms, with how often."""
    took: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for call in calls:
        kind = f"{call.name} {'+'.join(expected.op for expected in call.expected)}"
        took[kind] += call.took
        times[kind] += 1
    longest = ", ".join(f"{kind} {ns // 10**6} ms ({times[kind]})" for kind, ns in took.most_common(8))
    print(f"{threads} threads: {longest}", flush=True)


def own_times(outcome: Outcome, op: str) -> list[int]:
    """The callers' own, ascending; zfstop's where a call was several operations or happened inside another one."""
    pairs = [pair for c in outcome.comparisons.values() for pair in c.pairs if pair[1].op == op]
    rest = Counter(outcome.latencies[op])
    rest.subtract(event.latency for _, event in pairs)
    return sorted([call.took for call, _ in pairs] + list(rest.elements()))


def report(outcome: Outcome) -> None:
    """The figures, for the log and for the host."""
    figures: dict[str, Any] = {"summary": outcome.summary, "threads": {}, "percentiles": {}}
    for threads, found in outcome.comparisons.items():
        kinds = ("expected", "right", "wrong", "missing", "surplus", "beside")
        sleepers = slept(found)
        figures["threads"][threads] = {kind: dict(getattr(found, kind)) for kind in kinds} | {
            "slept": {
                "cost_ns": sleepers.cost,
                "kept": len(sleepers.kept),
                "near": sleepers.near(NEAR),
                "furthest": max((1 - shown / own for own, shown in sleepers.kept), default=None),
                "switched": len(sleepers.switched),
            }
        }
        print(
            f"{threads} threads: {found.right.total()} of {found.expected.total()} found and right",
            flush=True,
        )
    for op, counts in outcome.summary["per_op"].items():
        if op in outcome.latencies:
            own, exact = own_times(outcome, op), outcome.latencies[op]
            figures["percentiles"][op] = {
                name: {
                    "summary": counts[name],
                    "events": nearest_rank(exact, share),
                    "own": nearest_rank(own, share),
                }
                for name, share in SHARES.items()
            }
    (OUT / "oracle.json").write_text(json.dumps(figures, indent=1))


@pytest.mark.parametrize("threads", THREADS)
def test_every_operation_is_found_once_and_right(outcome: Outcome, threads: int) -> None:
    found = outcome.comparisons[threads]
    missed, entered = outcome.summary["missed"], outcome.summary["entered"]
    if SUITE == "forky" and found.findings and 0 < missed < entered / 1000:
        pytest.xfail(f"kernel 7.2 still misses a few: {missed} of {entered}, every one counted")
    assert not found.findings, "\n".join(found.findings[:40])
    assert found.right == found.expected
    for group in DEFAULT_CLASSES:
        ops = {operation.name for operation in OPERATIONS if operation.group == group}
        for op in ops & outcome.attached:
            assert found.right[op], f"{op} was never done"
        # Where a release lacks some of a class, the others alone are not so many.
        if ops <= outcome.attached:
            assert sum(found.right[op] for op in ops) >= CLASS_CALLS, group


@pytest.mark.parametrize("threads", THREADS)
def test_no_operation_takes_longer_than_the_caller_saw(outcome: Outcome, threads: int) -> None:
    found = outcome.comparisons[threads]
    assert len(found.pairs) >= CLASS_CALLS
    assert all(0 < event.latency <= call.took for call, event in found.pairs)


@pytest.mark.parametrize("threads", THREADS)
def test_what_slept_is_shown_with_all_its_sleep(outcome: Outcome, threads: int) -> None:
    sleepers = slept(outcome.comparisons[threads])
    waited = sleepers.kept + sleepers.switched
    # A few find their block already on its way.
    assert sum(shown >= SLEEP_MS * 10**6 for _, shown in waited) >= 0.95 * len(waited)
    assert len(sleepers.kept) >= 50
    # An emulated processor is itself sent away now and then, which nobody in the machine can tell.
    assert sleepers.near(NEAR) >= 0.9 * len(sleepers.kept)


def test_the_books_balance(outcome: Outcome) -> None:
    for op, counts in outcome.summary["per_op"].items():
        assert counts["entered"] == balance(counts), op
        assert counts["in_flight"] == 0, op
        assert counts["seen"] == len(outcome.latencies.get(op, ())), op
        in_histogram = counts.get("in_histogram", 0)
        assert in_histogram == counts["seen"] + counts["below"] + counts["filtered_dev"], op


def test_percentiles_are_those_of_all_calls(outcome: Outcome) -> None:
    assert outcome.latencies.keys() <= outcome.summary["per_op"].keys()
    for op, exact in outcome.latencies.items():
        own = own_times(outcome, op)
        for name, share in SHARES.items():
            told = outcome.summary["per_op"][op][name]
            if told is not None:
                assert told == pytest.approx(nearest_rank(exact, share), rel=BUCKET_ERROR, abs=1), (op, name)
                assert told <= nearest_rank(own, share) * (1 + BUCKET_ERROR) + 1, (op, name)
