"""``zfstop record``: the history of this host into a file, without a screen."""

from __future__ import annotations

import signal
import sys
import threading
import time
from datetime import datetime

from zfstop.collector import Collector
from zfstop.errors import Exit
from zfstop.inquiry import Inquiry
from zfstop.kernel.head_start import HeadStart
from zfstop.model.relief import Limits
from zfstop.model.state import Controls, Phase
from zfstop.observer import Observer
from zfstop.recording import Meta, Writer
from zfstop.text import visible
from zfstop.trace import ReliefTeller
from zfstop.units import NS_PER_S

#: Whole events kept in each second of a recording.
KEEP_EVENTS = 5000
#: How far the disk may fall behind before seconds are missing in the file.
KEEP_SECONDS = 60
_TICK_SECONDS = 0.2


def run_record(
    controls: Controls,
    path: str,
    for_ns: int | None,
    place: str,
    limits: Limits | None = None,
    begun: HeadStart | None = None,
) -> int:
    """Record until interrupted or for ``for_ns``; returns the exit status. Raises UserError."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    observer = Observer(Inquiry())
    collector = Collector(
        controls, limits, keep_events=KEEP_EVENTS, seconds=KEEP_SECONDS, observer=observer, begun=begun
    )
    collector.start()
    try:
        _wait_until_live(collector, ended)
        if collector.status().phase is Phase.LIVE:
            _write(collector, path, for_ns, place, ended)
    finally:
        collector.stop()
    if collector.error is not None:
        raise collector.error
    return Exit.OK


def _wait_until_live(collector: Collector, ended: threading.Event) -> None:
    waiting = (Phase.STARTING, Phase.WAITING)
    while collector.running and collector.status().phase in waiting and not ended.wait(_TICK_SECONDS):
        pass


def _write(collector: Collector, path: str, for_ns: int | None, place: str, ended: threading.Event) -> None:
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    meta = Meta(collector.host(), started, place, collector.probes())
    deadline = None if for_ns is None else time.monotonic() + for_ns / NS_PER_S
    written, relief = 0, ReliefTeller()
    with Writer(path, meta) as writer:
        print(f"zfstop: recording into {visible(path)}", file=sys.stderr, flush=True)
        while collector.running and not ended.wait(_TICK_SECONDS):
            written = _copy(collector, writer, written)
            relief.say(collector.told)
            if deadline is not None and time.monotonic() >= deadline:
                break
        collector.stop()
        written = _copy(collector, writer, written)
    print(f"zfstop: {written} seconds recorded in {visible(path)}", file=sys.stderr, flush=True)


def _copy(collector: Collector, writer: Writer, written: int) -> int:
    end = collector.history.end
    seconds = collector.history.between(written, end)
    if missing := end - written - len(seconds):
        print(
            f"zfstop: {missing} seconds are missing in the recording: the disk was too slow", file=sys.stderr
        )
    for second in seconds:
        writer.append(second)
    return end
