"""What the heat map costs: process CPU time of a frame, with half an hour of history.

    python tests/bench/map_frames.py [WIDTHxHEIGHT]

Every second has 28 operations on 4 datasets with 24 histogram buckets each. A frame is counted from the new second in
the history until every line of the screen is a strip; "map" is the part that the map adds, up to its lines.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))

from fake_feed import EVERY_PROBE, FakeFeed, busy_second

from zfstop.model.heat import SPANS, Columns
from zfstop.model.histogram import bucket_of
from zfstop.model.history import Second, Tally
from zfstop.ui.app import ZfstopApp
from zfstop.ui.heat import layout, map_lines

SECONDS, MEASURED = 1800, 60


def full(at: int, dice: random.Random) -> Second:
    """A second in which everything is called on four datasets."""
    tallies = []
    for probe in EVERY_PROBE.attached[:28]:
        for dataset in ("tank/a", "tank/b", "tank/c", "rpool/d"):
            buckets = {bucket_of(int(dice.lognormvariate(11, 2))): dice.randint(1, 900) for _ in range(24)}
            tallies.append((probe.op, dataset, Tally(sum(buckets.values()), 0, 10**6, 0, buckets)))
    return replace(busy_second(at), tallies=tuple(tallies))


def timed(times: list[float], started: float) -> None:
    times.append((time.process_time() - started) * 1000)


def told(what: str, times: list[float]) -> str:
    ordered = sorted(times)
    return (
        f"{what}: median {statistics.median(ordered):.1f} ms, p95 {ordered[int(len(ordered) * 0.95)]:.1f} ms"
    )


async def measure(width: int, height: int) -> list[str]:
    """Fill the history, then time frames at each number of seconds a column."""
    dice = random.Random(1)
    feed = FakeFeed(full(at, dice) for at in range(SECONDS))
    app = ZfstopApp(feed, look_every_s=3600)
    report = []
    async with app.run_test(size=(width, height)) as pilot:
        await pilot.pause()
        cold = time.process_time()
        Columns(feed.controls()).heat(SECONDS, width, 10, feed.history.between)
        report.append(
            f"half an hour looked at for the first time: {(time.process_time() - cold) * 1000:.0f} ms"
        )
        at = SECONDS
        for span in SPANS:
            app.lens.span = span
            app.draw()
            frames: list[float] = []
            parts: list[float] = []
            for _ in range(MEASURED):
                feed.history.append(full(at, dice))
                at += 1
                started = time.process_time()
                heat = app.lens._columns.heat(at, width, span, feed.history.between)
                map_lines(layout(heat, width - 62, app.main.map.size.height), 10**7, None)
                timed(parts, started)
                started = time.process_time()
                app.draw()
                app.screen._compositor.render_strips()
                timed(frames, started)
            report += [told(f"{span} s a column, frame", frames), told("  map", parts)]
    return report


def main() -> None:
    """Measure without a terminal."""
    width, height = map(int, sys.argv[1].split("x")) if len(sys.argv) > 1 else (200, 60)
    print("\n".join(asyncio.run(measure(width, height))))


if __name__ == "__main__":
    main()
