"""From the numbers of a record to the names on the screen."""

from __future__ import annotations

from collections.abc import Mapping

from zfstop.kernel.paths import Paths
from zfstop.model.events import (
    ALL_SIZE,
    DELETED,
    EVENT_STRUCT,
    KEY_STRUCT,
    NO_OFFSET,
    NO_PATH,
    RECORD_BYTES,
    RING_HEADER_BYTES,
    Event,
    Key,
    RawEvent,
    RawKey,
)
from zfstop.model.state import Attached
from zfstop.mounts import Mounts
from zfstop.text import visible

_KEY_OFFSET = 48
_CACHE = 100_000
DELETED_MARK = " (deleted)"
UNKNOWN_PATH = "?"


class Names:
    """Keys and events with names. Keys are cached until the mount table changes."""

    def __init__(self, slots: Mapping[int, Attached], paths: Paths, mounts: Mounts) -> None:
        self._slots = slots
        self._paths = paths
        self._mounts = mounts
        self._keys: dict[bytes, Key] = {}
        self._generation = mounts.generation

    def key(self, raw: bytes) -> Key:
        """The named key for the 48 key bytes of a record."""
        if self._generation != self._mounts.generation or len(self._keys) > _CACHE:
            self._keys.clear()
            self._generation = self._mounts.generation
        known = self._keys.get(raw)
        if known is None:
            known = self._name(RawKey(*KEY_STRUCT.unpack(raw)))
            self._keys[raw] = known
        return known

    def _name(self, raw: RawKey) -> Key:
        probe = self._slots[raw.slot]
        comm = visible(raw.comm.split(b"\0", 1)[0])
        dataset = self._mounts.name(raw.dev, raw.pid)
        return Key(probe.op, raw.pid, comm, raw.uid, raw.cgroup, dataset, self._path(raw), probe.symbol)

    def _path(self, raw: RawKey) -> str:
        if raw.flags & NO_PATH:
            return f"inode#{raw.path_id}"
        path = self._paths.get(raw.path_id)
        if path is None:
            return UNKNOWN_PATH
        return path + DELETED_MARK if raw.flags & DELETED else path

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
            ino=raw.ino,
            bucket=raw.bucket,
        )
