"""Reads a recording that anybody may have made: checks the file, then turns rows into seconds."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from zfstop import __version__
from zfstop.errors import Exit, UserError
from zfstop.model.events import Event, Key
from zfstop.model.histogram import BUCKETS, Buckets, bucket_of
from zfstop.model.history import InFlight, Second, Stats, Tally
from zfstop.model.state import Attached, Controls, Counts, Host, ProbeReport, Rejected
from zfstop.recording.paths import StrPath, reason_of, shown_path
from zfstop.recording.schema import MAX_INT, PER_SECOND, SCHEMA, SCHEMAS, Meta, Recording
from zfstop.recording.values import (
    U32,
    U64,
    Unsound,
    clock_of,
    dict_of,
    int_of,
    json_of,
    list_of,
    string_of,
    text_of,
    texts_of,
    unsigned_of,
    waits_of,
)
from zfstop.recording.zfs_read import ZfsRows
from zfstop.text import visible
from zfstop.zfs.operations import DEFAULT_CLASSES

_MAKES_ONE: Final = "zfstop record -o FILE makes one"
_MAX_FILE_BYTES: Final = 1 << 30
#: Rows and histogram entries together: half an hour at 1,000 events a second is four million.
_MAX_ITEMS: Final = 10_000_000
#: Names remembered before all are forgotten: a recording can hold more than memory does.
_MAX_REMEMBERED: Final = 100_000


#: What reading a bad file can raise.
BAD: Final = (sqlite3.Error, Unsound, RecursionError, OverflowError, MemoryError)

T = TypeVar("T")


def open_recording(path: StrPath) -> Recording:
    """Read a whole recording, trusting nothing in it.

    The file is opened read-only and never locked or changed. Only if its tables are, letter by letter, those a
    writer makes (no views, triggers, indexes), they are read; every number is checked for its range and every text
    goes through ``visible``. Raises UserError for anything that is not a sound recording; a recording that was
    never closed is read up to its last full second.
    """
    with refusing(path), contextlib.closing(connect(path, _MAX_FILE_BYTES)) as db:
        reader = Reader(db, shown_path(path))
        reader.check_pages()
        return Recording(reader.meta, reader.all_seconds())


def connect(path: StrPath, most_bytes: int) -> sqlite3.Connection:
    """Open read-only and harden; raises what :func:`refusing` turns into a sentence."""
    db = sqlite3.connect(_uri(path, most_bytes), uri=True, isolation_level=None, check_same_thread=False)
    try:
        _harden(db)
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def refusing(path: StrPath) -> Iterator[None]:
    """Whatever a bad file leads to becomes a UserError."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise UserError(
            Exit.BAD_RECORDING,
            f"'{shown_path(path)}' cannot be read: {reason_of(error)}",
            "name a file that zfstop record has written, and that you may read",
        ) from error
    except sqlite3.OperationalError as error:
        if _unclosed(path):
            raise UserError(
                Exit.BAD_RECORDING,
                f"'{shown_path(path)}' was never closed and cannot be opened where it is",
                "copy it, together with the file of the same name and -wal, to a folder of yours",
            ) from error
        raise _damaged(path, error) from error
    except BAD as error:
        raise _damaged(path, error) from error


def _damaged(path: StrPath, error: BaseException) -> UserError:
    reason = visible(str(error)) or type(error).__name__
    sentence = f"'{shown_path(path)}' is not a sound zfstop recording: {reason}"
    return UserError(Exit.BAD_RECORDING, sentence, "copy it anew from where it was recorded")


def _uri(path: StrPath, most_bytes: int) -> str:
    """The SQLite URI of a file that can be one; raises OSError or UserError for what cannot."""
    real = os.path.realpath(path)
    status = os.stat(real)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a file")
    with open(real, "rb") as file:
        head = file.read(100)
    if not head.startswith(b"SQLite format 3\0"):
        raise UserError(Exit.BAD_RECORDING, f"'{shown_path(path)}' is not a zfstop recording", _MAKES_ONE)
    if status.st_size > most_bytes:
        raise OSError(f"it is larger than {most_bytes >> 20} MiB")
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


def _only_reads(action: int, table: str | None, name: str | None, *_: object) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_OK if name == "sum" else sqlite3.SQLITE_DENY
    known = action == sqlite3.SQLITE_SELECT or table in SCHEMA
    return sqlite3.SQLITE_OK if action in _ALLOWED and known else sqlite3.SQLITE_DENY


class Lookup(Generic[T]):
    """Rows of a table by their id, read when they are first asked for; forgets all rather than grow."""

    def __init__(self, db: sqlite3.Connection, sql: str, made: Callable[[tuple[Any, ...]], T]) -> None:
        self._db = db
        self._sql = sql
        self._made = made
        self._found: dict[int, T] = {}

    def get(self, number: Any) -> T:
        """Raises Unsound when there is no such row."""
        if type(number) is not int:
            raise Unsound("a row names what is not there")
        found = self._found.get(number)
        if found is None:
            row = self._db.execute(self._sql, (number,)).fetchone()
            if row is None:
                raise Unsound("a row names what is not there")
            if len(self._found) >= _MAX_REMEMBERED:
                self._found.clear()
            found = self._found[number] = self._made(row)
        return found


#: Ids of seconds, the first and the last.
Span = tuple[int, int]


class Reader:
    """Turns the rows of one file into seconds. Every method raises Unsound or sqlite3.Error for a bad file."""

    def __init__(self, db: sqlite3.Connection, shown: str) -> None:
        """Look at the tables; raises UserError for a file that is no recording, or of another format."""
        self._db = db
        self._items, self._most_items = 0, _MAX_ITEMS
        tables = self._tables()
        if tables.get("meta") != SCHEMA["meta"]:
            raise UserError(Exit.BAD_RECORDING, f"'{shown}' is not a zfstop recording", _MAKES_ONE)
        meta = {text_of(name): value for name, value in self._rows("SELECT name, value FROM meta")}
        if tables != _schema(meta, shown):
            raise Unsound("its tables are not those of a recording")
        self.meta = _meta(meta)
        #: Events name the other path, which format 1 did not; ZFS and waits came with format 3.
        self._to_paths = tables != SCHEMAS["1"]
        self._has_zfs = tables == SCHEMA
        self._texts = Lookup(db, "SELECT text FROM texts WHERE id = ?", lambda row: text_of(row[0]))
        self._keys = Lookup(db, "SELECT * FROM keys WHERE id = ?", lambda row: _key(row, self._texts))

    def check_pages(self) -> None:
        """Stops at the first damage; the size of the file, checked before, bounds the time. From then on only reads."""
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != (b"ok",):
            raise Unsound("the file is damaged")
        self.lock()

    def lock(self) -> None:
        """Nothing but reading tables is possible from now on."""
        self._db.set_authorizer(_only_reads)

    def all_seconds(self) -> tuple[Second, ...]:
        """Every second; a row of a second that is not there is an error."""
        return self._seconds(None, _MAX_ITEMS)

    def some_seconds(self, span: Span, most_items: int) -> tuple[Second, ...]:
        """Those with these ids."""
        return self._seconds(span, most_items)

    def index(self) -> Iterator[tuple[int, float, int, int, int]]:
        """(id, clock, mono_ns, length_ns, threshold_ns) of every second, in order."""
        sql = "SELECT id, clock, mono_ns, length_ns, threshold_ns FROM seconds ORDER BY id"
        for number, clock, *figures in self._db.execute(sql):
            mono_ns, length_ns, threshold_ns = (int_of(figure, 0, MAX_INT) for figure in figures)
            yield int_of(number), clock_of(clock), mono_ns, length_ns, threshold_ns

    def counted(self, span: Span) -> dict[int, Counts]:
        """Slot -> its counters, added up over these seconds."""
        sql = "SELECT slot, counter, sum(value) FROM counters WHERE second BETWEEN ? AND ? GROUP BY slot, counter"
        found: dict[int, Counts] = {}
        for slot, counter, value in self._db.execute(sql, span):
            name, number = self._texts.get(counter), int_of(slot, 0, 4095)
            if name in Counts._fields:
                found[number] = found.get(number, Counts())._replace(**{name: int_of(value)})
        return found

    def datasets(self, most: int) -> tuple[str, ...]:
        """Names that occur, sorted; at most so many of them."""
        rows = self._db.execute("SELECT DISTINCT dataset FROM keys LIMIT ?", (most,)).fetchall()
        return tuple(sorted({self._texts.get(number) for (number,) in rows}))

    def _tables(self) -> dict[str, str]:
        """Name -> SQL; a thing that is not a plain table is put under its kind, and so matches nothing."""
        rows = self._db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 50").fetchall()
        return {
            text_of(name)
            if kind == b"table" and name == table
            else f"{text_of(kind)} {text_of(name)}": text_of(sql or b"")
            for kind, name, table, sql in rows
        }

    def _rows(self, sql: str, values: tuple[int, ...] = ()) -> Iterator[tuple[Any, ...]]:
        for row in self._db.execute(sql, values):
            self._spend(1)
            yield row

    def _spend(self, items: int) -> None:
        self._items += items
        if self._items > self._most_items:
            raise Unsound("it holds more than this program reads")

    def _seconds(self, span: Span | None, most_items: int) -> tuple[Second, ...]:
        self._items, self._most_items = 0, most_items
        counters = self._counters(span)
        groups = self._by_second("groups", span, self._group)
        tallies = self._by_second("tallies", span, self._tally)
        stuck = self._by_second("stuck", span, lambda row: _stuck(row, self._keys, self._texts))
        events = self._by_second(
            "events", span, lambda row: _Call(row, self._keys, self._texts, self._to_paths)
        )
        states = self._states(span) if self._has_zfs else {}
        seconds = []
        where, values = ("WHERE id BETWEEN ? AND ? ", span) if span else ("", ())
        for row in self._rows(f"SELECT * FROM seconds {where}ORDER BY id", values):
            slots = counters.pop(row[0], {})
            second = self._second(row, slots, groups.pop(row[0], ()), events.pop(row[0], ()))
            more = replace(second, tallies=tallies.pop(row[0], ()), stuck=stuck.pop(row[0], ()))
            known = states.pop(row[0], None)
            seconds.append(more if known is None else replace(more, zfs=known.at(second.mono_ns)))
        if groups or events or counters or tallies or stuck or states:
            raise Unsound("it holds rows of no second")
        return tuple(seconds)

    def _states(self, span: Span | None) -> dict[int, ZfsRows]:
        where, values = ("WHERE second BETWEEN ? AND ? ", span) if span else ("", ())
        rows = self._rows(f"SELECT * FROM zfs {where}ORDER BY second", values)
        found = {int_of(row[0]): ZfsRows(row, self._texts.get) for row in rows}
        for table, add in (("pools", ZfsRows.add_pool), ("txgs", ZfsRows.add_txg)):
            for second, rows_of in self._by_second(table, span, lambda row: row).items():
                if second not in found:
                    raise Unsound(f"it holds {table} of no second")
                for row in rows_of:
                    add(found[second], row)
        return found

    def _counters(self, span: Span | None) -> dict[int, dict[int, dict[str, int]]]:
        """Second -> slot -> counter -> value. Counters this version does not know are left out."""
        found: dict[int, dict[int, dict[str, int]]] = {}
        where, values = ("WHERE second BETWEEN ? AND ?", span) if span else ("", ())
        rows = self._rows(f"SELECT second, slot, counter, value FROM counters {where}", values)
        for second, slot, counter, value in rows:
            name = self._texts.get(counter)
            of_slot = found.setdefault(int_of(second), {}).setdefault(int_of(slot, 0, 4095), {})
            if name in Counts._fields:
                of_slot[name] = int_of(value, -MAX_INT, MAX_INT)
        return found

    def _by_second(
        self, table: str, span: Span | None, made: Callable[[tuple[Any, ...]], T]
    ) -> dict[int, tuple[T, ...]]:
        found: dict[int, list[T]] = {}
        where, values = "", cast(tuple[int, ...], ())
        if span is not None:
            where = "WHERE id BETWEEN ? AND ? "
            values = span[0] * PER_SECOND, span[1] * PER_SECOND + PER_SECOND - 1
        for row in self._rows(f"SELECT * FROM {table} {where}ORDER BY id", values):
            if type(row[1]) is not int or row[0] // PER_SECOND != row[1]:
                raise Unsound(f"a row of {table} is in the wrong second")
            found.setdefault(row[1], []).append(made(row))
        return {second: tuple(rows) for second, rows in found.items()}

    def _group(self, row: tuple[Any, ...]) -> tuple[Key, Stats]:
        _, _, key, calls, errors, total_ns, max_ns, size, packed, *waits = row
        count = int_of(calls, 1, MAX_INT)
        longest = int_of(max_ns, 0, MAX_INT)
        buckets = {bucket_of(longest): count} if packed is None else _buckets(packed)
        self._spend(len(buckets))
        stats = Stats(
            count,
            int_of(errors, 0, count),
            int_of(total_ns, 0, MAX_INT),
            longest,
            int_of(size, 0, MAX_INT),
            buckets,
            waits_of(*waits),
        )
        return self._keys.get(key), stats

    def _tally(self, row: tuple[Any, ...]) -> tuple[str, str, Tally]:
        _, _, op, dataset, errors, total_ns, size, packed = row
        buckets = _buckets(packed)
        self._spend(len(buckets))
        calls = sum(buckets.values())
        tally = Tally(
            calls, int_of(errors, 0, calls), int_of(total_ns, 0, MAX_INT), int_of(size, 0, MAX_INT), buckets
        )
        return self._texts.get(op), self._texts.get(dataset), tally

    def _second(
        self,
        row: tuple[Any, ...],
        slots: dict[int, dict[str, int]],
        groups: tuple[tuple[Key, Stats], ...],
        calls: tuple[_Call, ...],
    ) -> Second:
        _, clock, mono, length, threshold, filters, in_flight, thinned, slot_count, notes = row
        count = int_of(slot_count, 0, 4096)
        if max(slots, default=-1) >= count:
            raise Unsound("it counts for probes it does not have")
        self._spend(count)
        mono_ns = int_of(mono, 0, MAX_INT)
        return Second(
            clock=clock_of(clock),
            mono_ns=mono_ns,
            length_ns=int_of(length, 0, MAX_INT),
            controls=_controls(int_of(threshold, 0, MAX_INT), filters),
            groups=groups,
            events=tuple(call.event(mono_ns) for call in calls),
            thinned=int_of(thinned, 0, MAX_INT),
            slots=tuple(Counts(**slots.get(slot, {})) for slot in range(count)),
            in_flight=int_of(in_flight, 0, MAX_INT),
            notes=() if notes is None else texts_of(json_of(notes)),
        )


def _key(row: tuple[Any, ...], texts: Lookup[str]) -> Key:
    _, op, pid, comm, uid, cgroup, dataset, path, symbol, *of_caller = row
    known = Key(
        op=texts.get(op),
        pid=int_of(pid, 0, U32),
        comm=texts.get(comm),
        uid=int_of(uid, 0, U32),
        cgroup=unsigned_of(cgroup),
        dataset=texts.get(dataset),
        path=texts.get(path),
        symbol=texts.get(symbol),
    )
    if not of_caller:
        return known
    where, inner_pid = of_caller
    return known._replace(where=texts.get(where), inner_pid=int_of(inner_pid, 0, U32))


def _stuck(row: tuple[Any, ...], keys: Lookup[Key], texts: Lookup[str]) -> InFlight:
    _, _, key, tid, age_ns, offset, size, waits_in, *waits = row
    return InFlight(
        keys.get(key),
        int_of(tid, 0, U32),
        int_of(age_ns, 0, MAX_INT),
        None if offset is None else int_of(offset),
        None if size is None else unsigned_of(size),
        texts.get(waits_in),
        waits_of(*waits),
    )


class _Call:
    """A row of events and its key, until the end of its second is known."""

    __slots__ = ("_key", "_row", "_slept_in", "_to")

    def __init__(self, row: tuple[Any, ...], keys: Lookup[Key], texts: Lookup[str], to_paths: bool) -> None:
        self._row = row[:11] + (row[11:] or (None, None))
        self._key = keys.get(row[2])
        self._to = texts.get(row[9]) if to_paths and row[9] is not None else ""
        slept_in = self._row[12]
        self._slept_in = "" if slept_in is None else texts.get(slept_in)

    def event(self, mono_ns: int) -> Event:
        _, _, _, before, latency, tid, offset, size, result, _, bucket, waits, _ = self._row
        latency_ns = int_of(latency, 0, MAX_INT)
        return Event(
            key=self._key,
            ts_ns=int_of(mono_ns - int_of(before), 0, U64),
            latency_ns=latency_ns,
            tid=int_of(tid, 0, U32),
            offset=None if offset is None else int_of(offset),
            size=None if size is None else unsigned_of(size),
            result=int_of(result),
            bucket=bucket_of(latency_ns) if bucket is None else int_of(bucket, 0, BUCKETS - 1),
            to=self._to,
            waits=waits_of(waits),
            slept_in=self._slept_in,
        )


def _schema(meta: dict[str, Any], shown: str) -> dict[str, str]:
    """The tables of the format that the file says it has."""
    written = text_of(meta.get("format", b""))
    if written not in SCHEMAS:
        *before, last = SCHEMAS
        raise UserError(
            Exit.BAD_RECORDING,
            f"'{shown}' was written by zfstop {text_of(meta.get('zfstop', b'?'))[:40]} in format {written[:40]};"
            f" this zfstop {__version__} reads format {', '.join(before)} and {last}",
            "open it with the zfstop that wrote it",
        )
    return SCHEMAS[written]


def _meta(rows: dict[str, Any]) -> Meta:
    try:
        texts = {
            name: text_of(rows[name]) for name in ("zfstop", "host", "kernel", "zfs", "started", "place")
        }
        probes = json_of(rows["probes"])
    except KeyError as error:
        raise Unsound(f"it does not say its {error}") from None
    try:
        zone = datetime.fromisoformat(texts["started"]).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise Unsound("it does not say when it was made")
    host = Host(texts["host"], texts["kernel"], texts["zfs"])
    return Meta(host, texts["started"], texts["place"], _probes(probes), texts["zfstop"])


def _probes(report: Any) -> ProbeReport:
    parts = dict_of(report)
    return ProbeReport(
        attached=tuple(Attached(**_members(Attached, item)) for item in list_of(parts.get("attached"))),
        rejected=tuple(Rejected(**_members(Rejected, item)) for item in list_of(parts.get("rejected"))),
        notes=texts_of(parts.get("notes")),
        waits=tuple(Attached(**_members(Attached, item)) for item in list_of(parts.get("waits", []))),
    )


def _members(kind: type[Attached] | type[Rejected], item: Any) -> dict[str, str]:
    given = dict_of(item)
    return {member.name: string_of(given.get(member.name, "")) for member in fields(kind)}


def _controls(threshold_ns: int, packed: Any) -> Controls:
    filters = {} if packed is None else dict_of(json_of(packed))
    return Controls(
        threshold_ns=threshold_ns,
        pids=frozenset(int_of(pid, 0, U32) for pid in list_of(filters.get("pids", []))),
        datasets=frozenset(texts_of(filters.get("datasets", []))),
        ops=frozenset(texts_of(filters.get("ops", []))),
        classes=frozenset(texts_of(filters.get("classes", sorted(DEFAULT_CLASSES)))),
    )


def _buckets(packed: Any) -> Buckets:
    found = dict_of(json_of(packed))
    return {_bucket(name): int_of(count, 1, MAX_INT) for name, count in found.items()}


def _bucket(name: str) -> int:
    if not (name.isascii() and name.isdigit() and len(name) <= 3):
        raise Unsound("a bucket has no number")
    return int_of(int(name), 0, BUCKETS - 1)
