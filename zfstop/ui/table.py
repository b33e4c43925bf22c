"""The table of slow operations. It draws its own lines: Textual's DataTable costs ten times as much a refresh."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from zfstop.model.ranking import known_place, place_of, row_of
from zfstop.model.rows import Grouping, Identity, Row
from zfstop.ui.bands import band
from zfstop.ui.columns import NONE, Column, View, column_at, layout
from zfstop.ui.draw import Line, Part, Styled
from zfstop.ui.lens import Frame, Sort
from zfstop.units import format_time

_HEADER = 1
_MARGIN = 2


def _change_style(text: str) -> str:
    """Colour repeats what arrow and word say."""
    if text.startswith("↑") or text == "worse":
        return "hot"
    return "strong" if text.startswith("↓") or text == "better" else ""


class SlowTable(ScrollView, Styled, can_focus=False):
    """Header and rows. The selected row is kept by identity; until one is chosen, the top row counts as selected."""

    class SortClicked(Message):
        """The header of ``column`` was clicked."""

        def __init__(self, column: Column) -> None:
            super().__init__()
            self.column = column

    class Selected(Message):
        """Another row is selected."""

    class Opened(Message):
        """A row was clicked twice."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: Sequence[Row] = ()
        self._view = View(1, 60, 0)
        self._sort = Sort()
        self._grouping = Grouping.PROCESS_FILE
        self._single = self._compared = False
        self._threshold_ns = 0
        self._message: list[Part] = []
        self._chosen: Identity | None = None
        #: Where the selected row is; None while it is so far from the first ones that nobody knows, nor sees it.
        self._cursor: int | None = 0
        #: The lines worked out, and the columns that they have, until something changes.
        self._lines: dict[int, Line] = {}
        self._lines_of = Size(0, 0)
        self._layout: tuple[tuple[Column, int], ...] = ()
        self._drawn: dict[int, tuple[Line, Strip]] = {}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns there is room for."""
        return tuple(column for column, _ in self._plan())

    @property
    def selected(self) -> Row | None:
        """The selected row; None in an empty table."""
        if self._cursor is None and self._chosen is not None:
            return row_of(self._rows, self._chosen)
        return self._rows[self._cursor or 0] if self._rows else None

    @property
    def holding(self) -> bool:
        """Whether somebody chose a row: then no other may come under the cursor."""
        return self._chosen is not None

    @property
    def texts(self) -> list[str]:
        """The visible lines as plain text."""
        self._notice_size()
        return ["".join(text for text, _ in self._visible(y)) for y in range(self.size.height)]

    def show(self, frame: Frame, message: list[Part]) -> None:
        """Show the rows of ``frame``, or ``message`` when there are none. Neither scroll nor selection moves."""
        self._rows = frame.rows
        self._view = frame.view
        self._sort = frame.sort
        self._grouping = frame.grouping
        self._single = frame.scope.single
        self._compared = frame.after is not None
        self._threshold_ns = frame.threshold_ns
        self._message = message
        self._find_cursor(stay=frame.held is not None)
        self._set_extent()
        self._refresh_changed()

    def regroup(self, grouping: Grouping) -> None:
        """Rows are grouped otherwise from now on: stay with the one that holds what was selected."""
        row = self.selected
        if self._chosen is not None and row is not None:
            self._chosen = grouping.identity(min(row.who.keys))

    def choose(self, identity: Identity | None) -> None:
        """Select the row of this identity in what is shown next; None: the top one, whatever it is."""
        self._chosen = identity
        self._cursor = 0
        self.scroll_to(y=0, animate=False)

    def move(self, where: str) -> None:
        """Move the selection: up, down, page_up, page_down, home, end. Home also lets it stay at the top."""
        page = max(1, self.size.height - _HEADER - 1)
        last = len(self._rows) - 1
        if self._cursor is None and self._chosen is not None and where not in ("home", "end"):
            self._cursor = place_of(self._rows, self._chosen)
        steps = {"up": -1, "down": 1, "page_up": -page, "page_down": page, "home": -last, "end": last}
        self._select((self._cursor or 0) + steps[where])
        if where == "home":
            self._chosen = None

    def on_click(self, event: events.Click) -> None:
        """The header sorts, a row is selected."""
        if event.y < _HEADER:
            if column := column_at(event.x, self._width, self._grouping, self._single, self._compared):
                self.post_message(self.SortClicked(column))
        elif (index := self._index_at(event.y)) < len(self._rows):
            self._select(index)
            if event.chain == 2:
                self.post_message(self.Opened())

    def forget_looks(self) -> None:
        """Nor are lines."""
        super().forget_looks()
        self._drawn.clear()

    def on_resize(self) -> None:
        """Another width: other columns. Another height: what was chosen stays visible."""
        self._set_extent()
        if self._chosen is not None:
            self._scroll_to_cursor()
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are visible."""
        self._forget_lines()
        super().watch_scroll_y(old_value, new_value)

    def render_lines(self, crop: Region) -> list[Strip]:
        """A new size is painted before it is told."""
        self._notice_size()
        return super().render_lines(crop)

    def strip_at(self, y: int, width: int) -> Strip:
        """The header stays, rows scroll."""
        line = self._visible(y)
        drawn = self._drawn.get(y)
        if drawn is None or drawn[0] != line or drawn[1].cell_length != width:
            drawn = self._drawn[y] = (line, self.strip_of(line, width, line[-1][1] if line else ""))
        return drawn[1]

    @property
    def strip_width(self) -> int:
        """What would be beneath the scrollbar is left out: it would only be cut off."""
        return self._width if self.show_vertical_scrollbar else self.size.width

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width or self.size.width

    def _set_extent(self) -> None:
        """Tell how far it scrolls."""
        size = Size(self._width, len(self._rows) + _HEADER)
        if size != self.virtual_size:
            self.virtual_size = size

    def _index_at(self, y: int) -> int:
        return y - _HEADER + self.scroll_offset.y

    def _find_cursor(self, stay: bool) -> None:
        """Follow the chosen row; if it is gone, stay at its place. ``stay``: it stays on its line of the screen."""
        before, self._cursor = self._cursor or 0, 0
        if self._chosen is None or not self._rows:
            return
        top, room = self.scroll_offset.y, self.size.height - _HEADER
        # What is seen is put in order first: a row that is not found then is not seen either.
        _ = self._rows[max(0, min(top + room, len(self._rows)) - 1)]
        place = known_place(self._rows, self._chosen)
        if place is None and row_of(self._rows, self._chosen) is not None:
            self._cursor = None
            return
        self._cursor = max(0, min(before, len(self._rows) - 1)) if place is None else place
        if stay and place is not None and 0 <= before - top < room and place < before:
            self.scroll_to(y=max(0, top - (before - place)), animate=False)

    def _select(self, index: int) -> None:
        if not self._rows:
            return
        self._cursor = place = max(0, min(index, len(self._rows) - 1))
        self._chosen = self._rows[place].identity
        self._scroll_to_cursor()
        self._refresh_changed()
        self.post_message(self.Selected())

    def _scroll_to_cursor(self) -> None:
        room = max(1, self.size.height - _HEADER)
        top, place = self.scroll_offset.y, self._cursor
        if place is not None and not top <= place < top + room:
            self.scroll_to(y=place if place < top else place - room + 1, animate=False)

    def _plan(self) -> tuple[tuple[Column, int], ...]:
        """The columns there is room for, and their widths."""
        return layout(self._width, self._grouping, self._single, self._compared)

    def _forget_lines(self) -> None:
        """Something changed."""
        self._lines.clear()
        self._layout = self._plan()

    def _notice_size(self) -> None:
        if self._lines_of != self.size:
            self._lines_of = self.size
            self._forget_lines()

    def _refresh_changed(self) -> None:
        self._lines_of = self.size
        self._forget_lines()
        lines = [(y, self._visible(y), self._drawn.get(y)) for y in range(self._lines_of.height)]
        self.draw_again([y for y, line, drawn in lines if drawn is None or drawn[0] != line])

    def _visible(self, y: int) -> Line:
        """The line at ``y``, worked out once until something changes."""
        line = self._lines.get(y)
        if line is None:
            line = self._lines[y] = self._line(y)
        return line

    def _line(self, y: int) -> Line:
        if y < _HEADER:
            return self._header()
        index = self._index_at(y)
        if self._rows:
            return self._row(index) if index < len(self._rows) else ()
        return self._message_line(y)

    def _header(self) -> Line:
        parts: list[Part] = [(" ", "head")]
        for column, width in self._layout:
            title, style = column.header, "head"
            if column is self._sort.column:
                title, style = title + ("▼" if self._sort.descending else "▲"), "head sorted"
            left = column.fit(title, width)
            parts += [(left, style), (" ", "head")]
        return self._with_range(parts)

    def _with_range(self, parts: list[Part]) -> Line:
        """The header with "13-24 of 340" in its last part, when not all rows are visible and it fits."""
        top, room = self.scroll_offset.y, self.size.height - _HEADER
        if 0 < room < len(self._rows):
            place = f"{top + 1}-{min(top + room, len(self._rows))} of {len(self._rows)}"
            text, style = parts[-2]
            for title in (text.rstrip(), text.rstrip().removeprefix("DATASET:")):
                if len(title) + len(place) + 2 <= len(text):
                    return (
                        *parts[:-2],
                        (title.ljust(len(text) - len(place)), style),
                        (place, "head dim"),
                    )
        return tuple(parts)

    def _row(self, index: int) -> Line:
        row = self._rows[index]
        back = "selected " if index == self._cursor else ""
        parts: list[Part] = [(">" if back else " ", f"{back}strong")]
        for column, width in self._layout:
            text, style = self._cell(column, row)
            parts += [(column.fit(text, width), back + style), (" ", back + style)]
        return tuple(parts[:-1] if self.show_vertical_scrollbar else parts)

    def _cell(self, column: Column, row: Row) -> Part:
        """Text and style: a latency wears its band, a figure that is not there is faint, errors are loud."""
        if column.latency is not None:
            ns = column.latency(row)
            return (NONE, "dim") if ns is None else (format_time(ns), band(ns, self._threshold_ns))
        text = column.cell(row, self._view)
        if text == NONE:
            return text, "dim"
        if self._compared and (style := _change_style(text)):
            return text, style
        if column.key == "wait":
            return text, "strong"
        return text, "hot" if row.errors and column.key in ("op", "errors") else ""

    def _message_line(self, y: int) -> Line:
        """The message in words, wrapped; a line is left free above it when there is room."""
        room = max(10, self._width - 2 * _MARGIN)
        lines = [(line, style) for text, style in self._message for line in wrap(text, room)]
        place = y - _HEADER - (1 if self.size.height > len(lines) + _HEADER else 0)
        return ((" " * _MARGIN + lines[place][0], lines[place][1]),) if 0 <= place < len(lines) else ()
