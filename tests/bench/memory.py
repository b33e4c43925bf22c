"""Resident memory of the screen's process, as the kernel counts it.

    python tests/bench/memory.py [SECONDS] [WORD ...]

Runs ``zfstop WORD ...`` (``--demo`` by default) in a pty of 120x40, reads what it draws, and prints Rss and Pss after a
second, and after SECONDS (20). Rss counts pages it shares with others (libc, the ring); Pss gives it its part of them.
The loader is a process of its own and gone by then. In the lab, while live and busy: tests/bench/memory_guest.sh.
Needs nothing but Python and a zfstop that starts.
"""

from __future__ import annotations

import fcntl
import os
import platform
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

STEPS = 5


def memory(pid: int | str) -> dict[str, float]:
    """Rss, Pss and the private part in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {name: int(kb) / 1024 for name, kb in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    found["Private"] = found["Private_Clean"] + found["Private_Dirty"]
    return found


def read_for(terminal: int, seconds: float) -> int:
    """Read what is drawn for a while; returns how much it was."""
    end, drawn = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                drawn += len(os.read(terminal, 65536))
            except OSError:
                raise SystemExit("the screen ended by itself; run it by hand to see why") from None
    return drawn


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    words = sys.argv[2:] or ["--demo"]
    print(f"{platform.release()}, Python {platform.python_version()}: zfstop {' '.join(words)}")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(sys.executable, [sys.executable, "-m", "zfstop", *words])
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        print(f"{'after s':>8} {'Rss MB':>8} {'Pss MB':>8} {'private MB':>11} {'drawn kB':>9}")
        begun = time.monotonic()
        for wait in [1.0, *[(seconds - 1) / STEPS] * STEPS]:
            drawn = read_for(terminal, wait)
            found = memory(pid)
            print(
                f"{time.monotonic() - begun:>8.0f} {found['Rss']:>8.1f} {found['Pss']:>8.1f} "
                f"{found['Private']:>11.1f} {drawn / 1000:>9.1f}"
            )
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
