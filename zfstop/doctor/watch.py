"""The probes of one examination: attached as for every other command, through the collector, and taken off again."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from zfstop.collector import Collector
from zfstop.errors import Exit, UserError
from zfstop.model.events import Event
from zfstop.model.state import Controls, Phase, ProbeReport

_TICK_SECONDS = 0.05


class Watch:
    """What is attached, and in the end every event that passed the filters."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def report(self, ended: threading.Event) -> ProbeReport | None:
        """Wait until the probes are attached; None if ``ended`` came first. Raises UserError when it fails."""
        collector = self._collector
        while collector.running and not ended.is_set():
            status = collector.status()
            if status.phase is Phase.LIVE:
                return collector.probes()
            if status.phase is Phase.WAITING and status.problem is not None:
                raise UserError(Exit.NO_ZFS, status.problem.sentence, status.problem.remedy)
            time.sleep(_TICK_SECONDS)
        if collector.error is not None:
            raise collector.error
        return None

    def events(self) -> list[Event]:
        """End the watch; what the rings still held is in it."""
        found: list[Event] = []
        collector = self._collector
        collector.request_stop()
        while collector.tap is not None and (collector.running or not collector.tap.empty()):
            with contextlib.suppress(queue.Empty):
                found += collector.tap.get(timeout=_TICK_SECONDS)
        if collector.error is not None:
            raise collector.error
        return found


@contextmanager
def watching(pid: int, dataset: str = "") -> Iterator[Watch]:
    """Everything one process does, to one dataset if named; a PID that calls nothing costs the host nothing."""
    datasets = frozenset({dataset} - {""})
    collector = Collector(Controls(0, frozenset({pid}), datasets), tap=True)
    collector.start()
    try:
        yield Watch(collector)
    finally:
        collector.stop()
