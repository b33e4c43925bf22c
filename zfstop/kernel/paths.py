"""Path texts by the id the program gives them, bounded, with the program told what was forgotten.

The program sends a path once, before the first event that has it, so a path costs the ring and the traced program
only once. Its id comes from the kernel's hashes of all names up to the root: a rename makes another id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from zfstop.model.events import PATH_CUT, PATH_STRUCT, PATH_VOLUME
from zfstop.text import visible

#: What stands for the upper part of a path that is deeper than the program walks.
CUT_MARK = "…/"


def decode_path(record: bytes) -> tuple[int, str]:
    """(id, path inside the dataset) of a record: names from leaf to root, each ended by a NUL. "." is the root."""
    path_id, length, flags = PATH_STRUCT.unpack_from(record)
    names = record[PATH_STRUCT.size : PATH_STRUCT.size + length].split(b"\0")[:-1]
    path = "/".join(visible(name) for name in reversed(names)) or "."
    return path_id, (CUT_MARK + path if flags & PATH_CUT else path)


class Paths:
    """About ``capacity`` path texts; when there are more, the oldest go until three quarters are left.

    Texts are dropped one round after the program was told to send them again: events already in the ring may still
    refer to them. One that came again meanwhile stays.
    """

    def __init__(self, forget: Callable[[Iterable[int]], None], capacity: int) -> None:
        self._forget = forget
        self._capacity = capacity
        self._texts: dict[int, str] = {}
        self._leaving: set[int] = set()
        self._volumes: dict[int, str] = {}
        self._named: set[int] = set()

    def add(self, record: bytes) -> None:
        """Take one record of the path ring."""
        path_id, text = decode_path(record)
        if PATH_STRUCT.unpack_from(record)[2] & PATH_VOLUME:
            self._volumes[path_id] = text
        self._leaving.discard(path_id)
        self._texts.pop(path_id, None)
        self._texts[path_id] = text

    def get(self, path_id: int) -> str | None:
        """The text, or None if it never came."""
        return self._texts.get(path_id)

    def volumes(self) -> dict[int, str]:
        """Device -> name of the volumes that were named since the last call."""
        named, self._volumes = self._volumes, {}
        self._named |= named.keys()
        return {path_id & 0xFFFFFFFF: name for path_id, name in named.items()}

    def tidy(self) -> None:
        """Once a second: keep the bound, and have volumes named anew, for they may have been renamed or replaced."""
        self._forget(self._named)
        self._named = set()
        for path_id in self._leaving:
            self._texts.pop(path_id, None)
        self._leaving = set()
        if len(self._texts) >= self._capacity:
            self._leaving = set(islice(self._texts, len(self._texts) - self._capacity * 3 // 4))
            self._forget(self._leaving)
