"""In a real terminal: signals end the app, and a terminal that is gone never leaves it running."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from zfstop.ui.terminal import Output, terminal_gone

_PROGRAM = """
import sys
sys.path.insert(0, {here!r})
from fake_feed import busy_feed
from zfstop.ui.app import ZfstopApp
app = ZfstopApp(busy_feed())
app.run()
sys.exit(app.return_code)
"""
#: Far more than it takes; only a hang reaches it.
_PATIENCE_S = 30


class Child:
    """The app in a pty of its own."""

    def __init__(self, ignore_hangup: bool = False) -> None:
        program = _PROGRAM.format(here=str(Path(__file__).parent))
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            if ignore_hangup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, "-c", program])
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.output = b""

    def read_until(self, text: bytes) -> None:
        """Read until ``text`` has come."""
        end = time.monotonic() + _PATIENCE_S
        while text not in self.output and time.monotonic() < end:
            self._read()
        assert text in self.output

    def _read(self) -> None:
        if select.select([self.master], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                self.output += os.read(self.master, 65536)

    def status(self, *, reading: bool) -> int:
        """Its exit status; killed, and a failure, when it does not end."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if reading:
                self._read()
            else:
                time.sleep(0.02)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("it ran on")


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_ends_it_even_when_sighup_is_ignored(ignored: bool) -> None:
    child = Child(ignored)
    child.read_until(b"postgres")
    os.close(child.master)
    assert child.status(reading=False) == 128 + signal.SIGHUP


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_the_terminal_is_left_as_it_was(number: signal.Signals) -> None:
    child = Child()
    before = termios.tcgetattr(child.master)
    child.read_until(b"postgres")
    os.kill(child.pid, number)
    assert child.status(reading=True) == 128 + number
    assert termios.tcgetattr(child.master)[3] == before[3]
    assert b"\x1b[?1049l" in child.output
    assert b"\x1b[?25h" in child.output


@pytest.mark.parametrize("keys", [b"q", b"\x03"])
def test_q_and_ctrl_c_quit(keys: bytes) -> None:
    child = Child()
    child.read_until(b"postgres")
    os.write(child.master, keys)
    assert child.status(reading=True) == 0


def test_after_the_terminal_is_gone_writing_does_nothing_instead_of_failing() -> None:
    master, slave = pty.openpty()
    output = Output(os.fdopen(slave, "w"))
    output.write("x")
    output.flush()
    assert not terminal_gone(slave)
    threading.Thread(target=os.close, args=(master,)).start()
    while not terminal_gone(slave):
        time.sleep(0.01)
    for _ in range(100):
        output.write("x" * 10_000)
        output.flush()
    assert output.gone
