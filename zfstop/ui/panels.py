"""Full screens of text that scroll: help and the symbols panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from zfstop.model.state import Counts, ProbeReport
from zfstop.text import cell_width
from zfstop.ui.actions import SECTIONS

_NOTES = """
WAIT    seconds waited per second: the mean number of threads that were blocked
P50 P99 of the SLOW operations in the window; "-" with too few of them (P99 needs 100); MAX is exact
TREND   WAIT over the window, each step half a decade, from 0.003 to 3
OP      an operation with ! has failed calls among them
SIZE    mean of the sizes asked for
colour  faint: below the threshold in force, plain: up to 10 times it, red and bold: above
chart   p99 of each second is solid, its maximum a dash above; a blank second had no slow operation
lost    operations that should be here and are not: ring full, map full, rejected, return missed
"""


class Panel(ModalScreen[None]):
    """A title and text; closed by the key that opened it, Escape or q."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close", show=False),
        Binding("j", "scroll_by(1)", show=False),
        Binding("k", "scroll_by(-1)", show=False),
    ]

    def __init__(self, title: str, text: Content) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Title, text, and how to leave."""
        yield Static(self._title, markup=False, classes="title")
        with VerticalScroll():
            yield Static(self._text, id="text")
        yield Static("Esc closes, arrows scroll", markup=False, classes="hint")

    def on_mount(self) -> None:
        """Arrows scroll at once."""
        self.query_one(VerticalScroll).focus()

    def action_scroll_by(self, lines: int) -> None:
        """Scroll as in a pager."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def show(self, text: Content) -> None:
        """Another text, at the same place."""
        if text != self._text:
            self._text = text
            self.query_one("#text", Static).update(text)


class Help(Panel):
    """Every key, from the registry of actions."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,f1", "dismiss", show=False)]

    def __init__(self) -> None:
        super().__init__("zfstop: keys", help_text())


class Symbols(Panel):
    """What is measured where in the kernel, and what is not."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("S", "dismiss", show=False)]

    def __init__(self, probes: ProbeReport, slots: tuple[Counts, ...]) -> None:
        super().__init__("zfstop: kernel symbols", symbols_text(probes, slots))


def help_text() -> Content:
    """The keys by section, then how to read the figures."""
    lines: list[str | tuple[str, str]] = []
    for title, section in SECTIONS:
        lines.append((f"{title}\n", "bold"))
        lines += [f"  {action.shown:<10}{action.text}\n" for action in section]
        lines.append("\n")
    return Content.assemble(*lines, ("How to read it", "bold"), _NOTES)


def symbols_text(probes: ProbeReport, slots: tuple[Counts, ...]) -> Content:
    """A table of what is attached with its hits, a table of what was not taken and why, and notes."""
    counted = [*slots, *[Counts()] * len(probes.attached)]
    attached = [
        (probe.op, probe.symbol, probe.module, probe.decoder, probe.kind, f"{counts.entered:,}")
        for probe, counts in zip(probes.attached, counted, strict=False)
    ]
    rejected = [(item.op, item.symbol, item.reason) for item in probes.rejected]
    parts: list[str | tuple[str, str]] = [("Measured\n", "bold")]
    parts += _table(("op", "symbol", "module", "decoder", "attached by", "hits"), attached, "nothing yet")
    parts += [("\nTried and not taken\n", "bold")]
    parts += _table(("op", "symbol", "why"), rejected, "none")
    if probes.notes:
        parts += [("\nNotes\n", "bold"), *(f"  {note}\n" for note in probes.notes)]
    return Content.assemble(*parts)


def _table(head: tuple[str, ...], body: Sequence[tuple[str, ...]], empty: str) -> list[str | tuple[str, str]]:
    if not body:
        return [f"  {empty}\n"]
    widths = [max(cell_width(row[i]) for row in (head, *body)) for i in range(len(head))]
    lines = ["  " + "  ".join(_pad(text, width) for text, width in zip(row, widths, strict=True)).rstrip() + "\n"
             for row in (head, *body)]  # fmt: skip
    return [(lines[0], "dim"), *lines[1:]]


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_width(text))
