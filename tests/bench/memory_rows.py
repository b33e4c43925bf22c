"""Resident memory of the screen's process by the number of rows in its window of a minute.

    python tests/bench/memory_rows.py [GROUPS]        (100000)

Each group is a process, a file and an operation that was slow once or twice in that minute, with waits.
"""

from __future__ import annotations

import asyncio
import gc
import platform
import random
import sys

from frames import WINDOW, FakeFeed, More, SettledPilot, ZfstopApp, crowd, fill
from memory import memory


def resident() -> float:
    gc.collect()
    return memory("self")["Rss"]


async def measure(groups: int) -> None:
    empty, dice = resident(), random.Random(1)
    feed = FakeFeed(crowd(groups, at, dice) for at in range(WINDOW))
    history = resident()
    app = ZfstopApp(feed, look_every_s=3600)
    more = More(app)
    async with app.run_test(size=(120, 40), notifications=True):
        pilot = SettledPilot(app)
        await pilot.pause()
        app.draw()
        await pilot.pause()
        await fill(app, pilot, more)
        rows = len(app.lens.frame(120).rows)
        screen = resident()
    print(
        f"{rows:,} rows: {screen:.0f} MB resident; {empty:.0f} of program, {history - empty:.0f} of history, "
        f"{screen - history:.0f} of screen and table: {(screen - empty) * 1e6 / max(1, rows):,.0f} bytes a row"
    )


def main() -> None:
    groups = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{platform.release()}, Python {platform.python_version()}")
    asyncio.run(measure(groups))


if __name__ == "__main__":
    main()
