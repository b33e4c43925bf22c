"""Bytes from outside become safe, visible text here, once, at the door.

File, command, pool and dataset names are chosen by other users, and zfstop draws them as root. After
:func:`visible` no character is left that a terminal, a log viewer or a bidirectional renderer would act on.
"""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len, get_character_cell_size

_ELLIPSIS = "…"


def visible(raw: bytes | str) -> str:
    """Return ``raw`` as text in which every invisible or acting character is spelled out.

    Bytes that are not UTF-8 come out as ``\\xNN``; controls, C1, bidi, zero-width, blank, surrogate, private and
    unassigned characters as ``\\xNN`` or ``\\uNNNN``. The backslash itself is left alone: names are shown, not
    round-tripped. Visible text stays as it is when it comes through here again.
    """
    text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible_char, text))


def _visible_char(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if char == " " or (char.isprintable() and not _joins(char)):
        return char
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _joins(char: str) -> bool:
    """Whether the character has no cell of its own, or an empty one: it could hide or pile up on its neighbours."""
    return (
        unicodedata.combining(char) != 0
        or unicodedata.category(char) in _NO_CELL
        or char in _BLANK
        or get_character_cell_size(char) == 0
    )


_NO_CELL = frozenset({"Mn", "Me", "Cf", "Zl", "Zp"})
#: Letters and signs by category, nothing to see on a screen: Hangul fillers and the empty Braille pattern.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def cell_width(text: str) -> int:
    """Columns that ``text`` (already visible) takes in a terminal, by the same tables as the screen's."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Cut or pad ``text`` to exactly ``width`` cells; a cut end shows ``…``."""
    return _pad(_cut_end(text, width), width, right)


def fit_path(path: str, width: int) -> str:
    """Cut or pad a path to exactly ``width`` cells, cutting in the middle: both ends tell the most."""
    if cell_width(path) <= width:
        return _pad(path, width, False)
    tail_room = max(0, (width - 1) * 2 // 3)
    tail = _cut_start(path, tail_room)
    head = _take(path, width - 1 - cell_width(tail))
    return _pad((head + _ELLIPSIS + tail) if width > 0 else "", width, False)


def _pad(text: str, width: int, right: bool) -> str:
    gap = " " * max(0, width - cell_width(text))
    return gap + text if right else text + gap


def _cut_end(text: str, width: int) -> str:
    if cell_width(text) <= width:
        return text
    return _take(text, width - 1) + _ELLIPSIS if width > 0 else ""


def _cut_start(text: str, width: int) -> str:
    return _take(text[::-1], width)[::-1]


def _take(text: str, width: int) -> str:
    """The longest start of ``text`` that fits into ``width`` cells."""
    if text.isascii():
        return text[: max(0, width)]
    used = 0
    for index, char in enumerate(text):
        used += cell_width(char)
        if used > width:
            return text[:index]
    return text
