"""ZFS devices that are mounted only where we do not live: in the mount namespaces of other processes (containers).

The kernel tells nobody of mounts in a foreign namespace, and to hold its mountinfo open would keep all its mounts
alive. So foreign tables are read when there is a device to be named, and the ones that named a device again and
again while they do.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator

from zfstop.zfs.datasets import parse_mountinfo


class Namespaces:
    """Tables of foreign namespaces. ``home`` are the links (``mnt:[...]``) of those that are followed otherwise."""

    def __init__(self, proc: str, home: Collection[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._home = frozenset(home)
        self._clock = clock
        #: namespace -> a process in it, and the devices it alone has.
        self._tables: dict[str, tuple[int, dict[int, bytes]]] = {}
        self._search: Iterator[None] | None = None

    def devices(self) -> dict[int, bytes]:
        """Device -> dataset, of all tables read so far."""
        return {dev: name for _, table in self._tables.values() for dev, name in table.items()}

    def ask(self, pid: int, dev: int, known: Collection[int]) -> bytes | None:
        """The dataset of a device in the namespace of a process; its table is one of the read ones from then on."""
        namespace = link(self._proc, pid)
        if namespace is None or namespace in self._home or not self._read(namespace, pid, known):
            return None
        return self._tables[namespace][1].get(dev)

    def reread(self, known: Collection[int]) -> None:
        """Read the tables again that gave a name. One without its process, or without a name to give, is dropped."""
        for namespace, (pid, _) in list(self._tables.items()):
            if link(self._proc, pid) != namespace or not self._read(namespace, pid, known):
                self._tables.pop(namespace, None)

    def search(self, known: Collection[int], seconds: float) -> bool:
        """Look through the namespaces of all processes for at most about ``seconds``; True when all were seen.

        The next call goes on where this one stopped.
        """
        if self._search is None:
            self._search = self._visit(frozenset(known))
        end = self._clock() + seconds
        for _ in self._search:
            if self._clock() >= end:
                return False
        self._search = None
        return True

    def _visit(self, known: frozenset[int]) -> Iterator[None]:
        seen = set(self._home)
        for entry in os.listdir(self._proc):
            if not entry.isdigit():
                continue
            namespace = link(self._proc, entry)
            if namespace is not None and namespace not in seen:
                seen.add(namespace)
                self._read(namespace, int(entry), known)
            yield

    def _read(self, namespace: str, pid: int, known: Collection[int]) -> bool:
        table = parse_mountinfo(read(f"{self._proc}/{pid}/mountinfo"))
        own = {dev: name for dev, name in table.items() if dev not in known}
        if own:
            self._tables[namespace] = pid, own
        return bool(own)


def link(proc: str, pid: int | str) -> str | None:
    """What names the mount namespace of a process, or None when it is gone or not to be seen."""
    with contextlib.suppress(OSError):
        return os.readlink(f"{proc}/{pid}/ns/mnt")
    return None


def read(path: str) -> bytes:
    """A file of /proc, or nothing."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 24)
    except OSError:
        return b""
