"""The screen in a tmux of its own, in a terminal of ours: what a real terminal makes of it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

_PROGRAM = """
import sys
sys.path.insert(0, {here!r})
from fake_feed import busy_feed
from zfstop.ui.app import ZfstopApp
ZfstopApp(busy_feed()).run()
"""
#: Far more than it takes; only a hang reaches it.
PATIENCE_S = 120


class Tmux:
    """A tmux of its own, in a terminal of ours. ``shell``: the screen is a job of a shell, and can be suspended."""

    def __init__(self, directory: Path, *options: str, shell: bool = False) -> None:
        self._command = ["tmux", "-S", str(directory / "socket"), "-f", "/dev/null"]
        program = directory / "program.py"
        program.write_text(_PROGRAM.format(here=str(Path(__file__).parent)))
        # What somebody exported long ago is not the size of the terminal.
        self.program = f"env COLUMNS=90 LINES=20 {sys.executable} {program}"
        inner = "env PS1='ready> ' sh -i" if shell else self.program
        self.output = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.environ.pop("TMUX", None)
            start = [
                "start-server",
                *(word for option in options for word in (";", "set", "-g", *option.split())),
            ]
            command = [*self._command, *start, ";", "new-session", "-x", "100", "-y", "30", inner]
            os.execvp(command[0], command)

    def run(self, *words: str) -> str:
        """A command to tmux; what it prints."""
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, check=False)
        return done.stdout

    @property
    def lines(self) -> list[str]:
        """What is on its screen."""
        return self.run("capture-pane", "-p").splitlines()

    def drain(self) -> None:
        """Read what has come out of tmux."""
        while select.select([self.master], [], [], 0.05)[0]:
            self.output += os.read(self.master, 65536)

    def until(self, wanted: str | bytes) -> None:
        """``wanted`` bytes have come out of tmux, or a wanted text is on its screen."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                self.output += os.read(self.master, 65536)
            elif isinstance(wanted, str) and wanted in self.run("capture-pane", "-p"):
                return
            if isinstance(wanted, bytes) and wanted in self.output:
                return
        raise AssertionError(self.run("capture-pane", "-p"))

    def resize(self, width: int, height: int) -> None:
        """Our terminal, and with it tmux's, has this size from now on; one line is tmux's own."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    @property
    def pane_pid(self) -> int:
        """The process in it."""
        return int(self.run("list-panes", "-F", "#{pane_pid}").split()[0])

    def end(self) -> None:
        self.run("kill-server")
        os.close(self.master)
        os.waitpid(self.pid, 0)
