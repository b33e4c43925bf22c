"""Tables of text for panels: figures to the right, and what is the same in every row said once, not in every row."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from zfstop.text import cell_width

#: A line of a panel: text, or (text, style).
Piece = str | tuple[str, str]
#: Cells that a line may have without scrolling on a terminal of 80.
_NARROW = 72


def table(head: Sequence[str], body: Sequence[Sequence[str]], left: int = 1, empty: str = "") -> list[Piece]:
    """Head and rows, indented; the first ``left`` columns are texts, the others figures. ``empty`` stands for none."""
    if not body:
        return [f"  {empty}\n"] if empty else []
    lines = aligned(head, body, left)
    return [(lines[0], "dim"), *lines[1:]]


def aligned(head: Sequence[str], body: Sequence[Sequence[str]], left: int) -> list[str]:
    """The lines of head and rows, the first ``left`` columns to the left."""
    widths = [max(cell_width(row[i]) for row in (head, *body)) for i in range(len(head))]
    return [_line(row, widths, left) for row in (head, *body)]


def listed(title: str, names: Sequence[str]) -> list[Piece]:
    """``title: a, b, c`` in lines of a narrow terminal; nothing without names."""
    lines = wrap(f"{title}: {', '.join(names)}", _NARROW, subsequent_indent="  ", break_on_hyphens=False)
    return [f"  {line}\n" for line in lines] if names else []


def _line(row: Sequence[str], widths: Sequence[int], left: int) -> str:
    cells = (
        text + " " * (width - cell_width(text)) if i < left else " " * (width - cell_width(text)) + text
        for i, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  " + "  ".join(cells).rstrip() + "\n"


def without(
    head: Sequence[str], body: Sequence[Sequence[str]], columns: Sequence[str], value: str | None = None
) -> tuple[list[str], list[list[str]], list[tuple[str, str]]]:
    """(head, rows, (column, its one value) of those left out): of ``columns``, which say the same in every row.

    With ``value`` only columns that say just that are left out.
    """
    same = {
        i: next(iter(values))
        for i, name in enumerate(head)
        if name in columns
        and len(values := {row[i] for row in body}) == 1
        and (value is None or values == {value})
    }
    keep = [i for i in range(len(head)) if i not in same]
    rows = [[row[i] for i in keep] for row in body]
    return [head[i] for i in keep], rows, [(head[i], text) for i, text in same.items()]
