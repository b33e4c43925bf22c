"""``zfstop doctor``: is this host ready, and does the tool tell the truth on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from zfstop.doctor.examination import Examination, Interrupted
from zfstop.doctor.facts import Fact
from zfstop.doctor.report import conclusion, lines_of, object_of
from zfstop.errors import Exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_doctor(canary: str | None, as_json: bool) -> int:
    """Print the facts, or one JSON object; returns the exit status. Raises KeyboardInterrupt once all is put away."""
    show = _nothing if as_json else _Printer().show
    with _signals() as ended:
        try:
            diagnosis = Examination(show, ended, canary).run()
        except Interrupted:
            raise KeyboardInterrupt from None
    if as_json:
        _Printer().write([json.dumps(object_of(diagnosis))])
    else:
        _Printer().write([conclusion(diagnosis)])
    return Exit.OK if diagnosis.ready else Exit.NOT_READY


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that the signals to end set; whoever waits looks at it, so that everything is put away in order."""
    ended = threading.Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in _SIGNALS}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _nothing(fact: Fact) -> None:
    pass


class _Printer:
    """Standard output; a reader that has gone is no reason to leave the canary's file behind."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self._colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._width = shutil.get_terminal_size().columns if terminal else None

    def show(self, fact: Fact) -> None:
        """One fact."""
        self.write(lines_of(fact, colour=self._colour, width=self._width))

    def write(self, lines: list[str]) -> None:
        """Lines as they are."""
        try:
            print("\n".join(lines), flush=True)
        except BrokenPipeError:
            # What Python still holds would raise again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
