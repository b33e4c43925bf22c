"""A recording gives back exactly what was written, and no file whatever does harm."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zfstop import recording as module
from zfstop.errors import Exit, UserError
from zfstop.model.events import Event, Key
from zfstop.model.histogram import BUCKETS
from zfstop.model.history import InFlight, Second, Stats, Tally
from zfstop.model.state import Attached, Controls, Counts, Host, ProbeReport, Rejected
from zfstop.model.waits import CAUSES, Waits
from zfstop.model.zfs_state import Commits, Figures, PoolState, Properties, Scan, Txg, ZfsState
from zfstop.recording import Meta, Recording, Writer, open_recording
from zfstop.text import visible

NAMES = (st.binary(max_size=30) | st.text(max_size=20)).map(visible)
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
I64, I63 = st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1)
KEYS = st.builds(Key, NAMES, U32, NAMES, U32, U64, NAMES, NAMES, NAMES, NAMES, U32, cause=st.just(""))
BUCKET_NUMBERS = st.integers(0, BUCKETS - 1)
WAITS = st.none() | st.builds(Waits, *[I63] * len(CAUSES))
STATS = st.builds(
    lambda count, errors, *rest: Stats(count, min(errors, count), *rest),
    st.integers(1, 2**63 - 1),
    I63,
    I63,
    I63,
    I63,
    st.dictionaries(BUCKET_NUMBERS, st.integers(1, 2**40), max_size=5),
    WAITS,
)
TALLIES = st.dictionaries(BUCKET_NUMBERS, st.integers(1, 2**40), max_size=5).map(
    lambda buckets: Tally(sum(buckets.values()), 0, 7, 11, buckets)
)
EVENTS = st.builds(
    Event,
    key=KEYS,
    ts_ns=I63,
    latency_ns=I63,
    tid=U32,
    offset=I64 | st.none(),
    size=U64 | st.none(),
    result=I64,
    bucket=BUCKET_NUMBERS,
    to=NAMES,
    waits=WAITS,
    slept_in=NAMES,
)
TXGS = st.builds(
    Txg, I63, st.sampled_from("OQWSC"), st.integers(0, 2**62), *[I63] * 4, *[I63 | st.none()] * 3
)
SCANS = st.builds(
    Scan, st.sampled_from(("", "scrub", "resilver")), st.floats(0, 1) | st.none(), st.booleans()
)
POOLS = st.builds(
    PoolState,
    NAMES,
    NAMES,
    st.lists(TXGS, max_size=3).map(tuple),
    SCANS | st.none(),
    st.booleans() | st.none(),
)
STATES = st.builds(
    ZfsState,
    pools=st.lists(POOLS, max_size=3, unique_by=lambda pool: pool.name).map(tuple),
    figures=st.builds(Figures, *[I63 | st.none()] * len(Figures._fields)),
    commits=st.lists(st.builds(Commits, NAMES, I63), max_size=2).map(tuple),
    properties=st.lists(st.builds(Properties, NAMES, I63 | st.none(), NAMES, NAMES), max_size=2).map(tuple),
)
SECONDS = st.builds(
    Second,
    clock=st.floats(0, 2e11),
    mono_ns=I63,
    length_ns=I63,
    controls=st.builds(Controls, I63, st.frozensets(U32), st.frozensets(NAMES), st.frozensets(NAMES)),
    groups=st.lists(st.tuples(KEYS, STATS), max_size=4).map(tuple),
    events=st.lists(EVENTS, max_size=4).map(tuple),
    thinned=I63,
    slots=st.lists(st.builds(Counts, *[I63] * len(Counts._fields)), max_size=3).map(tuple),
    in_flight=I63,
    tallies=st.lists(st.tuples(NAMES, NAMES, TALLIES), max_size=3).map(tuple),
    stuck=st.lists(
        st.builds(InFlight, KEYS, U32, I63, I64 | st.none(), U64 | st.none(), NAMES, WAITS), max_size=3
    ).map(tuple),
    notes=st.lists(NAMES, max_size=2).map(tuple),
    zfs=st.none() | STATES,
)
TEXTS5 = st.builds(Attached, NAMES, NAMES, NAMES, NAMES, NAMES)
METAS = st.builds(
    Meta,
    host=st.builds(Host, NAMES, NAMES, NAMES),
    started=st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    place=NAMES,
    probes=st.builds(
        ProbeReport,
        st.lists(TEXTS5, max_size=2).map(tuple),
        st.lists(st.builds(Rejected, NAMES, NAMES, NAMES), max_size=2).map(tuple),
        st.lists(NAMES, max_size=2).map(tuple),
        st.lists(TEXTS5, max_size=2).map(tuple),
    ),
    zfstop=NAMES,
)

#: Where the many syncs of a recording cost nothing; None is the usual place.
FAST_DISK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "slow.zfstop"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, make: Any) -> bytes:
    """A closed recording of six seconds."""
    path = tmp_path_factory.mktemp("whole") / "r"
    return write(path, make.meta, tuple(make.busy(number) for number in range(6))).read_bytes()


@pytest.fixture
def good(path: Path, whole: bytes) -> Path:
    """The same in a file to play with."""
    path.write_bytes(whole)
    return path


def write(path: Path, meta: Meta, seconds: tuple[Second, ...]) -> Path:
    with Writer(path, meta) as writer:
        for second in seconds:
            writer.append(second)
    return path


def refused(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        open_recording(path)
    assert caught.value.status == Exit.BAD_RECORDING
    assert caught.value.sentence.isprintable()
    return caught.value


def read_or_refused(path: Path) -> tuple[Second, ...] | None:
    """None for a file refused as it should be; any other exception comes through."""
    try:
        return open_recording(path).seconds()
    except UserError as error:
        if error.status != Exit.BAD_RECORDING or not error.sentence.isprintable():
            raise
        return None


# --- what is written comes back ----------------------------------------------------------------------------------


@given(meta=METAS, seconds=st.lists(SECONDS, max_size=4).map(tuple))
@settings(max_examples=60)
def test_what_is_read_equals_what_was_written(meta: Meta, seconds: tuple[Second, ...]) -> None:
    with tempfile.TemporaryDirectory(dir=FAST_DISK) as folder:
        path = write(Path(folder, "r"), meta, seconds)
        assert open_recording(path) == Recording(meta, seconds)


#: As the first zfstop and the one after it wrote them, to the letter.
KEYS_1 = (
    "CREATE TABLE keys (id INTEGER PRIMARY KEY, op INTEGER, pid INTEGER, comm INTEGER, uid INTEGER,"
    " cgroup INTEGER, dataset INTEGER, path INTEGER, symbol INTEGER)"
)
EVENTS_1 = (
    "CREATE TABLE events (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, before_ns INTEGER,"
    " latency_ns INTEGER, tid INTEGER, file_offset INTEGER, size INTEGER, result INTEGER, ino INTEGER,"
    " bucket INTEGER)"
)
EVENTS_2 = EVENTS_1.replace("ino INTEGER", "to_path INTEGER")
GROUPS_2 = (
    "CREATE TABLE groups (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, calls INTEGER, errors INTEGER,"
    " total_ns INTEGER, max_ns INTEGER, bytes INTEGER, buckets TEXT)"
)
STUCK_2 = (
    "CREATE TABLE stuck (id INTEGER PRIMARY KEY, second INTEGER, key INTEGER, tid INTEGER, age_ns INTEGER,"
    " file_offset INTEGER, size INTEGER, waits_in INTEGER)"
)


def made_older(path: Path, number: int, **tables: str) -> None:
    """Turn a recording into one of an older format, with these tables in place of the new ones."""
    db = sqlite3.connect(path)
    for name, sql in tables.items():
        db.execute(f"ALTER TABLE {name} RENAME TO newer")
        db.execute(sql)
        new = [row[1] for row in db.execute("PRAGMA table_info(newer)")]
        old = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
        taken = ",".join(column if column in new else "4711" for column in old)
        db.execute(f"INSERT INTO {name} SELECT {taken} FROM newer")
        db.execute("DROP TABLE newer")
    for name in ("zfs", "pools", "txgs"):
        db.execute(f"DROP TABLE {name}")
    db.execute("UPDATE meta SET value = ? WHERE name = 'format'", (str(number),))
    db.commit()
    db.close()


def rich(make: Any, **of_event: Any) -> Second:
    """A second with everything that one format or another does not know."""
    events = tuple(make.event(pid=pid, **of_event) for pid in (1, 2))
    stuck = InFlight(events[0].key, 1, 2 * 10**9, None, None, "cv_wait", Waits(disk=5))
    return cast(
        Second, make.second(events=events, stuck=(stuck,), zfs=ZfsState((PoolState("tank", "ONLINE"),)))
    )


def poor(make: Any, **of_event: Any) -> Second:
    """The same without waits and the state of ZFS."""
    second = rich(make, **of_event)
    return replace(second, stuck=(replace(second.stuck[0], waits=None),), zfs=None)


WAITED = {"waits": Waits(zil=20_000_000), "slept_in": "cv_wait"}


def test_format_1_is_read_without_owners_inner_pids_and_other_paths(path: Path, make: Any) -> None:
    write(path, make.meta, (rich(make, where="docker:abc", inner_pid=7, to="new", **WAITED),))
    made_older(path, 1, keys=KEYS_1, events=EVENTS_1, groups=GROUPS_2, stuck=STUCK_2)
    assert open_recording(path).seconds() == (poor(make),)


def test_format_2_is_read_without_waits_and_the_state_of_zfs(path: Path, make: Any) -> None:
    caller = {"where": "docker:abc", "inner_pid": 7, "to": "new"}
    write(path, make.meta, (rich(make, **caller, **WAITED),))
    made_older(path, 2, events=EVENTS_2, groups=GROUPS_2, stuck=STUCK_2)
    assert open_recording(path).seconds() == (poor(make, **caller),)


def test_an_absurd_sum_of_sizes_stops_at_what_a_column_holds(path: Path, make: Any) -> None:
    events = (make.event(size=2**63), make.event(size=2**63))
    ((_, stats),) = open_recording(write(path, make.meta, (make.second(events=events),))).seconds()[0].groups
    assert stats.bytes == 2**63 - 1


def test_the_writer_forgets_names_rather_than_grow(
    path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.writer, "_MAX_REMEMBERED", 3)
    seconds = tuple(make.busy(number) for number in range(4))
    assert open_recording(write(path, make.meta, seconds)).seconds() == seconds


@pytest.mark.parametrize("left_out", ["events", "groups"])
def test_a_row_of_events_or_groups_takes_at_most_60_bytes(tmp_path: Path, make: Any, left_out: str) -> None:
    full = tuple(make.busy(number, calls=30) for number in range(60))
    less = tuple(replace(second, **{left_out: ()}) for second in full)
    sizes = [
        write(tmp_path / name, make.meta, seconds).stat().st_size
        for name, seconds in (("a", full), ("b", less))
    ]
    assert sizes[0] - sizes[1] <= 60 * sum(len(getattr(second, left_out)) for second in full)


def test_others_can_query_it(good: Path, make: Any) -> None:
    sql = module.__doc__.split("::\n\n")[1].split(";")[0]  # type: ignore[union-attr]
    with sqlite3.connect(good) as db:
        rows = db.execute(sql).fetchall()
        (seen,) = db.execute(
            "SELECT sum(value) FROM counters JOIN texts ON texts.id = counter WHERE text = 'seen'"
        ).fetchone()
        (calls,) = db.execute("SELECT sum(value) FROM groups, json_each(groups.buckets)").fetchone()
    db.close()
    assert {row[0] for row in rows} <= {"postgres", "fio", "dd"}
    assert seen == 6 * 12
    assert calls > 0


# --- the file ----------------------------------------------------------------------------------------------------


def test_a_closed_recording_is_one_plain_file_for_its_owner_only(path: Path, make: Any) -> None:
    write(path, make.meta, (make.busy(0),))
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_companions_of_an_open_recording_are_for_its_owner_only_too(path: Path, make: Any) -> None:
    with Writer(path, make.meta) as writer:
        writer.append(make.busy(1))
        modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in path.parent.iterdir()}
    assert modes == {path.name: 0o600, f"{path.name}-wal": 0o600, f"{path.name}-shm": 0o600}


@pytest.mark.parametrize("kind", ["file", "link to nothing", "link to a file", "folder"])
def test_nothing_that_is_there_is_overwritten_or_followed(
    path: Path, make: Any, tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "target"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        if kind == "link to a file":
            target.write_text("mine")
        path.symlink_to(target)
    with pytest.raises(UserError, match="exists already") as caught:
        Writer(path, make.meta)
    assert caught.value.status == Exit.USAGE
    assert not target.exists() or target.read_text() == "mine"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, make: Any) -> None:
    with pytest.raises(UserError, match="cannot be made: No such file"):
        Writer(tmp_path / "no" / "such", make.meta)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_it_belongs_to_the_caller(path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "23456")
    with Writer(path, make.meta) as writer:
        writer.append(make.busy(1))
        owners = {(item.stat().st_uid, item.stat().st_gid) for item in path.parent.iterdir()}
    assert owners == {(12345, 23456)}
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


@pytest.mark.parametrize("ids", [("x", "1"), ("-1", "1"), ("0", "")])
def test_senseless_sudo_ids_are_ignored(
    path: Path, make: Any, monkeypatch: pytest.MonkeyPatch, ids: tuple[str, str]
) -> None:
    monkeypatch.setenv("SUDO_UID", ids[0])
    monkeypatch.setenv("SUDO_GID", ids[1])
    assert write(path, make.meta, ()).stat().st_uid == os.geteuid()


WRITE_ON = """
import sys
from conftest import Make
from zfstop.errors import UserError
from zfstop.recording import Writer
make, said = Make(), 0
{setup}
writer = Writer(sys.argv[1], make.meta)
for number in range(100_000):
    try:
        writer.append(make.busy(number))
    except UserError as error:
        print(number, error.sentence, flush=True)
        said += 1
        if said == 1: number_failed = number
    if number == 20: print("twenty", flush=True)
    if said and number == number_failed + 5: break
writer.close()
"""


def child(path: Path, setup: str = "") -> subprocess.Popen[str]:
    code = WRITE_ON.format(setup=setup)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_after_sigkill_every_whole_second_is_there(path: Path, make: Any) -> None:
    with child(path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "twenty\n"
        process.send_signal(signal.SIGKILL)
    assert Path(f"{path}-wal").exists()
    seconds = open_recording(path).seconds()
    assert len(seconds) > 20
    assert seconds == tuple(make.busy(number) for number in range(len(seconds)))


def test_a_full_disk_is_one_error_and_what_was_written_stays(path: Path, make: Any) -> None:
    setup = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))"
    with child(path, setup) as process:
        assert process.stdout is not None
        said = [line for line in process.stdout if line != "twenty\n"]
    assert process.returncode == 0
    assert len(said) == 1
    number, sentence = said[0].split(" ", 1)
    assert "stopped" in sentence
    seconds = open_recording(path).seconds()
    assert seconds == tuple(make.busy(number) for number in range(int(number)))


def test_a_second_that_cannot_be_stored_ends_the_writer_and_leaves_the_others(path: Path, make: Any) -> None:
    writer = Writer(path, make.meta)
    writer.append(make.busy(0))
    with pytest.raises(OverflowError):
        writer.append(replace(make.busy(1), in_flight=2**70))
    writer.append(make.busy(2))
    writer.close()
    assert open_recording(path).seconds() == (make.busy(0),)


def test_an_open_recording_can_be_read_while_it_is_written(path: Path, make: Any) -> None:
    with Writer(path, make.meta) as writer:
        for number in range(3):
            writer.append(make.busy(number))
            assert len(open_recording(path).seconds()) == number + 1


def test_reading_changes_nothing(good: Path) -> None:
    before = (good.read_bytes(), good.stat().st_mtime_ns)
    open_recording(good)
    assert (good.read_bytes(), good.stat().st_mtime_ns) == before
    assert [item.name for item in good.parent.iterdir()] == [good.name]


@pytest.mark.parametrize("name", ["a?mode=rwc", "b#c%41", "sp ace", "\udcff\n.rec"])
def test_a_name_is_never_read_as_options(tmp_path: Path, make: Any, name: str) -> None:
    path = write(tmp_path / name, make.meta, (make.busy(0),))
    assert len(open_recording(path).seconds()) == 1


# --- bad files ---------------------------------------------------------------------------------------------------


def test_foreign_things_are_refused(tmp_path: Path) -> None:
    for name, content in {"empty": b"", "text": b"hello\n" * 1000, "zip": b"PK\3\4" * 99}.items():
        (tmp_path / name).write_bytes(content)
        assert "is not a zfstop recording" in refused(tmp_path / name).sentence
    assert "cannot be read" in refused(tmp_path).sentence
    assert "No such file" in refused(tmp_path / "none").sentence
    assert "cannot be read" in refused(Path("/dev/null")).sentence
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe")
    refused(Path("nul\0name"))


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE meta (name TEXT)")
    db.close()
    assert "is not a zfstop recording" in refused(path).sentence


def test_a_recording_cut_anywhere_is_refused_or_a_sound_start(
    good: Path, whole: bytes, tmp_path: Path
) -> None:
    cut = tmp_path / "cut"
    every = open_recording(good).seconds()
    for size in [*range(0, 120, 7), *range(120, len(whole), 1531), len(whole) - 1]:
        cut.write_bytes(whole[:size])
        seconds = read_or_refused(cut)
        assert seconds is None or seconds == every[: len(seconds)]


def test_a_log_cut_anywhere_gives_the_seconds_before_the_cut(path: Path, tmp_path: Path, make: Any) -> None:
    writer = Writer(path, make.meta)
    for number in range(6):
        writer.append(make.busy(number))
    main, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    writer.close()
    lengths = set()
    for place, size in enumerate(range(0, len(log) + 1, 2999)):
        cut = tmp_path / f"cut{place}"
        cut.write_bytes(main)
        Path(f"{cut}-wal").write_bytes(log[:size])
        seconds = open_recording(cut).seconds()
        assert seconds == tuple(make.busy(number) for number in range(len(seconds)))
        lengths.add(len(seconds))
    assert lengths >= {0, 1, 2, 3, 4, 5}


@given(data=st.data())
@settings(max_examples=150)
def test_flipped_bytes_never_crash(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped"
    flipped = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        flipped[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(flipped)
    seconds = read_or_refused(path) or ()
    assert all(
        text.isprintable() for second in seconds for key, _ in second.groups for text in (key.path, key.comm)
    )


HOSTILE = {
    "another format": "UPDATE meta SET value = '4' WHERE name = 'format'",
    "the tables of another format": "UPDATE meta SET value = '1' WHERE name = 'format'",
    "no format": "DELETE FROM meta WHERE name = 'format'",
    "no host": "DELETE FROM meta WHERE name = 'host'",
    "no zone": "UPDATE meta SET value = '2026-11-22T10:00:00' WHERE name = 'started'",
    "no date": "UPDATE meta SET value = 'yesterday' WHERE name = 'started'",
    "probes not JSON": "UPDATE meta SET value = '{' WHERE name = 'probes'",
    "probes nested": "UPDATE meta SET value = replace(hex(zeroblob(50000)), '0', '[') WHERE name = 'probes'",
    "probes of another shape": "UPDATE meta SET value = '{\"attached\": [1]}' WHERE name = 'probes'",
    "a view": "CREATE VIEW more AS SELECT 1",
    "a view for a table": "DROP TABLE events; CREATE VIEW events AS SELECT * FROM groups",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON texts BEGIN DELETE FROM keys; END",
    "an index": "CREATE INDEX i ON events (second)",
    "a missing table": "DROP TABLE counters",
    "a table more": "CREATE TABLE more (x)",
    "another column": "ALTER TABLE events ADD COLUMN x",
    "a generated column": (
        "DROP TABLE texts; CREATE TABLE texts (id INTEGER PRIMARY KEY, text AS ('made up'))"
    ),
    "an events table of another schema": "DROP TABLE events; CREATE TABLE events (id)",
    "a number for a name": "UPDATE texts SET text = zeroblob(70000)",
    "a name too long": "UPDATE texts SET text = replace(hex(zeroblob(40000)), '0', 'a')",
    "a row too long": "UPDATE texts SET text = replace(hex(zeroblob(700000)), '0', 'a')",
    "a text for a number": "UPDATE events SET latency_ns = 'x'",
    "a blob for a number": "UPDATE groups SET total_ns = x'00'",
    "a float for a number": "UPDATE events SET tid = 1.5",
    "no number": "UPDATE events SET result = NULL",
    "a number below 0": "UPDATE events SET latency_ns = -1",
    "a number too large": "UPDATE keys SET pid = 4294967296",
    "an inner number too large": "UPDATE keys SET inner_pid = 4294967296",
    "another path that is not there": "UPDATE events SET to_path = 9999",
    "an owner that is not there": "UPDATE keys SET owner = 9999",
    "waits not a list": "UPDATE events SET waits = '{}'",
    "waits of another number of causes": "UPDATE groups SET waits = '[1,2]'",
    "waits below 0": "UPDATE events SET waits = '[0,0,0,0,0,0,0,0,-1]'",
    "a function that is not there": "UPDATE events SET slept_in = 9999",
    "ZFS of no second": "UPDATE zfs SET second = second + 9999",
    "figures below 0": "UPDATE zfs SET arc_size = -1",
    "commits of another shape": "UPDATE zfs SET commits = '[[1,2,3]]'",
    "commits below 0": "UPDATE zfs SET commits = '[[\"a\",-1]]'",
    "properties not JSON": "UPDATE zfs SET properties = (SELECT id FROM texts WHERE text = 'fio')",
    "properties that are not there": "UPDATE zfs SET properties = 9999",
    "a pool of no second": "DELETE FROM zfs",
    "a pool twice": "UPDATE pools SET pool = (SELECT min(pool) FROM pools)",
    "a pool half there": "UPDATE pools SET log = 2",
    "a scan beyond its end": "UPDATE pools SET scan = 1, scan_done = 1.5, scan_paused = 0",
    "a scan that is not there": "UPDATE pools SET scan = 9999, scan_done = 0.5, scan_paused = 0",
    "a txg of no pool": "UPDATE txgs SET pool = 9999",
    "a txg of another pool": "UPDATE txgs SET pool = state",
    "a txg that took less than nothing": "UPDATE txgs SET sync_ns = -1",
    "a bucket too large": "UPDATE events SET bucket = 592",
    "a time before time": "UPDATE events SET before_ns = 9223372036854775807",
    "a time beyond time": "UPDATE events SET before_ns = -9223372036854775807 - 1; UPDATE seconds SET mono_ns = -1",
    "an endless time": "UPDATE seconds SET clock = 9e999",
    "no time": "UPDATE seconds SET clock = NULL",
    "the year 10000": "UPDATE seconds SET clock = 253402300800.0",
    "a key that is not there": "DELETE FROM keys WHERE id = 1",
    "a name that is not there": "UPDATE keys SET comm = 9999",
    "a second that is not there": "DELETE FROM seconds WHERE id = 1",
    "rows in the wrong second": "UPDATE events SET second = 2 WHERE second = 1",
    "a group of none": "UPDATE groups SET calls = 0",
    "more errors than calls": "UPDATE groups SET errors = calls + 1",
    "buckets not JSON": "UPDATE groups SET buckets = '{\"1\":'",
    "buckets as list": "UPDATE groups SET buckets = '[1]'",
    "a bucket without number": "UPDATE groups SET buckets = '{\"x\": 1}'",
    "a bucket of none": "UPDATE groups SET buckets = '{\"1\": 0}'",
    "a bucket of true": "UPDATE groups SET buckets = '{\"1\": true}'",
    "a bucket of a huge number": "UPDATE groups SET buckets = '{\"1\": 1' || hex(zeroblob(9000)) || '}'",
    "notes not a list": "UPDATE seconds SET notes = '{}'",
    "filters not a table": "UPDATE seconds SET filters = '[]'",
    "filters by text": 'UPDATE seconds SET filters = \'{"pids": ["1"]}\'',
    "too many probes": "UPDATE seconds SET slots = 1000000",
    "counters of no probe": "UPDATE seconds SET slots = 1",
}


@pytest.mark.parametrize("change", HOSTILE)
def test_a_hostile_file_is_refused_in_a_sentence(good: Path, change: str) -> None:
    db = sqlite3.connect(good)
    db.executescript(HOSTILE[change])
    db.close()
    refused(good)


def rewritten(path: Path, sql: str) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA writable_schema=ON")
    db.execute(sql)
    db.commit()
    db.close()


SCHEMA_LIES = {
    "two tables on one page": "UPDATE sqlite_master SET rootpage = 2",
    "a table on the schema's page": "UPDATE sqlite_master SET rootpage = 1 WHERE name = 'texts'",
    "a table beyond the end": "UPDATE sqlite_master SET rootpage = 99999 WHERE name = 'events'",
    "no SQL": "UPDATE sqlite_master SET sql = NULL WHERE name = 'texts'",
    "SQL that is none": "UPDATE sqlite_master SET sql = 'CREATE TABLE texts (' WHERE name = 'texts'",
    "a virtual table": (
        "UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE texts USING csv(filename=\"/etc/passwd\")', rootpage = 0"
        " WHERE name = 'texts'"
    ),
}


@pytest.mark.parametrize("lie", SCHEMA_LIES)
def test_a_lying_schema_is_refused_in_a_sentence(good: Path, lie: str) -> None:
    rewritten(good, SCHEMA_LIES[lie])
    refused(good)


def test_a_newer_format_names_the_zfstop_that_wrote_it(good: Path) -> None:
    db = sqlite3.connect(good)
    db.executescript(
        "UPDATE meta SET value = '7' WHERE name = 'format'; UPDATE meta SET value = '9.1\x1b[2J' WHERE name = 'zfstop';"
        "DROP TABLE events"
    )
    db.close()
    error = refused(good)
    assert "was written by zfstop 9.1\\x1b[2J in format 7" in error.sentence
    assert "reads format 1, 2 and 3" in error.sentence


def test_a_counter_of_another_version_is_left_out(good: Path) -> None:
    expected = [second.counts._replace(seen=0) for second in open_recording(good).seconds()]
    db = sqlite3.connect(good)
    db.executescript("UPDATE texts SET text = 'from the future' WHERE text = 'seen'")
    db.close()
    assert [second.counts for second in open_recording(good).seconds()] == expected


def test_names_are_made_visible_on_the_way_in(good: Path) -> None:
    evil = "\x1b]0;x\x07\u202e\x00\n[red]"
    db = sqlite3.connect(good)
    db.execute("UPDATE texts SET text = ? WHERE text LIKE 'file%'", (evil,))
    db.execute("UPDATE texts SET text = CAST(x'ff1b' AS TEXT) WHERE text = 'fio'")
    db.execute("UPDATE meta SET value = ? WHERE name IN ('place', 'host', 'kernel', 'zfs')", (evil,))
    db.execute("UPDATE seconds SET notes = ?", (json.dumps([evil, "\ud800"]),))
    db.commit()
    db.close()
    read = open_recording(good)
    texts = {text for second in read.seconds() for key, _ in second.groups for text in (key.path, key.comm)}
    texts |= {read.meta.place, read.meta.host.name, *read.seconds()[0].notes}
    assert all(text.isprintable() for text in texts)
    assert {visible(evil), "\\xff\\x1b"} <= texts


def test_a_file_with_more_than_the_program_reads_is_refused(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.reader, "_MAX_ITEMS", 100)
    assert "more than this program reads" in refused(good).sentence
    monkeypatch.setattr(module.reader, "_MAX_FILE_BYTES", 4096)
    assert "larger than" in refused(good).sentence


def test_a_reader_can_do_nothing_but_read() -> None:
    db = sqlite3.connect(":memory:")
    module.reader._harden(db)
    db.set_authorizer(module.reader._only_reads)
    forbidden: list[Callable[[], object]] = [
        lambda sql=sql: db.execute(sql)  # type: ignore[misc]
        for sql in (
            "CREATE TABLE x (y)",
            "ATTACH 'x' AS y",
            "SELECT load_extension('x')",
            "PRAGMA query_only=OFF",
            "SELECT * FROM sqlite_master",
        )
    ]
    for attempt in forbidden:
        with pytest.raises(sqlite3.DatabaseError):
            attempt()
    db.close()
