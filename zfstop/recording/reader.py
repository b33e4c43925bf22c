"""Reads a recording that anybody may have made: checks the file, then turns rows into seconds."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from zfstop import __version__
from zfstop.errors import Exit, UserError
from zfstop.model.events import Event, Key
from zfstop.model.histogram import BUCKETS, Buckets, bucket_of
from zfstop.model.history import InFlight, Second, Stats, Tally
from zfstop.model.state import Attached, Controls, Counts, Host, ProbeReport, Rejected
from zfstop.recording.paths import StrPath, reason_of, shown_path
from zfstop.recording.schema import FORMAT, MAX_INT, PER_SECOND, SCHEMA, Meta, Recording
from zfstop.text import visible

_U32: Final = (1 << 32) - 1
_U64: Final = (1 << 64) - 1
#: 9999-12-31, the last day a date can be made of.
_LAST_CLOCK: Final = 253_402_214_400
_MAX_FILE_BYTES: Final = 1 << 30
_MAX_TEXT_BYTES: Final = 1 << 16
#: Rows and histogram entries together: half an hour at 1,000 events a second is four million.
_MAX_ITEMS: Final = 10_000_000


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
            return _Reader(db).recording(shown_path(path))
    except (OSError, ValueError) as error:
        raise UserError(
            Exit.BAD_RECORDING, f"'{shown_path(path)}' cannot be read: {reason_of(error)}"
        ) from error
    except sqlite3.OperationalError as error:
        if _unclosed(path):
            raise UserError(
                Exit.BAD_RECORDING,
                f"'{shown_path(path)}' was never closed and cannot be opened where it is",
                "copy it, together with the file of the same name and -wal, to a folder of yours",
            ) from error
        raise _damaged(path, error) from error
    except (sqlite3.Error, _Unsound, RecursionError, OverflowError, MemoryError) as error:
        raise _damaged(path, error) from error


def _damaged(path: StrPath, error: BaseException) -> UserError:
    reason = visible(str(error)) or type(error).__name__
    return UserError(Exit.BAD_RECORDING, f"'{shown_path(path)}' is not a sound zfstop recording: {reason}")


def _uri(path: StrPath) -> str:
    """The SQLite URI of a file that can be one; raises OSError or UserError for what cannot."""
    real = os.path.realpath(path)
    status = os.stat(real)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a file")
    with open(real, "rb") as file:
        head = file.read(100)
    if not head.startswith(b"SQLite format 3\0"):
        raise UserError(Exit.BAD_RECORDING, f"'{shown_path(path)}' is not a zfstop recording")
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
    known = action == sqlite3.SQLITE_SELECT or table in SCHEMA
    return sqlite3.SQLITE_OK if action in _ALLOWED and known else sqlite3.SQLITE_DENY


class _Reader:
    """Turns the rows of one file into seconds. Every method raises _Unsound or sqlite3.Error for a bad file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._items = 0

    def recording(self, shown: str) -> Recording:
        tables = self._tables()
        if tables.get("meta") != SCHEMA["meta"]:
            raise UserError(Exit.BAD_RECORDING, f"'{shown}' is not a zfstop recording")
        meta = {_text(name): value for name, value in self._rows("SELECT name, value FROM meta")}
        _check_format(meta, shown)
        if tables != SCHEMA:
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
            of_slot = found.setdefault(_int(second, 0, MAX_INT), {}).setdefault(_int(slot, 0, 4095), {})
            if name in Counts._fields:
                of_slot[name] = _int(value, -MAX_INT, MAX_INT)
        return found

    def _by_second(self, table: str, made: Callable[[tuple[Any, ...]], T]) -> dict[int, tuple[T, ...]]:
        found: dict[int, list[T]] = {}
        for row in self._rows(f"SELECT * FROM {table} ORDER BY id"):
            if type(row[1]) is not int or row[0] // PER_SECOND != row[1]:
                raise _Unsound(f"a row of {table} is in the wrong second")
            found.setdefault(row[1], []).append(made(row))
        return {second: tuple(rows) for second, rows in found.items()}

    def _group(self, row: tuple[Any, ...], keys: dict[int, Key]) -> tuple[Key, Stats]:
        _, _, key, calls, errors, total_ns, max_ns, size, packed = row
        count = _int(calls, 1, MAX_INT)
        longest = _int(max_ns, 0, MAX_INT)
        buckets = {bucket_of(longest): count} if packed is None else _buckets(packed)
        self._spend(len(buckets))
        stats = Stats(
            count,
            _int(errors, 0, count),
            _int(total_ns, 0, MAX_INT),
            longest,
            _int(size, 0, MAX_INT),
            buckets,
        )
        return _known(keys, key), stats

    def _tally(self, row: tuple[Any, ...], texts: dict[int, str]) -> tuple[str, str, Tally]:
        _, _, op, dataset, errors, total_ns, size, packed = row
        buckets = _buckets(packed)
        self._spend(len(buckets))
        calls = sum(buckets.values())
        tally = Tally(
            calls, _int(errors, 0, calls), _int(total_ns, 0, MAX_INT), _int(size, 0, MAX_INT), buckets
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
        mono_ns = _int(mono, 0, MAX_INT)
        return Second(
            clock=_clock(clock),
            mono_ns=mono_ns,
            length_ns=_int(length, 0, MAX_INT),
            controls=_controls(_int(threshold, 0, MAX_INT), filters),
            groups=groups,
            events=tuple(call.event(mono_ns) for call in calls),
            thinned=_int(thinned, 0, MAX_INT),
            slots=tuple(Counts(**slots.get(slot, {})) for slot in range(count)),
            in_flight=_int(in_flight, 0, MAX_INT),
            notes=() if notes is None else _texts(_json(notes)),
        )


def _stuck(row: tuple[Any, ...], keys: dict[int, Key], texts: dict[int, str]) -> InFlight:
    _, _, key, tid, age_ns, offset, size, waits_in = row
    return InFlight(
        _known(keys, key),
        _int(tid, 0, _U32),
        _int(age_ns, 0, MAX_INT),
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
        latency_ns = _int(latency, 0, MAX_INT)
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
    return {_bucket(name): _int(count, 1, MAX_INT) for name, count in found.items()}


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


def _int(value: Any, low: int = -MAX_INT - 1, high: int = MAX_INT) -> int:
    if type(value) is not int or not low <= value <= high:
        raise _Unsound("a number is out of range")
    return value


def _unsigned(value: Any) -> int:
    return _int(value) & _U64


def _clock(value: Any) -> float:
    if type(value) is not float or not math.isfinite(value) or not 0 <= value <= _LAST_CLOCK:
        raise _Unsound("a time is out of range")
    return value
