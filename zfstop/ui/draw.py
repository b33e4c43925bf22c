"""Widgets that draw their own lines, and redraw only the ones that changed.

A line is a tuple of parts, each a text and the names of the styles it wears (classes in app.tcss, separated by
blanks). Text is put into segments as it is: nothing in it is ever read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.color import TRANSPARENT, Color
from textual.filter import LineFilter
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from zfstop.text import cell_width
from zfstop.ui.ascii import Ascii

Part = tuple[str, str]
Line = tuple[Part, ...]

#: Every style a part can wear; app.tcss says what it looks like.
STYLES = {
    "head", "sorted", "dim", "strong", "cool", "warm", "hot", "good", "note", "alarm", "banner", "filter",
    "key", "selected", "bar-cool", "bar-warm", "bar-hot",
    "heat-line", "heat-box", "sync",
    *(f"heat-{band}-{step}" for band in ("cool", "warm", "hot") for step in range(1, 7)),
}  # fmt: skip


class Palette(Widget):
    """A widget that knows what the styles look like on its background, for all that is in it.

    Textual works every style out twice for each widget that names them: in a dozen widgets that was half of the time
    it took to start.
    """

    #: Textual takes these from one line of bases only: whoever has another base too says it again.
    COMPONENT_CLASSES: ClassVar[set[str]] = STYLES


class Styled(Widget):
    """A widget that can turn a line into a strip of exactly its own width; it or what it is in is a Palette."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._styles: dict[str, Style] = {}
        #: What all colours go through, and the background: what is drawn is good as long as these stay.
        self._colours: tuple[tuple[LineFilter, ...], Color] = (), TRANSPARENT

    def notify_style_update(self) -> None:
        """Another theme."""
        super().notify_style_update()
        self.forget_looks()

    def forget_looks(self) -> None:
        """Nothing drawn before is good any more."""
        self._styles.clear()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines as they are. Around them Textual would look for borders, padding and tints, which none here has,
        and make each anew: that took a tenth of a refresh. Of the filters only that for ASCII, the last, changes text.
        """
        filters, background = self.get_line_filters(), self.background_colors[1]
        colours = tuple(look for look in filters if not isinstance(look, Ascii)), background
        if colours != self._colours:
            self._colours = colours
            self.forget_looks()
        width = self.strip_width
        strips = [self.strip_at(y, width) for y in crop.line_range]
        for look in filters[len(colours[0]) :]:
            strips = [strip.apply_filter(look, background) for strip in strips]
        left, right = crop.column_span
        return [strip.crop(left, right) for strip in strips] if left or right < width else strips

    def render_line(self, y: int) -> Strip:
        """What :meth:`render_lines` has for one line."""
        return self.strip_at(y, self.strip_width)

    @property
    def strip_width(self) -> int:
        """Cells of a line."""
        return self.size.width

    def strip_at(self, y: int, width: int) -> Strip:
        """Line ``y`` of what is visible in exactly ``width`` cells."""
        raise NotImplementedError

    def draw_again(self, lines: Sequence[int]) -> None:
        """These lines differ from what was drawn; told together, for each telling looks through the whole widget."""
        if lines:
            width = self.size.width
            self.refresh(*[Region(0, y, width, 1) for y in lines])

    def style_of(self, names: str) -> Style:
        """The widget's own style with those named put over it, in order."""
        style = self._styles.get(names)
        if style is None:
            style = self.rich_style
            for name in names.split():
                style += self._layer(name)
            self._styles[names] = style = self._filtered(style)
        return style

    def _filtered(self, style: Style) -> Style:
        """Once for each style, where Textual would do it for every piece of every line."""
        filters, background = self._colours
        for look in filters:
            style = look.apply([Segment(" ", style)], background)[0].style or Style.null()
        return style

    def _layer(self, name: str) -> Style:
        """What ``name`` changes: only what its rules set, but with transparency worked out."""
        palette = next(node for node in self.ancestors_with_self if isinstance(node, Palette))
        rules = palette.get_component_rich_style(name, partial=True)
        whole = palette.get_component_rich_style(name)
        return rules + Style(
            color=whole.color if rules.color else None, bgcolor=whole.bgcolor if rules.bgcolor else None
        )

    def strip_of(self, line: Line, width: int, fill: str = "") -> Strip:
        """The line, cut or padded to ``width`` cells; ``fill`` names the styles of the padding."""
        segments, cells = list[Segment](), 0
        for names, run in groupby(line, key=itemgetter(1)):
            text = "".join([text for text, _ in run])
            cells += cell_width(text)
            segments.append(Segment(text, self.style_of(names)))
        return Strip(segments, cells).adjust_cell_length(width, self.style_of(fill))


class Lines(Styled):
    """A block of lines that are set as a whole."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()
        self._strips: dict[int, Strip] = {}

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Show these; only lines that differ from what is shown are drawn again."""
        fresh = tuple(lines)
        changed = [y for y, (old, new) in enumerate(zip_longest(self._lines, fresh)) if old != new]
        self._lines = fresh
        for y in changed:
            self._strips.pop(y, None)
        self.draw_again(changed)

    def forget_looks(self) -> None:
        """Nor are lines."""
        super().forget_looks()
        self._strips.clear()

    def on_resize(self) -> None:
        """Another width: likewise."""
        self._strips.clear()

    def strip_at(self, y: int, width: int) -> Strip:
        """Kept until the line changes."""
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != width:
            line = self._lines[y] if y < len(self._lines) else ()
            strip = self._strips[y] = self.strip_of(line, width)
        return strip


Forms = tuple[str, ...]
#: (rank, forms from the longest to the shortest, styles): rank 0 is given up last; a form "" leaves it out.
Cell = tuple[int, Forms, str]


def fit_cells(cells: Sequence[Cell], width: int, gap: str = "  ") -> Line:
    """The cells side by side, shortened by rank, the least important first, until they fit into ``width``."""
    chosen = [0] * len(cells)
    while _width(cells, chosen, len(gap)) > width:
        shrinkable = [i for i, (_, forms, _) in enumerate(cells) if chosen[i] + 1 < len(forms)]
        if not shrinkable:
            break
        chosen[max(shrinkable, key=lambda i: (cells[i][0], i))] += 1
    parts: list[Part] = []
    for index, (_, forms, style) in zip(chosen, cells, strict=True):
        if forms[index]:
            parts += [(gap if parts else "", ""), (forms[index], style)]
    return tuple(parts)


def _width(cells: Sequence[Cell], chosen: Sequence[int], gap: int) -> int:
    widths = [cell_width(forms[index]) for index, (_, forms, _) in zip(chosen, cells, strict=True)]
    present = [width for width in widths if width]
    return sum(present) + gap * max(0, len(present) - 1)
