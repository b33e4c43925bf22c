"""What can stand where the cursor is in a filter: keys, and the values that are there. Pure."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from zfstop.model.causes import UNKNOWN_CAUSE, main_cause
from zfstop.model.query import FIELDS, literal
from zfstop.model.rows import Row
from zfstop.model.waits import CAUSES
from zfstop.zfs.operations import BY_NAME, CLASSES

#: Candidates at most.
MOST = 50
_KEY_AND_VALUES = re.compile(r"([!-]?)([A-Za-z]+):(.*)", re.DOTALL)

Values = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Completion:
    """The text up to ``start`` stays; one of ``candidates`` follows it."""

    start: int
    candidates: tuple[str, ...]


def values_of(rows: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """Field -> the values that are there, those of the row with the most time waited first."""
    found: dict[str, dict[str, None]] = {field: {} for field in FIELDS}
    for row in sorted(rows, key=lambda row: -row.total_ns):
        who = row.who
        there: tuple[tuple[str, Iterable[object]], ...] = (
            ("pid", who.pids), ("comm", who.comms), ("pool", who.pools), ("ds", who.datasets), ("op", who.ops),
            ("class", who.classes), ("where", who.wheres), ("path", (path for _, path in who.files)),
            ("why", (main_cause(row.waits),)), ("uid", who.uids),
        )  # fmt: skip
        for field, values in there:
            found[field].update(dict.fromkeys(map(str, values)))
    found["err"] = dict.fromkeys(("any", "none", *sorted(errno.errorcode.values())))
    found["op"].update(dict.fromkeys(BY_NAME))
    found["class"].update(dict.fromkeys(CLASSES))
    found["why"].update(dict.fromkeys((*CAUSES, UNKNOWN_CAUSE)))
    return {field: tuple(value for value in values if value) for field, values in found.items()}


def complete(text: str, values: Values) -> Completion:
    """What may follow at the end of ``text``: keys where a term begins, else values of its key."""
    start = _begin(text, str.isspace)
    word = text[start:]
    if match := _KEY_AND_VALUES.fullmatch(word):
        return _complete_value(start + match.start(3), match[2].lower(), match[3], values)
    sign = word[:1] if word[:1] in ("!", "-") else ""
    begun = word[len(sign) :].lower()
    keys = [key for key in (*(f"{field}:" for field in FIELDS), "lat>", "lat<") if key.startswith(begun)]
    return Completion(start + len(sign), tuple(keys))


def _complete_value(start: int, field: str, text: str, values: Values) -> Completion:
    at = _begin(text, ",".__eq__)
    begun = text[at:].replace('""', '"').lstrip('"').casefold()
    there = values.get(field, ())
    first = [value for value in there if value.casefold().startswith(begun)]
    later = [value for value in there if begun in value.casefold() and value not in first] if begun else []
    words = (literal(field, value).text.partition(":")[2] for value in (*first, *later)[:MOST])
    return Completion(start + at, tuple(words))


def _begin(text: str, separates: Callable[[str], bool]) -> int:
    """Where what stands after the last separator outside of quotes begins."""
    begin, quoted = 0, False
    for place, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif not quoted and separates(char):
            begin = place + 1
    return begin
