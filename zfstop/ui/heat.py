"""The latency heat map on the screen: intensity by glyph and by colour, a threshold line, a box drawn on it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from itertools import groupby, pairwise
from operator import itemgetter
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from zfstop.model.heat import FINE, GLYPHS, NO_LIMIT, STEPS, Box, Column, Heat, Slice, coarse, limits
from zfstop.model.moments import clock_text
from zfstop.text import fit
from zfstop.ui.bands import band
from zfstop.ui.draw import Cell, Line, Lines, Part
from zfstop.units import format_threshold

#: Cells at the left that hold the scale.
SCALE_WIDTH = 7
#: From this many lines on, the lowest is a time axis.
_AXIS_FROM = 6
#: Seconds between two labels of the axis.
_TICKS = (10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_LABEL = len("└14:00:00 ")
#: Columns between two labels where round times would be too irregular.
_LABEL_EVERY = 15


@dataclass(frozen=True, slots=True)
class Layout:
    """What is where: column ``n`` of the map is at cell ``SCALE_WIDTH + n``; ``blank`` cells are left of the first."""

    heat: Heat
    rows: tuple[int, ...]
    height: int
    room: int

    @property
    def columns(self) -> int:
        """Columns that are shown."""
        return min(self.room, len(self.heat.slices))

    @property
    def first(self) -> int:
        """Index (in spans of the history) of the leftmost column that is shown."""
        return self.heat.first + len(self.heat.slices) - self.columns

    @property
    def last(self) -> int:
        """Index of the newest column."""
        return self.heat.first + len(self.heat.slices) - 1

    def place(self, x: int, y: int) -> Place:
        """The column and row at this cell, or the nearest there is."""
        index = self.first + x - SCALE_WIDTH - (self.room - self.columns)
        return self.clip(Place(index, len(self.rows) - 1 - y))

    def clip(self, place: Place) -> Place:
        """The nearest place that is on the map."""
        index = max(self.first, min(place.index, self.last))
        return Place(index, max(0, min(place.row, len(self.rows) - 1)))

    def spike(self) -> Place:
        """The newest of the columns that reach highest, at its top."""
        best = Place(self.last, 0)
        for index, item in enumerate(self.heat.slices, self.heat.first):
            counts = coarse(item.counts, self.rows)
            top = max((row for row, count in enumerate(counts) if count), default=0)
            if index >= self.first and top >= best.row:
                best = Place(index, top)
        return best

    def box(self, one: Place, other: Place) -> Box:
        """The box with these corners."""
        left, right = sorted((one.index, other.index))
        low, high = sorted((one.row, other.row))
        span = self.heat.span
        top = self.rows[high + 1] if high + 1 < len(self.rows) else NO_LIMIT
        return Box(left * span, min((right + 1) * span, self.heat.end), self.rows[low], top)


@dataclass(frozen=True, slots=True)
class Place:
    """A cell of the map: column by its index in the history, row from below."""

    index: int
    row: int


def layout(heat: Heat, width: int, height: int) -> Layout:
    """The map of ``heat`` in ``width`` cells and ``height`` lines."""
    rows = limits(height - 1 if height >= _AXIS_FROM else height)
    return Layout(heat, rows, height, max(0, width - SCALE_WIDTH))


def map_lines(plan: Layout, threshold_ns: int, box: Box | None, zone: tzinfo | None = None) -> list[Line]:
    """The map from the slowest row down, newest column at the right, and the time axis if there is room for one."""
    slices = plan.heat.slices[len(plan.heat.slices) - plan.columns :]
    shown = [_levels(item.counts, plan.rows, threshold_ns) for item in slices]
    by_row = list(zip(*shown, strict=True)) or [()] * len(plan.rows)
    marked = _marked(plan, box)
    lines = []
    for row in reversed(range(len(plan.rows))):
        levels = by_row[row]
        boxed = range(0) if box is None or not _in_box(plan.rows, row, box) else marked
        lines.append((*_scale(plan.rows, row, threshold_ns), *_cells(plan, row, levels, threshold_ns, boxed)))
    lines += [()] * (plan.height - len(lines) - 1)
    if plan.height >= _AXIS_FROM:
        lines.append(_axis(plan, zone))
    return lines


@lru_cache(maxsize=4096)
def _levels(counts: Column, rows: tuple[int, ...], threshold_ns: int) -> tuple[int, ...]:
    """The step of each row; negative in a row through which the threshold goes, if the cell holds slow calls."""
    levels = [bisect_right(STEPS, count) for count in coarse(counts, rows)]
    row = bisect_right(rows, threshold_ns) - 1
    if rows[row] < threshold_ns:
        end = FINE.index(rows[row + 1]) if row + 1 < len(rows) else len(FINE)
        start = bisect_left(FINE, threshold_ns)
        if start == len(FINE) or FINE[start] > threshold_ns:
            start -= 1
        if sum(counts[start:end]):
            levels[row] = -levels[row]
    return tuple(levels)


def _marked(plan: Layout, box: Box | None) -> range:
    """The cells, counted from the left edge of the map, that the box covers."""
    if box is None:
        return range(0)
    blank = plan.room - plan.columns
    span = plan.heat.span
    left, right = box.start // span - plan.first, -(-box.end // span) - plan.first
    return range(blank + max(0, left), blank + max(0, right))


def _in_box(rows: tuple[int, ...], row: int, box: Box) -> bool:
    top = rows[row + 1] if row + 1 < len(rows) else NO_LIMIT
    return box.low_ns < top and rows[row] < box.high_ns


@lru_cache
def _looks(tint: str, line: str) -> dict[int, Part]:
    """What a cell looks like by its step; ``line`` is worn by all."""
    steps = range(1, len(GLYPHS))
    above = {step: (GLYPHS[step], f"heat-{tint}-{step}{line}") for step in steps}
    slow = {-step: (GLYPHS[step], f"heat-warm-{step}{line}") for step in steps}
    return {0: (" ", line.strip()), **above, **slow}


def _cells(plan: Layout, row: int, levels: tuple[int, ...], threshold_ns: int, boxed: range) -> list[Part]:
    """Runs of cells of one look."""
    line = " heat-line" if row == _threshold_row(plan.rows, threshold_ns) else ""
    look_of = _looks(band(plan.rows[row], threshold_ns), line)
    looks = [look_of[0]] * (plan.room - plan.columns) + [look_of[level] for level in levels]
    if boxed:
        looks[boxed.start : boxed.stop] = [
            (glyph, f"{style} heat-box".strip()) for glyph, style in looks[boxed.start : boxed.stop]
        ]
    return [("".join([glyph for glyph, _ in run]), style) for style, run in groupby(looks, key=itemgetter(1))]


def _threshold_row(rows: tuple[int, ...], threshold_ns: int) -> int:
    """The row at whose foot, or in which, the threshold lies; -1 without one."""
    return bisect_right(rows, threshold_ns) - 1 if threshold_ns else -1


def _scale(rows: tuple[int, ...], row: int, threshold_ns: int) -> tuple[Part, ...]:
    """What the lower edge of a row stands for; the row of the threshold is pointed at."""
    if row == 0:
        label = "<" + format_threshold(rows[1])
    else:
        label = format_threshold(rows[row]) + ("+" if row == len(rows) - 1 else "")
    text = fit(label, SCALE_WIDTH - 2, right=True)
    if row == _threshold_row(rows, threshold_ns):
        return (text, "strong"), ("▸▕", "strong")
    return ((text + " ▕", "dim"),)


def _axis(plan: Layout, zone: tzinfo | None) -> Line:
    """Clock times, each under the first column of its time: round ones if they are far enough apart."""
    slices = plan.heat.slices[len(plan.heat.slices) - plan.columns :]
    ticks = [tick for tick in _TICKS if tick >= _LABEL * plan.heat.span] or [_TICKS[-1]]
    found = (_marks(slices, tick) for tick in ticks)
    # Where seconds took longer, or some were not recorded, times come closer: then there are fewer labels.
    apart = (marks for marks in found if all(b - a >= _LABEL for (a, _), (b, _) in pairwise(marks)))
    marks = next(apart, [])
    if len(marks) < 2 <= len(_marks(slices, ticks[0])):
        numbered = enumerate(slices)
        marks = [(at, item.clock) for at, item in numbered if (plan.first + at) % _LABEL_EVERY == 0]
    left = SCALE_WIDTH + plan.room - plan.columns
    text = ""
    for column, clock in marks:
        label = f"└{clock_text(clock, zone)}"
        if column + len(label) <= plan.columns:
            text = text.ljust(left + column) + label
    return ((fit(text, SCALE_WIDTH + plan.room), "dim"),)


def _marks(slices: Sequence[Slice], tick: int) -> list[tuple[int, float]]:
    """(column, time) of each column in which another ``tick`` seconds of the clock begin."""
    # A second that was recorded a little late still counts as the one it was meant to be.
    numbers = [(item.clock + 0.5) // tick for item in slices]
    pairs = enumerate(pairwise(numbers), 1)
    return [(column, now * tick) for column, (before, now) in pairs if now != before]


def legend(heat: Heat) -> list[Cell]:
    """What the glyphs stand for."""
    steps = "  ".join(f"{glyph} {_count(step)}" for glyph, step in zip(GLYPHS[1:], STEPS, strict=True))
    few = f"{GLYPHS[1]} 1 … {GLYPHS[-1]} {_count(STEPS[-1])}+"
    span = f"{heat.span} s a column"
    return [
        (3, ("all calls", ""), "dim"),
        (1, (span, f"{heat.span} s"), "dim"),
        (2, (f"calls in a cell: {steps}+", f"{steps}+", few, ""), "dim"),
        (4, ("▸ threshold", ""), "dim"),
        (5, ("[H ( )]", ""), "dim"),
    ]


def _count(number: int) -> str:
    return str(number) if number < 1000 else f"{number // 1000}k"


class HeatMap(Lines, can_focus=False):
    """The map. A box is drawn on it by dragging, or with Shift and the arrows; it has the focus while it is drawn."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(where, f"shift('{where}')", show=False) for where in ("left", "right", "up", "down")),
        Binding("enter", "keep", "Keep the box", show=False),
        Binding("escape", "drop", "Drop the box", show=False),
    ]
    _STEPS: ClassVar[dict[str, tuple[int, int]]] = {
        "left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1),
    }  # fmt: skip

    class Drawn(Message):
        """The box is being drawn (``kept`` false), or was kept or, as None, dropped (``kept`` true)."""

        def __init__(self, box: Box | None, kept: bool) -> None:
            super().__init__()
            self.box = box
            self.kept = kept

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._plan: Layout | None = None
        self._corners: tuple[Place, Place] | None = None
        self._dragging = False

    @property
    def drawing(self) -> bool:
        """Whether a box is being drawn."""
        return self._corners is not None

    def show_map(
        self,
        heat: Heat,
        width: int,
        height: int,
        threshold_ns: int,
        box: Box | None,
        zone: tzinfo | None = None,
    ) -> None:
        """Show this, with the box that is being drawn or kept; clocks are of ``zone`` (None: here)."""
        plan = layout(heat, width, height)
        before = self._plan
        if before is not None and (before.heat.span, before.rows) != (heat.span, plan.rows) and self.drawing:
            self._end(None)
        self._plan = plan
        if self._corners is not None and plan.columns:
            box = plan.box(*self._corners)
        self.show(map_lines(plan, threshold_ns, box, zone))

    def stretch(self, where: str) -> None:
        """Begin a box at the newest of the slowest calls, or move the corner of the one that is being drawn."""
        if self._plan is None or not self._plan.columns:
            return
        if self._corners is None:
            spike = self._plan.spike()
            self._corners = spike, spike
            self.can_focus = True
            self.focus()
        else:
            anchor, corner = self._corners
            self._corners = anchor, self._step(corner, where)
        self._tell()

    def action_shift(self, where: str) -> None:
        """Move the box as it is."""
        if self._corners is None or self._plan is None:
            return
        moved = [self._step(corner, where) for corner in self._corners]
        across, along = self._STEPS[where]
        # At the edge of the map the box stops: it is not pressed together.
        if all(
            (there.index - here.index, there.row - here.row) == (across, along)
            for here, there in zip(self._corners, moved, strict=True)
        ):
            self._corners = moved[0], moved[1]
            self._tell()

    def action_keep(self) -> None:
        """The table shows what is in the box from now on."""
        if self._corners is not None and self._plan is not None:
            self._end(self._plan.box(*self._corners))

    def action_drop(self) -> None:
        """No box any more."""
        self._end(None)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A corner of a box."""
        if self._plan is None or not self._plan.columns or event.button != 1:
            return
        place = self._plan.place(event.x, event.y)
        self._corners = place, place
        self._dragging = True
        self.capture_mouse()
        self._tell()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The other corner."""
        if self._dragging and self._corners is not None and self._plan is not None:
            corner = self._plan.place(event.x, event.y)
            if corner != self._corners[1]:
                self._corners = self._corners[0], corner
                self._tell()

    def on_mouse_up(self) -> None:
        """The box is kept."""
        if self._dragging:
            self.action_keep()

    def _step(self, place: Place, where: str) -> Place:
        across, along = self._STEPS[where]
        moved = Place(place.index + across, place.row + along)
        return self._plan.clip(moved) if self._plan else place

    def _tell(self) -> None:
        if self._corners is not None and self._plan is not None:
            self.post_message(self.Drawn(self._plan.box(*self._corners), kept=False))

    def _end(self, box: Box | None) -> None:
        self._corners = None
        if self._dragging:
            self._dragging = False
            self.release_mouse()
        if self.has_focus:
            self.screen.set_focus(None)
        self.can_focus = False
        self.post_message(self.Drawn(box, kept=True))
