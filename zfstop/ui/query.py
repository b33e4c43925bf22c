"""The line of ``/``, and the list of ``f`` and ``!``: both end in a filter that is in force while it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from zfstop.model.causes import main_cause
from zfstop.model.completion import Completion, Values, complete
from zfstop.model.query import MissingValueError, Query, QueryError, Term, literal, parse, parse_typed
from zfstop.model.rows import Grouping, Row
from zfstop.text import cell_width
from zfstop.ui.draw import STYLES, Line, Lines, Palette, Part

#: Values of one field that are still offered as one choice.
_MANY = 5
_HINT = "a word is looked for in program, dataset and path; Tab completes, Enter keeps, Esc restores"

Take = Callable[[Query], None]


class _Hint(Lines, Palette):
    """One line on the background of the bar."""

    COMPONENT_CLASSES: ClassVar[set[str]] = STYLES


class QueryBar(ModalScreen[None]):
    """One line of input at the bottom. What is typed is in force at once, as far as it can be understood."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "restore", "Restore", show=False),
        Binding("tab", "complete(1)", "Complete", show=False, priority=True),
        Binding("shift+tab", "complete(-1)", "Complete", show=False, priority=True),
    ]

    def __init__(self, query: Query, values: Values, show: Take, keep: Take) -> None:
        """``values`` are those that can be completed; ``show`` is called with every query, ``keep`` with the last."""
        super().__init__()
        self._before, self._values = query, values
        self._show, self._keep = show, keep
        self._input = Input(value=f"{query.text} " if query else "", compact=True)
        self._hint = _Hint(id="hint")
        self._offered = Completion(0, ())
        self._rest = ""
        self._place = -1

    def compose(self) -> ComposeResult:
        """What can be typed or why not, and the input."""
        with Vertical(id="bar"):
            yield self._hint
            with Horizontal():
                yield Static("/", classes="key", markup=False)
                yield self._input

    def on_mount(self) -> None:
        """Type at once."""
        self._input.focus()
        self.call_after_refresh(self._offer)

    def on_resize(self) -> None:
        """As much of the hint as there is room for."""
        self.call_after_refresh(self._tell)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what passes; what is not understood has no say."""
        if event.value != self._completed:
            self._offer()
        query, _ = parse_typed(event.value)
        self._show(query)
        self._tell()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep it, unless it is not understood."""
        try:
            query = parse(event.value)
        except QueryError as error:
            self._hint.show([((str(error), "hot"),)])
            return
        self.dismiss()
        self._keep(query)

    def action_restore(self) -> None:
        """As it was before."""
        self.dismiss()
        self._show(self._before)

    def action_complete(self, step: int) -> None:
        """The next candidate, or the one before."""
        if self._input.value != self._completed:
            self._offer()
        if not (found := self._offered.candidates):
            return
        self._place = (
            (self._place + step) % len(found) if self._place >= 0 else (0 if step > 0 else -1) % len(found)
        )
        self._input.value = text = self._completed or ""
        self._input.cursor_position = len(text) - len(self._rest)
        if len(found) == 1:
            self._offer()
        self._tell()

    @property
    def _completed(self) -> str | None:
        """The text with the candidate that was put in last."""
        if self._place < 0:
            return None
        start, word = self._offered.start, self._offered.candidates[self._place]
        return self._head[:start] + word + self._rest

    def _offer(self) -> None:
        """What can stand at the cursor now."""
        value, cursor = self._input.value, self._input.cursor_position
        self._head, self._rest = value[:cursor], value[cursor:]
        self._offered, self._place = complete(self._head, self._values), -1
        self._tell()

    def _tell(self) -> None:
        """The candidates; without one, what is wrong; else what can be done."""
        _, error = parse_typed(self._input.value)
        if self._offered.candidates:
            self._hint.show([self._candidates()])
        elif error is not None and not isinstance(error, MissingValueError):
            self._hint.show([((str(error), "hot"),)])
        else:
            self._hint.show([((_HINT, "dim"),)])

    def _candidates(self) -> Line:
        """From the one that is put in on when they do not all fit."""
        room, parts = self.size.width, list[Part]()
        first = max(0, self._place)
        width = sum(cell_width(word) + 2 for word in self._offered.candidates)
        for place, word in enumerate(self._offered.candidates):
            if width <= room or place >= first:
                parts += [(word, "key" if place == self._place else ""), ("  ", "")]
        return tuple(parts)


class Only(ModalScreen[None]):
    """The values of a row, of which one is taken: only this, or not this."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Cancel", show=False),
        Binding("enter,f,exclamation_mark", "take", "Take", show=False, priority=True),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]

    def __init__(self, terms: list[Term], first: int, exclude: bool, take: Callable[[Term], None]) -> None:
        """``first`` is the one the cursor begins on."""
        super().__init__()
        self._terms, self._first, self._exclude, self._take = terms, first, exclude, take
        self._list = OptionList(*(Text(term.text) for term in terms), markup=False, compact=True)

    def compose(self) -> ComposeResult:
        """Title, values, keys."""
        word = "Not this" if self._exclude else "Only this"
        with Vertical(classes="dialog"):
            yield Static(word, markup=False, classes="title")
            yield self._list
            again = "!" if self._exclude else "f"
            yield Static(f"Enter or {again} takes it, Esc leaves it", markup=False, classes="hint")

    def on_mount(self) -> None:
        """On the value that is meant most likely."""
        self._list.highlighted = self._first

    def action_move(self, step: int) -> None:
        """As in vi."""
        if step > 0:
            self._list.action_cursor_down()
        else:
            self._list.action_cursor_up()

    def action_take(self) -> None:
        """This one."""
        self._choose(self._list.highlighted or 0)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click takes too."""
        self._choose(event.option_index)

    def _choose(self, index: int) -> None:
        self.dismiss()
        self._take(self._terms[index])


def terms_of(row: Row, exclude: bool) -> list[Term]:
    """What a row can be filtered by: every field of which it has one value, or a few."""
    who = row.who
    paths = tuple(dict.fromkeys(path for _, path in who.files))
    there: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("pid", who.pids), ("comm", who.comms), ("path", paths),
        ("path", (who.directory,) if who.directory else ()), ("ds", who.datasets), ("pool", who.pools),
        ("op", who.ops), ("class", who.classes), ("where", who.wheres), ("uid", who.uids),
        ("why", (main_cause(row.waits),) if row.waits is not None else ()),
    )  # fmt: skip
    terms = (literal(field, *values) for field, values in there if 0 < len(values) <= _MANY)
    return [Term(term.field, term.values, exclude) for term in terms]


#: Which term is meant: by the column sorted by, else by the grouping. The directory comes after the file.
_BY_COLUMN = {"op": "op", "pid": "pid", "comm": "comm", "where": "where", "file": "path", "class": "class",
              "why": "why", "shares": "why"}  # fmt: skip
_BY_GROUPING = {
    Grouping.FILE: "path",
    Grouping.DIRECTORY: "path",
    Grouping.DATASET: "ds",
    Grouping.POOL: "pool",
    Grouping.WHERE: "where",
    Grouping.OPERATION: "op",
    Grouping.CLASS: "class",
    Grouping.CAUSE: "why",
}


def first_of(terms: list[Term], column: str, grouping: Grouping) -> int:
    """The place of the term that is meant most likely."""
    field = _BY_COLUMN.get(column) or _BY_GROUPING.get(grouping, "pid")
    places = [place for place, term in enumerate(terms) if term.field == field]
    if not places:
        return 0
    return places[-1] if grouping is Grouping.DIRECTORY and field == "path" else places[0]
