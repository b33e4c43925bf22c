"""``zfstop trace``: one line an event, for pipes and tests."""

from __future__ import annotations

import os
import queue
import select
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType

from zfstop.collector import Collector
from zfstop.errors import Exit
from zfstop.export.lines import FORMATS, Lines, per_operation
from zfstop.inquiry import Inquiry
from zfstop.kernel.head_start import HeadStart
from zfstop.model.books import by_operation, sentence, together
from zfstop.model.events import Event
from zfstop.model.percentiles import summarize
from zfstop.model.relief import Limits
from zfstop.model.state import Controls, Phase
from zfstop.observer import Observer
from zfstop.units import NS_PER_S

_TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """What ``trace`` was asked for; ``for_ns`` and ``count`` None mean until interrupted.

    ``state``: a line on the state of ZFS every second too; only JSON has one.
    """

    controls: Controls
    style: str
    for_ns: int | None
    count: int | None
    state: bool = False
    limits: Limits = field(default_factory=Limits)


class _Output:
    """Standard output; ``open`` turns False when nobody reads it any more."""

    def __init__(self) -> None:
        self.open = True
        self._poll = select.poll()
        self._poll.register(sys.stdout.fileno(), select.POLLERR | select.POLLHUP)

    def write(self, lines: Sequence[str]) -> None:
        if not self.open or not lines:
            return
        try:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            self._give_up()

    def check(self) -> None:
        """A reader that has gone is noticed also while there is nothing to write."""
        if self.open and any(state & select.POLLERR for _, state in self._poll.poll(0)):
            self._give_up()

    def _give_up(self) -> None:
        self.open = False
        # What Python still holds would raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class ReliefTeller:
    """Says on stderr what is measured less for now: each sentence once while it stays."""

    def __init__(self) -> None:
        self._told: tuple[str, ...] = ()

    def say(self, notes: tuple[str, ...]) -> None:
        """These are true now."""
        for note in notes:
            if note not in self._told:
                print(f"zfstop: {note}", file=sys.stderr, flush=True)
        self._told = notes


class _Trace:
    def __init__(self, options: TraceOptions, begun: HeadStart | None) -> None:
        self._options = options
        observer = Observer(Inquiry()) if options.state else None
        self._collector = Collector(
            options.controls, options.limits, tap=True, observer=observer, begun=begun
        )
        self._seconds = 0
        self._lines: Lines = FORMATS[options.style](_wall_clock)
        self._output = _Output()
        self._printed = 0
        self._interrupted = False
        self._said = ""
        self._relief = ReliefTeller()
        self._begun = time.monotonic_ns()

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        self._collector.start()
        try:
            if self._wait_until_live():
                self._begin()
                self._print_until_end()
            self._collector.request_stop()
            self._print_rest()
        finally:
            self._collector.stop()
        if self._collector.error is not None:
            raise self._collector.error
        return Exit.OK

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True

    def _wait_until_live(self) -> bool:
        while not self._interrupted and self._output.open and self._collector.running:
            if self._collector.status().phase is Phase.LIVE:
                return True
            self._say()
            self._output.check()
            time.sleep(0.02)
        return self._collector.status().phase is Phase.LIVE

    def _say(self) -> None:
        """A word on stderr, once, when nothing can be traced, and when it can again."""
        status = self._collector.status()
        if status.phase is Phase.WAITING and status.note != self._said:
            self._said = status.note
            remedy = f" (to mend it: {status.problem.remedy})" if status.problem else ""
            print(f"zfstop: {status.note}{remedy}", file=sys.stderr, flush=True)
        elif status.phase is Phase.LIVE and self._said:
            self._said = ""
            print("zfstop: attached", file=sys.stderr, flush=True)
        self._relief.say(self._collector.told)

    def _begin(self) -> None:
        collector = self._collector
        self._begun = time.monotonic_ns()
        head = self._lines.head(collector.host(), self._options.controls, collector.probes())
        self._output.write([head])

    def _print_until_end(self) -> None:
        options = self._options
        deadline = None if options.for_ns is None else time.monotonic() + options.for_ns / NS_PER_S
        while not self._interrupted and self._output.open and self._collector.running and not self._full():
            left = _TICK_SECONDS if deadline is None else min(_TICK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return
            self._print(self._take(left))
            self._print_states()
            self._say()
            self._output.check()

    def _print_rest(self) -> None:
        """What the ring still held at the end, then the summary."""
        while self._output.open and (self._collector.running or not self._empty()):
            self._print(self._take(0.02))
        self._print_states()
        if not self._output.open:
            return
        history = self._collector.history
        counts, slots = history.totals()
        ops = [probe.op for probe in self._collector.probes().attached]
        per_op, length = per_operation(ops, slots), time.monotonic_ns() - self._begun
        calls = {
            op: summarize(op, tally, per_op[op].seen, longest, length)
            for op, (tally, longest) in history.all_calls().items()
            if op in per_op
        }
        stuck = [self._lines.in_flight(call) for second in history.last(1) for call in second.stuck]
        self._output.write([line for line in stuck if line])
        books = by_operation(ops, history.books())
        tail = self._lines.tail(counts, per_op, calls, books)
        self._output.write([tail] if tail and ops else [])
        if counts.losses:
            print(f"zfstop: lost {counts.lost} events (ring full), {counts.full} (in-flight map full), "
                  f"{counts.rejected} rejected", file=sys.stderr)  # fmt: skip
        if ops and self._options.style != "json":
            print(f"zfstop: {sentence(together(books.values()))}", file=sys.stderr)

    def _print_states(self) -> None:
        """Of the seconds that are new."""
        history = self._collector.history
        fresh = history.between(self._seconds, history.end)
        self._seconds += len(fresh)
        lines = (self._lines.state(second.zfs, second.mono_ns) for second in fresh if second.zfs is not None)
        self._output.write([line for line in lines if line])

    def _empty(self) -> bool:
        return self._collector.tap is None or self._collector.tap.empty()

    def _take(self, timeout: float) -> Sequence[Event]:
        tap = self._collector.tap
        if tap is None:
            return ()
        try:
            return tap.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return ()

    def _full(self) -> bool:
        return self._options.count is not None and self._printed >= self._options.count

    def _print(self, events: Sequence[Event]) -> None:
        if self._options.count is not None:
            events = events[: self._options.count - self._printed]
        self._printed += len(events)
        self._output.write([self._lines.event(event) for event in events])


def _wall_clock(ns: int) -> int:
    return ns + time.time_ns() - time.monotonic_ns()


def run_trace(options: TraceOptions, begun: HeadStart | None = None) -> int:
    """Trace until the end that was asked for; returns the exit status. Raises UserError."""
    return _Trace(options, begun).run()
