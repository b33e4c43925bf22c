"""What a report is made of, whatever it is written as. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from zfstop.model.heat import Heat

#: What stands for a value that is not there.
NONE = "-"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one a line."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Texts in columns; ``left`` tells for each column whether it stands at the left. ``of`` rows there are."""

    head: tuple[str, ...]
    left: tuple[bool, ...]
    body: tuple[tuple[str, ...], ...]
    of: int = 0


@dataclass(frozen=True, slots=True)
class Chart:
    """The heat map."""

    heat: Heat
    threshold_ns: int
    zone: tzinfo | None


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence, made of words of ours and figures only."""

    text: str


Part = Facts | Table | Chart | Note


@dataclass(frozen=True, slots=True)
class Section:
    """``title`` is made of words of ours only: what comes from outside is in the parts."""

    title: str
    parts: tuple[Part, ...]


def table_of(head: Sequence[str], body: Iterable[Sequence[str]], left: int = 1, of: int = 0) -> Table:
    """A table whose first ``left`` columns are texts and whose others are figures."""
    rows = tuple(tuple(row) for row in body)
    return Table(tuple(head), tuple(i < left for i in range(len(head))), rows, of or len(rows))
