"""Calls that have entered ZFS and not returned: found in the kernel's map, named on demand, never shown for ever.

In a real incident nothing returns, so this list is what an operator needs first. An entry whose thread has ended, or
sleeps in something else, is one whose return was missed: it is taken out and counted.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zfstop.kernel import bpf
from zfstop.kernel.paths import Paths
from zfstop.model.events import IN_FLIGHT_STRUCT, NO_PATH, Key
from zfstop.model.history import InFlight
from zfstop.model.state import Attached
from zfstop.mounts import Mounts
from zfstop.text import visible

_KEY = struct.Struct("=Q")
#: struct call of program.c: time of entry (0: idle), time it became idle, and what only the program reads.
CALL = struct.Struct("=QQ40x")
#: An entry that is idle for so long is taken out; its thread may have ended.
IDLE_NS = 30_000_000_000
_BATCH = 512
#: The oldest of them get names; the rest are counted.
MOST_NAMED = 64
#: Frames that say only "asleep", not in what.
_SLEEPERS = re.compile(
    r"schedule|io_schedule|__schedule|schedule_timeout|schedule_hrtimeout|wait_for_|usleep|do_nanosleep|"
    r"(__)?cv_|spl_|rwsem_|down_|mutex_|__mutex|rt_mutex|bpf_trampoline|kretprobe|arch_rethook"
)
_INODE_DECODERS = frozenset({"znode_uio", "znode_sync", "inode_only"})


@dataclass(frozen=True, slots=True)
class _Thread:
    """What /proc says of a thread. ``stack`` is innermost first, and empty where it cannot be read."""

    pid: int
    comm: str
    uid: int
    asleep: bool
    stack: tuple[str, ...]

    def moved_on(self, symbol: str) -> bool:
        """Whether the thread sleeps somewhere else than in ``symbol``; a running one is given the doubt."""
        return self.asleep and bool(self.stack) and symbol not in self.stack


class InFlightCalls:
    """Looks at the map of calls in flight."""

    def __init__(
        self,
        maps: Mapping[str, int],
        look: int | None,
        slots: Mapping[int, Attached],
        paths: Paths,
        mounts: Mounts,
        take_paths: Callable[[], None],
    ) -> None:
        """``look`` is the program that names a call, if the kernel can run it; ``take_paths`` reads what it sent."""
        self._fd, self._looked, self._look = maps["in_flight"], maps["looked"], look
        self._slots = slots
        self._paths = paths
        self._mounts = mounts
        self._take_paths = take_paths

    def older_than(self, now_ns: int, age_ns: int) -> tuple[tuple[InFlight, ...], dict[int, int]]:
        """(the oldest calls in flight for at least ``age_ns``, oldest first; missed returns found now, by slot)."""
        found: list[InFlight] = []
        missed: dict[int, int] = {}
        for begun, key in self._old(now_ns - age_ns):
            slot, tid = key & 0xFFFFFFFF, key >> 32
            thread = _thread(tid)
            if thread is None or thread.moved_on(self._slots[slot].symbol):
                if self._still_there(key, begun):
                    bpf.map_delete(self._fd, _KEY.pack(key))
                    missed[slot] = missed.get(slot, 0) + 1
            elif len(found) < MOST_NAMED:
                found.append(self._describe(key, slot, thread, now_ns - begun))
        return tuple(found), missed

    def _old(self, before_ns: int) -> list[tuple[int, int]]:
        """(time of entry, key) of calls that began before, the oldest first. Takes out long idle entries."""
        old, idle = [], []
        for raw, value in bpf.map_batches(self._fd, _KEY.size, CALL.size, _BATCH):
            begun, left = CALL.unpack(value)
            if begun and begun <= before_ns:
                old.append((begun, int(_KEY.unpack(raw)[0])))
            elif not begun and left < before_ns - IDLE_NS:
                idle.append(raw)
        for raw in idle:
            bpf.map_delete(self._fd, raw)
        return sorted(old)

    def _still_there(self, key: int, begun: int) -> bool:
        """Whether the same call is still in the map: it may have returned while its thread was looked at."""
        value = bpf.map_lookup(self._fd, _KEY.pack(key), CALL.size)
        return value is not None and CALL.unpack(value)[0] == begun

    def _describe(self, key: int, slot: int, thread: _Thread, age_ns: int) -> InFlight:
        probe = self._slots[slot]
        dataset, path, offset, size = self._where(key, probe, thread.pid)
        who = Key(probe.op, thread.pid, thread.comm, thread.uid, 0, dataset, path, probe.symbol)
        return InFlight(who, key >> 32, age_ns, offset, size, _waits_in(thread.stack, probe.symbol))

    def _where(self, key: int, probe: Attached, pid: int) -> tuple[str, str, int | None, int | None]:
        kind = int(probe.decoder in _INODE_DECODERS)
        if self._look is None or not bpf.run_raw_tracepoint(self._look, key, kind):
            return "?", "?", None, None
        self._take_paths()
        raw = bpf.map_lookup(self._looked, struct.pack("=I", 0), IN_FLIGHT_STRUCT.size)
        if raw is None:
            return "?", "?", None, None
        _, offset, size, ino, path_id, dev, flags = IN_FLIGHT_STRUCT.unpack(raw)
        path = f"inode#{ino}" if flags & NO_PATH else self._paths.get(path_id) or "?"
        whole = probe.op == "open" or not size
        return (
            self._mounts.name(dev, pid),
            path,
            None if probe.op == "open" else offset,
            None if whole else size,
        )


def _thread(tid: int) -> _Thread | None:
    try:
        with open(f"/proc/{tid}/status", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file.read().splitlines() if b":" in line)
        with open(f"/proc/{tid}/comm", "rb") as file:
            comm = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    stack: tuple[str, ...] = ()
    with contextlib.suppress(OSError), open(f"/proc/{tid}/stack") as file:
        stack = tuple(re.findall(r"\] ([\w.]+)\+", file.read()))
    asleep = fields[b"State"].strip()[:1] in (b"S", b"D")
    uid = int(fields[b"Uid"].split()[0])
    return _Thread(int(fields[b"Tgid"]), visible(comm.removesuffix(b"\n")), uid, asleep, stack)


def _waits_in(stack: tuple[str, ...], symbol: str) -> str:
    """The innermost function that says more than "asleep"; empty when nothing is known."""
    for frame in stack:
        if not _SLEEPERS.match(frame):
            return frame
        if frame == symbol:
            break
    return ""
