"""Small windows that ask for one thing. What cannot be done is said in one sentence, and the window stays open."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static

from zfstop.errors import UserError
from zfstop.model.bill import Bill
from zfstop.model.state import Controls, pools_of
from zfstop.text import fit
from zfstop.units import NS_PER_S, format_rate, format_threshold, parse_time

#: The kernel's own upper limit of a PID.
_PID_LIMIT = 4_194_304
#: Thresholds whose price is shown (ns), and the width of one.
_OFFERED = (0, 100_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 100_000_000)
_BILL_CELL = 8

#: Takes what was typed; raises ValueError or UserError with a sentence when it will not do.
Accept = Callable[[str], None]


def parse_pids(text: str) -> frozenset[int]:
    """``"12, 34"`` -> {12, 34}; nothing typed means all. Raises ValueError with a sentence."""
    words = [word for word in re.split(r"[,\s]+", text) if word]
    for word in words:
        if not (word.isascii() and word.isdigit() and 0 < int(word[:12]) <= _PID_LIMIT):
            raise ValueError(f"'{word}' is not a process number; write one or several, such as 1234 or 12,34")
    return frozenset(map(int, words))


def sentence_of(error: Exception) -> str:
    """What to show for an error: its sentence, and what mends it."""
    if isinstance(error, UserError):
        return ". ".join(filter(None, (error.sentence.rstrip("."), error.remedy)))
    return str(error)


class Ask(ModalScreen[None]):
    """One line of input. ``accept`` decides: it returns, and the dialog closes, or it raises a sentence."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Cancel", show=False)]

    def __init__(self, title: str, value: str, hint: str, accept: Accept) -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._hint = hint
        self._accept = accept

    def compose(self) -> ComposeResult:
        """Title, input, and a line for hints and errors."""
        with Vertical(classes="dialog"):
            yield from self._parts()

    def _parts(self) -> Iterable[Widget]:
        yield Static(self._title, markup=False, classes="title")
        yield Input(value=self._value, compact=True)
        yield Static(self._hint, markup=False, classes="hint")
        yield Static("Enter applies, Esc leaves it as it is", markup=False, classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Try it."""
        try:
            self._accept(event.value)
        except (ValueError, UserError) as error:
            _refuse(self, error)
            return
        self.dismiss()


class AskThreshold(Ask):
    """The threshold; what each would bring is said beforehand."""

    def __init__(self, controls: Controls, bill: Bill, accept: Accept) -> None:
        """``bill`` knows all calls of the last minute."""
        hint = "With a unit: 250us, 10ms, 1s; a bare number is ms; 0 shows every operation"
        super().__init__(
            "Show operations that take at least", format_threshold(controls.threshold_ns), hint, accept
        )
        self._bill = bill
        self._answer = Static("", markup=False, classes="answer")

    def compose(self) -> ComposeResult:
        """The answer to what is typed, and the answers for other values, stand below the input."""
        with Vertical(classes="dialog"):
            yield from self._parts()
            yield self._answer
            yield Static("\n".join(bill_table(self._bill)), markup=False, classes="bill")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what this would bring."""
        try:
            self._answer.update(Content(bill_words(self._bill, parse_time(event.value, "ms"))))
        except ValueError:
            self._answer.update("")


def bill_words(bill: Bill, threshold_ns: int) -> str:
    """What this threshold would bring, in a sentence."""
    rate = bill.per_second(threshold_ns)
    if rate is None:
        return "What it would bring is not known yet: nothing was measured so."
    return f"Brings {format_rate(rate)} events a second, by all calls of the last {_seconds(bill)} s"


def bill_table(bill: Bill) -> list[str]:
    """Thresholds in one line, the events a second that each would bring below them; nothing when nothing is known."""
    rates = [bill.per_second(value) for value in _OFFERED]
    if None in rates:
        return []
    prices = [format_rate(rate or 0) + "/s" for rate in rates]
    return [
        head + "".join(fit(text, _BILL_CELL, right=True) for text in line)
        for head, line in (("at ", map(format_threshold, _OFFERED)), ("   ", prices))
    ]


def _seconds(bill: Bill) -> int:
    return max(1, round(bill.length_ns / NS_PER_S))


class Choose(ModalScreen[None]):
    """Several of a list of names. ``accept`` is called with those chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel", show=False),
        Binding("enter", "apply", "Apply", show=False, priority=True),
        Binding("space", "mark", "Mark", show=False, priority=True),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]

    def __init__(
        self, names: Iterable[str], chosen: frozenset[str], accept: Callable[[frozenset[str]], None]
    ) -> None:
        super().__init__()
        known = sorted(names)
        self._pools = pools_of(known)
        gone = sorted(chosen - set(known) - set(self._pools))
        self._names = [*self._pools, *(name for name in known if name not in self._pools), *gone]
        self._chosen = set(chosen)
        self._accept = accept
        self._list = OptionList(*map(self._label, self._names), markup=False, compact=True)

    def compose(self) -> ComposeResult:
        """Pools first, then datasets; a name takes its children with it."""
        with Vertical(classes="dialog"):
            yield Static("Only these pools or datasets, with their children", markup=False, classes="title")
            if self._names:
                yield self._list
            else:
                yield Static("No dataset is mounted", markup=False, classes="hint")
            yield Static(
                "Space marks, Enter applies, Esc leaves it; none marked: all", markup=False, classes="hint"
            )

    def _label(self, name: str) -> Text:
        kind = "  (pool)" if name in self._pools else ""
        return Text(f"[{'x' if name in self._chosen else ' '}] {name}{kind}")

    def action_move(self, step: int) -> None:
        """As in vi."""
        if step > 0:
            self._list.action_cursor_down()
        else:
            self._list.action_cursor_up()

    def action_mark(self) -> None:
        """Mark the name under the cursor, or take the mark away."""
        if self._list.highlighted is not None:
            self._toggle(self._list.highlighted)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click marks too."""
        self._toggle(event.option_index)

    def _toggle(self, index: int) -> None:
        self._chosen ^= {self._names[index]}
        self._list.replace_option_prompt_at_index(index, self._label(self._names[index]))

    def action_apply(self) -> None:
        """Take what is marked."""
        try:
            self._accept(frozenset(self._chosen))
        except UserError as error:
            _refuse(self, error)
            return
        self.dismiss()


def _refuse(dialog: ModalScreen[None], error: Exception) -> None:
    """Say why not, in place of the hint."""
    hint = dialog.query(".hint").first(Static)
    hint.update(Content(sentence_of(error)))
    hint.add_class("wrong")
