"""A record of the kernel becomes a key and an event with names, never with a wrong one."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.callers import Callers
from zfstop.kernel.names import Names
from zfstop.kernel.paths import Paths
from zfstop.model.events import (
    ALL_SIZE,
    DELETED,
    EVENT_STRUCT,
    IN_DIRECTORY,
    KEY_STRUCT,
    NO_OFFSET,
    NO_PATH,
    PATH_STRUCT,
    RECORD_BYTES,
    RING_HEADER_BYTES,
    WAITS_STRUCT,
    Key,
    RawEvent,
)
from zfstop.model.state import Attached
from zfstop.model.waits import Waits

SLOTS = {
    0: Attached("read", "zpl_iter_read", "zfs", "kiocb_iter", "kprobe pair"),
    3: Attached("fsync", "zpl_fsync", "zfs", "file_range", "fentry/fexit"),
}
RAW = RawEvent(
    10**12, 5_000_000, 4096, 512, 512, 0, 9, 26, b"dd".ljust(16, b"\0"), 812, 57, 1000, 0, 0, 813, 300, 1,
    WAITS_STRUCT.pack(1 << 15, 0, 0, 1 << 14, 0, 0, 0, 0), 0xFFFFFFFFC0001234,
)  # fmt: skip


class Table:
    """Stands for mounts.Mounts: only what Names asks for."""

    def __init__(self, **names: str) -> None:
        self.names = {int(dev[1:]): name for dev, name in names.items()}
        self.generation = 0
        self.asked: list[tuple[int, int]] = []

    def name(self, dev: int, pid: int) -> str:
        self.asked.append((dev, pid))
        return self.names.get(dev, f"dev 0:{dev}")


def record(**changes: Any) -> bytes:
    return struct.pack("=II", EVENT_STRUCT.size, 0) + EVENT_STRUCT.pack(*RAW._replace(**changes))


def path(path_id: int, *leaf_to_root: bytes) -> bytes:
    text = b"".join(name + b"\0" for name in leaf_to_root)
    return PATH_STRUCT.pack(path_id, len(text), 0) + text


def known(table: Table | None = None, *records: bytes, callers: Callers | None = None) -> Names:
    paths = Paths(lambda ids: None, 1000)
    for item in records or (path(9, b"file", b"dir"),):
        paths.add(item)
    return Names(SLOTS, paths, table or Table(d57="tank/data"), callers or Callers("/nowhere"))  # type: ignore[arg-type]


def test_a_record_with_everything() -> None:
    (event,) = known().events(record())
    assert event.key == Key("read", 812, "dd", 1000, 26, "tank/data", "dir/file", "zpl_iter_read")
    assert (event.ts_ns, event.latency_ns, event.tid, event.bucket) == (10**12, 5_000_000, 813, 300)
    assert (event.offset, event.size, event.result) == (4096, 512, 512)
    assert event.waits == Waits(disk=2_500_000, zil=1_250_000, cpu=1_250_000)
    assert event.slept_in == "", "nobody knows that address"


def test_where_nobody_looked_there_are_no_waits_and_an_address_gets_its_name() -> None:
    names = Names(
        SLOTS,
        Paths(lambda ids: None, 10),
        Table(),
        Callers("/nowhere"),
        {0xFFFFFFFFC0001234: "taskq_wait"}.__getitem__,
    )  # type: ignore[arg-type]
    unknown, known = names.events(record(known=0, slept_in=0) + record())
    assert (unknown.waits, unknown.slept_in) == (None, "")
    assert known.slept_in == "taskq_wait"


def test_records_come_out_in_order() -> None:
    chunk = b"".join(record(tid=tid, pid=tid % 3) for tid in range(50))
    assert [event.tid for event in known().events(chunk)] == list(range(50))
    assert known().events(b"") == []


def test_the_slot_tells_operation_and_symbol() -> None:
    (event,) = known().events(record(slot=3))
    assert (event.key.op, event.key.symbol) == ("fsync", "zpl_fsync")


def test_flags_take_away_offset_and_size_apart_from_each_other() -> None:
    offset_only, size_only = known().events(record(flags=ALL_SIZE) + record(flags=NO_OFFSET))
    assert (offset_only.offset, offset_only.size) == (4096, None)
    assert (size_only.offset, size_only.size) == (None, 512)


def test_a_deleted_file_says_so() -> None:
    assert known().events(record(flags=DELETED))[0].key.path == "dir/file (deleted)"


def test_without_a_path_the_inode_number_stands_in() -> None:
    assert known().events(record(flags=NO_PATH, path_id=815))[0].key.path == "inode#815"
    assert known().events(record(flags=NO_PATH | DELETED, path_id=9))[0].key.path == "inode#9"


def test_a_path_that_never_came_is_a_question_mark() -> None:
    assert known().events(record(path_id=1234))[0].key.path == "?"
    assert known().events(record(path_id=1234, flags=DELETED))[0].key.path == "?"


def test_the_other_path_comes_with_the_event() -> None:
    names = known(None, path(9, b"file", b"dir"), path(8, b"new"))
    plain, renamed, unknown = names.events(record() + record(target=8) + record(target=1234))
    assert (plain.to, renamed.to, unknown.to) == ("", "new", "?")


def test_of_a_name_that_is_not_known_the_directory_is_told() -> None:
    assert known().events(record(flags=IN_DIRECTORY))[0].key.path == "dir/file/?"
    assert known().events(record(flags=IN_DIRECTORY, path_id=1234))[0].key.path == "?"
    assert known().events(record(flags=IN_DIRECTORY | NO_PATH, path_id=34))[0].key.path == "inode#34/?"


def test_a_volume_is_all_of_its_dataset() -> None:
    """Whether its name came or not: the number of its device tells the dataset."""
    dev = 230 << 20 | 16
    (event,) = known(Table(**{f"d{dev}": "tank/vol"})).events(record(path_id=0xFFFFFFFF << 32 | dev, dev=dev))
    assert (event.key.dataset, event.key.path) == ("tank/vol", "(volume)")


def test_an_unknown_device_keeps_its_numbers() -> None:
    assert known(Table()).events(record())[0].key.dataset == "dev 0:57"


def test_names_are_looked_up_once_for_a_key_and_again_after_a_mount() -> None:
    table = Table(d57="tank/data")
    names = known(table)
    names.events(record() * 100)
    assert table.asked == [(57, 812)]
    table.names, table.generation = {57: "tank/renamed"}, 1
    assert names.events(record())[0].key.dataset == "tank/renamed"


def test_a_key_says_where_the_caller_is_and_its_number_there(tmp_path: Path) -> None:
    cgroup = tmp_path / "cgroup" / "lxc.payload.web1"
    cgroup.mkdir(parents=True)
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(f"30 20 0:26 / {cgroup.parent} rw - cgroup2 none rw\n")
    (tmp_path / "812").mkdir()
    (tmp_path / "812" / "cgroup").write_text("0::/lxc.payload.web1\n")
    status = tmp_path / "812" / "status"
    status.write_text("NStgid:\t812\t17\n")
    names = known(callers=Callers(str(tmp_path)))

    def told(**changes: int) -> tuple[str, int]:
        (event,) = names.events(record(cgroup=cgroup.stat().st_ino, **changes))
        return event.key.where, event.key.inner_pid

    assert told() == ("lxc:web1", 17)
    assert told(pid=813) == ("lxc:web1", 0)
    status.write_text("NStgid:\t812\t99\n")
    assert told() == ("lxc:web1", 17)
    names.end_second()
    assert told() == ("lxc:web1", 99), "the number may be another process's by now"


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zfstop.kernel.names._CACHE", 10)
    names = known()
    for pid in range(1, 200):
        assert names.events(record(pid=pid))[0].key.pid == pid
        assert len(names._keys) <= 12
        assert len(names._shared) <= 16


def test_what_many_keys_have_in_common_is_in_memory_once() -> None:
    first, second = (
        event.key for event in known().events(record(pid=70_000, dev=57) + record(pid=70_000, dev=58))
    )
    assert first != second
    assert all(getattr(first, name) is getattr(second, name) for name in ("pid", "comm", "uid", "cgroup"))


@given(st.binary(min_size=16, max_size=16))
def test_any_command_name_is_shown_harmlessly(comm: bytes) -> None:
    shown = known().events(record(comm=comm))[0].key.comm
    assert shown.isprintable() or not shown
    assert "\0" not in shown
    assert not comm.startswith(b"\0") or shown == ""


raw_keys = st.binary(min_size=KEY_STRUCT.size - 4, max_size=KEY_STRUCT.size - 4)


@given(raw_keys, st.sampled_from(sorted(SLOTS)), st.integers(0, 65535))
def test_any_bytes_of_a_key_become_a_key_and_an_event_has_the_same(raw: bytes, slot: int, flags: int) -> None:
    names = known()
    key = names.key(raw + struct.pack("=HH", slot, flags))
    payload = record()[RING_HEADER_BYTES:]
    whole = payload[:48] + raw + struct.pack("=HH", slot, flags) + payload[48 + KEY_STRUCT.size :]
    (event,) = names.events(bytes(RING_HEADER_BYTES) + whole)
    assert event.key == key
    assert key.op == SLOTS[slot].op
    assert len(bytes(RING_HEADER_BYTES) + whole) == RECORD_BYTES
