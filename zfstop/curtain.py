"""The first line on the screen, before what draws the rest has been imported: that takes longer than anything else."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from zfstop import __version__

#: The terminal's other screen, empty, from its first line on; and the one before again.
_UP = "\x1b[?1049h\x1b[2J\x1b[H"
_AWAY = "\x1b[?1049l"


@contextlib.contextmanager
def curtain() -> Iterator[None]:
    """Up while something is made that takes the terminal over afterwards, and gives it back; away if that fails."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    try:
        _write(f"{_UP} zfstop {__version__}  starting\r\n")
        yield
    except BaseException:
        _write(_AWAY)
        raise


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _end(number: int, frame: FrameType | None) -> None:
    """Leave by way of what gives the terminal back. The screen has handlers of its own, later."""
    raise SystemExit(128 + number)
