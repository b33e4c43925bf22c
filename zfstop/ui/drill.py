"""Where one is: the line above the table; and one call with all that is known of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from zfstop.model.drill import MOST_CALLS, Call
from zfstop.model.rows import Grouping, Row
from zfstop.text import fit_path
from zfstop.ui.columns import NONE, format_result, where
from zfstop.ui.draw import Cell, Line, fit_cells
from zfstop.ui.lens import Frame, Scope
from zfstop.ui.panels import Panel
from zfstop.ui.tabular import Piece
from zfstop.ui.why import breakdown_text
from zfstop.units import format_size, format_time
from zfstop.zfs.operations import class_of

_NARROW = (40, 28, 20, 12)


def label_of(row: Row, grouping: Grouping) -> str:
    """What a row is called once it was entered: ``postgres 2431``, ``tank/pg:base/1``, ``fsync``."""
    identity, who = row.identity, row.who
    names = who.comms[0] if len(who.comms) == 1 else f"{len(who.comms)} names"
    if grouping is Grouping.PROCESS_FILE:
        return f"{who.ops[0]} by {names} {who.pids[0]} on {where(row)}"
    if grouping is Grouping.PROCESS:
        return f"{names} {who.pids[0]}"
    if grouping in (Grouping.FILE, Grouping.DIRECTORY):
        end = "/" if grouping is Grouping.DIRECTORY else ""
        return f"{identity[0]}:{identity[1]}{end}"
    return str(identity[0] or NONE)


def scope_line(frame: Frame, width: int) -> Line:
    """The rows entered, and what is not shown and why."""
    scope = frame.scope
    cells: list[Cell] = [
        (2, _crumbs(scope, frame.grouping), "strong"),
        (1, _hidden(scope, len(frame.rows)), "filter"),
        (3, _kept(scope), ""),
        (4, _in_kernel(scope), "dim"),
        (3, _narrow(scope, frame.view.window), "warm"),
    ]
    return fit_cells([cell for cell in cells if cell[1]], width)


def _crumbs(scope: Scope, grouping: Grouping) -> tuple[str, ...]:
    if not scope.trail and not scope.single:
        return ()
    here = "single calls" if scope.single else f"by {grouping.value}"
    named = [" ".join(filter(None, words)) for words in scope.trail]
    bare = [name for _, name in scope.trail]
    forms = [" > ".join(("all", *labels, here)) for labels in (named, bare)]
    forms += [" > ".join(("all", *(_cut(name, room) for name in bare), here)) for room in _NARROW]
    return (*forms, f"… > {_cut(bare[-1], _NARROW[-1])}" if bare else here)


def _cut(label: str, room: int) -> str:
    return fit_path(label, room).rstrip()


def _hidden(scope: Scope, shown: int) -> tuple[str, ...]:
    if not scope.query:
        return ()
    shown = scope.kept if scope.single else shown
    count, things = scope.of - shown, "calls" if scope.single else "rows"
    return (f"{count} of {scope.of} {things} hidden by /", f"{count} of {scope.of} hidden", f"{count} hidden")


def _kept(scope: Scope) -> tuple[str, ...]:
    """Single calls are not all there: the history keeps so many a second."""
    if not scope.single:
        return ()
    forms = []
    if scope.kept > MOST_CALLS:
        forms.append(f"the newest {MOST_CALLS} of {scope.kept}")
    if scope.kept < scope.calls:
        forms.append(f"thinned: {scope.kept} of {scope.calls} calls were kept one by one")
        return ("; ".join(forms), f"thinned: {scope.kept} of {scope.calls} kept")
    return ("; ".join(forms) or f"all {scope.calls} calls", "; ".join(forms))


def _in_kernel(scope: Scope) -> tuple[str, ...]:
    return (f"{' '.join(scope.in_kernel)} in the kernel too", "") if scope.in_kernel else ()


def _narrow(scope: Scope, window: int) -> tuple[str, ...]:
    if not scope.narrow:
        return ()
    long = f"{scope.narrow} s of {window} were measured through a narrower filter"
    return (long, f"{scope.narrow} s filtered narrower", f"{scope.narrow} s narrower")


class OneCall(Panel):
    """Everything that is known of one call."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace,enter", "dismiss", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]

    def __init__(self, call: Call, zone: tzinfo | None, copy: Callable[[str], None]) -> None:
        """Clocks are of ``zone`` (None: here); ``copy`` takes what ``y`` copies."""
        super().__init__("zfstop: one call", call_text(call, zone))
        self._copy = copy
        self._lines = "\n".join(told_of(call, zone))

    def action_copy(self) -> None:
        """Every field, one a line."""
        self._copy(self._lines)


def call_text(call: Call, zone: tzinfo | None) -> Content:
    """Its fields, one a line; what it does not have is not there."""
    event = call.event
    parts: list[Piece] = []
    for name, value in fields_of(call, zone):
        parts += [(f"{name:<16}", "dim"), f"{value}\n"]
    if event.waits is not None:
        parts += [("\nWhere the time went\n", "bold"), *breakdown_text(event.waits, event.latency_ns)]
    return Content.assemble(*parts)


def fields_of(call: Call, zone: tzinfo | None) -> list[tuple[str, str]]:
    """(name, value) of everything known, the most asked for first."""
    event, key = call.event, call.event.key
    ended = datetime.fromtimestamp(call.clock).astimezone(zone)
    inside = f" ({key.inner_pid} inside)" if key.inner_pid else ""
    found = [
        ("operation", f"{key.op}, of class {class_of(key.op)}"),
        ("took", f"{format_time(event.latency_ns)} ({event.latency_ns:,} ns)"),
        ("ended", f"{ended:%Y-%m-%d %H:%M:%S.%f %z}"),
        ("result", _result(call)),
        ("process", f"{key.comm}, pid {key.pid}{inside}, thread {event.tid}"),
        ("user", f"uid {key.uid}"),
        ("where", f"{key.where or NONE} (cgroup {key.cgroup})"),
        ("pool", key.pool or NONE),
        ("dataset", key.dataset),
        ("path", key.path),
        ("to", event.to),
        ("offset", "" if event.offset is None else f"{event.offset:,}"),
        (
            "size asked for",
            "" if event.size is None else f"{format_size(event.size)}B ({event.size:,} bytes)",
        ),
        ("slept in", event.slept_in),
        ("measured at", key.symbol),
        ("monotonic clock", f"{event.ts_ns:,} ns"),
    ]
    return [(name, value) for name, value in found if value]


def told_of(call: Call, zone: tzinfo | None) -> list[str]:
    """Everything known as lines to be copied."""
    waits = call.event.waits
    spent = zip(waits._fields, waits, strict=True) if waits is not None else ()
    parts = ", ".join(f"{cause} {format_time(ns)}" for cause, ns in spent if ns)
    lines = [f"{name}: {value}" for name, value in fields_of(call, zone)]
    return [*lines, f"waits: {parts}"] if parts else lines


def _result(call: Call) -> str:
    result = call.event.result
    return f"failed: {format_result(call)} ({result})" if result < 0 else str(result)
