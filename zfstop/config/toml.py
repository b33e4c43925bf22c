"""A TOML file as its statements, so that errors have line numbers and a value can be replaced where it stands.

tomllib tells neither where a value stands nor how to write one. Every statement of TOML (``key = value``, ``[table]``)
can be parsed alone, though: the shortest run of lines that tomllib accepts is one. Pure.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: A value that takes more lines than this is refused: what is looked for is at most a list of words.
_MOST_LINES = 100

Value = str | int | bool | list[str]


class TomlError(ValueError):
    """What is wrong in which line (counted from 1)."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Statement:
    """``lines[first:last]`` of the file (from 0). ``table`` is the table it is in; ``names`` what it sets, below that
    table; a header sets nothing and is in itself.
    """

    first: int
    last: int
    table: tuple[str, ...]
    names: tuple[str, ...]
    value: Any = None

    @property
    def header(self) -> bool:
        """Whether a table begins here."""
        return not self.names


def lines_of(text: str) -> list[str]:
    """The lines with their ends."""
    return [line + "\n" for line in text.split("\n")[:-1]] + [text.rsplit("\n", 1)[-1]] * (text[-1:] != "\n")


def statements(text: str) -> list[Statement]:
    """All of them, in order. Raises TomlError."""
    lines = lines_of(text)
    found: list[Statement] = []
    table: tuple[str, ...] = ()
    first = 0
    while first < len(lines):
        if not lines[first].strip() or lines[first].lstrip().startswith("#"):
            first += 1
            continue
        last, data = _one(lines, first)
        names, value = _path(data)
        if lines[first].lstrip().startswith("["):
            table = names
            found.append(Statement(first, last, table, ()))
        else:
            found.append(Statement(first, last, table, names, value))
        first = last
    _whole(text, found)
    return found


def _one(lines: list[str], first: int) -> tuple[int, Mapping[str, Any]]:
    """(end, data) of the statement that begins in this line."""
    told = TomlError(first + 1, "")
    for last in range(first + 1, min(len(lines), first + _MOST_LINES) + 1):
        try:
            return last, tomllib.loads("".join(lines[first:last]))
        except (ValueError, RecursionError) as error:
            if last == first + 1:
                told = _told(error, first)
    raise told


def _whole(text: str, found: list[Statement]) -> None:
    """What is wrong only together: a name that stands twice."""
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _told(error, 0, found[-1].first + 1 if found else 1) from None


def _told(error: Exception, before: int, last: int = 1) -> TomlError:
    """tomllib's words, which end with ``(at line 7, column 3)`` or, for line ``last``, ``(at end of document)``."""
    words, _, place = str(error).partition(" (at ")
    number = place.removeprefix("line ").partition(",")[0]
    line = before + (int(number) if number.isdigit() else last)
    return TomlError(line, f"this is not TOML: {words[:1].lower()}{words[1:]}")


def _path(data: Mapping[str, Any]) -> tuple[tuple[str, ...], Any]:
    """The names that lead to the one value, and the value; of a header, the names of its table."""
    names: list[str] = []
    value: Any = data
    while isinstance(value, Mapping) and len(value) == 1:
        name, value = next(iter(value.items()))
        names.append(name)
    return tuple(names), value


def written(value: Value) -> str:
    """The value as TOML. Texts must be ``visible``: what JSON and TOML spell alike."""
    return json.dumps(value, ensure_ascii=False)


def replaced(text: str, values: Mapping[str, Value]) -> str:
    """``text`` with these values at the top: each where it stands already, with the comment after it, else as a line
    before the first table. Everything else stays as it is, to the byte. Raises TomlError when ``text`` is not sound.
    """
    lines = lines_of(text)
    known = statements(text)
    left = dict(values)
    for statement in known:
        if not statement.table and len(statement.names) == 1 and statement.names[0] in left:
            name = statement.names[0]
            old = "".join(lines[statement.first : statement.last])
            fresh = f"{name} = {written(left.pop(name))}{_comment(old, statement)}"
            ending = "\r\n" if old.endswith("\r\n") else "\n"
            lines[statement.first : statement.last] = [fresh + ending] + [""] * (
                statement.last - statement.first - 1
            )
    if left:
        place = _place(lines, known)
        added = [f"{name} = {written(value)}\n" for name, value in left.items()]
        if place and lines[place - 1] and not lines[place - 1].endswith("\n"):
            lines[place - 1] += "\n"
        if place < len(lines) and lines[place].strip():
            added.append("\n")
        lines[place:place] = added
    return "".join(lines)


def _comment(old: str, statement: Statement) -> str:
    """The comment that ends a statement of one line, with the blanks before it."""
    line = old.rstrip("\r\n")
    for place in _places(line, "#") if statement.last - statement.first == 1 else ():
        try:
            tomllib.loads(line[:place])
        except ValueError:
            continue
        start = len(line[:place].rstrip(" \t"))
        return line[start:]
    return ""


def _places(text: str, char: str) -> Iterator[int]:
    place = text.find(char)
    while place >= 0:
        yield place
        place = text.find(char, place + 1)


def _place(lines: list[str], known: list[Statement]) -> int:
    """Where a new line goes: after the last statement before the first table, else before that table's own comment."""
    top = [statement for statement in known if not statement.table]
    if top:
        return top[-1].last
    headers = [statement for statement in known if statement.header]
    if not headers:
        return len(lines)
    place = headers[0].first
    while place and lines[place - 1].lstrip().startswith("#"):
        place -= 1
    return place
