"""Full screens of text that scroll: help, the symbols and the books."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from zfstop.model.books import Books
from zfstop.model.costs import Costs, format_share
from zfstop.model.state import Attached, ProbeReport
from zfstop.model.waits import CAUSES
from zfstop.ui.books import books_text
from zfstop.ui.classes import OPERATIONS_OF, cost_of
from zfstop.ui.columns import NONE
from zfstop.ui.help import help_pieces
from zfstop.ui.keymap import Sections
from zfstop.ui.lens import Frame
from zfstop.ui.tabular import Piece, aligned, listed, table, without
from zfstop.ui.zfs_panel import zfs_text
from zfstop.zfs.operations import CLASSES

_SLEEP = "sleep"
#: What a probe of waits may be for: no operation has such a name.
_CAUSES = (*CAUSES, _SLEEP)
_CLOSES = "Esc closes"
#: Cells beside a panel's text: its padding and the scrollbar.
_FRAME = 4


def hint_text(first: int, last: int, total: int, width: int) -> str:
    """How to leave, and when not all of a text is visible, where one is and how to see the rest."""
    if last - first + 1 >= total:
        return _CLOSES
    if width < len("Esc closes   lines 100-100 of 100; PgDn, arrows: more"):
        return f"Esc  {last}/{total}{' PgDn' * (last < total)}"
    return (
        f"{_CLOSES}   lines {first}-{last} of {total}; {'PgDn, arrows: more' if last < total else 'the end'}"
    )


class _Pages(ScrollableContainer):
    """Scrolls, and tells when it has."""

    class Moved(Message):
        """Other lines are visible, or another number of them."""

    def on_mount(self) -> None:
        """Another place, another text."""
        for name in ("scroll_y", "virtual_size"):
            self.watch(self, name, self.on_resize, init=False)

    def on_resize(self) -> None:
        """Another size."""
        self.post_message(self.Moved())

    def place(self) -> tuple[int, int, int]:
        """(first visible line, last, how many there are), from 1."""
        top, total = self.scroll_offset.y, self.virtual_size.height
        return top + 1, min(total, top + self.scrollable_content_region.height), total


class Panel(ModalScreen[None]):
    """A title and text; closed by the key that opened it, Escape or q."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close", show=False),
        Binding("j", "scroll_by(1)", show=False),
        Binding("k", "scroll_by(-1)", show=False),
        Binding("space", "page", show=False),
    ]

    def __init__(self, title: str, text: Content) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._hint = _CLOSES

    def compose(self) -> ComposeResult:
        """Title, text, and how to leave."""
        yield Static(self._title, markup=False, classes="title")
        with _Pages():
            yield Static(self._text, id="text")
        yield Static(_CLOSES, markup=False, classes="hint")

    def on_mount(self) -> None:
        """Arrows scroll at once."""
        self.query_one(_Pages).focus()

    def on__pages_moved(self) -> None:
        """Say how much there is that is not seen."""
        hint = hint_text(*self.query_one(_Pages).place(), self.app.size.width)
        if hint != self._hint:
            self._hint = hint
            self.query_one(".hint", Static).update(hint, layout=False)  # always a line

    def action_scroll_by(self, lines: int) -> None:
        """Scroll as in a pager."""
        self.query_one(_Pages).scroll_relative(y=lines, animate=False)

    def action_page(self) -> None:
        """The next page, as in a pager."""
        self.query_one(_Pages).scroll_page_down(animate=False)

    def show(self, frame: Frame) -> None:
        """What this frame says, at the same place; a text that never changes has nothing to do here."""

    def replace(self, text: Content) -> None:
        """Another text, at the same place."""
        if text != self._text:
            self._text = text
            self.query_one("#text", Static).update(text)


class Help(Panel):
    """Every key, from the registry of actions. Its lines are wrapped here, in columns."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,f1", "dismiss", show=False)]

    def __init__(self, sections: Sections) -> None:
        super().__init__("zfstop: keys", Content())
        self._sections = sections

    def compose(self) -> ComposeResult:
        """With the text: to set it later would be another layout."""
        self._text = self._tell()
        return super().compose()

    def on_resize(self) -> None:
        """As many columns as fit."""
        self.replace(self._tell())

    def _tell(self) -> Content:
        return Content.assemble(*help_pieces(self.app.size.width - _FRAME, self._sections))


class Told(Panel):
    """What a frame says, anew with every frame. Its lines are not wrapped."""

    HEAD: ClassVar[str]

    def __init__(self, frame: Frame) -> None:
        super().__init__(self.HEAD, self.tell(frame))

    def tell(self, frame: Frame) -> Content:
        """The text."""
        raise NotImplementedError

    def show(self, frame: Frame) -> None:
        """The figures move."""
        self.replace(self.tell(frame))


class Symbols(Told):
    """What is measured where in the kernel, and what is not."""

    HEAD = "zfstop: kernel symbols"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("S", "dismiss", show=False)]

    def tell(self, frame: Frame) -> Content:
        """With hits and costs."""
        return symbols_text(frame)


class Ledger(Told):
    """The books, and the figures of all calls."""

    HEAD = "zfstop: every call accounted for"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("b", "dismiss", show=False)]

    def tell(self, frame: Frame) -> Content:
        """Both."""
        return books_text(frame)


class ZfsPanel(Told):
    """What ZFS says of itself."""

    HEAD = "zfstop: ZFS itself"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("z", "dismiss", show=False)]

    def tell(self, frame: Frame) -> Content:
        """As it was at the end of the frame."""
        return zfs_text(frame)


def symbols_text(frame: Frame) -> Content:
    """What is attached, class by class, with its hits; what was not taken and why; notes."""
    probes = frame.probes
    rows = [_row(probe, books, frame.costs) for probe, books in _probes(frame)]
    head, rows, same = without(_COLUMNS, rows, ("module", "attached by"))
    head, rows, _ = without(head, rows, ("cpu",), NONE)
    parts: list[Piece] = []
    if rows:
        title, *lines = aligned(head, rows, len(head) - 1 - ("cpu" in head))
        parts.append((title, "dim"))
        parts += [f"  all: {', '.join(map(' '.join, same))}\n"] if same else []
        for name in CLASSES:
            parts += ["\n", *_class(frame, name, lines)]
    else:
        parts.append("Nothing is measured yet\n")
    parts.append("\n")
    rejected = [(item.op, item.symbol, item.reason) for item in probes.rejected if item.op not in _CAUSES]
    parts.append(("Tried and not taken\n", "bold"))
    parts += table(("op", "symbol", "why"), rejected, 3, "none")
    parts += _waits(probes)
    if probes.notes:
        parts += [("\nNotes\n", "bold"), *(f"  {note}\n" for note in probes.notes)]
    return Content.assemble(*parts)


def _waits(probes: ProbeReport) -> list[Piece]:
    """What tells each cause, and what could not be had; the time of a cause that nothing tells is in "other"."""
    rows = [(probe.op, probe.symbol, probe.module, probe.kind) for probe in probes.waits]
    lacking = [(item.op, item.symbol, item.reason) for item in probes.rejected if item.op in _CAUSES]
    if not rows and not lacking:
        return []
    parts: list[Piece] = [("\nWhere the time goes\n", "bold")]
    parts += table(
        ("cause", "symbol", "module", "attached by"), rows, 4, "nothing tells it: all of it is other"
    )
    if any(probe.op == _SLEEP for probe in probes.waits):
        parts.append(("  sleep: whoever asks for it tells the cause\n", "dim"))
    return [*parts, *table(("lacking", "symbol", "why"), lacking, 3)]


def _class(frame: Frame, name: str, lines: list[str]) -> list[Piece]:
    """The head says whether it is on, and what it costs; then its probes, and its operations without one."""
    on = name in frame.controls.classes
    cost = cost_of(frame.costs, name)
    figures = "" if cost is None else f", costs {format_share(cost.share)} of a CPU"
    state = (" on" if on else " OFF, C switches it on") + figures
    parts: list[Piece] = [(name, "bold"), (f"{state}\n", "" if on else "bold $warning")]
    attached = zip(frame.probes.attached, lines, strict=True)
    parts += [line for probe, line in attached if probe.op in OPERATIONS_OF[name]]
    return parts + listed(
        "not measured here", [op for op in OPERATIONS_OF[name] if op not in frame.probes.ops]
    )


_COLUMNS = ("op", "symbol", "module", "decoder", "attached by", "hits", "cpu")


def _probes(frame: Frame) -> list[tuple[Attached, Books]]:
    attached = frame.probes.attached
    counted = (*frame.books, *[Books()] * len(attached))
    return list(zip(attached, counted, strict=False))


def _row(probe: Attached, books: Books, costs: Costs) -> list[str]:
    cost = costs.of.get(probe.op)
    return [
        probe.op,
        probe.symbol,
        probe.module,
        probe.decoder,
        probe.kind,
        f"{books.issued:,}",
        NONE if cost is None else format_share(cost.share),
    ]
