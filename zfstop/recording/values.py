"""Checks single values of a file that anybody may have made. Every function raises :class:`Unsound` for a bad one."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from zfstop.model.waits import Waits
from zfstop.recording.schema import MAX_INT
from zfstop.text import visible

U32: Final = (1 << 32) - 1
U64: Final = (1 << 64) - 1
#: 9999-12-31, the last day a date can be made of.
_LAST_CLOCK: Final = 253_402_214_400
MAX_TEXT_BYTES: Final = 1 << 16


class Unsound(Exception):
    """A value no zfstop writes; the text says which."""


def json_of(packed: Any) -> Any:
    """A JSON column."""
    try:
        return json.loads(packed if type(packed) is bytes else b"")
    except (ValueError, RecursionError):
        raise Unsound("a column is not JSON") from None


def dict_of(value: Any) -> dict[str, Any]:
    """A JSON object."""
    if type(value) is not dict:
        raise Unsound("a JSON column has another shape")
    return value


def list_of(value: Any) -> list[Any]:
    """A JSON list."""
    if type(value) is not list:
        raise Unsound("a JSON column has another shape")
    return value


def texts_of(value: Any) -> tuple[str, ...]:
    """A JSON list of texts."""
    return tuple(map(string_of, list_of(value)))


def string_of(value: Any) -> str:
    """A JSON text, made visible."""
    if type(value) is not str or len(value) > MAX_TEXT_BYTES:
        raise Unsound("a JSON text is not a text")
    return visible(value)


def text_of(value: Any) -> str:
    """A text column, made visible."""
    if type(value) is not bytes or len(value) > MAX_TEXT_BYTES:
        raise Unsound("a name is not a text")
    return visible(value)


def int_of(value: Any, low: int = -MAX_INT - 1, high: int = MAX_INT) -> int:
    """A whole number within the bounds."""
    if type(value) is not int or not low <= value <= high:
        raise Unsound("a number is out of range")
    return value


def unsigned_of(value: Any) -> int:
    """An unsigned 64-bit number, as it is stored."""
    return int_of(value) & U64


def clock_of(value: Any) -> float:
    """Wall time: seconds since the epoch."""
    if type(value) is not float or not math.isfinite(value) or not 0 <= value <= _LAST_CLOCK:
        raise Unsound("a time is out of range")
    return value


def waits_of(packed: Any = None) -> Waits | None:
    """The column ``waits``; NULL, and the lack of the column in old formats, is None."""
    if packed is None:
        return None
    found = list_of(json_of(packed))
    if len(found) != len(Waits._fields):
        raise Unsound("a call waits for another number of causes")
    return Waits(*(int_of(ns, 0, MAX_INT) for ns in found))


def maybe_int(value: Any, low: int = 0, high: int = MAX_INT) -> int | None:
    """The same as ``int_of``, but NULL is None."""
    return None if value is None else int_of(value, low, high)
