"""In a real terminal: signals end the app, and a terminal that is gone never leaves it running."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
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
from zfstop.config.settings import Settings
from zfstop.ui.app import ZfstopApp
app = ZfstopApp(busy_feed(), settings=Settings({settings}))
app.run(mouse=app.mouse)
sys.exit(app.return_code)
"""
#: Far more than it takes; only a hang reaches it.
_PATIENCE_S = 120


class Child:
    """The app in a pty of its own."""

    def __init__(
        self,
        ignore_hangup: bool = False,
        settings: str = "",
        term: str = "xterm-256color",
        program: str = "",
        **environ: str,
    ) -> None:
        """``settings`` are arguments as in Python, ``environ`` is added to the environment."""
        program = program or _PROGRAM.format(here=str(Path(__file__).parent), settings=settings)
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            if ignore_hangup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.environ.pop("COLORTERM", None)
            os.environ.update(environ, TERM=term)
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
                if reading:
                    self._read()
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
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


#: Its first line is followed by a signal at once.
_SIGNALLED = """
import os, sys
from zfstop import cli, curtain
write = curtain._write
curtain._write = lambda text: (write(text), "starting" in text and os.kill(os.getpid(), {number}))
sys.exit(cli.main(["--demo", "--no-config"]))
"""


def begun(*words: str) -> Child:
    """``zfstop`` itself in a terminal, from its first words on."""
    child = Child(program=f"import sys; from zfstop.cli import main; sys.exit(main({list(words)!r}))")
    child.read_until(b"starting")
    return child


def test_the_first_line_is_there_before_anything_else_and_the_screen_takes_its_place() -> None:
    child = begun("--demo", "--no-config")
    assert child.output.startswith(b"\x1b[?1049h"), "on the terminal's other screen"
    assert b"DEMO" not in child.output
    child.read_until(b"DEMO")
    assert b"\x1b[?1049l" not in child.output
    os.write(child.master, b"q")
    assert child.status(reading=True) == 0
    assert child.output.count(b"\x1b[?1049l") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_before_the_screen_is_there_gives_the_terminal_back(number: signal.Signals) -> None:
    child = Child(program=_SIGNALLED.format(number=int(number)))
    assert child.status(reading=True) == 128 + number
    assert b"starting" in child.output
    assert child.output.count(b"\x1b[?1049l") == 1
    assert b"Traceback" not in child.output


#: Parameters of "select graphic rendition" that are about colours, and those of more than the first 16.
_RENDITION = re.compile(rb"\x1b\[([\d;]*)m")
_MANY_COLOURS = re.compile(r"(^|;)[34]8;[25]")


def renditions(output: bytes) -> set[str]:
    """All that were asked for."""
    return {text.decode() for text in _RENDITION.findall(output)}


def coloured(rendition: str) -> bool:
    numbers = [int(number or 0) for number in rendition.split(";")]
    return any(30 <= number % 60 <= 49 and number not in (39, 49) for number in numbers)


def drawn(**options: str) -> bytes:
    """What was sent until the screen was there and had been quit."""
    child = Child(**options)  # type: ignore[arg-type]
    child.read_until(b"postgres")
    child.read_until(b"quit")
    os.write(child.master, b"q")
    assert child.status(reading=True) == 0
    return child.output


@pytest.mark.parametrize(
    "options",
    [{"NO_COLOR": "1"}, {"term": "vt100"}, {"term": "vt220", "settings": "theme='light', ascii=True"}],
    ids=["NO_COLOR", "vt100", "vt220"],
)
def test_without_colours_no_colour_is_sent_and_nothing_is_missing(options: dict[str, str]) -> None:
    output = drawn(**options)
    told = renditions(output)
    assert not [rendition for rendition in told if coloured(rendition)]
    # Bold, underlined and reverse carry what colour carries.
    assert {"1", "7"} <= {number for rendition in told for number in rendition.split(";")}
    assert output.isascii() is ("settings" in options)


def test_the_console_of_linux_gets_its_own_colours_only() -> None:
    told = renditions(drawn(term="linux"))
    assert any(coloured(rendition) for rendition in told)
    assert not [rendition for rendition in told if _MANY_COLOURS.search(rendition)]


def test_a_character_set_without_our_glyphs_gets_ascii_instead_of_nothing() -> None:
    assert drawn(PYTHONIOENCODING="latin-1").isascii()


MOUSE_ON, MOUSE_OFF = b"\x1b[?1000h", b"\x1b[?1000l"


def test_the_mouse_is_taken_from_the_terminal_and_given_back_as_asked() -> None:
    child = Child(settings="mouse=False")
    child.read_until(b"mouse off")
    child.read_until(b"quit")
    assert MOUSE_ON not in child.output
    os.write(child.master, b"m")
    child.read_until(MOUSE_ON)
    assert MOUSE_OFF not in child.output
    os.write(child.master, b"m")
    child.read_until(MOUSE_OFF)
    os.write(child.master, b"q")
    assert child.status(reading=True) == 0
    assert child.output.count(MOUSE_ON) == child.output.count(MOUSE_OFF) == 1


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
