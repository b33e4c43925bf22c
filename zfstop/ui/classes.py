"""The dialog that switches classes of operations: what is in each, how much it is called, what measuring it costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from textwrap import wrap
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from zfstop.errors import UserError
from zfstop.model.costs import WAITS, Cost, Costs, format_share
from zfstop.model.relief import lost_classes
from zfstop.model.state import Controls
from zfstop.ui.columns import NONE
from zfstop.ui.dialogs import sentence_of
from zfstop.ui.lens import Frame
from zfstop.units import NS_PER_S, format_rate
from zfstop.zfs.operations import CLASSES, DEFAULT_CLASSES, OPERATIONS

OPERATIONS_OF = {name: tuple(op.name for op in OPERATIONS if op.group == name) for name in CLASSES}
_FIGURES = "{mark:4}{name:9}{calls:>8}{cost:>8}  "
_INDENT = len(_FIGURES.format(mark="", name="", calls="", cost=""))
_MARK = 4
#: In a narrower list the names stand below the figures.
_WIDE_FROM = 60


def changes(controls: Controls) -> tuple[str, ...]:
    """``("+mapped", "-metadata")``: classes on beyond the default, and short of it."""
    beyond = (f"+{name}" for name in CLASSES if name in controls.classes - DEFAULT_CLASSES)
    short = (f"-{name}" for name in CLASSES if name in DEFAULT_CLASSES - controls.classes)
    return (*beyond, *short)


def cost_of(costs: Costs, name: str) -> Cost | None:
    """Of a whole class; None when nothing is known of any of its operations."""
    known = [costs.of[op] for op in OPERATIONS_OF[name] if op in costs.of]
    return reduce(Cost.plus, known) if known else None


def calls_of(frame: Frame, name: str) -> float | None:
    """Calls a second in the newest second, of a class; None where nothing counts them: no probe, or switched off."""
    second, counted = frame.newest, frame.controls.wanted_ops & set(OPERATIONS_OF[name])
    slots = [i for i, probe in enumerate(frame.probes.attached) if probe.op in counted]
    if second is None or not slots:
        return None
    entered = sum(second.slots[slot].entered for slot in slots if slot < len(second.slots))
    return entered * NS_PER_S / max(1, second.length_ns)


def given_up(frame: Frame) -> frozenset[str]:
    """Classes asked for that a budget left no room for."""
    second = frame.newest
    return lost_classes(frame.controls, second.controls) if second and frame.relief else frozenset()


def class_text(frame: Frame, name: str, width: int) -> str:
    """The lines of one class; an operation without a probe here is in brackets."""
    calls, cost = calls_of(frame, name), cost_of(frame.costs, name)
    mark = "[x]" if name in frame.controls.classes else "[ ]"
    start = _FIGURES.format(
        mark="[-]" if name in given_up(frame) else mark,
        name=name,
        calls=NONE if calls is None else format_rate(calls),
        cost=NONE if cost is None else format_share(cost.share),
    )
    names = " ".join(op if op in frame.probes.ops else f"({op})" for op in OPERATIONS_OF[name])
    if width >= _WIDE_FROM:
        return start + ("\n" + " " * _INDENT).join(wrap(names, width - _INDENT, break_on_hyphens=False))
    lines = wrap(names, max(1, width - _MARK), break_on_hyphens=False)
    return "\n".join((start.rstrip(), *(" " * _MARK + line for line in lines)))


def head_text(width: int) -> str:
    """What the columns are."""
    head = _FIGURES.format(mark="", name="class", calls="calls/s", cost="cost")
    return head + ("operations" if width >= _WIDE_FROM else "")


def notes(frame: Frame) -> list[str]:
    """What one must know to read the list."""
    found = [f"[-]: {note}" for note in frame.relief if given_up(frame)]
    if frame.controls.ops:
        found.append(f"Only {', '.join(sorted(frame.controls.ops))} is asked for: classes count after x")
    missing = any(op not in frame.probes.ops for ops in OPERATIONS_OF.values() for op in ops)
    if missing and frame.probes.attached:
        found.append("(in brackets): no function of it can be measured here, see S")
    told = frame.costs.note or ("" if frame.costs.of else "measuring")
    found.append("Cost: time in zfstop's BPF programs, of one CPU" + (f"; {told}" if told else ""))
    if waits := frame.costs.of.get(WAITS):
        found.append(f"Knowing why calls wait costs {format_share(waits.share)} beside that")
    if not frame.costs.note:
        found.append("Counting it, as now, adds about 150 instructions to a call")
    return found


#: Lines of the terminal that are not the list's: frame, title, head, keys, and some of the screen below.
_AROUND = 8
_NOTES_FROM = 20


class Classes(ModalScreen[None]):
    """The seven classes. ``switch`` puts one on or off, at once; it raises UserError when that cannot be had."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,C", "dismiss", "Close", show=False),
        Binding("enter,space", "switch", "Switch", show=False, priority=True),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]

    def __init__(self, frame: Frame, switch: Callable[[str], None]) -> None:
        super().__init__()
        self._frame = frame
        self._switch = switch
        self._list = OptionList(*(Text("") for _ in CLASSES), markup=False, compact=True)
        self._head = Static("", markup=False, classes="hint columns")
        self._notes = Static("", markup=False, classes="hint")

    def compose(self) -> ComposeResult:
        """Head, classes, what to know, keys."""
        with Vertical(classes="dialog"):
            yield Static("Classes of operations", markup=False, classes="title")
            yield self._head
            yield self._list
            yield self._notes
            yield Static("Space or Enter switches, at once; Esc closes", markup=False, classes="hint")

    def on_mount(self) -> None:
        """The width is known after the first layout."""
        self._list.highlighted = 0
        self.call_after_refresh(self.show, self._frame)

    def on_resize(self) -> None:
        """Wrap anew."""
        self.call_after_refresh(self.show, self._frame)

    def show(self, frame: Frame) -> None:
        """Show this frame's figures; the cursor stays."""
        self._frame = frame
        width = self._list.scrollable_content_region.width
        told = notes(frame) if self.app.size.height >= _NOTES_FROM else []
        self._list.styles.max_height = max(3, self.app.size.height - _AROUND - len(told))
        self._head.update(head_text(width))
        for index, name in enumerate(CLASSES):
            text = class_text(frame, name, width)
            if self._list.get_option_at_index(index).prompt != Text(text):
                self._list.replace_option_prompt_at_index(index, Text(text))
        self._tell("\n".join(told))

    def _tell(self, text: str) -> None:
        self._notes.display = bool(text)
        self._notes.remove_class("wrong")
        self._notes.update(text)

    def action_move(self, step: int) -> None:
        """As in vi."""
        if step > 0:
            self._list.action_cursor_down()
        else:
            self._list.action_cursor_up()

    def action_switch(self) -> None:
        """Switch the class under the cursor."""
        if self._list.highlighted is not None:
            self._toggle(self._list.highlighted)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click switches too."""
        self._toggle(event.option_index)

    def _toggle(self, index: int) -> None:
        try:
            self._switch(list(CLASSES)[index])
        except UserError as error:
            self._tell(sentence_of(error))
            self._notes.add_class("wrong")
