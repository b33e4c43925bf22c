"""The BPF program, compiled by the loader, judged by this kernel's verifier and run by it on made-up files.

Nothing is attached: entry and return programs are run by BPF_PROG_TEST_RUN with the arguments the traced function would
have, on structs laid out with this kernel's own BTF offsets (tests/unit/data). So it needs root and bcc, not ZFS.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from data.fake_zfs import DEV, Kernel, open_source, why_not

from zfstop.kernel import bpf
from zfstop.kernel.maps import Settings
from zfstop.kernel.paths import CUT_MARK
from zfstop.model.events import Event
from zfstop.model.histogram import bucket_of
from zfstop.model.state import Counts
from zfstop.zfs.operations import BY_NAME, OPERATIONS

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)

MS = 1_000_000
#: Every decoder once (write has those of read), and a second operation with the first of them.
SYMBOLS = [c.symbol for op in OPERATIONS if op.name != "write" for tier in op.tiers for c in tier]
WRITE = "zpl_iter_write"
WHOLE_FILE = 0x7FFFFFFFFFFFFFFF


@pytest.fixture(scope="module")
def loaded() -> Iterator[Kernel]:
    patch = pytest.MonkeyPatch()
    source, kernel = open_source(patch, symbols=(*SYMBOLS, WRITE), every=True)
    yield kernel
    source.close()


@pytest.fixture
def kernel(loaded: Kernel) -> Iterator[Kernel]:
    loaded.clear()
    loaded.settings()
    loaded.events()
    yield loaded
    loaded.events()


def one(kernel: Kernel) -> Event:
    (event,) = kernel.events()
    return event


def added(before: Counts, after: Counts) -> dict[str, int]:
    """The counters that moved."""
    return {name: value for name, value in after.minus(before)._asdict().items() if value}


def cgroup() -> int:
    """The id of this process's cgroup is the inode of its directory; 1 is the root's."""
    (path,) = [
        line[3:].strip()
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if line.startswith("0:")
    ]
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        place = Path(mount + path)
        if (place / "cgroup.procs").exists():
            return place.stat().st_ino
    return 0


def test_this_kernel_accepts_every_program_of_every_decoder_and_kind(loaded: Kernel) -> None:
    """Loading refuses what the verifier does not take; kprobe programs are loaded as such."""
    assert set(loaded.programs) == {*SYMBOLS, WRITE}
    decoders = {probe.decoder for probe in loaded.source.loaded.report.attached}
    assert decoders == {c.decoder for op in OPERATIONS for tier in op.tiers for c in tier}
    assert not [r for r in loaded.source.loaded.report.rejected if r.reason != "absent"]


def test_a_read_is_told_with_everything_about_it(kernel: Kernel) -> None:
    before = time.monotonic_ns()
    kernel.read(kernel.file(b"dir", b"file", ino=77), 4096, 512)
    event, after = one(kernel), time.monotonic_ns()
    key = event.key
    assert (key.op, key.symbol, key.dataset, key.path) == (
        "read",
        "zpl_iter_read",
        f"dev 0:{DEV}",
        "dir/file",
    )
    assert (key.pid, event.tid, key.uid) == (os.getpid(), os.getpid(), os.getuid())
    assert key.comm == Path("/proc/self/comm").read_text().strip()
    assert (event.offset, event.size, event.result, event.ino) == (4096, 512, 512, 77)
    assert before <= event.ts_ns - event.latency_ns <= event.ts_ns <= after
    assert event.bucket == bucket_of(event.latency_ns)
    assert cgroup() in (key.cgroup, 0)


def test_the_latency_is_the_time_between_entry_and_return(kernel: Kernel) -> None:
    file = kernel.file(b"f")
    kernel.call("zpl_open", (0, file), 0, lambda: time.sleep(0.02))
    assert 20 * MS <= one(kernel).latency_ns < 2000 * MS


# Decoders: what each function's arguments and result become.


def test_kiocb_iter_takes_position_and_count_of_a_write(kernel: Kernel) -> None:
    arguments = kernel.kiocb(kernel.file(b"f"), 100), kernel.iter(300)
    moved = struct.pack("=Q", 100 + 300)
    kernel.call(WRITE, arguments, 300, lambda: kernel.poke(arguments[0] + kernel.at["KIOCB_POS"], moved))
    event = one(kernel)
    assert (event.key.op, event.offset, event.size, event.result) == ("write", 100, 300, 300)


def test_an_append_is_told_where_it_went_not_where_the_file_position_was(kernel: Kernel) -> None:
    arguments = kernel.kiocb(kernel.file(b"log"), 0), kernel.iter(50)
    moved = struct.pack("=Q", 9000 + 50)
    kernel.call(WRITE, arguments, 50, lambda: kernel.poke(arguments[0] + kernel.at["KIOCB_POS"], moved))
    assert one(kernel).offset == 9000


def test_a_failed_read_keeps_the_offset_it_asked_for(kernel: Kernel) -> None:
    kernel.read(kernel.file(b"f"), 4096, 512, result=-errno.EIO)
    event = one(kernel)
    assert (event.offset, event.size, event.result, event.errno) == (4096, 512, -errno.EIO, "EIO")


def test_kiocb_iovec_adds_up_the_segments(kernel: Kernel) -> None:
    vectors = kernel.new(64)
    for place, size in enumerate((100, 200, 300)):
        kernel.poke(vectors + 16 * place, struct.pack("=QQ", 0xDEAD, size))
    kernel.call("zpl_aio_read", (kernel.kiocb(kernel.file(b"f"), 1), vectors, 3, 8192), 600)
    event = one(kernel)
    assert (event.offset, event.size, event.result) == (8192, 600, 600)


def test_file_buf_reads_the_offset_through_its_pointer(kernel: Kernel) -> None:
    position = kernel.new(8)
    kernel.poke(position, struct.pack("=Q", 12345))
    kernel.call("zpl_read", (kernel.file(b"f"), 0xDEAD, 512, position), 100)
    event = one(kernel)
    assert (event.key.symbol, event.offset, event.size, event.result) == ("zpl_read", 12345, 512, 100)


def test_open_takes_the_second_argument_and_has_neither_offset_nor_size(kernel: Kernel) -> None:
    kernel.call("zpl_open", (0xDEAD, kernel.file(b"etc", b"passwd")), -errno.EACCES)
    event = one(kernel)
    assert (event.key.op, event.key.path, event.errno) == ("open", "etc/passwd", "EACCES")
    assert event.offset is event.size is None


def test_fsync_of_the_whole_file_has_no_size(kernel: Kernel) -> None:
    kernel.call("zpl_fsync", (kernel.file(b"f"), 0, WHOLE_FILE, 0), 0)
    event = one(kernel)
    assert (event.key.op, event.offset, event.size, event.result) == ("fsync", 0, None, 0)


def test_fsync_of_a_range_has_its_length(kernel: Kernel) -> None:
    kernel.call("zpl_fsync", (kernel.file(b"f"), 4096, 8191, 1), 0)
    event = one(kernel)
    assert (event.offset, event.size) == (4096, 4096)


def test_zfs_read_tells_bytes_by_what_is_left_and_errors_by_a_positive_number(kernel: Kernel) -> None:
    znode, uio = kernel.znode(b"dir", b"file"), kernel.uio(4096, 512)
    left = struct.pack("=Q", 112)
    kernel.call("zfs_read", (znode, uio, 0, 0), 0, lambda: kernel.poke(uio + kernel.at["UIO_RESID"], left))
    good = one(kernel)
    assert (good.key.path, good.offset, good.size, good.result) == ("dir/file", 4096, 512, 400)
    kernel.call("zfs_read", (znode, kernel.uio(0, 512), 0, 0), errno.EIO)
    assert one(kernel).result == -errno.EIO


def test_zfs_fsync_and_zfs_open_turn_the_error_round(kernel: Kernel) -> None:
    kernel.call("zfs_fsync", (kernel.znode(b"f"), 0, 0), errno.EIO)
    event = one(kernel)
    assert (event.key.op, event.key.path, event.result, event.size) == ("fsync", "f", -errno.EIO, None)
    znode = kernel.znode(b"g")
    kernel.call("zfs_open", (znode + kernel.at["ZNODE_INODE"], 0, 0, 0), errno.EACCES)
    event = one(kernel)
    assert (event.key.op, event.key.path, event.result) == ("open", "g", -errno.EACCES)
    assert event.offset is event.size is None


# Paths.


@pytest.mark.parametrize("depth", [1, 2, 24, 31])
def test_a_path_is_told_whole(kernel: Kernel, depth: int) -> None:
    names = [b"d%d" % number for number in range(depth)]
    kernel.read(kernel.file(*names))
    assert one(kernel).key.path == "/".join(name.decode() for name in names)


def test_24_names_of_255_bytes_are_told_whole(kernel: Kernel) -> None:
    names = [bytes([97 + number]) * 255 for number in range(24)]
    kernel.read(kernel.file(*names))
    assert one(kernel).key.path == "/".join(name.decode() for name in names)


def test_a_path_that_is_too_deep_is_marked_as_cut(kernel: Kernel) -> None:
    names = [b"d%d" % number for number in range(40)]
    kernel.read(kernel.file(*names))
    path = one(kernel).key.path
    assert path.startswith(CUT_MARK)
    assert ("/" + "/".join(name.decode() for name in names)).endswith(path.removeprefix("…"))


def test_the_root_of_a_dataset_is_a_dot(kernel: Kernel) -> None:
    kernel.read(kernel.file())
    assert one(kernel).key.path == "."


@pytest.mark.parametrize(
    "name", [b"\x1b[31mred", b"a\nb", b"\xff\xfe", "\u202egpj".encode(), b"[bold]x", b" "]
)
def test_hostile_names_are_shown_harmlessly(kernel: Kernel, name: bytes) -> None:
    kernel.read(kernel.file(b"dir", name))
    path = one(kernel).key.path
    assert path.isprintable()
    assert path.startswith("dir/")
    assert len(path) > 4


def test_a_deleted_file_says_so(kernel: Kernel) -> None:
    kernel.read(kernel.file(b"dir", b"gone", hashed=False))
    assert one(kernel).key.path == "dir/gone (deleted)"


def test_an_inode_without_a_name_is_told_by_its_number(kernel: Kernel) -> None:
    before = kernel.counts("zfs_fsync")
    kernel.call("zfs_fsync", (kernel.znode(ino=815), 0, 0), 0)
    assert one(kernel).key.path == "inode#815"
    assert added(before, kernel.counts("zfs_fsync"))["pathless"] == 1


def test_a_path_is_sent_once_and_again_after_it_was_forgotten(kernel: Kernel) -> None:
    file = kernel.file(b"once")
    for _ in range(3):
        kernel.read(file)
    _, paths = kernel.source._rings or (None, None)
    assert paths is not None
    records = list(paths.records())
    assert len(records) == 1
    kernel.source.paths.add(records[0])
    path_id = struct.unpack_from("=Q", records[0])[0]
    assert {event.key.path for event in kernel.events()} == {"once"}
    bpf.map_delete(kernel.maps["sent_paths"], struct.pack("=Q", path_id))
    kernel.read(file)
    assert len(list(paths.records())) == 1


def test_a_rename_gives_another_path(kernel: Kernel) -> None:
    block = kernel.super_block()
    inode, first, second = kernel.inode(block), kernel.dentries(b"a", b"x"), kernel.dentries(b"b", b"x")
    file = kernel.new(512, FILE_INODE=inode, FILE_DENTRY=first)
    kernel.read(file)
    kernel.poke(file + kernel.at["FILE_DENTRY"], struct.pack("=Q", second))
    kernel.read(file)
    assert [event.key.path for event in kernel.events()] == ["a/x", "b/x"]


# What is not told is counted.


def test_a_file_of_another_file_system_is_rejected(kernel: Kernel) -> None:
    before = kernel.counts("zpl_iter_read")
    kernel.read(kernel.file(b"f", block=kernel.super_block(magic=0xEF53)))
    assert kernel.events() == []
    assert added(before, kernel.counts("zpl_iter_read")) == {"entered": 1, "returned": 1, "rejected": 1}


def test_wild_pointers_are_rejected_and_harm_nobody(kernel: Kernel) -> None:
    before = kernel.counts("zpl_iter_read")
    for wild in (0, 1, 0xDEAD_BEEF, 2**64 - 8):
        kernel.call("zpl_iter_read", (wild, wild), 512)
    assert kernel.events() == []
    assert added(before, kernel.counts("zpl_iter_read")) == {"entered": 4, "returned": 4, "rejected": 4}


def test_faster_than_the_threshold_is_counted_as_below(kernel: Kernel) -> None:
    before, file = kernel.counts("zpl_open"), kernel.file(b"f")
    kernel.settings(threshold=15 * MS)
    kernel.call("zpl_open", (0, file), 0)
    kernel.call("zpl_open", (0, file), 0, lambda: time.sleep(0.02))
    assert one(kernel).latency_ns >= 20 * MS
    assert added(before, kernel.counts("zpl_open")) == {"entered": 2, "returned": 2, "below": 1, "seen": 1}


def test_only_wanted_operations_are_told(kernel: Kernel) -> None:
    before = kernel.counts("zpl_open"), kernel.counts("zpl_iter_read")
    kernel.settings(ops=BY_NAME["open"].bit)
    file = kernel.file(b"f")
    kernel.read(file)
    kernel.call("zpl_open", (0, file), 0)
    assert one(kernel).key.op == "open"
    assert added(before[0], kernel.counts("zpl_open")) == {"entered": 1, "returned": 1, "seen": 1}
    counts = added(before[1], kernel.counts("zpl_iter_read"))
    assert (counts["filtered"], counts.get("seen", 0), counts["unmatched"]) == (1, 0, 1)


def test_filters_of_the_source_hide_exactly_the_others(kernel: Kernel) -> None:
    """apply() as the collector calls it; afterwards this process is no longer left out, so that calls count."""
    read, me = 1, os.getpid()
    file = kernel.file(b"f")
    kernel.source.apply(0, read, frozenset({me + 1}), None)
    kernel.settings(by_pid=1)
    kernel.read(file)
    assert kernel.events() == []
    kernel.source.apply(0, read, frozenset({me}), frozenset({DEV + 1}))
    kernel.settings(by_pid=1, by_dev=1)
    before = kernel.counts("zpl_iter_read")
    kernel.read(file)
    assert kernel.events() == []
    assert added(before, kernel.counts("zpl_iter_read"))["filtered_dev"] == 1
    kernel.source.apply(0, read, frozenset({me}), frozenset({DEV}))
    kernel.settings(by_pid=1, by_dev=1)
    kernel.read(file)
    assert len(kernel.events()) == 1
    kernel.source.apply(0, 0xFFFF, frozenset(), None)
    assert bpf.map_keys(kernel.maps["pids"], 4, 10) == bpf.map_keys(kernel.maps["devs"], 4, 10) == []


def test_an_empty_set_of_devices_means_none(kernel: Kernel) -> None:
    kernel.settings(by_dev=1)
    kernel.read(kernel.file(b"f"))
    assert kernel.events() == []


def test_the_instance_does_not_trace_itself(kernel: Kernel) -> None:
    Settings(kernel.maps["settings"]).write(0, 0xFFFF, False, False)
    kernel.read(kernel.file(b"f"))
    assert kernel.events() == []


def test_a_return_without_entry_is_counted_and_told_nobody(kernel: Kernel) -> None:
    before = kernel.counts("zpl_open")
    kernel.leave("zpl_open", 0, kernel.file(b"f"), result=0)
    assert kernel.events() == []
    assert added(before, kernel.counts("zpl_open")) == {"returned": 1, "unmatched": 1}


def test_two_operations_of_one_thread_may_nest(kernel: Kernel) -> None:
    file = kernel.file(b"f")
    kernel.call("zpl_open", (0, file), 0, lambda: kernel.read(file))
    assert [event.key.op for event in kernel.events()] == ["read", "open"]


def test_every_call_is_in_the_books_once(kernel: Kernel) -> None:
    """entered = seen + below + filtered + filtered_dev + rejected + in flight."""
    before, file = kernel.counts("zpl_iter_read"), kernel.file(b"f")
    other = kernel.file(b"f", block=kernel.super_block(magic=1))
    kernel.read(file)
    kernel.settings(threshold=10_000 * MS)
    kernel.read(file)
    kernel.settings(ops=0)
    kernel.read(file)
    kernel.settings(by_dev=1)
    kernel.read(file)
    kernel.settings()
    kernel.read(other)
    kernel.enter("zpl_iter_read", kernel.kiocb(file, 0), kernel.iter(1))
    now = kernel.counts("zpl_iter_read").minus(before)
    assert now.entered == now.seen + now.below + now.filtered + now.filtered_dev + now.rejected + 1 == 6
    kernel.leave("zpl_iter_read", 0, 0, result=0)


def test_a_call_that_goes_on_without_its_caller_has_no_latency(kernel: Kernel) -> None:
    before = kernel.counts("zpl_iter_read")
    kernel.read(kernel.file(b"f"), result=-529)
    assert kernel.events() == []
    assert added(before, kernel.counts("zpl_iter_read")) == {"entered": 1, "returned": 1, "queued": 1}


# Numbers.


def test_c_and_python_sort_latencies_into_the_same_buckets(kernel: Kernel) -> None:
    powers = [1 << bit for bit in range(64)]
    values = {
        0,
        2**64 - 1,
        *powers,
        *(power - 1 for power in powers),
        *(power + power // 3 for power in powers[:63]),
    }
    values |= {3**exponent for exponent in range(40)} | set(range(200))
    assert {value: kernel.bucket(value) for value in values} == {value: bucket_of(value) for value in values}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """A ring of one page and room for one call in flight, loaded as in real life: the best functions only."""
    page = os.sysconf("SC_PAGESIZE")
    source, kernel = open_source(
        monkeypatch,
        symbols=["zpl_open", "zpl_iter_read"],
        sizes={"MAX_IN_FLIGHT": 1},
        event_bytes=page,
        path_bytes=4 * page,
    )
    yield kernel
    source.close()


def test_what_does_not_fit_is_lost_in_the_open(small: Kernel) -> None:
    file = small.file(b"f")
    for _ in range(50):
        small.call("zpl_open", (0, file), 0)
    counts, events = small.counts("zpl_open"), small.events()
    assert len(events) == counts.seen > 0
    assert counts.losses == counts.lost == 50 - counts.seen > 0
    small.call("zpl_open", (0, file), 0)
    assert len(small.events()) == 1, "what was read makes room"
    small.enter("zpl_open", 0, file)
    small.read(file)
    small.leave("zpl_open", 0, file, result=0)
    assert [event.key.op for event in small.events()] == ["open"]
    read = small.counts("zpl_iter_read")
    assert (read.entered, read.full, read.unmatched, read.losses) == (1, 1, 1, 1)
