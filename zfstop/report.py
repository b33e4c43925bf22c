"""``zfstop report``: what a recording holds, or a part of it, in one file, without a screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from zfstop.errors import Exit, UserError
from zfstop.export.formats import WRITERS
from zfstop.export.report import Report, disguised, filters_of, origin_of
from zfstop.export.stand_ins import StandIns, names_in, words_of
from zfstop.model.history import Second, Timeline
from zfstop.model.look import Look, seen
from zfstop.model.moments import find, parse_moment
from zfstop.model.rows import sort_rows
from zfstop.model.state import Controls
from zfstop.recording import RecordedHistory
from zfstop.recording.files import write_new
from zfstop.recording.paths import shown_path
from zfstop.replay import Replay
from zfstop.ui.columns import DEFAULT_SORT, View
from zfstop.ui.tables import as_table
from zfstop.units import format_size

#: Seconds read at once.
_BLOCK = 60


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """``begin`` and ``end`` are moments as T takes them, None for the ends of the recording."""

    recording: str
    output: str
    ending: str
    controls: Controls
    begin: str | None = None
    end: str | None = None
    anonymous: bool = False


def run_report(options: ReportOptions) -> int:
    """Write it; returns the exit status. Raises UserError."""
    replay = Replay(RecordedHistory(options.recording))
    try:
        if options.controls != Controls():
            replay.control(options.controls)
        text = WRITERS[options.ending](report_of(replay, options))
    finally:
        replay.stop()
    size = write_new(options.output, text)
    print(f"zfstop: {format_size(size)}B written to {shown_path(options.output)}", file=sys.stderr)
    return Exit.OK


def report_of(replay: Replay, options: ReportOptions) -> Report:
    """What the recording holds from ``begin`` to ``end``."""
    start, end = _span(replay, options)
    history = replay.history
    replay.playback.hold(end)
    look = Look(_seconds(history, start, end), start, end - start, replay.controls())
    stand_ins = _stand_ins(history, start, end, replay) if options.anonymous else None
    found = seen(look, stand_ins.second if stand_ins else None)
    rows = tuple(sort_rows(found.rows, DEFAULT_SORT.order, DEFAULT_SORT.descending))
    found = replace(found, rows=rows)
    totals, zone = history.totals_at(end), replay.playback.zone
    view = View(found.length_ns, look.count, end, zone)
    problem = replay.status().problem
    made = Report(
        host=replay.host(),
        origin=origin_of(replay.status()),
        filters=filters_of(look),
        controls=look.controls,
        grouping=look.grouping.value,
        seen=found,
        heat=found.heat,
        table=as_table(rows, look.grouping, look.single, view),
        probes=replay.probes(),
        books=totals.books,
        losses=totals.counts,
        zone=zone,
        remarks=(*((problem.sentence,) if problem else ()), *(found.newest.notes if found.newest else ())),
    )
    return disguised(made, look, stand_ins) if stand_ins else made


def _stand_ins(history: Timeline, start: int, end: int, replay: Replay) -> StandIns:
    """That know all names there are."""
    found = StandIns()
    found.learn((replay.host().name, *replay.controls().datasets, *words_of(replay.probes().notes)))
    for second in _seconds(history, start, end):
        found.learn(names_in(second))
    return found


def _span(replay: Replay, options: ReportOptions) -> tuple[int, int]:
    """Positions of the first second, and after the last."""
    history = replay.history
    start = _position(replay, options.begin, "--from") - 1 if options.begin is not None else history.start
    end = _position(replay, options.end, "--to") if options.end is not None else history.end
    if start >= end:
        raise UserError(Exit.USAGE, "--from is not before --to", "zfstop report --help")
    return start, end


def _position(replay: Replay, text: str, option: str) -> int:
    """-5m counts from the end, +5m from the beginning."""
    history = replay.history
    here = history.start + 1 if text.strip().startswith("+") else history.end
    try:
        return find(parse_moment(text), history, here, here, replay.playback.zone)
    except ValueError as error:
        raise UserError(Exit.USAGE, f"{option}: {error}", "zfstop report --help") from None


def _seconds(history: Timeline, start: int, end: int) -> Iterator[Second]:
    for position in range(start, end, _BLOCK):
        yield from history.between(position, min(end, position + _BLOCK))
