"""How long a frame takes with 100,000 groups in the table, and how long from a key to its paint.

    python tests/bench/frames.py [GROUPS] [WIDTHxHEIGHT] [SECONDS]        (100000, 120x40, 40)

The window of 60 s holds GROUPS different rows of process and file. Every second a sixtieth of them is slow once or
twice, the same file again a minute later, with other latencies; every call has waits. Frames are counted from the new
second in the history until every line is a strip, keys from their arrival until what they lead to is painted, as CPU
time of the process (the machine may be busy); "wall" is what the operator saw here. What is too much for one frame
comes with the following ones, newest seconds first: "whole" is the CPU time until all of it is there.
"Unit" is the CPU time of a fixed piece of Python, which tells how fast this machine was just then.
"""

from __future__ import annotations

import asyncio
import gc
import platform
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))

from driving import SettledPilot
from fake_feed import MS, FakeFeed, key, second, stats
from memory import memory

from zfstop.model.history import Second
from zfstop.model.waits import Waits
from zfstop.ui.app import ZfstopApp

WINDOW = 60

#: What is pressed, and what is pressed after it, uncounted, to be where it was before.
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "down": (("down",), ("home",)),
    "page down, deep": (("pagedown",), ()),
    "end": (("end",), ("home",)),
    "sort >": ((">",), ("<",)),
    "sort <, by file": (("<",), (">",)),
    "sort, one selected": (("down", ">"), ("<", "home")),
    "end, by file": (("<", "end"), (">", "home")),
    "reverse r": (("r",), ("r",)),
    "pause": (("space",), ("space",)),
    "second back [": (("[",), ()),
    "minute back {": (("{",), ()),
    "live L": (("L",), ()),
    "group g": (("g",), ("g",) * 9),
    "window w": (("w",), ("w", "w")),
    "filter, a letter": (("/", "f"), ("escape",)),
    "filter, 2nd letter": (("/", "f", "i"), ("escape",)),
    "enter a row": (("enter",), ("backspace",)),
    "help ?": (("?",), ("escape",)),
    "why W": (("W",), ("escape",)),
    "zfs z": (("z",), ("escape",)),
    "bars H": (("H",), ("H",)),
    "step threshold +": (("+",), ("-",)),
    "box Shift+up": (("shift+up",), ("escape",)),
}


def crowd(groups: int, at: int, dice: random.Random) -> Second:
    """One second: every ``WINDOW``-th of ``groups`` files is slow."""
    found = []
    for number in range(at % WINDOW, groups, WINDOW):
        latencies = [int(dice.lognormvariate(0, 1) * 15 * MS) + 10 * MS for _ in range(dice.randint(1, 2))]
        part = stats(*latencies, size=4096)
        spent = Waits(disk=700, zil=100, cpu=200).part(part.total_ns, 1000)
        who = key(
            pid=1000 + number % 500, path=f"dir{number % 200}/file{number}", where="docker:3f9a1c2b4d5e"
        )
        found.append((who, type(part)(*(getattr(part, name) for name in part.__slots__[:-1]), spent)))
    return second(found, at)


def p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


def told(what: str, clock: Clock, whole: list[float] | None = None) -> str:
    cpu, wall = clock.cpu, clock.wall
    last = f"{max(whole):>8.0f}" if whole else ""
    middle = sorted(cpu)[len(cpu) // 2]
    return f"{what:<22} {middle:>10.1f} {p95(cpu):>10.1f} {max(cpu):>10.1f} {p95(wall):>12.1f} {last}"


def unit() -> float:
    """CPU time (ms) of a piece of work that is always the same."""
    began, found = time.process_time(), {}
    for number in range(60_000):
        found[number % 1000, "x"] = number
    return (time.process_time() - began) * 1000


class Clock:
    """CPU and wall time of pieces, in ms."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def __enter__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.cpu.append((time.process_time() - self._cpu) * 1000)
        self.wall.append((time.perf_counter() - self._wall) * 1000)


class More:
    """Whether a frame was not enough; the app's own way of going on is by a timer."""

    def __init__(self, app: ZfstopApp) -> None:
        self.wanted = False
        app._go_on = self._note  # type: ignore[method-assign]

    def _note(self) -> None:
        self.wanted = True


async def fill(app: ZfstopApp, pilot: SettledPilot, more: More) -> float:
    """Add up what did not fit into one frame; the CPU time (ms) it takes."""
    began = time.process_time()
    while more.wanted:
        more.wanted = False
        app.draw()
        await pilot.pause()
    return (time.process_time() - began) * 1000


async def frames(app: ZfstopApp, feed: FakeFeed, pilot: SettledPilot, coming: list[Second]) -> Clock:
    """A frame for every second that comes."""
    clock = Clock()
    for item in coming:
        feed.history.append(item)
        with clock:
            app.look()
            await pilot.pause()
            app.screen._compositor.render_strips()
    return clock


async def keys(app: ZfstopApp, pilot: SettledPilot, more: More, name: str) -> None:
    """A line of the table."""
    clock, whole = Clock(), []
    pressed, undo = KEYS[name]
    for _ in range(3):
        await pilot.press(*pressed[:-1])
        await fill(app, pilot, more)
        with clock:
            await pilot.press(pressed[-1])
            app.screen._compositor.render_strips()
        whole.append(clock.cpu[-1] + await fill(app, pilot, more))
        await pilot.press(*undo)
        await fill(app, pilot, more)
    print(told(name, clock, whole), flush=True)


async def measure(groups: int, width: int, height: int, length: int) -> None:
    """Fill a window and more, then time frames and keys."""
    dice = random.Random(1)
    feed = FakeFeed(crowd(groups, at, dice) for at in range(WINDOW + 30))
    coming = [crowd(groups, WINDOW + 30 + at, dice) for at in range(length * 2)]
    before = memory_mb()
    app = ZfstopApp(feed, look_every_s=3600)
    more = More(app)
    first = Clock()
    async with app.run_test(size=(width, height), notifications=True):
        pilot = SettledPilot(app)
        with first:
            await pilot.pause()
            app.draw()
            await pilot.pause()
        print(f"{'ms of CPU':<22} {'median':>10} {'p95':>10} {'worst':>10} {'wall p95':>12}    whole")
        print(told("first frame", first, [first.cpu[0] + await fill(app, pilot, more)]))
        print(told("a frame", await frames(app, feed, pilot, coming[:length])))
        await pilot.press("down")
        print(told("  while one is selected", await frames(app, feed, pilot, coming[length:])))
        await pilot.press("home")
        rows = len(app.lens.frame(width).rows)
        print(
            f"{rows:,} rows; {memory_mb() - before:.0f} MB more than the history alone; unit {unit():.1f} ms"
        )
        for name in KEYS:
            await keys(app, pilot, more, name)
        print(f"unit {unit():.1f} ms")


def memory_mb() -> float:
    gc.collect()
    return memory("self")["Private"]


def main() -> None:
    groups = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    width, height = map(int, sys.argv[2].split("x")) if len(sys.argv) > 2 else (120, 40)
    length = int(sys.argv[3]) if len(sys.argv) > 3 else 40
    print(f"{platform.release()}, Python {platform.python_version()}: {groups:,} groups at {width}x{height}")
    asyncio.run(measure(groups, width, height, length))


if __name__ == "__main__":
    main()
