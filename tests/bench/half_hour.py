"""Memory of half an hour at 1,000 slow operations a second, each of another file than most, faster than real time.

    python tests/bench/half_hour.py [MINUTES] [RATE] [FILES]        (30, 1000, 10000)

Records of the real layout, with waits, go through what the collector does with them (Accumulator, names, one Second a
second, with statistics of all calls and the state of ZFS) into the history of the screen, and the screen (120x40,
nowhere) draws every fifth second. "more" is what the process holds beyond what it held with an empty screen. "names"
and "events" are how far back single rows and whole events are; sums and histograms are of all.
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

from driving import running
from fake_feed import EPOCH, FakeFeed, busy_state, tallies
from memory import memory
from ring_throughput import PROBE

from zfstop.callers import Callers
from zfstop.kernel.accumulate import Accumulator
from zfstop.kernel.names import Names
from zfstop.kernel.paths import Paths
from zfstop.model.events import EVENT, EVENT_STRUCT, PATH_STRUCT, RECORD_BYTES, RING_HEADER_BYTES
from zfstop.model.histogram import bucket_of
from zfstop.model.history import Second
from zfstop.model.state import Controls, Counts
from zfstop.mounts import Mounts
from zfstop.screen import KEEP_EVENTS
from zfstop.ui.app import ZfstopApp

FIELDS = [name for name, _ in EVENT]


class Source:
    """Seconds of so many operations."""

    def __init__(self, rate: int, files: int) -> None:
        self._rate, self._files, self._dice = rate, files, random.Random(5)
        paths = Paths(lambda ids: None, 1_000_000)
        for number in range(1, files + 1):
            text = b"file%d\0dir%d\0" % (number, number % 20)
            paths.add(PATH_STRUCT.pack(number, len(text), 0) + text)
        self._names = Names({0: PROBE}, paths, Mounts(), Callers())
        self._sums = Accumulator(KEEP_EVENTS)

    def _record(self, ts_ns: int) -> bytes:
        dice = self._dice
        latency = int(dice.lognormvariate(0, 1) * 15e6) + 10**7
        number = dice.randrange(self._files) + 1
        values = dict.fromkeys(FIELDS, 0) | {
            "ts_ns": ts_ns, "latency_ns": latency, "size": 4096, "result": 4096, "path_id": number, "cgroup": 26,
            "comm": b"fio", "pid": 1000 + number % 200, "dev": 57, "bucket": bucket_of(latency), "known": 1,
            "waits": dice.randbytes(2) + bytes(12) + b"\1\0", "tid": 1000,
        }  # fmt: skip
        return bytes(RING_HEADER_BYTES) + EVENT_STRUCT.pack(*(values[name] for name in FIELDS)).ljust(
            RECORD_BYTES - RING_HEADER_BYTES, b"\0"
        )

    def second(self, at: int) -> Second:
        """Second ``at``."""
        end = (1000 + at) * 10**9
        self._sums.add(b"".join(self._record(end - 10**6 * n) for n in range(self._rate)))
        self._sums.name_new(self._names)
        groups, events, thinned = self._sums.close(self._names)
        self._names.end_second()
        slots = (Counts(entered=self._rate, returned=self._rate, seen=self._rate),)
        return Second(
            EPOCH + at,
            end,
            10**9,
            Controls(),
            groups,
            events,
            thinned,
            slots,
            tallies=tallies(groups[:20]),
            zfs=busy_state(at),
        )


def private() -> float:
    gc.collect()
    return memory("self")["Private"]


async def measure(minutes: int, rate: int, files: int) -> None:
    """One line every five minutes."""
    source, feed = Source(rate, files), FakeFeed()
    app = ZfstopApp(feed, look_every_s=3600)
    async with running(app, 120, 40) as pilot:
        empty = private()
        print(f"{'minute':>7} {'more MB':>8} {'names back':>11} {'events back':>12} {'CPU s':>7}")
        for at in range(minutes * 60):
            feed.history.append(source.second(at))
            if at % 5 == 0:
                app.look()
                await pilot.pause()
            if (at + 1) % 300 == 0:
                held = feed.history.between(0, at + 1)
                names = next(n for n, item in enumerate(held) if not item.summed)
                events = next(n for n, item in enumerate(held) if item.events)
                back = f"{len(held) - names:>9} s {len(held) - events:>10} s"
                held = ()
                print(
                    f"{(at + 1) / 60:>7.0f} {private() - empty:>8.1f} {back:>24} {time.process_time():>7.0f}",
                    flush=True,
                )


def main() -> None:
    words = [int(word) for word in sys.argv[1:]] + [30, 1000, 10_000][len(sys.argv) - 1 :]
    minutes, rate, files = words[:3]
    print(f"{platform.release()}, Python {platform.python_version()}: {rate:,} a second on {files:,} files")
    asyncio.run(measure(minutes, rate, files))


if __name__ == "__main__":
    main()
