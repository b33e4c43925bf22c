"""However it ends, no program, link, map or kprobe stays in the kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import ATTACH_SECONDS, OUT, Terminal, Trace, left_in_kernel, until

KINDS = ("programs", "links", "maps", "kprobe_events", "kprobes")
# The kernel frees programs and maps after grace periods, which an emulated machine draws out (0.1 to 0.3 s on most
# runs, once 1.0 s); gone.txt tells how long it took.
SECONDS = 5.0
# Every function takes its own grace periods to be let go of (0.1 to 0.2 s each here), and by default there are thirty.
ALL_SECONDS = 30.0


def gone_within(before: dict[str, frozenset[object]], seconds: float) -> None:
    """Everything new is gone; reading it all takes a while here, so the last look may end later."""
    started = time.monotonic()
    while True:
        looked = time.monotonic()
        after = left_in_kernel()
        stays = {kind: after[kind] - before[kind] for kind in KINDS}
        if not any(stays.values()):
            break
        assert looked - started < seconds, f"still there after {looked - started:.1f} s: {stays}"
    with (OUT / "gone.txt").open("a") as file:
        print(
            f"{os.environ['PYTEST_CURRENT_TEST']}: gone after {time.monotonic() - started:.2f} s", file=file
        )


def added(before: dict[str, frozenset[object]]) -> dict[str, int]:
    """How many of each kind there are more than before."""
    now = left_in_kernel()
    return {kind: len(now[kind] - before[kind]) for kind in KINDS}


def check_it_holds_something(before: dict[str, frozenset[object]]) -> None:
    """The test would prove nothing if these lists did not show what is attached."""
    counts = added(before)
    assert counts["programs"] >= 4
    assert counts["maps"] >= 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_trace(number: signal.Signals, trace: Callable[..., Trace]) -> None:
    before = left_in_kernel()
    tracer = trace("0")
    check_it_holds_something(before)
    tracer.process.send_signal(number)
    status = tracer.wait()
    gone_within(before, SECONDS)
    if number == signal.SIGKILL:
        assert status == -signal.SIGKILL
    elif number != signal.SIGHUP:
        assert status == 0


@pytest.mark.parametrize("how", ["killed", "terminal closed"])
def test_the_screen(how: str, terminal: Callable[..., Terminal]) -> None:
    before = left_in_kernel()
    screen = terminal("exec zfstop 0")
    screen.wait_for("LIVE", seconds=ATTACH_SECONDS)
    check_it_holds_something(before)
    pid = screen.pid
    if how == "killed":
        os.kill(pid, signal.SIGKILL)
    else:
        screen.close()
    until("the end of the screen", lambda: not _running(pid))
    gone_within(before, ALL_SECONDS)


def _running(pid: int) -> bool:
    """Whether the process is there and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_killed_while_it_loads(trace: Callable[..., Trace]) -> None:
    before = left_in_kernel()
    for wait in (1.0, 3.0, 5.0, 7.0):
        tracer = trace("0", attached=False)
        time.sleep(wait)
        tracer.process.kill()
        tracer.wait()
    # A loader without its parent may finish compiling, must then notice, and end.
    until("the loader's end", lambda: not any(added(before).values()) and not _loaders(), ATTACH_SECONDS)


def _loaders() -> list[str]:
    """Loader processes that are still there."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(b"loader" in word for word in words):
            found.append(pid)
    return found


def test_starts_and_stops_in_a_row_in_one_process() -> None:
    """Two hundred of them, and what they do to kernel memory: tests/bench/starts_stops.py by hand."""
    script = Path(os.environ["LAB"]) / "tests/bench/starts_stops.py"
    done = subprocess.run(["python", script, "8", "read,fsync"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 before" in done.stdout
