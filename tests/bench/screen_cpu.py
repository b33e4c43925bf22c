"""CPU of the screen: process CPU time a refresh, with N rows that all change every second.

    python tests/bench/screen_cpu.py [ROWS] [WIDTHxHEIGHT]

Draws into a real pty that is read and thrown away. The refreshes are asked for one after another; each is counted
from the new second in the history until everything is painted and written.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import random
import statistics
import struct
import sys
import termios
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))

from fake_feed import MS, FakeFeed, key, second, stats

from zfstop.model.history import Second
from zfstop.ui.app import ZfstopApp

WARM, MEASURED = 70, 40


def busy(rows: int, at: int, dice: random.Random) -> Second:
    """One second in which every one of ``rows`` files is slow once to three times."""
    groups = []
    for number in range(rows):
        latencies = [int(dice.lognormvariate(0, 1) * 15 * MS) + 10 * MS for _ in range(dice.randint(1, 3))]
        groups.append(
            (key(pid=1000 + number % 50, path=f"dir{number % 20}/file{number}"), stats(*latencies, size=4096))
        )
    return second(groups, at)


async def measure(rows: int, report: list[str]) -> None:
    """Fill a whole window, then time refreshes."""
    dice = random.Random(1)
    feed = FakeFeed(busy(rows, at, dice) for at in range(WARM))
    coming = [busy(rows, WARM + at, dice) for at in range(MEASURED)]
    app = ZfstopApp(feed, look_every_s=3600)
    running = asyncio.create_task(app.run_async())
    await asyncio.sleep(2)
    # The window fills over some frames; what is timed is a whole one that moves on.
    for _ in range(2 + rows * WARM // 4000):
        app.draw()
        await asyncio.sleep(0.02)
    whole, model = [], []
    for item in coming:
        feed.history.append(item)
        before = time.process_time()
        app.draw()
        model.append(time.process_time() - before)
        await asyncio.sleep(0.1)
        whole.append(time.process_time() - before)
    idle = time.process_time()
    await asyncio.sleep(2)
    idle = (time.process_time() - idle) / 2
    app.exit()
    await running
    report += [
        f"rows {rows}: CPU a refresh, median {statistics.median(whole) * 1000:.1f} ms",
        f"  worst {max(whole) * 1000:.1f} ms",
        f"  of it until the lines are known: median {statistics.median(model) * 1000:.1f} ms",
        f"  CPU between refreshes: {idle * 100:.2f} % of a core; resident {resident_mb():.0f} MB",
    ]


def resident_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def main() -> None:
    """Give the app a terminal of its own, then say what it cost."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    width, height = map(int, sys.argv[2].split("x")) if len(sys.argv) > 2 else (120, 40)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    drawn = [0]

    def drain() -> None:
        while data := os.read(master, 65536):
            drawn[0] += len(data)

    threading.Thread(target=drain, daemon=True).start()
    saved = [os.dup(fd) for fd in range(3)]
    for fd in range(3):
        os.dup2(slave, fd)
    os.environ["TERM"] = "xterm-256color"
    report: list[str] = []
    try:
        asyncio.run(measure(rows, report))
    finally:
        for fd, old in enumerate(saved):
            os.dup2(old, fd)
    print("\n".join(report))
    print(f"  terminal {drawn[0] / (MEASURED + 1) / 1000:.1f} kB a refresh at {width}x{height}")


if __name__ == "__main__":
    main()
