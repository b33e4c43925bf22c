"""What is switched off is detached, what is wanted again attached, and no descriptor is left behind.

Attaching is made up; descriptors are real.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from data.descriptors import open_now
from hypothesis import given
from hypothesis import strategies as st

from zfstop.kernel import bpf
from zfstop.kernel.probes import Pair
from zfstop.model.state import Attached

PROBE = Attached("read", "zpl_iter_read", "zfs", "kiocb_iter", "kprobe pair")


def descriptor() -> int:
    """Of a file of its own, so that a number used again is not taken for it."""
    return os.memfd_create("link")


def is_open(fd: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}")


@dataclass
class Kernel:
    """Attaches: ``links`` of each program, in order. ``fail`` says at which attempt from now on it refuses."""

    per_program: int = 1
    fail: int = 0
    fentry: bool = False
    links: list[tuple[int, int, int]] = field(default_factory=list)

    def attach_tracing(self, program: int) -> int:
        return self._attach(program, 1)[0]

    def attach_kprobe(self, program: int, symbol: str, returns: bool) -> list[int]:
        assert symbol == PROBE.symbol
        return self._attach(program, self.per_program)

    def _attach(self, program: int, count: int) -> list[int]:
        self.fail -= 1
        if self.fail == 0:
            raise OSError(errno.ENOENT, "No such file or directory")
        made = [descriptor() for _ in range(count)]
        self.links += [(program, fd, os.fstat(fd).st_ino) for fd in made]
        return made

    def attached(self) -> list[int]:
        """The program of each link that is open, in the order in which they were made."""
        return [program for program, fd, inode in self.links if is_open(fd) and os.fstat(fd).st_ino == inode]


@pytest.fixture(params=["fentry", "kprobe", "old kprobe"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """An event and a link for each program, or before Linux 5.15 the event alone."""
    kernel = Kernel(2 if request.param == "kprobe" else 1, fentry=request.param == "fentry")
    monkeypatch.setattr(bpf, "attach_tracing", kernel.attach_tracing)
    monkeypatch.setattr(bpf, "attach_kprobe", kernel.attach_kprobe)
    return kernel


@pytest.fixture
def pair(kernel: Kernel) -> Iterator[Pair]:
    pair = Pair(0, 1, PROBE, kernel.fentry, descriptor(), descriptor())
    yield pair
    if is_open(pair.entry):
        pair.close()


def test_the_return_is_attached_before_the_entry(kernel: Kernel, pair: Pair) -> None:
    """An entry alone would count calls that never end."""
    pair.switch(True)
    order = list(dict.fromkeys(kernel.attached()))
    assert order == [pair.leave, pair.entry]
    assert pair.programs == (pair.leave, pair.entry)


def test_a_call_in_flight_still_returns_after_its_operation_was_switched_off(
    kernel: Kernel, pair: Pair
) -> None:
    pair.switch(True)
    pair.switch(False)
    assert set(kernel.attached()) == {pair.leave}
    pair.settle()
    assert kernel.attached() == []
    assert is_open(pair.leave), "the programs stay loaded"
    assert is_open(pair.entry)


def test_what_is_switched_on_again_at_once_is_attached_once(kernel: Kernel, pair: Pair) -> None:
    """With two returns attached the second would find no call."""
    for on in (True, False, True):
        pair.switch(on)
    assert sorted(kernel.attached()) == sorted(pair.programs * (len(pair.links) // 2))
    assert not pair.leaving


def test_switching_to_what_it_is_already_does_nothing(kernel: Kernel, pair: Pair) -> None:
    pair.switch(False)
    assert kernel.links == []
    pair.switch(True)
    links = list(pair.links)
    pair.switch(True)
    assert pair.links == links
    assert all(map(is_open, links))


@pytest.mark.parametrize("attempt", [1, 2])
def test_what_cannot_be_attached_is_not_attached_by_half(kernel: Kernel, pair: Pair, attempt: int) -> None:
    kernel.fail = attempt
    with pytest.raises(OSError, match="No such file"):
        pair.switch(True)
    assert kernel.attached() == []
    assert not pair.links
    pair.switch(True)
    assert set(kernel.attached()) == set(pair.programs), "it may be tried again"


def test_after_closing_nothing_is_open(kernel: Kernel, pair: Pair) -> None:
    for on in (True, False, True):
        pair.switch(on)
    pair.close()
    assert kernel.attached() == []
    assert not is_open(pair.leave)
    assert not is_open(pair.entry)


@given(
    st.lists(st.sampled_from(["on", "off", "settle", "fails first", "fails second"]), max_size=12),
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_however_it_is_switched_no_descriptor_leaks(steps: list[str], per_program: int, fentry: bool) -> None:
    before = open_now()
    kernel = Kernel(per_program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpf, "attach_tracing", kernel.attach_tracing)
        patch.setattr(bpf, "attach_kprobe", kernel.attach_kprobe)
        pair = Pair(0, 1, PROBE, fentry, descriptor(), descriptor())
        on = False
        for step in steps:
            kernel.fail = {"fails first": 1, "fails second": 2}.get(step, 0)
            if step == "settle":
                pair.settle()
                assert not pair.leaving
            elif step in ("on", "off"):
                on = step == "on"
                pair.switch(on)
            elif not on:
                with pytest.raises(OSError, match="No such file"):
                    pair.switch(True)
            entries = [program for program in kernel.attached() if program == pair.entry]
            assert bool(entries) == on == bool(pair.links)
            assert len(kernel.attached()) == len(pair.links) + len(pair.leaving)
        pair.close()
    assert open_now() == before
