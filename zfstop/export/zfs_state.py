"""What ZFS said of itself in a second, whatever its shape: named values as facts, lists of them as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from zfstop.export.parts import NONE, Facts, Part, table_of
from zfstop.model.history import Second
from zfstop.units import format_time


def state_parts(newest: Second | None) -> tuple[Part, ...]:
    """Parts of a section; none where nobody asked ZFS."""
    return tuple(_parts(newest.zfs, "")) if newest is not None and newest.zfs is not None else ()


def plain(value: Any) -> Any:
    """As JSON has it: objects for what has named members."""
    named = members_of(value)
    if named is not None:
        return {name: plain(member) for name, member in named}
    if isinstance(value, (tuple, list, frozenset)):
        return [plain(item) for item in value]
    return value


def _parts(value: Any, name: str) -> Iterator[Part]:
    members = members_of(value) or []
    scalars = [(f"{name} {key}".strip(), item) for key, item in members if not _nested(item)]
    told = tuple((key.replace("_", " "), _text(key, item)) for key, item in scalars if item not in (None, ""))
    if told:
        yield Facts(told)
    for key, item in members:
        label = f"{name} {key}".strip()
        if not _nested(item):
            continue
        if members_of(item) is not None:
            yield from _parts(item, label)
            continue
        rows = [row for row in item if members_of(row) is not None]
        if rows and all(not _nested(cell) for row in rows for _, cell in members_of(row) or ()):
            head = [column.replace("_", " ") for column, _ in members_of(rows[0]) or ()]
            body = [[_text(column, cell) for column, cell in members_of(row) or ()] for row in rows]
            yield table_of(head, body)
        else:
            for row in rows:
                yield from _parts(row, str(getattr(row, "name", label)))


def members_of(value: Any) -> list[tuple[str, Any]] | None:
    """(name, value) of what a frozen dataclass or a named tuple holds; None for anything else."""
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    return None


def _nested(value: Any) -> bool:
    return isinstance(value, (tuple, list)) or members_of(value) is not None


def _text(name: str, value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return format_time(value) if name.endswith("_ns") and "birth" not in name else f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
