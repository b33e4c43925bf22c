"""The lines that are always there: who is measured, what is asked for, how much comes and how much was lost.

Pure: frame in, lines out. What does not fit is shortened by rank; mode, threshold, filters and losses go last.
"""

from __future__ import annotations

from collections.abc import Iterable

from zfstop.model.bill import Bill
from zfstop.model.books import together, trouble
from zfstop.model.costs import format_share_briefly
from zfstop.model.heat import NO_LIMIT, Box
from zfstop.model.moments import clock_text, span_text
from zfstop.model.query import Query
from zfstop.model.state import Controls, Counts, Phase
from zfstop.text import fit, fit_path
from zfstop.ui.classes import changes
from zfstop.ui.columns import format_wait
from zfstop.ui.draw import Cell, Line, fit_cells
from zfstop.ui.lens import Boxed, Frame, Pause
from zfstop.ui.syncs import SYNC_LEGEND
from zfstop.units import NS_PER_S, format_rate, format_size, format_threshold, step_threshold
from zfstop.zfs.operations import BY_NAME

#: The resolver's word for a function that this kernel does not have.
ABSENT = "absent"
#: From this width on, the thresholds that a step leads to are named.
_WIDE_FROM = 100
#: Classes whose operations every release of OpenZFS has.
_ALWAYS_THERE = ("data", "open")
_PHASE_STYLES = {
    Phase.LIVE: "good",
    Phase.DEMO: "note",
    Phase.REPLAY: "note",
    Phase.STARTING: "note",
    Phase.WAITING: "note",
    Phase.FAILED: "alarm",
}


def status_lines(frame: Frame, width: int, count: int) -> list[Line]:
    """``count`` lines (1 or 3) of ``width`` cells."""
    if count == 1:
        return [fit_cells(_all_in_one(frame), width, " ")]
    health = [*_suspended(frame), *_health(frame), _books(frame), _loss(frame), _loss_figures(frame.losses)]
    return [
        fit_cells(_identity(frame), width),
        fit_cells(_controls(frame, width), width),
        fit_cells(health, width),
    ]


def _all_in_one(frame: Frame) -> list[Cell]:
    """What must be seen on the smallest of screens."""
    filtered: Cell = (2, ("filtered", "F"), "filter") if _cleared_by_x(frame) else (9, ("",), "")
    books = [_books(frame)] if _wrong(frame) else []
    first = [_mode(frame), _loss(frame), *_suspended(frame), *books, *_recording(frame), *_reduced(frame)]
    return [*first, _limit(frame), filtered, *_health(frame)[:2]]


def banner_line(
    frame: Frame, width: int, right: str = "", legend: list[Cell] | None = None, syncs: bool = False
) -> Line:
    """Standing still: says where, over the full width. Else the chart's legend, ``right`` above what is at its right.

    ``legend`` is that of the map, None for that of the bars; with ``syncs`` there is a line beneath either.
    """
    if frame.pause is not None:
        return ((fit(f" {_place(frame, frame.pause)}", width), "banner"),)
    room = max(0, width - len(right))
    if legend is None:
        legend = [(0, ("slow ops, 1 s a column:  █ p99  ─ max",), "dim")]
    words = "".join(text for text, _ in fit_cells([*legend, *([SYNC_LEGEND] if syncs else [])], room - 1))
    return ((fit(words, room), "dim"), (right, "dim"))


def box_line(frame: Frame, width: int) -> Line:
    """What the box on the map holds, and what of that the table cannot show."""
    about = frame.drawn or frame.boxed
    if about is None:
        return ()
    span = f"{clock_text(about.began, frame.zone)}-{clock_text(about.ended, frame.zone)}"
    took = _latencies(about.box)
    calls = f"{about.calls} call{'' if about.calls == 1 else 's'}"
    cells: list[Cell] = [
        (0, (f" BOX {span}, {took} ", f" BOX {took} ", " BOX "), "banner"),
        (1, (calls, ""), "strong"),
    ]
    if about.box.end > frame.end:
        cells.append((2, ("later than all else here", "later", ""), "warm"))
    if frame.drawn:
        keys = "Enter keeps it, Esc drops it"
        help_ = (f"{keys}, Shift+arrows stretch, arrows move", keys, "Enter keeps", "")
        return fit_cells([*cells, (2, help_, "dim")], width)
    return fit_cells([*cells, *_told(about, frame.controls)], width)


def _latencies(box: Box) -> str:
    low, high = format_threshold(box.low_ns), format_threshold(box.high_ns)
    if box.high_ns == NO_LIMIT:
        return f"{low} and more"
    return f"{low}-{high}" if box.low_ns else f"below {high}"


def _told(about: Boxed, controls: Controls) -> list[Cell]:
    """How many calls of the box the table shows, and why not the others.

    The kernel's counters are read a moment after the ring: a call may be counted a second before or after it is shown.
    """
    rest = abs(about.calls - about.slow)
    why: tuple[str, ...] = ("lost, or in the table a second before or after", "lost or a second off")
    if about.slow > about.calls:
        why = ("counted in the second before or after", "counted a second off")
    elif controls.pids:
        why = ("of other processes, or only counted", "of others")
    elif about.blind:
        why = ("hidden by the filters, or only counted", "hidden")
    elif about.box.low_ns < controls.threshold_ns:
        short = f"below {format_threshold(controls.threshold_ns)}: only counted"
        why = (f"{short}, no process known", short)
    others = (*(f"{rest} {words}" for words in why), "") if rest else ("",)
    guessed = f"{about.estimates} estimated"
    roughly = (f"{guessed} in time, size, errors", guessed, "") if about.estimates else ("",)
    return [
        (1, (f"{about.slow} in the table", f"{about.slow} slow"), "strong"),
        (3, others, ""),
        (2, ("Esc drops the box", "Esc drops", ""), "dim"),
        (4, roughly, "dim"),
    ]


def _place(frame: Frame, pause: Pause) -> str:
    """Where the screen stands, and what to know of it."""
    newest = frame.newest
    clock = clock_text(newest.clock, frame.zone) if newest else "nothing yet"
    if frame.of is not None and frame.end >= frame.of:
        words = f"END of the recording, {clock}; Space plays it again"
    elif frame.of is not None:
        words = f"PAUSED at {clock}, {span_text(frame.end)} into {span_text(frame.of)}; Space plays on"
    elif pause.back:
        live = "goes on with the demo" if frame.status.phase is Phase.DEMO else "is live"
        words = f"{clock}, {span_text(pause.elapsed_ns / NS_PER_S)} ago; L {live}"
    else:
        words = f"PAUSED {_clock(pause.elapsed_ns)}, {pause.slow} slow since, Space resumes"
    if newest and newest.controls.threshold_ns > frame.controls.threshold_ns:
        words += f"; slow was >= {format_threshold(newest.controls.threshold_ns)} then"
    return words + ("; only sums are left" if frame.summed else "")


def notice_line(frame: Frame, width: int) -> Line | None:
    """What is wrong, what is measured less for now, where a demo or replay was recorded and how far it has come, or
    what the feed has to say beside a table that is not empty; None for nothing.
    """
    if frame.recording is not None and frame.recording.error is not None:
        error = frame.recording.error
        return ((fit("; ".join(filter(None, (error.sentence, error.remedy))), width), "alarm"),)
    problem = frame.status.problem
    if problem is not None:
        return ((fit("; ".join(filter(None, (problem.sentence, problem.remedy))), width), "alarm"),)
    told = "; ".join((*frame.relief, *_origin(frame)))
    return ((fit(told, width), "note"),) if told else None


def _origin(frame: Frame) -> tuple[str, ...]:
    """Where a demo or replay was recorded and how far it has come."""
    note = frame.status.note
    if not note:
        return ()
    word = frame.status.phase.value
    if frame.of is not None:
        word = f"{word} {_clock(frame.end * NS_PER_S)} of {_clock(frame.of * NS_PER_S)}"
    return (note if note.startswith(word) else f"{word}: {note}",)


def waiting_text(frame: Frame) -> list[tuple[str, str]]:
    """What an empty table says instead of rows: (sentence, style)."""
    status = frame.status
    if status.problem is not None and frame.pause is None and status.phase is not Phase.REPLAY:
        text = [(_sentence(f"Cannot measure: {status.problem.sentence}"), "hot")]
        return [*text, (f"To mend it: {status.problem.remedy}", "strong")] if status.problem.remedy else text
    if status.phase in (Phase.STARTING, Phase.WAITING):
        return [(_sentence(status.note or "Starting"), "strong")]
    limit, hidden = frame.threshold_ns, _cleared_by_x(frame)
    if frame.boxed is not None:
        known = f"No process is known for calls that took less than {format_threshold(limit)}: they are only counted"
        told = [("No slow operation in the box" + (" within the filters." if hidden else "."), "strong")]
        return [*told, (known, ""), *_hints_of_scope(frame), ("Esc  drops the box", "dim")]
    if not frame.controls.wanted_ops:
        return [("Every class of operations is off.", "strong"), ("C  switches them on", "dim")]
    what = f"No operation took {format_threshold(limit)} or longer" if limit else "No operation at all"
    told = [(f"{what} in the last {frame.seconds} s" + (" within the filters." if hidden else "."), "strong")]
    told += _hints_of_scope(frame)
    if hidden:
        told.append(("x  clears the filters", "dim"))
    if limit and not frame.scope.of:
        told.append(("-  lowers the threshold", "dim"))
    return told


def _hints_of_scope(frame: Frame) -> list[tuple[str, str]]:
    """What an empty table owes to the ``/`` filter and to the row that was entered."""
    hints = []
    if frame.scope.of:
        things = "calls" if frame.scope.single else "rows"
        hints.append((f"All {frame.scope.of} {things} are hidden by /", "dim"))
    if frame.scope.trail:
        hints.append(("Backspace  goes up", "dim"))
    return hints


def _sentence(text: str) -> str:
    return text if text.endswith((".", "…", "...")) else text + "."


def _clock(ns: int) -> str:
    seconds = ns // NS_PER_S
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def _identity(frame: Frame) -> list[Cell]:
    host = frame.host
    zfs = host.zfs or "?"
    short_kernel = host.kernel.split("-", 1)[0].split("+", 1)[0]
    newest = frame.newest
    now = clock_text(newest.clock, frame.zone) if newest else ""
    return [
        (9, ("zfstop", ""), "strong"),
        (3, (host.name, fit(host.name, 8).rstrip(), ""), "strong"),
        (5, (f"OpenZFS {zfs}", f"zfs {zfs}", ""), ""),
        (8, (f"Linux {host.kernel}", f"Linux {short_kernel}", short_kernel, ""), ""),
        _mode(frame),
        *_recording(frame),
        (9, ("",), "") if frame.mouse else (4, ("mouse off [m]", "mouse off", ""), "note"),
        (6, (now, ""), ""),
        *_overhead(frame),
    ]


def _overhead(frame: Frame) -> list[Cell]:
    """What measuring costs: the probes, and zfstop itself; nothing where nobody counted it, as in a recording."""
    cells: list[Cell] = []
    probes, own = frame.costs.total, frame.costs.own
    if probes is not None:
        share, runs = format_share_briefly(probes.share), format_rate(probes.runs)
        forms = (f"probes {runs}/s {share} cpu", f"probes {share} cpu", f"probes {share}", "")
        cells.append((4, forms, ""))
    if own is not None:
        used = f"zfstop {format_share_briefly(own.share)}"
        cells.append((7, (f"{used} {format_size(own.resident)}", used, ""), ""))
    return cells


def _mode(frame: Frame) -> Cell:
    phase = frame.status.phase
    if frame.pause is None:
        return (0, (f" {phase.value} ",), _PHASE_STYLES[phase])
    if frame.of is not None and frame.end >= frame.of:
        word = "END"
    else:
        word = "PAST" if frame.pause.back and frame.of is None else "PAUSED"
    return (0, (f" {word} " if phase is Phase.LIVE else f" {phase.value} {word} ",), "banner")


def _recording(frame: Frame) -> list[Cell]:
    """The file that is being written; never left out."""
    state = frame.recording
    if state is None or state.ended:
        return []
    missing = f", {state.missing} s missing" if state.missing else ""
    forms = (f"{state.name} {_clock(state.seconds * NS_PER_S)}{missing}", fit_path(state.name, 24).rstrip())
    return [(1, (*(f" RECORDING {form} " for form in forms), " RECORDING ", " REC "), "note")]


def _controls(frame: Frame, width: int) -> list[Cell]:
    controls = frame.controls
    by = "single calls" if frame.scope.single else f"by {frame.grouping.value}"
    return [
        _limit(frame, frame.bill, width >= _WIDE_FROM),
        _filter("pid", map(str, sorted(controls.pids)), " [P]"),
        _filter("pool", sorted(controls.datasets), " [O]"),
        _filter("op", sorted(controls.ops), "") if controls.ops else _classes(controls),
        _query(frame.scope.query),
        _clear(frame),
        (5, (f"{by} [g]", by, ""), ""),
        _span(frame),
        *_order(frame),
    ]


def _span(frame: Frame) -> Cell:
    """The window; how far it is added up while that takes longer than a frame."""
    if frame.boxed:
        return (6, ("in the box", ""), "")
    if frame.filling is not None:
        done, of = frame.filling
        return (2, (f"{done} of {of} s so far", f"{done}/{of} s"), "note")
    if frame.summed:
        return (2, (f"{frame.window} s [w], of the oldest only sums", f"{frame.window} s, sums"), "note")
    return (6, (f"{frame.window} s [w]", f"{frame.window} s", ""), "")


def _order(frame: Frame) -> list[Cell]:
    """That not all rows are in order yet, or that they stand still because one is selected; never left out."""
    if frame.ordering is not None:
        done, of = frame.ordering
        return [
            (2, (f"{done:,} of {of:,} rows in order so far", f"{done:,}/{of:,} in order", "in part"), "note")
        ]
    if frame.held is None:
        return []
    outrank = f", {frame.held} outrank it" if frame.held else ""
    return [
        (
            2,
            (
                f"order held{outrank} [Home]",
                f"order held{outrank}",
                f"held{outrank and ' +' + str(frame.held)}",
            ),
            "note",
        )
    ]


def _reduced(frame: Frame) -> list[Cell]:
    """Where there is no line for the words: that less is measured than was asked for."""
    words = {note.split()[0].rstrip(":").upper() for note in frame.relief}
    return [(1, (f" {' '.join(sorted(words))} ",), "note")] if words else []


def _limit(frame: Frame, bill: Bill | None = None, wide: bool = False) -> Cell:
    """The threshold, and what a step up or down would bring, so that nobody steps into a flood unawares."""
    limit = frame.controls.threshold_ns
    if frame.threshold_ns > limit:
        now, asked = format_threshold(frame.threshold_ns), format_threshold(limit)
        return (
            2,
            (f"slow >= {now} for now, asked {asked} [+ -]", f"slow >= {now}, asked {asked}", f">={now}"),
            "strong",
        )
    value = format_threshold(limit)
    words = f"slow >= {value}" if limit else "all operations"
    forms: tuple[str, ...] = (f"{words} [+ -]", words, f">={value}")
    if bill is not None and bill.length_ns:
        keys = (("-", False), ("+", True)) if limit else (("+", True),)
        steps = [(key, step_threshold(limit, up)) for key, up in keys]
        brings = [(key, step, f"{format_rate(bill.per_second(step) or 0)}/s") for key, step in steps]
        forms = (f"{words} [{', '.join(f'{key} {rate}' for key, _, rate in brings)}]", *forms)
        if wide:
            named = ", ".join(f"{key} {format_threshold(step)}: {rate}" for key, step, rate in brings)
            forms = (f"{words} [{named}]", *forms)
    return (2, forms, "strong")


def _filter(word: str, values: Iterable[str], key: str) -> Cell:
    """A filter in force is never left out; one that is not is the first to go."""
    found = list(values)
    if not found:
        return (9, (f"{word} all{key}", f"{word} all", ""), "dim")
    some = f"{word} {found[0]}" + (f" +{len(found) - 1}" if len(found) > 1 else "")
    return (2, (f"{word} {','.join(found)}", some, fit(some, 12).rstrip()), "filter")


def _classes(controls: Controls) -> Cell:
    """Classes on beyond the default or short of it; what is asked for is never left out."""
    found = changes(controls)
    if not found:
        return (9, ("op default [C]", "op default", ""), "dim")
    on, off = (sum(change.startswith(sign) for change in found) for sign in "+-")
    short = " ".join(f"{sign}{count}" for sign, count in (("+", on), ("-", off)) if count)
    return (2, (f"op {' '.join(found)} [C]", f"op {' '.join(found)}", f"class {short}"), "filter")


def _query(query: Query) -> Cell:
    """What ``/`` lets through, in full as long as there is room, and never left out."""
    if not query:
        return (9, ("no filter [/]", ""), "dim")
    text = f"/ {query.text}"
    return (2, (text, *(fit(text, width).rstrip() for width in (48, 24, 12))), "filter")


def _cleared_by_x(frame: Frame) -> bool:
    return frame.controls.filtered or bool(changes(frame.controls)) or bool(frame.scope.query)


def _clear(frame: Frame) -> Cell:
    return (4, ("[x] clears", "[x]", ""), "") if _cleared_by_x(frame) else (9, ("",), "")


def _health(frame: Frame) -> list[Cell]:
    newest = frame.newest
    if newest is None:
        return [(3, ("slow 0/s", ""), "strong")]
    length = max(1, newest.length_ns)
    slow = sum([stats.count for _, stats in newest.groups]) * NS_PER_S / length
    calls = newest.counts.entered * NS_PER_S / length
    waited = sum(row.total_ns for row in frame.ops) / max(1, frame.window_ns)
    errors = sum(row.errors for row in frame.ops)
    rate = f"slow {format_rate(slow)}/s"
    return [
        (3, (f"{rate} of {format_rate(calls)} calls/s", rate, f"{format_rate(slow)}/s", ""), "strong"),
        (
            6,
            (f"errors {errors}", f"err {errors}", "") if errors else ("errors 0", ""),
            "hot" if errors else "dim",
        ),
        (7, (f"WAIT {format_wait(waited)}", ""), ""),
        (8, (f"in flight {newest.in_flight}", ""), ""),
        _probes(frame),
    ]


def _probes(frame: Frame) -> Cell:
    """How many probes; an operation asked for that has candidates and no probe is named.

    It is alarming unless this OpenZFS has none of the functions and the operation is one that came with later releases.
    """
    asked = frame.controls.wanted_ops - set(frame.probes.ops)
    reasons: dict[str, set[str]] = {}
    for item in frame.probes.rejected:
        if item.op in asked:
            reasons.setdefault(item.op, set()).add(item.reason)
    if not reasons or frame.status.phase is not Phase.LIVE:
        return (9, (f"probes {len(frame.probes.attached)} [S]", ""), "dim")
    bad = [op for op, why in reasons.items() if why != {ABSENT} or BY_NAME[op].group in _ALWAYS_THERE]
    named = ", ".join(bad or reasons)
    if bad:
        return (3, (f"NOT measured: {named} [S]", f"{len(bad)} ops off [S]"), "hot")
    return (7, (f"not here: {named} [S]", f"{len(reasons)} ops not here [S]", ""), "dim")


def _suspended(frame: Frame) -> list[Cell]:
    """Pools in which everything hangs; never left out."""
    state = frame.newest.zfs if frame.newest else None
    names = state.suspended if state else ()
    if not names:
        return []
    first = fit(names[0], 12).rstrip() + (f" +{len(names) - 1}" if len(names) > 1 else "")
    forms = (
        f" SUSPENDED: {', '.join(names)}, writes hang [z] ",
        f" SUSPENDED: {first} [z] ",
        f" SUSPENDED {first} ",
    )
    return [(1, (*forms, " SUSPENDED "), "alarm")]


def _wrong(frame: Frame) -> int:
    return together(frame.books).wrong


def _books(frame: Frame) -> Cell:
    """Calm while every call is in one place."""
    if wrong := _wrong(frame):
        return (1, (f" BOOKS: {trouble(wrong)} [b] ", f" BOOKS {abs(wrong)} OFF "), "alarm")
    return (6, ("books ok", ""), "dim")


def _loss(frame: Frame) -> Cell:
    """Calm at 0; else red, and for good: what was lost after the moment looked at is told too."""
    lost, since = frame.losses.losses, frame.pause.lost if frame.pause else 0
    if since:
        return (1, (f" LOST {lost}, since then {since} ", f" LOST {lost + since} "), "alarm")
    return (1, (f" LOST {lost} ",), "alarm") if lost else (1, ("lost 0",), "dim")


def _loss_figures(losses: Counts) -> Cell:
    """Where it was lost, when there is room."""
    if not losses.losses:
        return (9, ("",), "")
    words = f"ring full {losses.lost}, map full {losses.full}, rejected {losses.rejected}"
    short = f"ring {losses.lost} map {losses.full} rej {losses.rejected}"
    if losses.missed:
        words, short = f"{words}, returns missed {losses.missed}", f"{short} missed {losses.missed}"
    return (5, (words, short, ""), "hot")
