"""Where the time went: the sentence above the table, and the panel with every cause. Pure, but for the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from zfstop.model.advice import Advice
from zfstop.model.ranking import row_of
from zfstop.model.rows import Row
from zfstop.model.waits import CAUSES, Waits
from zfstop.text import fit
from zfstop.ui.columns import where
from zfstop.ui.draw import Line, fit_cells
from zfstop.ui.lens import Frame
from zfstop.ui.panels import Panel
from zfstop.ui.tabular import Piece
from zfstop.units import format_time
from zfstop.why import breakdown

#: Sentences that are offered at most; they are opened by their numbers.
MOST = 9
_CAUSE = max(map(len, CAUSES))


def advice_line(advice: Advice, width: int) -> Line:
    """The sentence, with what ZFS says to it where there is room, and how to open it."""
    label, key = " WHY ", "W opens it"
    room = max(0, width - len(label) - len(" [W]") - 1)
    first = f"{advice.sentence}; {advice.evidence.partition(', ')[0]}" if advice.evidence else advice.text
    forms = (advice.text, first, advice.sentence, fit(advice.sentence, room).rstrip())
    return fit_cells([(0, (label,), "note"), (1, forms, "strong"), (2, (key, "[W]"), "dim")], width, " ")


def breakdown_text(waits: Waits, total_ns: int) -> list[Piece]:
    """A line a cause, the largest first."""
    return [
        f"  {letter}  {cause:<{_CAUSE}} {time:>7} {share:>5}  {bar}\n"
        for letter, cause, time, share, bar in breakdown(waits, total_ns)
    ]


class Why(Panel):
    """Sentences, then every cause: of the selected row, of calls in flight, of everything in the table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("W", "dismiss", show=False),
        Binding("enter", "open(1)", show=False, priority=True),
        *(Binding(str(number), f"open({number})", show=False) for number in range(1, MOST + 1)),
    ]

    def __init__(self, frame: Frame, row: Row | None, take: Callable[[Advice], None]) -> None:
        """``row`` is the selected one; ``take`` is called with the sentence that is to be opened."""
        super().__init__("zfstop: why", why_text(frame, row))
        self._frame, self._row, self._take = frame, row, take

    def show(self, frame: Frame) -> None:
        """Every second; the row stays the one that was selected."""
        if self._row is not None:
            self._row = row_of(frame.rows, self._row.identity) or self._row
        self._frame = frame
        self.replace(why_text(frame, self._row))

    def action_open(self, number: int) -> None:
        """Show the calls that the sentence is about."""
        if number <= len(self._frame.advice[:MOST]):
            advice = self._frame.advice[number - 1]
            self.dismiss()
            self._take(advice)


def why_text(frame: Frame, row: Row | None) -> Content:
    """All of it; what nobody looked at is said in words."""
    parts: list[Piece] = _sentences(frame.advice[:MOST])
    if row is not None:
        parts += _part(f"The selected row: {where(row)}", row.waits, row.total_ns)
    for call in frame.newest.stuck if frame.newest else ():
        head = f"In flight for {format_time(call.age_ns)}: {call.key.op} by {call.key.comm} {call.key.pid}"
        place = f", {call.key.dataset}:{call.key.path}" + (f", in {call.waits_in}" if call.waits_in else "")
        parts += _part(head + place, call.waits, call.age_ns)
    span = "the box" if frame.boxed else f"the last {frame.seconds} s"
    for kind in frame.ops_shown:
        parts += _part(f"All slow {kind.who.ops[0]} of {span}", kind.waits, kind.total_ns)
    return Content.assemble(*parts)


def _sentences(found: tuple[Advice, ...]) -> list[Piece]:
    if not found:
        return [("No cause explains enough of the time to say so in a sentence\n\n", "dim")]
    parts: list[Piece] = []
    for number, advice in enumerate(found, 1):
        key = "Enter" if number == 1 else str(number)
        parts += [(f"{advice.text}\n", "bold"), (f"  {key}  shows these calls: {advice.query.text}\n", "dim")]
    return [*parts, "\n"]


def _part(title: str, waits: Waits | None, total_ns: int) -> list[Piece]:
    parts: list[Piece] = [(f"{title}\n", "bold")]
    if waits is None:
        return [*parts, ("  nobody looked where the time went\n\n", "dim")]
    return [*parts, *breakdown_text(waits, total_ns), "\n"]
