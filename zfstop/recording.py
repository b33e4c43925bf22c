"""A recording: the history on disk, one SQLite file, written a second at a time.

The tables (format 1) are meant to be read by others too, with ``sqlite3`` or DuckDB. Times are nanoseconds unless
their name says otherwise; unsigned 64-bit numbers (``cgroup``, ``size``, ``ino``) are stored as signed ones.

``meta``      what was recorded: ``format``, ``zfstop`` (version), ``host``, ``kernel``, ``zfs``, ``started``
              (ISO 8601 with zone), ``place`` (free text), ``probes`` (JSON: attached, rejected, notes).
``texts``     every name once: ``id``, ``text``. (Twice in a very long recording: the writer's memory is bounded.)
``keys``      who waited on what; ``op``, ``comm``, ``dataset``, ``path``, ``symbol`` point into ``texts``.
``seconds``   ``clock`` is seconds since the epoch at the second's end, ``mono_ns`` CLOCK_MONOTONIC at the same
              moment; ``filters`` and ``notes`` are JSON or NULL for none; ``slots`` is how many probes had counters.
``counters``  those that are not 0, a row each; ``slot`` is the place in ``probes.attached``, ``counter`` in ``texts``.
``groups``    the slow calls of one key in one second. ``buckets`` is a JSON object, bucket number -> calls (see
              model/histogram.py); NULL when all calls are in the bucket of ``max_ns``.
``tallies``   all calls, slow or not, of one operation on one dataset in one second; ``buckets`` as above, never NULL;
              ``bytes`` were really moved.
``stuck``     the oldest calls in flight at the end of a second; ``waits_in`` is the kernel function it slept in.
``events``    single slow calls; they ended ``before_ns`` before their second did. ``file_offset`` and ``size`` are
              NULL where the call has none; ``bucket`` is NULL when it is the one of ``latency_ns``.

The ids of groups, tallies, stuck and events are ``second * 1048576 + place in the second``, so these tables lie
in order of time. ::

    SELECT c.text AS command, p.text AS path, max(e.latency_ns) / 1e6 AS max_ms, count(*) AS calls
    FROM events e JOIN keys k ON k.id = e.key JOIN texts c ON c.id = k.comm JOIN texts p ON p.id = k.path
    GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10;

Nothing in a file is trusted when it is read: see :func:`open_recording`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from zfstop import __version__
from zfstop.errors import Exit, UserError
from zfstop.model.events import Event, Key
from zfstop.model.histogram import BUCKETS, Buckets, bucket_of
from zfstop.model.history import InFlight, Second, Stats, Tally
from zfstop.model.state import Attached, Controls, Counts, Host, ProbeReport, Rejected
from zfstop.text import visible

StrPath = str | os.PathLike[str]

FORMAT: Final = 1
#: "ZFST" at byte 68, for file(1).
APPLICATION_ID: Final = 0x5A465354
#: Compared letter by letter when a file is opened: a change here is a new FORMAT.
_SCHEMA: Final = {
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "texts": "CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    "keys": (
        "CREATE TABLE keys (id INTEGER PRIMARY KEY, op INTEGER, pid INTEGER, comm INTEGER, uid INTEGER,"
        " cgroup INTEGER, dataset INTEGER, path INTEGER, symbol INTEGER)"
    ),
    "seconds": (
        "CREATE TABLE seconds (id INTEGER PRIMARY KEY, clock REAL, mono_ns INTEGER, length_ns INTEGER,"
        " threshold_ns INTEGER, filters TEXT, in_flight INTEGER, thinned INTEGER, slots INTEGER, notes TEXT)"
    ),
    "counters": (
        "CREATE TABLE counters (second INTEGER, slot INTEGER, counter INTEGER, value INTEGER,"
        " PRIMARY KEY (second, slot, counter)) WITHOUT ROWID"
    ),
    "groups": (
        "CREATE TABLE groups (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, calls INTEGER, errors INTEGER,"
        " total_ns INTEGER, max_ns INTEGER, bytes INTEGER, buckets TEXT)"
    ),
    "tallies": (
        "CREATE TABLE tallies (id INTEGER PRIMARY KEY, second INTEGER, op INTEGER, dataset INTEGER, errors INTEGER,"
        " total_ns INTEGER, bytes INTEGER, buckets TEXT)"
    ),
    "stuck": (
        "CREATE TABLE stuck (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, tid INTEGER, age_ns INTEGER,"
        " file_offset INTEGER, size INTEGER, waits_in INTEGER)"
    ),
    "events": (
        "CREATE TABLE events (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, before_ns INTEGER,"
        " latency_ns INTEGER, tid INTEGER, file_offset INTEGER, size INTEGER, result INTEGER, ino INTEGER,"
        " bucket INTEGER)"
    ),
}
_PER_SECOND: Final = 1 << 20
_MAX_INT: Final = (1 << 63) - 1
_U32: Final = (1 << 32) - 1
_U64: Final = (1 << 64) - 1
#: 9999-12-31, the last day a date can be made of.
_LAST_CLOCK: Final = 253_402_214_400
_MAX_FILE_BYTES: Final = 1 << 30
_MAX_TEXT_BYTES: Final = 1 << 16
#: Rows and histogram entries together: half an hour at 1,000 events a second is four million.
_MAX_ITEMS: Final = 10_000_000
#: Names the writer remembers before it forgets all and begins again.
_MAX_REMEMBERED: Final = 200_000


@dataclass(frozen=True, slots=True)
class Meta:
    """What a recording is of. ``started`` is ISO 8601 with a zone; ``place`` is free text and may be empty."""

    host: Host
    started: str
    place: str = ""
    probes: ProbeReport = field(default_factory=ProbeReport)
    zfstop: str = __version__


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was read and checked as a whole; the file is closed again."""

    meta: Meta
    _seconds: tuple[Second, ...]

    def seconds(self) -> tuple[Second, ...]:
        """All seconds, in order of time."""
        return self._seconds


# --- writing -----------------------------------------------------------------------------------------------------


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
        made = _create(self._path)
        self._db: sqlite3.Connection | None = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False
        )
        with self._or_stop():
            self._begin(self._db, meta)
            # In a folder of somebody else's the new file could have been swapped before SQLite opened it.
            if _identity(os.stat(self._path, follow_symlinks=False)) != made:
                raise OSError("another file was put in its place")

    def _begin(self, db: sqlite3.Connection, meta: Meta) -> None:
        """Tables and meta go into the main file, before WAL: without its -wal it still says what it is."""
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute("BEGIN")
        for sql in _SCHEMA.values():
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
                f"recording to '{_shown(self._path)}' stopped: {visible(str(error))}",
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
        first = number * _PER_SECOND
        db.execute("INSERT INTO seconds VALUES (?,?,?,?,?,?,?,?,?,?)", _second_row(number, second))
        db.executemany("INSERT INTO counters VALUES (?,?,?,?)", self._counter_rows(db, number, second))
        db.executemany(
            "INSERT INTO groups VALUES (?,?,?,?,?,?,?,?,?)",
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
            "INSERT INTO stuck VALUES (?,?,?,?,?,?,?,?)",
            (
                (
                    first + place,
                    number,
                    self._key(db, call.key),
                    *_stuck_row(call),
                    self._text(db, call.waits_in),
                )
                for place, call in enumerate(second.stuck)
            ),
        )
        db.executemany(
            "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                (first + place, number, self._key(db, event.key), *_event_row(event, second.mono_ns))
                for place, event in enumerate(second.events)
            ),
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
            op, comm, dataset, path, symbol = (
                self._text(db, text) for text in (key.op, key.comm, key.dataset, key.path, key.symbol)
            )
            known = self._remember(self._keys, key, "keys")
            row = (known, op, key.pid, comm, key.uid, _signed(key.cgroup), dataset, path, symbol)
            db.execute("INSERT INTO keys VALUES (?,?,?,?,?,?,?,?,?)", row)
        return known

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


def _create(path: str) -> tuple[int, int]:
    """Make an empty file that was not there, follow no link, give it to the caller of sudo. Returns its identity."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise UserError(
            Exit.USAGE, f"'{_shown(path)}' exists already", "choose another name, or remove it"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(Exit.USAGE, f"'{_shown(path)}' cannot be made: {_reason(error)}") from error
    try:
        owner = _sudo_user()
        if owner is not None:
            os.fchown(descriptor, *owner)
        return _identity(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _sudo_user() -> tuple[int, int] | None:
    try:
        ids = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    except (KeyError, ValueError):
        return None
    return ids if os.geteuid() == 0 and min(ids) >= 0 else None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


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
    }
    return (
        number,
        second.clock,
        second.mono_ns,
        second.length_ns,
        controls.threshold_ns,
        json.dumps(filters) if controls.filtered else None,
        second.in_flight,
        second.thinned,
        len(second.slots),
        json.dumps(second.notes) if second.notes else None,
    )


def _stats_row(stats: Stats) -> tuple[Any, ...]:
    """Without second and key. Sums of absurd sizes stop at what a column can hold."""
    single = dict(stats.buckets) == {bucket_of(stats.max_ns): stats.count}
    total, size = min(stats.total_ns, _MAX_INT), min(stats.bytes, _MAX_INT)
    packed = None if single else json.dumps(dict(stats.buckets), separators=(",", ":"))
    return stats.count, stats.errors, total, stats.max_ns, size, packed


def _tally_row(tally: Tally) -> tuple[Any, ...]:
    """Without second, operation and dataset."""
    packed = json.dumps(dict(tally.buckets), separators=(",", ":"))
    return tally.errors, min(tally.total_ns, _MAX_INT), min(tally.bytes, _MAX_INT), packed


def _stuck_row(call: InFlight) -> tuple[Any, ...]:
    """Without second, key and the last column."""
    return (
        call.tid,
        min(call.age_ns, _MAX_INT),
        call.offset,
        None if call.size is None else _signed(call.size),
    )


def _event_row(event: Event, mono_ns: int) -> tuple[Any, ...]:
    """Without second and key."""
    return (
        mono_ns - event.ts_ns,
        event.latency_ns,
        event.tid,
        event.offset,
        None if event.size is None else _signed(event.size),
        event.result,
        _signed(event.ino),
        None if event.bucket == bucket_of(event.latency_ns) else event.bucket,
    )


def _signed(number: int) -> int:
    return number - (1 << 64) if number > _MAX_INT else number


# --- reading -----------------------------------------------------------------------------------------------------


class _Unsound(Exception):
    """A value no zfstop writes; the text says which."""


T = TypeVar("T")


def open_recording(path: StrPath) -> Recording:
    """Read a whole recording, trusting nothing in it.

    The file is opened read-only and never locked or changed. Only if its tables are, letter by letter, those a
    writer makes (no views, triggers, indexes), they are read; every number is checked for its range and every text
    goes through ``visible``. Raises UserError for anything that is not a sound recording; a recording that was
    never closed is read up to its last full second.
    """
    try:
        uri = _uri(path)
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            _harden(db)
            return _Reader(db).recording(_shown(path))
    except (OSError, ValueError) as error:
        raise UserError(Exit.BAD_RECORDING, f"'{_shown(path)}' cannot be read: {_reason(error)}") from error
    except sqlite3.OperationalError as error:
        if _unclosed(path):
            raise UserError(
                Exit.BAD_RECORDING,
                f"'{_shown(path)}' was never closed and cannot be opened where it is",
                "copy it, together with the file of the same name and -wal, to a folder of yours",
            ) from error
        raise _damaged(path, error) from error
    except (sqlite3.Error, _Unsound, RecursionError, OverflowError, MemoryError) as error:
        raise _damaged(path, error) from error


def _damaged(path: StrPath, error: BaseException) -> UserError:
    reason = visible(str(error)) or type(error).__name__
    return UserError(Exit.BAD_RECORDING, f"'{_shown(path)}' is not a sound zfstop recording: {reason}")


def _uri(path: StrPath) -> str:
    """The SQLite URI of a file that can be one; raises OSError or UserError for what cannot."""
    real = os.path.realpath(path)
    status = os.stat(real)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a file")
    with open(real, "rb") as file:
        head = file.read(100)
    if not head.startswith(b"SQLite format 3\0"):
        raise UserError(Exit.BAD_RECORDING, f"'{_shown(path)}' is not a zfstop recording")
    if status.st_size > _MAX_FILE_BYTES:
        raise OSError(f"it is larger than {_MAX_FILE_BYTES >> 20} MiB")
    if _unclosed(real):
        return Path(real).as_uri() + "?mode=ro"
    # SQLite reads zeros behind the end of a page that is cut, and they can look like rows.
    if len(head) < 100 or status.st_size % (int.from_bytes(head[16:18], "big") or 1 << 16):
        raise OSError("its end is missing")
    # Nobody writes to it, and "immutable" needs no locks: it opens on a read-only disk too.
    return Path(real).as_uri() + "?mode=ro&immutable=1"


def _unclosed(path: StrPath) -> bool:
    try:
        return os.stat(os.path.realpath(path) + "-wal").st_size > 0
    except (OSError, ValueError):
        return False


def _harden(db: sqlite3.Connection) -> None:
    db.text_factory = bytes
    limits = {
        sqlite3.SQLITE_LIMIT_LENGTH: 1 << 20,
        sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 14,
        sqlite3.SQLITE_LIMIT_COLUMN: 32,
        sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 20,
        sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 2,
        sqlite3.SQLITE_LIMIT_ATTACHED: 0,
        sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    }
    for limit, value in limits.items():
        db.setlimit(limit, value)
    for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON", "mmap_size=0"):
        db.execute(f"PRAGMA {pragma}")


_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})


def _only_reads(action: int, table: str | None, *_: object) -> int:
    known = action == sqlite3.SQLITE_SELECT or table in _SCHEMA
    return sqlite3.SQLITE_OK if action in _ALLOWED and known else sqlite3.SQLITE_DENY


class _Reader:
    """Turns the rows of one file into seconds. Every method raises _Unsound or sqlite3.Error for a bad file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._items = 0

    def recording(self, shown: str) -> Recording:
        tables = self._tables()
        if tables.get("meta") != _SCHEMA["meta"]:
            raise UserError(Exit.BAD_RECORDING, f"'{shown}' is not a zfstop recording")
        meta = {_text(name): value for name, value in self._rows("SELECT name, value FROM meta")}
        _check_format(meta, shown)
        if tables != _SCHEMA:
            raise _Unsound("its tables are not those of a recording")
        self._check_pages()
        self._db.set_authorizer(_only_reads)
        return Recording(_meta(meta), self._seconds())

    def _tables(self) -> dict[str, str]:
        """Name -> SQL; a thing that is not a plain table is put under its kind, and so matches nothing."""
        rows = self._db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 50").fetchall()
        return {
            _text(name) if kind == b"table" and name == table else f"{_text(kind)} {_text(name)}": _text(
                sql or b""
            )
            for kind, name, table, sql in rows
        }

    def _check_pages(self) -> None:
        """Stops at the first damage; the size of the file, checked before, bounds the time."""
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != (b"ok",):
            raise _Unsound("the file is damaged")

    def _rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        for row in self._db.execute(sql):
            self._spend(1)
            yield row

    def _spend(self, items: int) -> None:
        self._items += items
        if self._items > _MAX_ITEMS:
            raise _Unsound("it holds more than this program reads")

    def _seconds(self) -> tuple[Second, ...]:
        texts = {number: _text(text) for number, text in self._rows("SELECT id, text FROM texts")}
        keys = self._keys(texts)
        counters = self._counters(texts)
        groups = self._by_second("groups", lambda row: self._group(row, keys))
        tallies = self._by_second("tallies", lambda row: self._tally(row, texts))
        stuck = self._by_second("stuck", lambda row: _stuck(row, keys, texts))
        events = self._by_second("events", lambda row: _Call(row, keys))
        seconds = []
        for row in self._rows("SELECT * FROM seconds ORDER BY id"):
            slots = counters.pop(row[0], {})
            second = self._second(row, slots, groups.pop(row[0], ()), events.pop(row[0], ()))
            more = replace(second, tallies=tallies.pop(row[0], ()), stuck=stuck.pop(row[0], ()))
            seconds.append(more)
        if groups or events or counters or tallies or stuck:
            raise _Unsound("it holds rows of no second")
        return tuple(seconds)

    def _keys(self, texts: dict[int, str]) -> dict[int, Key]:
        return {
            row[0]: Key(
                op=_known(texts, row[1]),
                pid=_int(row[2], 0, _U32),
                comm=_known(texts, row[3]),
                uid=_int(row[4], 0, _U32),
                cgroup=_unsigned(row[5]),
                dataset=_known(texts, row[6]),
                path=_known(texts, row[7]),
                symbol=_known(texts, row[8]),
            )
            for row in self._rows("SELECT * FROM keys")
        }

    def _counters(self, texts: dict[int, str]) -> dict[int, dict[int, dict[str, int]]]:
        """Second -> slot -> counter -> value. Counters this version does not know are left out."""
        found: dict[int, dict[int, dict[str, int]]] = {}
        for second, slot, counter, value in self._rows("SELECT second, slot, counter, value FROM counters"):
            name = _known(texts, counter)
            of_slot = found.setdefault(_int(second, 0, _MAX_INT), {}).setdefault(_int(slot, 0, 4095), {})
            if name in Counts._fields:
                of_slot[name] = _int(value, -_MAX_INT, _MAX_INT)
        return found

    def _by_second(self, table: str, made: Callable[[tuple[Any, ...]], T]) -> dict[int, tuple[T, ...]]:
        found: dict[int, list[T]] = {}
        for row in self._rows(f"SELECT * FROM {table} ORDER BY id"):
            if type(row[1]) is not int or row[0] // _PER_SECOND != row[1]:
                raise _Unsound(f"a row of {table} is in the wrong second")
            found.setdefault(row[1], []).append(made(row))
        return {second: tuple(rows) for second, rows in found.items()}

    def _group(self, row: tuple[Any, ...], keys: dict[int, Key]) -> tuple[Key, Stats]:
        _, _, key, calls, errors, total_ns, max_ns, size, packed = row
        count = _int(calls, 1, _MAX_INT)
        longest = _int(max_ns, 0, _MAX_INT)
        buckets = {bucket_of(longest): count} if packed is None else _buckets(packed)
        self._spend(len(buckets))
        stats = Stats(
            count,
            _int(errors, 0, count),
            _int(total_ns, 0, _MAX_INT),
            longest,
            _int(size, 0, _MAX_INT),
            buckets,
        )
        return _known(keys, key), stats

    def _tally(self, row: tuple[Any, ...], texts: dict[int, str]) -> tuple[str, str, Tally]:
        _, _, op, dataset, errors, total_ns, size, packed = row
        buckets = _buckets(packed)
        self._spend(len(buckets))
        calls = sum(buckets.values())
        tally = Tally(
            calls, _int(errors, 0, calls), _int(total_ns, 0, _MAX_INT), _int(size, 0, _MAX_INT), buckets
        )
        return _known(texts, op), _known(texts, dataset), tally

    def _second(
        self,
        row: tuple[Any, ...],
        slots: dict[int, dict[str, int]],
        groups: tuple[tuple[Key, Stats], ...],
        calls: tuple[_Call, ...],
    ) -> Second:
        _, clock, mono, length, threshold, filters, in_flight, thinned, slot_count, notes = row
        count = _int(slot_count, 0, 4096)
        if max(slots, default=-1) >= count:
            raise _Unsound("it counts for probes it does not have")
        self._spend(count)
        mono_ns = _int(mono, 0, _MAX_INT)
        return Second(
            clock=_clock(clock),
            mono_ns=mono_ns,
            length_ns=_int(length, 0, _MAX_INT),
            controls=_controls(_int(threshold, 0, _MAX_INT), filters),
            groups=groups,
            events=tuple(call.event(mono_ns) for call in calls),
            thinned=_int(thinned, 0, _MAX_INT),
            slots=tuple(Counts(**slots.get(slot, {})) for slot in range(count)),
            in_flight=_int(in_flight, 0, _MAX_INT),
            notes=() if notes is None else _texts(_json(notes)),
        )


def _stuck(row: tuple[Any, ...], keys: dict[int, Key], texts: dict[int, str]) -> InFlight:
    _, _, key, tid, age_ns, offset, size, waits_in = row
    return InFlight(
        _known(keys, key),
        _int(tid, 0, _U32),
        _int(age_ns, 0, _MAX_INT),
        None if offset is None else _int(offset),
        None if size is None else _unsigned(size),
        _known(texts, waits_in),
    )


class _Call:
    """A row of events and its key, until the end of its second is known."""

    __slots__ = ("_key", "_row")

    def __init__(self, row: tuple[Any, ...], keys: dict[int, Key]) -> None:
        self._row = row
        self._key = _known(keys, row[2])

    def event(self, mono_ns: int) -> Event:
        _, _, _, before, latency, tid, offset, size, result, ino, bucket = self._row
        latency_ns = _int(latency, 0, _MAX_INT)
        return Event(
            key=self._key,
            ts_ns=_int(mono_ns - _int(before), 0, _U64),
            latency_ns=latency_ns,
            tid=_int(tid, 0, _U32),
            offset=None if offset is None else _int(offset),
            size=None if size is None else _unsigned(size),
            result=_int(result),
            ino=_unsigned(ino),
            bucket=bucket_of(latency_ns) if bucket is None else _int(bucket, 0, BUCKETS - 1),
        )


def _check_format(meta: dict[str, Any], shown: str) -> None:
    written = _text(meta.get("format", b""))
    if written != str(FORMAT):
        raise UserError(
            Exit.BAD_RECORDING,
            f"'{shown}' was written by zfstop {_text(meta.get('zfstop', b'?'))[:40]} in format {written[:40]};"
            f" this zfstop {__version__} reads format {FORMAT}",
            "open it with the zfstop that wrote it",
        )


def _meta(rows: dict[str, Any]) -> Meta:
    try:
        texts = {name: _text(rows[name]) for name in ("zfstop", "host", "kernel", "zfs", "started", "place")}
        probes = _json(rows["probes"])
    except KeyError as error:
        raise _Unsound(f"it does not say its {error}") from None
    try:
        zone = datetime.fromisoformat(texts["started"]).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise _Unsound("it does not say when it was made")
    host = Host(texts["host"], texts["kernel"], texts["zfs"])
    return Meta(host, texts["started"], texts["place"], _probes(probes), texts["zfstop"])


def _probes(report: Any) -> ProbeReport:
    parts = _dict(report)
    return ProbeReport(
        attached=tuple(Attached(**_members(Attached, item)) for item in _list(parts.get("attached"))),
        rejected=tuple(Rejected(**_members(Rejected, item)) for item in _list(parts.get("rejected"))),
        notes=_texts(parts.get("notes")),
    )


def _members(kind: type[Attached] | type[Rejected], item: Any) -> dict[str, str]:
    given = _dict(item)
    return {member.name: _string(given.get(member.name, "")) for member in fields(kind)}


def _controls(threshold_ns: int, packed: Any) -> Controls:
    filters = {} if packed is None else _dict(_json(packed))
    return Controls(
        threshold_ns=threshold_ns,
        pids=frozenset(_int(pid, 0, _U32) for pid in _list(filters.get("pids", []))),
        datasets=frozenset(_texts(filters.get("datasets", []))),
        ops=frozenset(_texts(filters.get("ops", []))),
    )


def _buckets(packed: Any) -> Buckets:
    found = _dict(_json(packed))
    return {_bucket(name): _int(count, 1, _MAX_INT) for name, count in found.items()}


def _bucket(name: str) -> int:
    if not (name.isascii() and name.isdigit() and len(name) <= 3):
        raise _Unsound("a bucket has no number")
    return _int(int(name), 0, BUCKETS - 1)


def _json(packed: Any) -> Any:
    try:
        return json.loads(packed if type(packed) is bytes else b"")
    except (ValueError, RecursionError):
        raise _Unsound("a column is not JSON") from None


def _dict(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise _Unsound("a JSON column has another shape")
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise _Unsound("a JSON column has another shape")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_string, _list(value)))


def _string(value: Any) -> str:
    if type(value) is not str or len(value) > _MAX_TEXT_BYTES:
        raise _Unsound("a JSON text is not a text")
    return visible(value)


def _text(value: Any) -> str:
    if type(value) is not bytes or len(value) > _MAX_TEXT_BYTES:
        raise _Unsound("a name is not a text")
    return visible(value)


def _known(table: dict[int, T], number: Any) -> T:
    if type(number) is not int or number not in table:
        raise _Unsound("a row names what is not there")
    return table[number]


def _int(value: Any, low: int = -_MAX_INT - 1, high: int = _MAX_INT) -> int:
    if type(value) is not int or not low <= value <= high:
        raise _Unsound("a number is out of range")
    return value


def _unsigned(value: Any) -> int:
    return _int(value) & _U64


def _clock(value: Any) -> float:
    if type(value) is not float or not math.isfinite(value) or not 0 <= value <= _LAST_CLOCK:
        raise _Unsound("a time is out of range")
    return value


def _shown(path: StrPath) -> str:
    return visible(os.fsencode(path))


def _reason(error: BaseException) -> str:
    return visible(str(getattr(error, "strerror", None) or error))
