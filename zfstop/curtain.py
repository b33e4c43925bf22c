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
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


@contextlib.contextmanager
def curtain() -> Iterator[None]:
    """Up while something is made that takes the terminal over afterwards, and gives it back; away if that fails.

    A signal ends it by way of what gives the terminal back, also one that came where Python lets no exception through.
    """
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise SystemExit(128 + number)

    ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ours = {number: handler for number, handler in ours.items() if handler in _DEFAULTS}
    for number in ours:
        signal.signal(number, end)
    try:
        _write(f"{_UP} zfstop {__version__}  starting\r\n")
        yield
        if came:
            raise SystemExit(128 + came[0])
    except BaseException:
        _write(_AWAY)
        raise
    finally:
        # Of the others the screen has handlers of its own, later.
        if signal.SIGINT in ours:
            signal.signal(signal.SIGINT, ours[signal.SIGINT])


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
