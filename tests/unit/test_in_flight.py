"""Calls in flight: what is said of a thread that waits, and when its return counts as missed."""

from __future__ import annotations

import os

import pytest

from zfstop.callers import Callers
from zfstop.kernel import in_flight
from zfstop.kernel.in_flight import InFlightCalls
from zfstop.kernel.paths import Paths
from zfstop.kernel.seats import CALL, DEPTH, THREAD
from zfstop.model.state import Attached, Counts

#: /proc/PID/stack of a reader of a slow disk, from the lab (OpenZFS 2.3.9), innermost first.
STACK = (
    "cv_wait_common", "__cv_timedwait_io", "zio_wait", "dmu_buf_hold_array_by_dnode", "dmu_read_uio_dnode",
    "zfs_read", "zpl_iter_read", "bpf_trampoline_6442509735", "zpl_iter_read", "vfs_read", "ksys_read",
)  # fmt: skip


def thread(asleep: bool = True, stack: tuple[str, ...] = STACK) -> in_flight._Thread:
    return in_flight._Thread(7, 0, "dd", 0, asleep, stack)


def test_the_wait_is_named_by_the_first_function_that_says_more_than_asleep() -> None:
    assert in_flight._waits_in(STACK, "zpl_iter_read") == "zio_wait"
    assert (
        in_flight._waits_in(("io_schedule", "cv_wait_common", "zpl_iter_read"), "zpl_iter_read")
        == "zpl_iter_read"
    )
    assert in_flight._waits_in(("schedule",), "zpl_iter_read") == ""


def test_a_sleeper_in_the_function_is_in_flight_and_one_elsewhere_has_moved_on() -> None:
    assert not thread().moved_on("zpl_iter_read")
    assert thread(stack=("do_select", "__x64_sys_select")).moved_on("zpl_iter_read")


def test_a_running_thread_and_an_unreadable_stack_are_given_the_doubt() -> None:
    assert not thread(asleep=False, stack=("do_select",)).moved_on("zpl_iter_read")
    inside = in_flight._Thread(7, 0, "dd", 0, True, ("cv_wait", "zpl_fallocate_common"), in_zfs=True)
    assert not inside.moved_on("zpl_fallocate"), "a function that ended in a jump is not on the stack"
    assert not thread(stack=()).moved_on("zpl_iter_read")


def test_a_thread_that_has_ended_is_not_found_and_a_living_one_is_named() -> None:
    assert in_flight._thread(DEAD_TID) is None
    own = in_flight._thread(os.getpid())
    assert own is not None
    assert own.pid == os.getpid()
    assert own.uid == os.getuid()


def seat(tid: int, begun: int) -> bytes:
    """A thread in one call since ``begun``, or idle for ever."""
    call = CALL.pack(begun, 0, 0, 0, *[0] * 6)
    return THREAD.pack(0, 0, bool(begun), 0, tid) + call * DEPTH


class Kernel:
    """The seats: number of a thread, which is its place too, and since when it is in a call (0: idle)."""

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}
        self.vanish: set[int] = set()

    def all(self) -> list[tuple[int, bytes]]:
        return [(tid, seat(tid, begun)) for tid, begun in self.calls.items()]

    def at(self, place: int) -> bytes:
        return seat(place, 0 if place in self.vanish else self.calls[place])

    def leave(self, place: int) -> None:
        self.calls[place] = 0

    def free(self, place: int, tid: int) -> None:
        assert place == tid
        assert self.calls.pop(place) == 0, "a thread in a call keeps its seat"


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def calls(kernel: Kernel) -> InFlightCalls:
    probe = Attached("read", "zpl_iter_read", "zfs", "kiocb_iter", "fentry/fexit")
    paths = Paths(lambda ids: None, 10)
    return InFlightCalls(kernel, 4, None, {0: probe}, paths, None, Callers("/nowhere"), lambda: None)  # type: ignore[arg-type]


DEAD_TID = 4_194_303


def test_the_call_of_a_dead_thread_is_taken_out_and_counted_as_a_missed_return(kernel: Kernel) -> None:
    kernel.calls = {DEAD_TID: 100}
    found, missed = calls(kernel).older_than(10**10, 10**9)
    assert found == ()
    assert missed == {0: 1}
    assert kernel.calls == {DEAD_TID: 0}, "its seat is free later, as of any thread that has ended"


def test_a_call_that_returned_while_it_was_looked_at_is_not_counted_as_missed(kernel: Kernel) -> None:
    kernel.calls = {DEAD_TID: 100}
    kernel.vanish = {DEAD_TID}
    assert calls(kernel).older_than(10**10, 10**9) == ((), {})


def test_the_oldest_come_first_and_younger_calls_are_left_out(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "_thread", lambda tid: thread())
    kernel.calls = {3: 5 * 10**9, 1: 2 * 10**9, 2: 1 * 10**9}
    found, missed = calls(kernel).older_than(6 * 10**9, 2 * 10**9)
    assert [call.tid for call in found] == [2, 1]
    assert [call.age_ns for call in found] == [5 * 10**9, 4 * 10**9]
    assert {call.waits_in for call in found} == {"zio_wait"}
    assert missed == {}


GONE = 4_194_303  # the highest PIDs there can be


def test_a_seat_idle_for_long_is_free_when_its_thread_has_ended_and_counted_as_nothing(
    kernel: Kernel,
) -> None:
    lives = os.getpid()
    kernel.calls = {GONE: 0, GONE - 1: 0, lives: 0}
    assert calls(kernel).older_than(in_flight.IDLE_NS, 0) == ((), {})
    assert len(kernel.calls) == 3
    assert calls(kernel).older_than(in_flight.IDLE_NS + 1, 0) == ((), {})
    assert set(kernel.calls) == {lives}, "a thread that lives may enter at any moment"


def test_many_idle_threads_are_looked_up_a_part_at_a_time(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "_LOOKED_UP", 2)
    lives = {int(tid): 0 for tid in os.listdir("/proc") if tid.isdigit()}
    lives = dict(sorted(lives.items())[:4])
    kernel.calls = lives | {GONE: 0}
    looker = calls(kernel)
    for _ in range(3):
        looker.older_than(in_flight.IDLE_NS + 1, 0)
    assert kernel.calls == lives


def test_a_missed_return_is_a_loss_and_leaves_the_books_balanced() -> None:
    counts = Counts(entered=5, returned=3, seen=3, missed=1)
    assert counts.in_flight == 1
    assert counts.losses == 1
