"""Whatever is drawn, in ASCII: one sign for each glyph, the last thing before the terminal.

Widths stay, so that nothing moves: a letter of a name that ASCII has not is one ``?`` for each of its cells.
"""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from zfstop.text import cell_width

#: The map goes from a dot to a hash, the trend from a low line through 2 to 7 to a hash, the chart is of hashes.
_SIGNS = {
    "·": ".", "░": "+", "▒": "x", "▓": "%", "█": "#",
    "▁": "_", "▂": "2", "▃": "3", "▄": "4", "▅": "5", "▆": "6", "▇": "7", "▔": "-",
    "▏": "|", "▎": "|", "▍": "|", "▌": "|", "▋": "|", "▊": "|", "▉": "|", "▐": "|", "▕": "|",
    "▸": ">", "►": ">", "▶": ">", "◂": "<", "◀": "<", "▼": "v", "▾": "v", "▲": "^", "▴": "^",
    "→": ">", "←": "<", "↑": "^", "↓": "v", "…": "~", "•": "*", "●": "*", "×": "x",
    "µ": "u", "μ": "u", "≥": ">", "≤": "<", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"',
    "\u00a0": " ",
}  # fmt: skip
_HORIZONTAL, _VERTICAL = "─━┄┅┈┉╌╍═", "│┃┆┇┊┋╎╏║"
_TABLE = str.maketrans(
    {chr(code): "+" for code in range(0x2500, 0x2580)}
    | dict.fromkeys(_HORIZONTAL, "-")
    | dict.fromkeys(_VERTICAL, "|")
    | _SIGNS
)


@lru_cache(4096)
def ascii_text(text: str) -> str:
    """``text`` in as many cells of ASCII."""
    text = text.translate(_TABLE)
    return text if text.isascii() else "".join(map(_sign, text))


def _sign(char: str) -> str:
    return char if char.isascii() else "?" * cell_width(char)


class Ascii(LineFilter):
    """Shows every line in ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Another text where there is anything but ASCII; styles stay."""
        return [_told(segment) for segment in segments]


def _told(segment: Segment) -> Segment:
    text, style, control = segment
    # Of a scroll bar's eighths no sign could be told from a figure beside it: each cell is of the handle or is not.
    part = style.meta.get("@mouse.down") if style is not None else None
    if part is not None:
        return Segment(("#" if part == "grab" else "|") * cell_width(text), style, control)
    return segment if text.isascii() else Segment(ascii_text(text), style, control)
