"""Makes a recording's file and writes seconds as rows."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final

from zfstop.errors import Exit, UserError
from zfstop.model.events import Event, Key
from zfstop.model.histogram import bucket_of
from zfstop.model.history import InFlight, Second, Stats, Tally
from zfstop.model.state import Controls, Counts
from zfstop.model.zfs_state import ZfsState
from zfstop.recording.files import Identity, create, identity_of
from zfstop.recording.paths import StrPath, shown_path
from zfstop.recording.schema import APPLICATION_ID, FORMAT, MAX_INT, PER_SECOND, SCHEMA, Meta
from zfstop.recording.zfs_rows import pool_rows, txg_rows, waits_text, zfs_row
from zfstop.text import visible

#: Names the writer remembers before it forgets all and begins again.
_MAX_REMEMBERED: Final = 200_000


class Writer:
    """Writes a new recording; a context manager.

    Every second is one transaction on disk when :meth:`append` returns, so after a crash or power loss the file is
    good up to the last of them (together with ``FILE-wal``, which :meth:`close` folds in). For one thread at a time;
    ``append`` takes as long as the disk does, so not the collector's.
    """

    def __init__(self, path: StrPath, meta: Meta) -> None:
        """Create ``path``, readable by its owner only: under sudo, the user who called sudo.

        Raises UserError if it exists already or cannot be made.
        """
        self._path = os.path.abspath(path)
        self._texts: dict[str, int] = {}
        self._keys: dict[Key, int] = {}
        self._next = {"texts": 1, "keys": 1, "seconds": 1}
        made = _made(self._path)
        self._db: sqlite3.Connection | None = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False
        )
        with self._or_stop():
            self._begin(self._db, meta)
            # In a folder of somebody else's the new file could have been swapped before SQLite opened it.
            if identity_of(os.stat(self._path, follow_symlinks=False)) != made:
                raise OSError("another file was put in its place")

    def _begin(self, db: sqlite3.Connection, meta: Meta) -> None:
        """Tables and meta go into the main file, before WAL: without its -wal it still says what it is."""
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute("BEGIN")
        for sql in SCHEMA.values():
            db.execute(sql)
        db.executemany("INSERT INTO meta VALUES (?, ?)", _meta_rows(meta))
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")

    def append(self, second: Second) -> None:
        """Write one second. Does nothing once the writer is closed or has failed.

        Raises UserError, once, when it cannot be written (disk full); what was written before stays readable.
        """
        if self._db is None:
            return
        with self._or_stop():
            self._db.execute("BEGIN")
            self._insert(self._db, second)
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Leave one plain file without companions. May be called twice. Raises UserError when the disk is full."""
        if self._db is None:
            return
        with self._or_stop():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            # A reader may hold the file; it then stays in WAL mode, which is as good.
            with contextlib.suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode=DELETE")
        self._drop()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _or_stop(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._drop()
            raise UserError(
                Exit.BAD_RECORDING,
                f"recording to '{shown_path(self._path)}' stopped: {visible(str(error))}",
                "make room on that disk, or record to another one",
            ) from error
        except BaseException:
            # What was interned in the transaction that ends here would be missing from all later ones.
            self._drop()
            raise

    def _drop(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _insert(self, db: sqlite3.Connection, second: Second) -> None:
        number = self._new_id("seconds")
        first = number * PER_SECOND
        db.execute("INSERT INTO seconds VALUES (?,?,?,?,?,?,?,?,?,?)", _second_row(number, second))
        db.executemany("INSERT INTO counters VALUES (?,?,?,?)", self._counter_rows(db, number, second))
        db.executemany(
            "INSERT INTO groups VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                (first + place, number, self._key(db, key), *_stats_row(stats))
                for place, (key, stats) in enumerate(second.groups)
            ),
        )
        db.executemany(
            "INSERT INTO tallies VALUES (?,?,?,?,?,?,?,?)",
            (
                (first + place, number, self._text(db, op), self._text(db, dataset), *_tally_row(tally))
                for place, (op, dataset, tally) in enumerate(second.tallies)
            ),
        )
        db.executemany(
            "INSERT INTO stuck VALUES (?,?,?,?,?,?,?,?,?)",
            (
                (
                    first + place,
                    number,
                    self._key(db, call.key),
                    *_stuck_row(call),
                    self._text(db, call.waits_in),
                    waits_text(call.waits),
                )
                for place, call in enumerate(second.stuck)
            ),
        )
        db.executemany(
            "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                (first + place, number, self._key(db, event.key), *self._event_row(db, event, second.mono_ns))
                for place, event in enumerate(second.events)
            ),
        )
        if second.zfs is not None:
            self._insert_zfs(db, number, second.mono_ns, second.zfs)

    def _insert_zfs(self, db: sqlite3.Connection, number: int, mono_ns: int, state: ZfsState) -> None:
        def intern(text: str) -> int:
            return self._text(db, text)

        first = number * PER_SECOND
        row = zfs_row(number, state, intern)
        db.execute(f"INSERT INTO zfs VALUES ({','.join('?' * len(row))})", row)
        db.executemany(
            "INSERT INTO pools VALUES (?,?,?,?,?,?,?,?)",
            ((first + place, number, *pool) for place, pool in enumerate(pool_rows(state, intern))),
        )
        db.executemany(
            "INSERT INTO txgs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            ((first + place, number, *txg) for place, txg in enumerate(txg_rows(state, mono_ns, intern))),
        )

    def _counter_rows(
        self, db: sqlite3.Connection, number: int, second: Second
    ) -> Iterator[tuple[int, int, int, int]]:
        for slot, counts in enumerate(second.slots):
            for name, value in zip(Counts._fields, counts, strict=True):
                if value:
                    yield number, slot, self._text(db, name), value

    def _key(self, db: sqlite3.Connection, key: Key) -> int:
        known = self._keys.get(key)
        if known is None:
            op, comm, dataset, path, symbol, where = (
                self._text(db, text)
                for text in (key.op, key.comm, key.dataset, key.path, key.symbol, key.where)
            )
            known = self._remember(self._keys, key, "keys")
            who = op, key.pid, comm, key.uid, _signed(key.cgroup)
            row = (known, *who, dataset, path, symbol, where, key.inner_pid)
            db.execute("INSERT INTO keys VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
        return known

    def _event_row(self, db: sqlite3.Connection, event: Event, mono_ns: int) -> tuple[Any, ...]:
        """Without second and key."""
        return (
            mono_ns - event.ts_ns,
            event.latency_ns,
            event.tid,
            event.offset,
            None if event.size is None else _signed(event.size),
            event.result,
            self._text(db, event.to) if event.to else None,
            None if event.bucket == bucket_of(event.latency_ns) else event.bucket,
            waits_text(event.waits),
            self._text(db, event.slept_in) if event.slept_in else None,
        )

    def _text(self, db: sqlite3.Connection, text: str) -> int:
        known = self._texts.get(text)
        if known is None:
            known = self._remember(self._texts, text, "texts")
            db.execute("INSERT INTO texts VALUES (?,?)", (known, visible(text)))
        return known

    def _remember(self, names: dict[Any, int], name: Any, table: str) -> int:
        if len(names) >= _MAX_REMEMBERED:
            names.clear()
        names[name] = self._new_id(table)
        return names[name]

    def _new_id(self, table: str) -> int:
        self._next[table] += 1
        return self._next[table] - 1


def _made(path: str) -> Identity:
    """Make the file; returns its identity."""
    descriptor = create(path)
    try:
        return identity_of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _meta_rows(meta: Meta) -> list[tuple[str, str]]:
    return [
        ("format", str(FORMAT)),
        ("zfstop", meta.zfstop),
        ("host", meta.host.name),
        ("kernel", meta.host.kernel),
        ("zfs", meta.host.zfs),
        ("started", meta.started),
        ("place", meta.place),
        ("probes", json.dumps(asdict(meta.probes))),
    ]


def _second_row(number: int, second: Second) -> tuple[Any, ...]:
    controls = second.controls
    filters = {
        "pids": sorted(controls.pids),
        "datasets": sorted(controls.datasets),
        "ops": sorted(controls.ops),
        "classes": sorted(controls.classes),
    }
    return (
        number,
        second.clock,
        second.mono_ns,
        second.length_ns,
        controls.threshold_ns,
        json.dumps(filters) if controls != Controls(controls.threshold_ns) else None,
        second.in_flight,
        second.thinned,
        len(second.slots),
        json.dumps(second.notes) if second.notes else None,
    )


def _stats_row(stats: Stats) -> tuple[Any, ...]:
    """Without second and key. Sums of absurd sizes stop at what a column can hold."""
    single = dict(stats.buckets) == {bucket_of(stats.max_ns): stats.count}
    total, size = min(stats.total_ns, MAX_INT), min(stats.bytes, MAX_INT)
    packed = None if single else json.dumps(dict(stats.buckets), separators=(",", ":"))
    return stats.count, stats.errors, total, stats.max_ns, size, packed, waits_text(stats.waits)


def _tally_row(tally: Tally) -> tuple[Any, ...]:
    """Without second, operation and dataset."""
    packed = json.dumps(dict(tally.buckets), separators=(",", ":"))
    return tally.errors, min(tally.total_ns, MAX_INT), min(tally.bytes, MAX_INT), packed


def _stuck_row(call: InFlight) -> tuple[Any, ...]:
    """Without second, key and the last two columns."""
    return (
        call.tid,
        min(call.age_ns, MAX_INT),
        call.offset,
        None if call.size is None else _signed(call.size),
    )


def _signed(number: int) -> int:
    return number - (1 << 64) if number > MAX_INT else number
