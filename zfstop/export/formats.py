"""The formats of an export by the ending of the file's name, and the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from zfstop.errors import Exit, UserError
from zfstop.export.html import html
from zfstop.export.markdown import markdown
from zfstop.export.records import csv_text, json_text
from zfstop.export.report import Report
from zfstop.recorder import safe_name

#: Ending -> what writes it.
WRITERS: dict[str, Callable[[Report], str]] = {
    "html": html,
    "md": markdown,
    "csv": csv_text,
    "json": json_text,
}
SVG = "svg"
#: Ending -> what it is, in the order in which they are offered.
FORMATS = {
    "html": "report: map, rows, percentiles, waits, books, probes",
    "md": "the same as Markdown, for a ticket",
    "csv": "the rows, for a spreadsheet",
    "json": "everything, for programs",
    SVG: "a picture of the screen",
}
_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def ending_of(path: str) -> str:
    """The format that a file's name asks for. Raises UserError for one that asks for none."""
    ending = path.rpartition(".")[2].lower()
    if ending not in FORMATS:
        raise UserError(
            Exit.USAGE,
            "the name of the file tells no format",
            f"let it end in {', '.join('.' + f for f in FORMATS)}",
        )
    return ending


def default_name(host: str, now: datetime, ending: str) -> str:
    """``zfstop-db1-20260114-140322.html``: sorts by host and time, and needs no quotes in a shell."""
    return f"zfstop-{safe_name(host)}-{now:%Y%m%d-%H%M%S}.{ending}"


def without_fonts(svg: str) -> str:
    """A picture made by rich without the fonts that it would fetch; every browser has a monospaced one."""
    head, mark, rest = svg.partition("</style>")
    return _FONT.sub("", head) + mark + rest
