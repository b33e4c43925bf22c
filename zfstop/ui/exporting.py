"""The dialog that exports: a file name, whose ending is the format. The file is written on another thread."""

from __future__ import annotations

import os
import threading
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from zfstop.errors import Exit, UserError
from zfstop.export.formats import FORMATS, SVG, WRITERS, ending_of
from zfstop.recording.files import write_new
from zfstop.recording.paths import shown_path
from zfstop.text import visible
from zfstop.ui.dialogs import sentence_of
from zfstop.ui.export import Taken
from zfstop.units import format_size

_HINT = "Up and Down change the format, or type its ending. Readable by you only"


class Export(ModalScreen[None]):
    """Asks for format and name; stays open until the file is there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel", show=False),
        Binding("up", "next(-1)", show=False, priority=True),
        Binding("down", "next(1)", show=False, priority=True),
        Binding("ctrl+n", "anonymize", show=False, priority=True),
    ]

    def __init__(self, name: str, taken: Taken) -> None:
        super().__init__()
        self._name = name
        self._taken = taken
        self._busy = self._anonymous = False
        self._names = Static(_names(False), markup=False)
        self._list = Static("", markup=False, classes="formats")
        self._hint = Static(_HINT, markup=False, classes="hint")
        self._input = Input(value=name, compact=True)

    def compose(self) -> ComposeResult:
        """The formats, the one chosen marked; the name; hints and errors."""
        with Vertical(classes="dialog"):
            yield Static("Export what is shown", markup=False, classes="title")
            yield self._list
            yield self._input
            yield self._names
            yield self._hint
            yield Static("Enter writes the file, Esc does not", markup=False, classes="hint")

    def on_mount(self) -> None:
        """The name can be typed at once."""
        self._input.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The ending is the format."""
        chosen = _ending(event.value)
        lines = (f"{'>' if ending == chosen else ' '} .{ending:<6}{what}" for ending, what in FORMATS.items())
        self._list.update(Text("\n".join(lines)))

    def action_next(self, step: int) -> None:
        """The next format: another ending."""
        endings, now = list(FORMATS), _ending(self._input.value)
        stem = self._input.value[: -len(now) - 1] if now else self._input.value.rstrip(".")
        ending = endings[(endings.index(now) + step) % len(endings)] if now else endings[0]
        self._input.value = f"{stem}.{ending}"
        self._input.cursor_position = len(self._input.value)

    def action_anonymize(self) -> None:
        """Names, or stand-ins for them."""
        self._anonymous = not self._anonymous
        self._names.update(Content(_names(self._anonymous)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Write it, elsewhere: a disk may hang."""
        if self._busy:
            return
        path = os.path.expanduser(event.value.strip())
        try:
            ending = ending_of(path)
            if ending == SVG and self._anonymous:
                raise UserError(
                    Exit.USAGE, "a picture shows the names that are there", "choose another format"
                )
        except UserError as error:
            self._refuse(error)
            return
        self._busy = True
        self._hint.remove_class("wrong")
        self._hint.update("writing …")
        wanted = path, ending, self._anonymous
        threading.Thread(target=self._write, args=wanted, name="zfstop-export", daemon=True).start()

    def _write(self, path: str, ending: str, anonymous: bool) -> None:
        try:
            text = self._taken.picture if ending == SVG else WRITERS[ending](self._taken.report(anonymous))
            size = write_new(path, text)
        except UserError as error:
            self._tell(error)
        except Exception as error:  # a bug of ours: the screen must say so rather than wait for ever
            sentence = f"the export failed: {visible(f'{type(error).__name__}: {error}')}"
            self._tell(UserError(Exit.INTERNAL, sentence))
        else:
            self._tell(f"{format_size(size)}B written to {shown_path(os.path.abspath(path))}")

    def _tell(self, outcome: str | UserError) -> None:
        """From the writing thread; nobody is there to be told when the program has ended meanwhile."""
        if self.app.is_running:
            self.app.call_from_thread(self._told, outcome)

    def _told(self, outcome: str | UserError) -> None:
        self._busy = False
        if isinstance(outcome, UserError) and self.is_current:
            self._refuse(outcome)
        elif isinstance(outcome, UserError):
            self.app.notify(sentence_of(outcome), severity="error", markup=False)
        else:
            self.app.notify(outcome, markup=False)
            if self.is_current:
                self.dismiss()

    def _refuse(self, error: UserError) -> None:
        self._hint.update(Content(sentence_of(error)))
        self._hint.add_class("wrong")


def _names(anonymous: bool) -> str:
    return f"[{'x' if anonymous else ' '}] stand-ins for all names, PIDs and UIDs (Ctrl+N)"


def _ending(name: str) -> str:
    """The format that the name has so far; empty for none."""
    ending = name.rpartition(".")[2].lower()
    return ending if "." in name and ending in FORMATS else ""
