"""A terminal that may go away: Textual alone would read its end for ever, at full core, or hang on writing to it."""

from __future__ import annotations

import contextlib
import curses
import errno
import os
import termios
from collections.abc import Callable
from typing import IO, Any, cast

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver


class Output:
    """The terminal's output; once it is gone, writing is a no-op, so that the queue before it always drains."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.gone = False

    def write(self, text: str) -> int:
        """Write, or drop."""
        self._attempt(lambda: self._file.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or drop."""
        self._attempt(self._file.flush)

    def fileno(self) -> int:
        """The terminal's file descriptor."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._file.isatty()

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.gone:
            return
        try:
            action()
        except (OSError, ValueError):
            self.gone = True


class TerminalDriver(LinuxDriver):
    """Textual's driver, writing to a terminal that may go away."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._file = cast(Any, Output(cast(Any, self._file)))

    def _get_terminal_size(self) -> tuple[int, int]:
        """Of the terminal itself. Textual believes ``COLUMNS`` and ``LINES``, which somebody may have exported long
        ago: then no change of the size would ever be seen.
        """
        with contextlib.suppress(OSError, ValueError):
            size = os.get_terminal_size(cast(Any, self._file).fileno())
            if size.columns and size.lines:
                return size.columns, size.lines
        return super()._get_terminal_size()

    def set_mouse(self, on: bool) -> None:
        """Take the mouse from the terminal, or give it back; after a suspension too."""
        if on != self._mouse:
            # Textual does either only while it believes that the mouse is on.
            self._mouse = True
            (self._enable_mouse_support if on else self._disable_mouse_support)()
            self._mouse = on


def colours(term: str) -> int:
    """How many colours terminals of this name have; 256 when nobody knows."""
    try:
        curses.setupterm(term, os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
    except curses.error:
        return 256
    return max(0, curses.tigetnum("colors"))


def terminal_gone(fd: int) -> bool:
    """Whether ``fd`` was a terminal and has been hung up."""
    if not os.path.exists(f"/proc/self/fd/{fd}"):
        return True
    try:
        termios.tcgetattr(fd)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False
