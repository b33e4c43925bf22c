"""From the numbers of a record to the names on the screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zfstop.callers import Callers
from zfstop.kernel.paths import Paths
from zfstop.model.events import (
    ALL_SIZE,
    DELETED,
    EVENT_STRUCT,
    IN_DIRECTORY,
    KEY_STRUCT,
    NO_OFFSET,
    NO_PATH,
    RECORD_BYTES,
    RING_HEADER_BYTES,
    WAITS_STRUCT,
    Event,
    Key,
    RawEvent,
    RawKey,
    waits_of,
)
from zfstop.model.state import Attached
from zfstop.mounts import Mounts
from zfstop.text import visible

_KEY_OFFSET = 48
_CACHE = 100_000
DELETED_MARK = " (deleted)"
UNKNOWN_PATH = "?"
#: Upper half of the path id of a volume, whose name is that of its dataset.
VOLUME = 0xFFFFFFFF
VOLUME_PATH = "(volume)"


def path_text(paths: Paths, path_id: int, flags: int) -> str:
    """What stands for the object of a call: its path, or what is known of it."""
    if path_id >> 32 == VOLUME and not flags & NO_PATH:
        return VOLUME_PATH
    path = f"inode#{path_id}" if flags & NO_PATH else paths.get(path_id)
    if path is None:
        return UNKNOWN_PATH
    if flags & IN_DIRECTORY:
        return f"{path}/{UNKNOWN_PATH}"
    return path + DELETED_MARK if flags & DELETED and not flags & NO_PATH else path


class Names:
    """Keys and events with names. Keys are cached until the mount table changes; those of processes in other PID
    namespaces, whose number could pass to another one, for a second.
    """

    def __init__(
        self,
        slots: Mapping[int, Attached],
        paths: Paths,
        mounts: Mounts,
        callers: Callers,
        function_at: Callable[[int], str] = lambda address: "",
    ) -> None:
        """``function_at`` names the kernel function at an address, "" for none."""
        self._slots = slots
        self._function_at = function_at
        self._paths = paths
        self._mounts = mounts
        self._callers = callers
        self._keys: dict[bytes, Key] = {}
        #: What many keys have in common, once in memory.
        self._shared: dict[Any, Any] = {}
        self._of_inner: list[bytes] = []
        self._generation = mounts.generation

    def key(self, raw: bytes) -> Key:
        """The named key for the 48 key bytes of a record."""
        if self._generation != self._mounts.generation or max(len(self._keys), len(self._shared)) > _CACHE:
            self._keys.clear()
            self._shared.clear()
            self._generation = self._mounts.generation
        known = self._keys.get(raw)
        if known is None:
            known = self._name(RawKey(*KEY_STRUCT.unpack(raw)))
            self._keys[raw] = known
            if known.inner_pid:
                self._of_inner.append(raw)
        return known

    def end_second(self) -> None:
        """Forget what may be another's by the next second."""
        for raw in self._of_inner:
            self._keys.pop(raw, None)
        self._of_inner.clear()
        self._callers.forget_pids()

    def _name(self, raw: RawKey) -> Key:
        probe = self._slots[raw.slot]
        comm = visible(raw.comm.split(b"\0", 1)[0])
        share = self._shared.setdefault
        return Key(
            op=probe.op,
            pid=share(raw.pid, raw.pid),
            comm=share(comm, comm),
            uid=share(raw.uid, raw.uid),
            cgroup=share(raw.cgroup, raw.cgroup),
            dataset=self._mounts.name(raw.dev, raw.pid),
            path=self._path(raw),
            symbol=probe.symbol,
            where=self._callers.owner(raw.cgroup, raw.pid),
            inner_pid=self._callers.inner_pid(raw.pid),
        )

    def _path(self, raw: RawKey) -> str:
        return path_text(self._paths, raw.path_id, raw.flags)

    def events(self, records: bytes) -> list[Event]:
        """All records of a chunk (with ring headers) as events."""
        return [
            self._event(records[at + RING_HEADER_BYTES : at + RECORD_BYTES])
            for at in range(0, len(records), RECORD_BYTES)
        ]

    def _event(self, payload: bytes) -> Event:
        raw = RawEvent(*EVENT_STRUCT.unpack(payload))
        return Event(
            key=self.key(payload[_KEY_OFFSET : _KEY_OFFSET + KEY_STRUCT.size]),
            ts_ns=raw.ts_ns,
            latency_ns=raw.latency_ns,
            tid=raw.tid,
            offset=None if raw.flags & NO_OFFSET else raw.offset,
            size=None if raw.flags & ALL_SIZE else raw.size,
            result=raw.result,
            bucket=raw.bucket,
            to=(self._paths.get(raw.target) or UNKNOWN_PATH) if raw.target else "",
            waits=waits_of(raw.latency_ns, WAITS_STRUCT.unpack(raw.waits)) if raw.known else None,
            slept_in=self._function_at(raw.slept_in) if raw.slept_in else "",
        )
