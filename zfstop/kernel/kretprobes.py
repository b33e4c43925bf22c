"""Return probes with room for 4,096 sleeping calls: made in tracefs, because the kprobe PMU has max(10, 2 x CPUs).

A return probe needs an instance for every call between entry and return; a call that finds none is missed. Only a
probe written to ``kprobe_events`` can ask for more of them. But such a probe outlives its maker, so three things see
to it that none is left: every probe lies in a group named after the process that made it, a guardian removes the
group when the last holder of a pipe is gone, however it went, and ``sweep`` removes what a killed guardian left.

Used by the loader, under another Python: standard library only, nothing of zfstop's. Functions raise OSError.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable
from types import ModuleType

#: The most the kernel takes (KRETPROBE_MAXACTIVE_MAX).
INSTANCES = 4096
#: Names of probes that the owner makes itself; the loader's are lower.
_OURS_FIRST = 1000
#: The second is mounted by the kernel itself when somebody looks into debugfs.
PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_EVENT = re.compile(r"^r\d*:(zfstop_(\d+)_(\d+))/(\S+)", re.MULTILINE)

#: A shell takes a tenth of the memory of a Python. `>>` matters: opening kprobe_events with `>` empties it.
#: The kernel frees the last references a moment after the process is gone, hence the tries; then it is for the sweep.
#: What is stopped as a service is stopped with all its processes, and this one has its work before it then.
GUARDIAN = """
trap '' TERM HUP INT
read -r _
cd "$1" || exit
tries=0
while [ -d "events/$2" ] && [ $tries -lt 250 ]; do
    for event in "events/$2"/*/; do
        event=${event%/}
        echo "-:$2/${event##*/}" >>kprobe_events
    done
    tries=$((tries + 1))
    sleep 0.04
done
"""


class Owner:
    """A guarded group of return probes. Whoever keeps the probes keeps ``pipe``: its end is the group's."""

    def __init__(self, tracefs: str, group: str, pipe: int, guardian: int, first: int = 0) -> None:
        """``first`` keeps the names that two processes give apart."""
        self.tracefs = tracefs
        self.group = group
        self.pipe = pipe
        self.guardian = guardian
        self._numbers = itertools.count(first)

    def event(self, symbol: str) -> str:
        """A new name: a symbol may be probed twice, and have dots in it, which names of events may not."""
        return f"{re.sub(r'[^A-Za-z0-9_]', '_', symbol)[:48]}_{next(self._numbers)}"


def attach_return(
    program: int, symbol: str, owner: Owner, attach: Callable[[int, int], list[int]]
) -> list[int]:
    """Attach to the return of ``symbol`` (or ``MODULE:SYMBOL``) with 4,096 instances; returns what keeps it attached.

    ``attach`` is bpf.attach_tracepoint. Raises OSError where tracefs refuses; nothing is left then, and the kprobe
    PMU is the way that remains.
    """
    event = owner.event(symbol)
    _write(owner.tracefs, f"r{INSTANCES}:{owner.group}/{event} {symbol}")
    try:
        with open(f"{owner.tracefs}/events/{owner.group}/{event}/id") as file:
            return attach(program, int(file.read()))
    except OSError:
        with contextlib.suppress(OSError):
            _write(owner.tracefs, f"-:{owner.group}/{event}")
        raise


def attach(bpf: ModuleType, program: int, symbol: str, returns: bool, owner: Owner | None) -> list[int]:
    """Attach a kprobe or, if it ``returns``, a return probe: with room if there is an owner and tracefs takes it."""
    if returns and owner is not None:
        with contextlib.suppress(OSError):
            return attach_return(program, symbol, owner, bpf.attach_tracepoint)
    kept: list[int] = bpf.attach_kprobe(program, symbol, returns)
    return kept


def guard() -> Owner:
    """Start the guardian of this process's group; before the first probe is made.

    Close ``pipe`` (all copies of it) to have the group removed. The guardian is in a session of its own, so that
    what ends a terminal does not end it, and it is not to be waited for.
    """
    import subprocess  # the loader starts no process, and imports this file

    tracefs = _tracefs()
    pid = os.getpid()
    group = f"zfstop_{pid}_{_start_time(pid)}"
    theirs, ours = os.pipe()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", GUARDIAN, "zfstop-guardian", tracefs, group],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
        )
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    # Python would warn of a child that still runs when the object goes away; this one is meant to.
    process.returncode = 0
    return Owner(tracefs, group, ours, process.pid, _OURS_FIRST)


def sweep() -> list[str]:
    """Remove return probes whose maker is gone; returns those removed. What is in use the kernel does not give away.

    So a process that cannot be seen from here (in another PID namespace) loses at most a probe in the instant
    between making and opening it, and takes the PMU instead.
    """
    try:
        tracefs = _tracefs()
        with open(f"{tracefs}/kprobe_events") as file:
            found = stale(file.read(), _start_time)
    except OSError:
        return []
    removed = []
    for event in found:
        with contextlib.suppress(OSError):
            _write(tracefs, f"-:{event}")
            removed.append(event)
    return removed


def stale(listing: str, start_time: Callable[[int], int]) -> list[str]:
    """``group/event`` of the lines of kprobe_events that are zfstop's and whose process (PID and start) is gone.

    ``start_time`` raises OSError for a PID that nobody has.
    """
    gone = []
    for group, pid, started, event in _EVENT.findall(listing):
        try:
            alive = start_time(int(pid)) == int(started)
        except OSError:
            alive = False
        if not alive:
            gone.append(f"{group}/{event}")
    return gone


def remove(owner: Owner) -> None:
    """Remove what of the group is not in use any more, without waiting for the guardian: between two attempts."""
    with contextlib.suppress(OSError):
        for event in os.scandir(f"{owner.tracefs}/events/{owner.group}"):
            if event.is_dir():
                with contextlib.suppress(OSError):
                    _write(owner.tracefs, f"-:{owner.group}/{event.name}")


def _tracefs() -> str:
    for place in PLACES:
        if os.path.exists(f"{place}/kprobe_events"):
            return place
    raise FileNotFoundError("tracefs is not mounted")


def _start_time(pid: int) -> int:
    """Clock ticks from boot to the start of a process: with the PID it names a process for good."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The name in front may hold blanks and parentheses.
        return int(file.read().rpartition(b")")[2].split()[19])


def _write(tracefs: str, line: str) -> None:
    """One command. Never with O_TRUNC, which would remove the probes of everybody."""
    fd = os.open(f"{tracefs}/kprobe_events", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(fd, line.encode() + b"\n")
    finally:
        os.close(fd)
