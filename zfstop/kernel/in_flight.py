"""Calls that have entered ZFS and not returned: found in the seats of threads, named on demand, never shown for ever.

In a real incident nothing returns, so this list is what an operator needs first. A call whose thread has ended, or
sleeps in something else, is one whose return was missed: it is taken out and counted.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from zfstop.callers import Callers, inner_pid
from zfstop.kernel import bpf
from zfstop.kernel.decoders import CAUSES, DECODERS
from zfstop.kernel.names import path_text
from zfstop.kernel.paths import Paths
from zfstop.kernel.seats import CALL, SEAT_BYTES, THREAD, Seats
from zfstop.model.events import ALL_SIZE, IN_FLIGHT_STRUCT, NO_OFFSET, Key
from zfstop.model.history import InFlight
from zfstop.model.state import Attached
from zfstop.model.waits import Waits
from zfstop.mounts import Mounts
from zfstop.text import visible

#: Whether a thread that is idle for so long has ended is looked up, of so many threads a second.
IDLE_NS = 30_000_000_000
_LOOKED_UP = 512
#: The oldest of them get names; the rest are counted.
MOST_NAMED = 64
#: Frames that say only "asleep", not in what.
_SLEEPERS = re.compile(
    r"schedule|io_schedule|__schedule|schedule_timeout|schedule_hrtimeout|wait_for_|usleep|do_nanosleep|"
    r"(__)?cv_|spl_|rwsem_|down_|mutex_|__mutex|rt_mutex|bpf_trampoline|kretprobe|arch_rethook"
)


class _Call(NamedTuple):
    """One call a thread is in; ``place`` 0 is the outermost. ``spent`` is by cause, up to the last change."""

    place: int
    begun: int
    queued: int
    slot: int
    spent: tuple[int, ...]


class _Caller(NamedTuple):
    """A thread that is in ZFS, sleeping since ``since`` for ``cause`` (its number from 1, 0 for none)."""

    seat: int
    tid: int
    since: int
    cause: int
    calls: tuple[_Call, ...]


def _calls(value: bytes) -> list[_Call]:
    calls = []
    for place, (begun, queued, slot, waited, *spent) in enumerate(
        CALL.iter_unpack(value[THREAD.size : SEAT_BYTES])
    ):
        calls.append(_Call(place, begun, queued, slot, tuple(spent) if waited else _NOTHING))
    return calls


_NOTHING = (0,) * len(CAUSES)


def _waits_so_far(caller: _Caller, call: _Call, thread: _Thread, now_ns: int) -> Waits | None:
    """Where its time went until now; what no cause explains is other while it sleeps, else the CPU's."""
    if not call.queued and not any(call.spent):
        return None
    inside = [item.spent for item in caller.calls if item.place >= call.place]
    spent = [sum(part) for part in zip(*inside, strict=True)]
    known = 0 < caller.cause <= len(CAUSES)
    if known:
        spent[caller.cause - 1] += max(0, now_ns - max(caller.since, call.begun))
    rest = max(0, now_ns - call.begun - sum(spent))
    queued = min(max(0, thread.queued - call.queued), rest)
    rest -= queued
    other = rest if thread.asleep and not known else 0
    return Waits._make([*spent, queued, other, rest - other])


@dataclass(frozen=True, slots=True)
class _Thread:
    """What /proc says of a thread. ``stack`` is innermost first, and empty where it cannot be read.

    ``queued`` is for how long it was runnable and did not run, in ns.
    """

    pid: int
    inner_pid: int
    comm: str
    uid: int
    asleep: bool
    stack: tuple[str, ...]
    in_zfs: bool = False
    queued: int = 0

    def moved_on(self, symbol: str) -> bool:
        """Whether the thread sleeps somewhere else than in ``symbol``; a running one is given the doubt.

        So is one that sleeps in ZFS: a function that ended in a jump to another is not on the stack any more.
        """
        return self.asleep and bool(self.stack) and symbol not in self.stack and not self.in_zfs


class InFlightCalls:
    """Looks at the seats of threads in calls."""

    def __init__(
        self,
        seats: Seats,
        looked: int,
        look: int | None,
        slots: Mapping[int, Attached],
        paths: Paths,
        mounts: Mounts,
        callers: Callers,
        take_paths: Callable[[], None],
    ) -> None:
        """``look`` is the program that names a call, if the kernel can run it, and ``looked`` the map with its answer;
        ``take_paths`` reads what it sent."""
        self._seats, self._looked, self._look = seats, looked, look
        self._slots = slots
        self._turn = 0
        self._paths = paths
        self._mounts = mounts
        self._callers = callers
        self._take_paths = take_paths

    def older_than(self, now_ns: int, age_ns: int) -> tuple[tuple[InFlight, ...], dict[int, int]]:
        """(the oldest calls in flight for at least ``age_ns``, oldest first; missed returns found now, by slot)."""
        found: list[InFlight] = []
        missed: Counter[int] = Counter()
        for caller in self._callers_since(now_ns - age_ns):
            thread = _thread(caller.tid)
            here = [
                call for call in caller.calls if thread and not thread.moved_on(self._slots[call.slot].symbol)
            ]
            if thread is None or not here:
                if self._still_there(caller):
                    self._seats.leave(caller.seat)
                    missed.update(call.slot for call in caller.calls)
                continue
            old = [call for call in here if call.begun <= now_ns - age_ns]
            found += [self._describe(caller, call, thread, now_ns) for call in old[: MOST_NAMED - len(found)]]
        return tuple(sorted(found, key=lambda call: -call.age_ns)), dict(missed)

    def _callers_since(self, before_ns: int) -> list[_Caller]:
        """The threads with a call that began before, the oldest first. Frees the seats of ended threads."""
        old, idle = [], []
        for seat, value in self._seats.all():
            left, since, depth, cause, tid = THREAD.unpack_from(value)
            if depth:
                calls = tuple(_calls(value)[:depth])
                if calls[0].begun <= before_ns:
                    old.append(_Caller(seat, tid, since, cause, calls))
            elif left < before_ns - IDLE_NS:
                idle.append((seat, tid))
        self._free(idle)
        return sorted(old, key=lambda caller: caller.calls[0].begun)

    def _free(self, idle: list[tuple[int, int]]) -> None:
        """Free the seats whose thread has ended, of a part of them at a time."""
        if self._turn >= len(idle):
            self._turn = 0
        batch = idle[self._turn : self._turn + _LOOKED_UP]
        ended = [(seat, tid) for seat, tid in batch if not os.path.exists(f"/proc/{tid}")]
        with bpf.undisturbed():
            for seat, tid in ended:
                self._seats.free(seat, tid)
        self._turn += _LOOKED_UP

    def _still_there(self, caller: _Caller) -> bool:
        """Whether the thread is still in the same calls: they may have returned while it was looked at."""
        value = self._seats.at(caller.seat)
        depth = THREAD.unpack_from(value)[2]
        return [call.begun for call in _calls(value)[:depth]] == [call.begun for call in caller.calls]

    def _describe(self, caller: _Caller, call: _Call, thread: _Thread, now_ns: int) -> InFlight:
        probe = self._slots[call.slot]
        dataset, path, offset, size = self._where(caller.tid, call.place, probe, thread.pid)
        who = Key(
            probe.op, thread.pid, thread.comm, thread.uid, 0, dataset, path, probe.symbol,
            self._callers.owner_now(caller.tid), thread.inner_pid,
        )  # fmt: skip
        waits_in = _waits_in(thread.stack, probe.symbol)
        waits = _waits_so_far(caller, call, thread, now_ns)
        return InFlight(who, caller.tid, now_ns - call.begun, offset, size, waits_in, waits)

    def _where(
        self, tid: int, place: int, probe: Attached, pid: int
    ) -> tuple[str, str, int | None, int | None]:
        if self._look is None or not bpf.run_raw_tracepoint(self._look, tid, place):
            return "?", "?", None, None
        self._take_paths()
        raw = bpf.map_lookup(self._looked, struct.pack("=I", 0), IN_FLIGHT_STRUCT.size)
        if raw is None:
            return "?", "?", None, None
        _, offset, size, path_id, dev, flags = IN_FLIGHT_STRUCT.unpack(raw)
        known = DECODERS[probe.decoder].flags
        return (
            self._mounts.name(dev, pid),
            path_text(self._paths, path_id, flags | known),
            None if known & NO_OFFSET else offset,
            None if known & ALL_SIZE or not size else size,
        )


def _thread(tid: int) -> _Thread | None:
    try:
        with open(f"/proc/{tid}/status", "rb") as file:
            status = file.read()
        with open(f"/proc/{tid}/comm", "rb") as file:
            comm = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    text = ""
    with contextlib.suppress(OSError), open(f"/proc/{tid}/stack") as file:
        text = file.read()
    stack = tuple(re.findall(r"\] ([\w.]+)\+", text))
    fields = dict(line.split(b":", 1) for line in status.splitlines() if b":" in line)
    asleep = fields[b"State"].strip()[:1] in (b"S", b"D")
    uid = int(fields[b"Uid"].split()[0])
    return _Thread(
        int(fields[b"Tgid"]),
        inner_pid(status),
        visible(comm.removesuffix(b"\n")),
        uid,
        asleep,
        stack,
        "[zfs]" in text,
        _queued(tid),
    )


def _queued(tid: int) -> int:
    """The second figure of schedstat; 0 where the kernel keeps none."""
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{tid}/schedstat") as file:
        return int(file.read().split()[1])
    return 0


def _waits_in(stack: tuple[str, ...], symbol: str) -> str:
    """The innermost function that says more than "asleep"; empty when nothing is known."""
    for frame in stack:
        if not _SLEEPERS.match(frame):
            return frame
        if frame == symbol:
            break
    return ""
