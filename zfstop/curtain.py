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
#: What is left alone is what somebody else has asked for, or that the signal is ignored.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


@contextlib.contextmanager
def curtain() -> Iterator[None]:
    """Up while something is made that takes the terminal over afterwards, and gives it back; away if that fails.

    A signal meanwhile is noted and obeyed at the end: modules that are being imported make something else of what is
    raised within them, or nothing.
    """
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number in _SIGNALS if before[number] in _DEFAULTS]
    for number in ours:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        _write(f"{_UP} zfstop {__version__}  starting\r\n")
        yield
        if came:
            raise SystemExit(128 + came[0])
    except BaseException:
        _write(_AWAY)
        raise
    finally:
        # The screen has handlers of its own from its first frame on.
        for number in ours:
            signal.signal(number, before[number] if number == signal.SIGINT else _end)


def _end(number: int, frame: FrameType | None) -> None:
    """By way of what gives the terminal back."""
    raise SystemExit(128 + number)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
