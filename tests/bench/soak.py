"""Ten minutes of the real screen at 5,000 slow operations a second: what its process holds in memory, minute by minute.

    python tests/bench/soak.py [MINUTES] [RATE] [FILES]        (as root, where bcc is; 10, 5000, 2000)

A BPF program writes records of the real layout into a ring of the real size (ring_generator.py). The process under test
reads it as the collector does, every 50 ms, into the real history, keeps as many whole events as the screen does, and
draws the real screen into a pty of 120x40, whose other end is read and thrown away. Every 20 s somebody presses a key:
windows, groupings, a filter, a pause, back in time. "lost" are records for which the ring had no room.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))

from memory import memory

WIDTH, HEIGHT = 120, 40
#: Pressed in turn, so that everything that holds on to seconds does so now and then, and lets go of them.
KEYS = (
    b"g",
    b"w",
    b"\x1b[B\x1b[B",
    b"/file1\r",
    b"x",
    b" ",
    b" ",
    b"{",
    b"L",
    b"w",
    b"g" * 9,
    b"w",
    b"\x1b[H",
)
PRESS_EVERY_S = 20


def screen(rate: int, files: int, seconds: float) -> None:
    """The process under test: reader and screen; ends after ``seconds``."""
    from fake_feed import FakeFeed
    from ring_throughput import POLL, Reader, Remote

    from zfstop.kernel.ring import Ring
    from zfstop.kernel.source import EVENT_BYTES
    from zfstop.screen import KEEP_EVENTS
    from zfstop.ui.app import ZfstopApp

    remote = Remote()
    ring = Ring(remote.ring, EVENT_BYTES)
    reader = Reader(ring, files, keep=KEEP_EVENTS)
    feed = FakeFeed()
    feed.history = reader.history
    app = ZfstopApp(feed)

    def read() -> None:
        remote.send({"rate": rate, "seconds": seconds, "keys": files})
        while remote.answer(0) is None:
            reader.look()
            time.sleep(POLL)
        reader.look(last=True)
        app.call_from_thread(app.exit)

    threading.Thread(target=read, daemon=True).start()
    app.run()
    written, lost = remote.counters()
    print(f"\nwritten {written:,}, lost {lost:,}, read {reader.received + reader.count:,}", flush=True)


def watch(pid: int, terminal: int, seconds: float) -> str:
    """Read what is drawn, press keys, and tell what the process holds; returns the end of what it wrote."""
    begun, told_at, pressed, drawn, last = time.monotonic(), 0, 0, 0, b""
    print(f"{'minute':>7} {'Rss MB':>8} {'private MB':>11} {'CPU of a core':>14} {'drawn kB':>9}")
    while True:
        try:
            if select.select([terminal], [], [], 1)[0]:
                fresh = os.read(terminal, 65536)
                last, drawn = (last + fresh)[-400:], drawn + len(fresh)
        except OSError:
            return last.decode(errors="replace")
        now = time.monotonic() - begun
        if now >= (pressed + 1) * PRESS_EVERY_S and now < seconds - 2:
            os.write(terminal, KEYS[pressed % len(KEYS)])
            pressed += 1
        if now >= (told_at + 1) * 60 and now < seconds:
            tell(pid, now, drawn)
            told_at += 1


def tell(pid: int, now: float, drawn: int) -> None:
    """A line of the table."""
    found = memory(pid)
    ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    cpu = ticks / os.sysconf("SC_CLK_TCK") / max(now, 1)
    print(
        f"{now / 60:>7.1f} {found['Rss']:>8.1f} {found['Private']:>11.1f} {cpu:>14.1%} {drawn / 1000:>9.0f}",
        flush=True,
    )


def main() -> None:
    """Watch a screen in a terminal of its own."""
    words = [float(word) for word in sys.argv[1:]] + [10, 5000, 2000][len(sys.argv) - 1 :]
    seconds, rate, files = words[0] * 60, int(words[1]), int(words[2])
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        screen(rate, files, seconds)
        os._exit(0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    print(f"{rate:,} a second on {files:,} files for {seconds / 60:g} minutes")
    print(watch(pid, terminal, seconds).rpartition("\n")[0].rpartition("\n")[2].strip("\r"))
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
