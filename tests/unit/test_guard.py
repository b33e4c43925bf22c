"""What is measured less for now: in force, in words in every second it is true of, and asked controls stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.guard import FEW_EVENTS, Guard
from zfstop.model.costs import Cost, Costs
from zfstop.model.histogram import bucket_of
from zfstop.model.history import Second, Tally
from zfstop.model.relief import Limits, Relief, lost_classes, relief_in
from zfstop.model.state import Controls, Counts
from zfstop.trace import ReliefTeller
from zfstop.zfs.operations import BY_NAME, CLASSES, class_of

MS = 1_000_000
ASKED = Controls()


class Waits:
    """A part that can be given up."""

    def __init__(self) -> None:
        self.on = True

    def can_give_up(self) -> bool:
        return self.on

    def give_up(self) -> None:
        self.on = False

    def take_back(self) -> None:
        self.on = True


class Host:
    """Calls of fixed latencies, measured through what the guard leaves, a second at a time."""

    def __init__(self, guard: Guard, calls: dict[int, int], asked: Controls = ASKED) -> None:
        self.guard, self.calls, self.asked = guard, calls, asked
        self.costs = {"read": 0.004, "getattr": 0.02, "page-read": 0.001}
        self.load, self.second = 1.0, Second(0, 0, 10**9, asked)

    def run(self, seconds: int = 1, lost: int = 0) -> Controls:
        for _ in range(seconds):
            force = self.guard.relief.applied(self.asked)
            seen = sum(count for ns, count in self.calls.items() if ns >= force.threshold_ns)
            buckets = {bucket_of(ns): count for ns, count in self.calls.items()}
            self.second = Second(
                0, 0, 10**9, force,
                slots=(Counts(seen=seen, lost=lost),),
                tallies=(("read", "tank", Tally(sum(self.calls.values()), 0, 0, 0, buckets)),),
                notes=self.guard.notes,
            )  # fmt: skip
            on = {
                op: Cost(1, cost * self.load if op in force.wanted_ops else 0)
                for op, cost in self.costs.items()
            }
            self.guard.observe(self.second, Costs(on), self.asked)
        return self.guard.relief.applied(self.asked)


def test_a_flood_is_told_in_every_second_it_lasts_and_once_that_it_is_over() -> None:
    host = Host(Guard(Limits(auto_threshold=True)), {15 * MS: 30_000, 100 * MS: 9})
    force = host.run(2)
    assert (force.threshold_ns, host.second.notes) == (20 * MS, ())
    for _ in range(3):
        host.run()
        assert host.second.notes == ("flood: threshold 10ms -> 20ms for now",)
    assert host.asked == Controls()
    host.calls = {15 * MS: 3}
    told = [note for _ in range(70) if host.run() for note in host.second.notes]
    assert told.count("flood: over, threshold 10ms again") == 1
    assert host.second.notes == ()
    assert host.run() == Controls()


def test_without_leave_nothing_is_raised() -> None:
    host = Host(Guard(Limits()), {15 * MS: 300_000})
    assert host.run(20, lost=99) == Controls()
    assert host.guard.notes == ()


def test_a_loss_raises_the_threshold_at_once() -> None:
    host = Host(Guard(Limits(auto_threshold=True)), {15 * MS: 30})
    assert host.run(lost=1).threshold_ns == 20 * MS


def test_over_budget_the_class_is_off_the_words_say_so_and_it_comes_back() -> None:
    host = Host(Guard(Limits(budget=0.02)), {})
    force = host.run(3)
    assert lost_classes(host.asked, force) == {"metadata"}
    assert "getattr" not in force.wanted_ops
    host.run()
    assert host.second.notes == ("budget 2%: gave up metadata for now",)
    assert host.second.controls == force
    host.load = 0.1
    told = [note for _ in range(90) if host.run() for note in host.second.notes]
    assert told.count("budget 2%: took back metadata") == 1
    assert host.run() == Controls()


def test_waits_go_between_metadata_and_events_and_come_back_before_metadata() -> None:
    waits = Waits()
    host = Host(Guard(Limits(budget=0.002), {"waits": waits}), {30 * MS: 5000, 300 * MS: 50})
    host.run(1)
    assert waits.on
    host.run(1)
    assert not waits.on, "metadata alone would not have been enough"
    host.run(2)
    assert host.guard.notes == (
        "budget 0.2%: gave up metadata, waits for now; threshold 10ms -> 50ms for now",
    )
    host.run(20)
    assert host.guard.notes[0].startswith(
        "budget 0.2%: gave up metadata, waits, data for now (nothing is measured)"
    )
    assert host.guard.relief.applied(host.asked).wanted_ops & set(host.costs) == set()
    host.load = 0.0
    for _ in range(300):
        host.run()
        assert waits.on or "metadata" in lost_classes(host.asked, host.guard.relief.applied(host.asked))
    assert waits.on
    assert host.run() == Controls()


def test_events_given_up_leave_few() -> None:
    host = Host(Guard(Limits(budget=0.002)), {30 * MS: 5000, 300 * MS: FEW_EVENTS // 4})
    host.costs = {"read": 0.005}
    assert host.run(2).threshold_ns == 50 * MS


def test_a_kernel_that_does_not_tell_is_told_of() -> None:
    guard = Guard(Limits(budget=0.02))
    for _ in range(3):
        guard.observe(Second(0, 0, 10**9, ASKED), Costs(note="the kernel does not tell: EPERM"), ASKED)
        assert guard.notes == ("budget 2%: cannot be kept, the kernel does not tell what the probes cost",)


def test_notes_of_others_are_none_of_a_relief() -> None:
    assert relief_in(
        ("demo starts over", "flood: over, threshold 10ms again", "recorded with a threshold")
    ) == ("flood: over, threshold 10ms again",)


@given(
    st.frozensets(st.sampled_from(sorted(BY_NAME))),
    st.frozensets(st.sampled_from(sorted(CLASSES))),
    st.frozensets(st.sampled_from(sorted(CLASSES))),
)
def test_what_is_gone_is_exactly_what_was_given_up(
    ops: frozenset[str], classes: frozenset[str], gone: frozenset[str]
) -> None:
    asked = replace(ASKED, ops=ops, classes=classes)
    force = Relief(0, gone).applied(asked)
    assert force.wanted_ops == {op for op in asked.wanted_ops if class_of(op) not in gone}
    assert lost_classes(asked, force) == {class_of(op) for op in asked.wanted_ops} & gone
    assert Relief().applied(asked) == asked


def test_on_stderr_each_sentence_is_said_once_while_it_stays(capsys: pytest.CaptureFixture[str]) -> None:
    teller, flood = ReliefTeller(), "flood: threshold 10ms -> 20ms for now"
    for notes in ((), (flood,), (flood,), (flood, "budget 2%: took back metadata"), (), (flood,)):
        teller.say(notes)
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"zfstop: {flood}", "zfstop: budget 2%: took back metadata", f"zfstop: {flood}"
    ]  # fmt: skip
    assert not said.out
