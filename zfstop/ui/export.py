"""What is on the screen as a report: taken at once, worked out by whoever writes it. No widget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import tzinfo

from zfstop.export.report import Report, disguised, filters_of, origin_of, when
from zfstop.export.stand_ins import StandIns, names_in, words_of
from zfstop.model.compare import compared
from zfstop.model.look import Look, seen
from zfstop.model.rows import sort_rows
from zfstop.ui.columns import View
from zfstop.ui.lens import Frame
from zfstop.ui.tables import as_table
from zfstop.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Taken:
    """The view at one moment; nothing in it changes any more. ``frame`` lends its rows: they are not looked at."""

    frame: Frame
    look: Look
    picture: str
    before: Look | None = None

    def report(self, anonymous: bool = False) -> Report:
        """Add everything up, with stand-ins for names if asked; takes as long as there are seconds."""
        frame, look, stand_ins = self.frame, self.look, StandIns() if anonymous else None
        if stand_ins:
            stand_ins.learn((frame.host.name, *look.controls.datasets, *words_of(frame.probes.notes)))
            for second in (*look.seconds, *(self.before.seconds if self.before else ())):
                stand_ins.learn(names_in(second))
        disguise = stand_ins.second if stand_ins else None
        found = seen(look, disguise)
        if self.before is not None:
            old = seen(self.before, disguise)
            found = replace(found, rows=compared(old.rows, found.rows, (old.length_ns, found.length_ns)))
        order = frame.sort
        rows = tuple(sort_rows(found.rows, order.column.order, order.descending))
        found = replace(found, rows=rows)
        end = look.start + len(tuple(look.seconds))
        view = View(found.length_ns, look.count, end, frame.zone)
        made = Report(
            host=frame.host,
            origin=origin_of(frame.status),
            filters=filters_of(look, frame.scope.trail),
            controls=look.controls,
            grouping="single call" if look.single else look.grouping.value,
            seen=found,
            heat=frame.heat,
            table=as_table(rows, look.grouping, look.single, view, compared=self.before is not None),
            probes=frame.probes,
            books=frame.books,
            losses=frame.losses,
            zone=frame.zone,
            remarks=remarks(frame),
            compared_with=_span(self.before, frame.zone) if self.before else "",
        )
        return disguised(made, look, stand_ins) if stand_ins else made


def _span(look: Look, zone: tzinfo | None) -> str:
    seconds = tuple(look.seconds)
    if not seconds:
        return "no second"
    return (
        f"{when(seconds[0].clock - seconds[0].length_ns / NS_PER_S, zone)} to {when(seconds[-1].clock, zone)}"
    )


def remarks(frame: Frame) -> tuple[str, ...]:
    """What one must know to read the figures."""
    notes = frame.newest.notes if frame.newest else ()
    scope, problem = frame.scope, frame.status.problem
    narrow = f"{scope.narrow} s of {frame.view.window} were measured through a narrower filter"
    kept = f"{scope.kept} of {scope.calls} calls were kept one by one"
    return (
        *((problem.sentence,) if problem else ()),
        *(advice.text for advice in frame.advice),
        *((narrow,) if scope.narrow else ()),
        *((kept,) if scope.single and scope.kept < scope.calls else ()),
        *notes,
    )
