"""The lines that are always there: who is measured, what is asked for, how much comes and how much was lost.

Pure: frame in, lines out. What does not fit is shortened by rank; mode, threshold, filters and losses go last.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from zfstop.model.state import Controls, Counts, Phase
from zfstop.text import fit
from zfstop.ui.columns import format_wait
from zfstop.ui.draw import Cell, Line, fit_cells
from zfstop.ui.lens import Frame
from zfstop.units import NS_PER_S, format_rate, format_threshold

_PHASE_STYLES = {
    Phase.LIVE: "good",
    Phase.DEMO: "note",
    Phase.STARTING: "note",
    Phase.WAITING: "note",
    Phase.FAILED: "alarm",
}


def status_lines(frame: Frame, width: int, count: int) -> list[Line]:
    """``count`` lines (1 or 3) of ``width`` cells."""
    if count == 1:
        return [fit_cells(_all_in_one(frame), width, " ")]
    health = [*_health(frame), _loss(frame.losses), _loss_figures(frame.losses)]
    return [fit_cells(_identity(frame), width), fit_cells(_controls(frame), width), fit_cells(health, width)]


def _all_in_one(frame: Frame) -> list[Cell]:
    """What must be seen on the smallest of screens."""
    filtered: Cell = (2, ("filtered", "F"), "filter") if frame.controls.filtered else (9, ("",), "")
    return [_mode(frame), _loss(frame.losses), _limit(frame.controls), filtered, *_health(frame)[:2]]


def banner_line(frame: Frame, width: int, right: str = "") -> Line:
    """Paused: says so over the full width. Else the chart's legend, with ``right`` above what is at its right."""
    if frame.pause is not None:
        text = f" PAUSED {_clock(frame.pause.elapsed_ns)}, {frame.pause.slow} slow since, Space resumes"
        return ((fit(text, width), "banner"),)
    legend = "slow ops, 1 s a column:  █ p99  ─ max"
    return ((fit(legend, max(0, width - len(right))), "dim"), (right, "dim"))


def notice_line(frame: Frame, width: int) -> Line | None:
    """Where a demo was recorded, or what the feed has to say beside a table that is not empty; None for nothing."""
    problem = frame.status.problem
    if problem is not None:
        return ((fit("; ".join(filter(None, (problem.sentence, problem.remedy))), width), "alarm"),)
    note = frame.status.note
    if not note:
        return None
    word = frame.status.phase.value
    return ((fit(note if note.startswith(word) else f"{word}: {note}", width), "note"),)


def waiting_text(frame: Frame) -> list[tuple[str, str]]:
    """What an empty table says instead of rows: (sentence, style)."""
    status = frame.status
    if status.problem is not None:
        text = [(_sentence(f"Cannot measure: {status.problem.sentence}"), "hot")]
        return [*text, (f"To mend it: {status.problem.remedy}", "strong")] if status.problem.remedy else text
    if status.phase in (Phase.STARTING, Phase.WAITING):
        return [(_sentence(status.note or "Starting"), "strong")]
    limit = frame.controls.threshold_ns
    what = f"No operation took {format_threshold(limit)} or longer" if limit else "No operation at all"
    span = round(frame.window_ns / NS_PER_S)
    hints = [
        (
            f"{what} in the last {span} s" + (" within the filters." if frame.controls.filtered else "."),
            "strong",
        )
    ]
    if limit:
        hints.append(("-  lowers the threshold", "dim"))
    if frame.controls.filtered:
        hints.append(("x  clears the filters", "dim"))
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
    now = f"{datetime.fromtimestamp(newest.clock):%H:%M:%S}" if newest else ""
    return [
        (8, ("zfstop", ""), "strong"),
        (3, (host.name, fit(host.name, 8).rstrip(), ""), "strong"),
        (5, (f"OpenZFS {zfs}", f"zfs {zfs}", ""), ""),
        (6, (f"Linux {host.kernel}", f"Linux {short_kernel}", short_kernel, ""), ""),
        _mode(frame),
        (7, (now, ""), ""),
    ]


def _mode(frame: Frame) -> Cell:
    phase = frame.status.phase
    if frame.pause is None:
        return (0, (f" {phase.value} ",), _PHASE_STYLES[phase])
    words = "PAUSED" if phase is Phase.LIVE else f"{phase.value} PAUSED"
    return (0, (f" {words} ",), "banner")


def _controls(frame: Frame) -> list[Cell]:
    controls = frame.controls
    return [
        _limit(controls),
        _filter("pid", map(str, sorted(controls.pids)), " [P]"),
        _filter("pool", sorted(controls.datasets), " [O]"),
        _filter("op", sorted(controls.ops), ""),
        _clear(controls),
        (5, (f"by {frame.grouping.value} [g]", f"by {frame.grouping.value}", ""), ""),
        (6, (f"{frame.window} s [w]", f"{frame.window} s", ""), ""),
    ]


def _limit(controls: Controls) -> Cell:
    value = format_threshold(controls.threshold_ns)
    words = f"slow >= {value}" if controls.threshold_ns else "all operations"
    return (2, (f"{words} [+ -]", words, f">={value}"), "strong")


def _filter(word: str, values: Iterable[str], key: str) -> Cell:
    """A filter in force is never left out; one that is not is the first to go."""
    found = list(values)
    if not found:
        return (9, (f"{word} all{key}", f"{word} all", ""), "dim")
    some = f"{word} {found[0]}" + (f" +{len(found) - 1}" if len(found) > 1 else "")
    return (2, (f"{word} {','.join(found)}", some, fit(some, 12).rstrip()), "filter")


def _clear(controls: Controls) -> Cell:
    return (4, ("[x] clears", "[x]", ""), "") if controls.filtered else (9, ("",), "")


def _health(frame: Frame) -> list[Cell]:
    newest = frame.newest
    if newest is None:
        return [(3, ("slow 0/s", ""), "strong")]
    length = max(1, newest.length_ns)
    slow = sum(stats.count for _, stats in newest.groups) * NS_PER_S / length
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
    """Which operations are measured; one that has candidates and no probe is named."""
    attached = frame.probes.ops
    missing = [op for op in dict.fromkeys(item.op for item in frame.probes.rejected) if op not in attached]
    if missing and frame.status.phase is Phase.LIVE:
        return (3, (f"NOT measured: {', '.join(missing)} [S]", f"{len(missing)} ops off [S]"), "hot")
    return (9, (f"probes {len(frame.probes.attached)} [S]", ""), "dim")


def _loss(losses: Counts) -> Cell:
    """Calm at 0; else red, and for good."""
    return (1, (f" LOST {losses.losses} ",), "alarm") if losses.losses else (1, ("lost 0",), "dim")


def _loss_figures(losses: Counts) -> Cell:
    """Where it was lost, when there is room."""
    if not losses.losses:
        return (9, ("",), "")
    words = f"ring full {losses.lost}, map full {losses.full}, rejected {losses.rejected}"
    short = f"ring {losses.lost} map {losses.full} rej {losses.rejected}"
    if losses.missed:
        words, short = f"{words}, returns missed {losses.missed}", f"{short} missed {losses.missed}"
    return (5, (words, short, ""), "hot")
