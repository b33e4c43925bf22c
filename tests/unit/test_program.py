"""The BPF program, compiled by the loader, judged by this kernel's verifier and run by it on made-up files.

Nothing is attached: entry and return programs are run by BPF_PROG_TEST_RUN with the arguments the traced function would
have, on structs laid out with this kernel's own BTF offsets (tests/unit/data). So it needs root and bcc, not ZFS.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from errno import EACCES, EBUSY, EEXIST, EIO, ENOSPC, EOPNOTSUPP, EPERM, ERANGE, EXDEV
from pathlib import Path
from typing import NamedTuple

import pytest
from data.fake_zfs import DEV, NOISE, ZFS_MAGIC, Kernel, open_source, why_not

from zfstop.kernel import bpf, in_flight, source
from zfstop.kernel.decoders import DECODERS
from zfstop.kernel.maps import Settings
from zfstop.kernel.paths import CUT_MARK
from zfstop.model.events import Event
from zfstop.model.histogram import bucket_of
from zfstop.model.state import Counts
from zfstop.model.waits import Waits
from zfstop.zfs.operations import BY_NAME, OPERATIONS

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)

MS = 1_000_000
SYMBOLS = {c.symbol for op in OPERATIONS for tier in op.tiers for c in tier}
WRITE = "zpl_iter_write"
WHOLE_FILE = 0x7FFFFFFFFFFFFFFF
PAGE = mmap.PAGESIZE
SEEK_HOLE, SIGBUS = 4, 2
#: Of iattr.ia_valid.
MODE, SIZE = 1, 8
ALL_BITS = 2**64 - 1
#: 230 is the major number of volumes.
VOLUME_DEV = 230 << 20 | 16


@pytest.fixture(scope="module")
def loaded() -> Iterator[Kernel]:
    patch = pytest.MonkeyPatch()
    source, kernel = open_source(patch, every=True)
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
    assert set(loaded.programs) >= SYMBOLS
    decoders = {probe.decoder for probe in loaded.source.loaded.report.attached}
    assert decoders == {c.decoder for op in OPERATIONS for tier in op.tiers for c in tier} == set(DECODERS)
    assert not [r for r in loaded.source.loaded.report.rejected if r.reason != "absent"]


def test_a_read_is_told_with_everything_about_it(kernel: Kernel) -> None:
    before = time.monotonic_ns()
    kernel.read(kernel.file(b"dir", b"file"), 4096, 512)
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
    assert (event.offset, event.size, event.result) == (4096, 512, 512)
    assert before <= event.ts_ns - event.latency_ns <= event.ts_ns <= after
    assert event.bucket == bucket_of(event.latency_ns)
    assert cgroup() in (key.cgroup, 0)


def test_the_latency_is_the_time_between_entry_and_return(kernel: Kernel) -> None:
    file = kernel.file(b"f")
    kernel.call("zpl_open", (0, file), 0, lambda: time.sleep(0.02))
    assert 20 * MS <= one(kernel).latency_ns < 2000 * MS


# Decoders: what each function's arguments and result become.


class Shape(NamedTuple):
    """A call of a function and what is to be told of it: (operation, path, other path, offset, size, result)."""

    symbol: str
    arguments: tuple[int, ...]
    returned: int
    told: tuple[str, str, str, int | None, int | None, int]


def two_files(kernel: Kernel, symbol: str, op: str, flags: int, returned: int, result: int) -> Shape:
    source, target = kernel.file(b"dir", b"from"), kernel.file(b"dir", b"to")
    told = (op, "dir/from", "dir/to", PAGE, 2 * PAGE, result)
    return Shape(symbol, (source, PAGE, target, 3 * PAGE, 2 * PAGE, flags), returned, told)


def extended_attribute(kernel: Kernel) -> Shape:
    inode = kernel.inode(kernel.super_block(), 34, kernel.dentries(b"dir", b"file"))
    arguments = (inode, kernel.noise(), kernel.noise(), 64, 2)
    return Shape("zpl_xattr_set", arguments, 0, ("xattr-set", "dir/file", "", None, 64, 0))


#: For each decoder a call, with a negative result where there may be one: as the function returns it, and as told.
SHAPES: dict[str, Callable[[Kernel], Shape]] = {
    "kiocb_iter": lambda k: Shape(
        WRITE, (k.kiocb(k.file(b"d", b"f"), 100), k.iter(300)), -EIO, ("write", "d/f", "", 100, 300, -EIO)
    ),
    "kiocb_iovec": lambda k: Shape(
        "zpl_aio_read", (k.kiocb(k.file(b"f"), 1), 0, 0, 8192), 0, ("read", "f", "", 8192, 0, 0)
    ),
    "file_buf": lambda k: Shape(
        "zpl_read", (k.file(b"f"), k.noise(), 512, k.new(8)), -EIO, ("read", "f", "", 0, 512, -EIO)
    ),
    "inode_file": lambda k: Shape(
        "zpl_release", (k.noise(), k.file(b"etc", b"f")), 0, ("release", "etc/f", "", None, None, 0)
    ),
    "file_range": lambda k: Shape(
        "zpl_fsync", (k.file(b"f"), 4096, 8191, 1), -EIO, ("fsync", "f", "", 4096, 4096, -EIO)
    ),
    "file_status": lambda k: Shape(
        "zpl_iterate", (k.file(b"dir"), k.noise()), -EIO, ("readdir", "dir", "", None, None, -EIO)
    ),
    "file_extent": lambda k: Shape(
        "zpl_fallocate", (k.file(b"f"), 3, PAGE, 8192), -ENOSPC, ("fallocate", "f", "", PAGE, 8192, -ENOSPC)
    ),
    "file_seek": lambda k: Shape(
        "zpl_llseek", (k.file(b"f"), PAGE, SEEK_HOLE), 1 << 40, ("seek", "f", "", PAGE, None, 1 << 40)
    ),
    "two_files": lambda k: two_files(k, "zpl_copy_file_range", "copy", 0, PAGE, PAGE),
    "two_files_status": lambda k: two_files(k, "zpl_clone_file_range", "clone", 0, as_int(-EXDEV), -EXDEV),
    "two_files_clone": lambda k: two_files(k, "zpl_remap_file_range", "clone", 0, 2 * PAGE, 2 * PAGE),
    "two_files_dedupe": lambda k: two_files(k, "zpl_remap_file_range", "dedupe", 1, -EOPNOTSUPP, -EOPNOTSUPP),
    "file_folio": lambda k: Shape(
        "zpl_read_folio",
        (k.file(b"f"), k.folio(k.mapping(b"g"), 7)),
        -EIO,
        ("page-read", "f", "", 7 * PAGE, PAGE, -EIO),
    ),
    "readahead": lambda k: Shape(
        "zpl_readahead", (k.readahead(k.file(b"f"), 0, 7, 32),), NOISE, ("readahead", "f", "", 7 * PAGE, 32 * PAGE, 0)
    ),
    "mapping": lambda k: Shape(
        "zpl_writepages", (k.mapping(b"d", b"f"), k.noise()), -EIO, ("page-write", "d/f", "", None, None, -EIO)
    ),
    "fault": lambda k: Shape(
        "zpl_page_mkwrite", (k.fault(k.file(b"f"), 3),), SIGBUS, ("page-mkwrite", "f", "", 3 * PAGE, PAGE, -EIO)
    ),
    "new_dentry": lambda k: Shape(
        "zpl_lookup", (k.noise(), k.named(b"d", b"f", ino=0), 0), -EIO, ("lookup", "d/f", "", None, None, -EIO)
    ),
    "dentry_status": lambda k: Shape(
        "zpl_unlink", (k.noise(), k.named(b"d", b"f")), as_int(-EACCES), ("unlink", "d/f", "", None, None, -EACCES)
    ),
    "two_dentries": lambda k: Shape(
        "zpl_link",
        (k.named(b"d", b"old"), k.noise(), k.named(b"e", b"new", ino=0)),
        -EEXIST,
        ("link", "d/old", "e/new", None, None, -EEXIST),
    ),
    "dentry_attr": lambda k: Shape(
        "zpl_setattr", (k.named(b"f"), k.attributes(MODE, 99)), -EPERM, ("setattr", "f", "", None, None, -EPERM)
    ),
    "dentry_length": lambda k: Shape(
        "zpl_setattr",
        (k.named(b"f"), k.attributes(MODE | SIZE, 99)),
        -EPERM,
        ("truncate", "f", "", None, 99, -EPERM),
    ),
    "dentry_sized": lambda k: Shape(
        "zpl_xattr_list", (k.named(b"f"), k.noise(), 256), -ERANGE, ("xattr-list", "f", "", None, 256, -ERANGE)
    ),
    "dentry_or_inode": lambda k: Shape(
        "zpl_get_link", (k.named(b"l"), k.noise(), k.noise()), k.noise(), ("readlink", "l", "", None, None, 0)
    ),
    "path_status": lambda k: Shape(
        "zpl_getattr", (k.path(k.named(b"f")), k.noise(), 1, 0), -EIO, ("getattr", "f", "", None, None, -EIO)
    ),
    "path_pointer": lambda k: Shape(
        "zpl_snapdir_automount",
        (k.path(k.named(b".zfs", b"snapshot", b"monday")),),
        -EBUSY,
        ("automount", ".zfs/snapshot/monday", "", None, None, -EBUSY),
    ),
    "tmpfile": lambda k: Shape(
        "zpl_tmpfile",
        (k.noise(), k.new(512, FILE_DENTRY=k.named(b"d", b"#1", ino=0)), 0o600),
        -ENOSPC,
        ("tmpfile", "d/#1", "", None, None, -ENOSPC),
    ),
    "inode_sized": extended_attribute,
    "inode_void": lambda k: Shape(
        "zpl_evict_inode", (k.inode(k.super_block(), 34),), NOISE, ("evict", "inode#34", "", None, None, 0)
    ),
    "inode_errno": lambda k: Shape(
        "zfs_readdir",
        (k.inode(k.super_block(), 34, k.dentries(b"dir")), k.noise(), 0),
        EIO,
        ("readdir", "dir", "", None, None, -EIO),
    ),
    "super_status": lambda k: Shape("zpl_sync_fs", (k.mount(), 1), -EIO, ("syncfs", ".", "", None, None, -EIO)),
    "znode_uio": lambda k: Shape(
        "zfs_write", (k.znode(b"d", b"f"), k.uio(4096, 512), 0, 0), ENOSPC, ("write", "d/f", "", 4096, 512, -ENOSPC)
    ),
    "znode_only": lambda k: Shape(
        "zfs_setattr", (k.znode(b"d", b"f"), k.noise(), 0, 0), EPERM, ("setattr", "d/f", "", None, None, -EPERM)
    ),
    "znode_name": lambda k: Shape(
        "zfs_create", (k.znode(b"dir"), k.noise(), k.noise()), EEXIST, ("create", "dir/?", "", None, None, -EEXIST)
    ),
    "zvol": lambda k: Shape(
        "zvol_write",
        (k.request(b"tank/vol", VOLUME_DEV, 1 << 20, 8192),),
        NOISE,
        ("zvol-write", "(volume)", "", 1 << 20, 8192, 0),
    ),
}  # fmt: skip


def as_int(value: int) -> int:
    """What a function returns whose result is an int: nothing is known of the upper half of the register."""
    return value & 0xFFFFFFFF


def told(event: Event) -> tuple[str, str, str, int | None, int | None, int]:
    return event.key.op, event.key.path, event.to, event.offset, event.size, event.result


def test_every_decoder_is_tried() -> None:
    assert set(SHAPES) == set(DECODERS)


@pytest.mark.parametrize("decoder", SHAPES)
def test_a_call_is_told_as_its_arguments_and_its_result_say(kernel: Kernel, decoder: str) -> None:
    shape = SHAPES[decoder](kernel)
    function = f"{shape.symbol} {decoder}"
    before = kernel.counts(function)
    kernel.call(function, shape.arguments, shape.returned)
    event = one(kernel)
    assert told(event) == shape.told
    assert event.key.symbol == shape.symbol
    assert event.key.dataset == ("tank/vol" if decoder == "zvol" else f"dev 0:{DEV}")
    counts = added(before, kernel.counts(function))
    assert counts.pop("pathless", 0) == event.key.path.startswith("inode#")
    assert counts == {"entered": 1, "returned": 1, "seen": 1}


@pytest.mark.parametrize("decoder", [name for name in SHAPES if name not in ("zvol", "znode_uio")])
def test_a_call_on_another_file_system_is_told_nobody(kernel: Kernel, decoder: str) -> None:
    """The same call; whatever super block it leads to is not of ZFS."""
    shape = SHAPES[decoder](kernel)
    function = f"{shape.symbol} {decoder}"
    kernel.replace(struct.pack("=Q", ZFS_MAGIC), struct.pack("=Q", 0xEF53))
    before = kernel.counts(function)
    kernel.call(function, shape.arguments, shape.returned)
    assert kernel.events() == []
    counts = added(before, kernel.counts(function))
    assert counts in ({"entered": 1, "returned": 1, "rejected": 1}, {"returned": 1, "unmatched": 1})


@pytest.mark.parametrize("decoder", SHAPES)
def test_wild_arguments_harm_nobody(kernel: Kernel, decoder: str) -> None:
    shape = SHAPES[decoder](kernel)
    for wild in (0, 1, 2**64 - 8):
        kernel.call(f"{shape.symbol} {decoder}", (wild,) * 6, 0)
    assert kernel.events() == []


@pytest.mark.parametrize("decoder", SHAPES)
def test_a_call_in_flight_is_named_as_it_will_be_told(kernel: Kernel, decoder: str) -> None:
    shape = SHAPES[decoder](kernel)
    function = f"{shape.symbol} {decoder}"
    kernel.enter(function, *shape.arguments)
    (call,) = kernel.in_flight()
    kernel.leave(function, *shape.arguments, result=shape.returned)
    event = one(kernel)
    assert (call.key.op, call.key.dataset, call.key.path) == (event.key.op, event.key.dataset, event.key.path)
    assert (call.offset, call.size or None) == (event.offset, event.size or None)


@pytest.mark.parametrize("arguments", [0, 1])
@pytest.mark.parametrize("decoder", ["new_dentry", "dentry_status", "two_dentries", "dentry_attr", "dentry_length",
                                     "path_status", "tmpfile"])  # fmt: skip
def test_a_leading_argument_for_the_mounts_ids_changes_nothing(
    kernel: Kernel, decoder: str, arguments: int
) -> None:
    """Linux 5.12 put it there; without types the program finds out by itself."""
    shape = SHAPES[decoder](kernel)
    leading = (kernel.noise(),) * arguments
    kernel.call(f"{shape.symbol} {decoder}", (*leading, *shape.arguments), shape.returned)
    assert told(one(kernel)) == shape.told


@pytest.mark.parametrize("leading", [(), (0,)])
def test_a_rename_tells_both_names(kernel: Kernel, leading: tuple[int, ...]) -> None:
    old, new = kernel.named(b"a", b"old"), kernel.named(b"b", b"c", b"new", ino=0)
    directory = kernel.inode(kernel.super_block(), 34, kernel.dentries(b"a"))
    for symbol in ("zpl_rename2", "zpl_rename"):
        kernel.call(symbol, (*leading, directory, old, directory, new, 0), 0)
        assert told(one(kernel)) == ("rename", "a/old", "b/c/new", None, None, 0)


def test_a_name_that_replaces_another_is_told_with_both(kernel: Kernel) -> None:
    old, new = kernel.named(b"new.tmp"), kernel.named(b"config", ino=99)
    kernel.call("zpl_rename2", (kernel.noise(), old, kernel.noise(), new, 0), 0)
    event = one(kernel)
    assert (event.key.path, event.to) == ("new.tmp", "config")


@pytest.mark.parametrize(
    ("returned", "result"),
    [(0, 0), (0xFFFF_8880_1234_5678, 0), (-errno.ENOENT, -errno.ENOENT), (-4095, -4095), (-4096, 0),
     (0xFFFF_FFFE, -2), (0xFFFF_FFEF, -17)],
)  # fmt: skip
@pytest.mark.parametrize("symbol", ["zpl_lookup", "zpl_mkdir"])
def test_a_pointer_is_no_error_unless_it_holds_one(
    kernel: Kernel, symbol: str, returned: int, result: int
) -> None:
    """NULL, a pointer, an error in a pointer, and the int that mkdir returned before Linux 6.15."""
    kernel.call(symbol, (kernel.noise(), kernel.named(b"d", b"f", ino=0), 0), returned)
    assert told(one(kernel)) == (symbol.removeprefix("zpl_"), "d/f", "", None, None, result)


@pytest.mark.parametrize(
    ("valid", "decoder"),
    [(0, "dentry_attr"), (MODE, "dentry_attr"), (SIZE, "dentry_length"), (MODE | SIZE, "dentry_length")],
)
def test_a_change_of_attributes_is_counted_by_exactly_one_of_its_operations(
    kernel: Kernel, valid: int, decoder: str
) -> None:
    """One function, two pairs of programs: both run for every call."""
    both = ("zpl_setattr dentry_attr", "zpl_setattr dentry_length")
    before = [kernel.counts(function) for function in both]
    arguments = kernel.named(b"f"), kernel.attributes(valid, 123)
    kernel.run_all(both, arguments, 0)
    expected = ("truncate", 123) if decoder == "dentry_length" else ("setattr", None)
    event = one(kernel)
    assert (event.key.op, event.size) == expected
    moved = [added(counts, kernel.counts(function)) for counts, function in zip(before, both, strict=True)]
    assert sorted(counts.get("entered", 0) for counts in moved) == [0, 1]
    assert {Counts(**counts).in_flight for counts in moved} == {0}


@pytest.mark.parametrize(("flags", "op"), [(0, "clone"), (2, "clone"), (1, "dedupe"), (3, "dedupe")])
def test_a_remapped_range_is_a_clone_or_a_dedupe_never_both(kernel: Kernel, flags: int, op: str) -> None:
    both = ("zpl_remap_file_range two_files_clone", "zpl_remap_file_range two_files_dedupe")
    shape = two_files(kernel, "zpl_remap_file_range", op, flags, PAGE, PAGE)
    kernel.run_all(both, shape.arguments, PAGE)
    assert told(one(kernel)) == shape.told


def test_a_clone_of_all_the_rest_has_no_size(kernel: Kernel) -> None:
    arguments = kernel.file(b"from"), 0, kernel.file(b"to"), 0, 0, 0
    kernel.call("zpl_remap_file_range two_files_clone", arguments, 12345)
    assert told(one(kernel)) == ("clone", "from", "to", 0, None, 12345)


@pytest.mark.parametrize("whence", [os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
def test_a_seek_that_asks_zfs_nothing_is_none_of_our_calls(kernel: Kernel, whence: int) -> None:
    before = kernel.counts("zpl_llseek")
    kernel.call("zpl_llseek", (kernel.file(b"f"), 0, whence), 0)
    assert kernel.events() == []
    assert added(before, kernel.counts("zpl_llseek")) == {"returned": 1, "unmatched": 1}


@pytest.mark.parametrize(("whence", "by_pid"), [(os.SEEK_SET, 0), (SEEK_HOLE, 1)])
def test_a_call_that_is_not_timed_never_gets_the_time_of_one_whose_return_was_missed(
    kernel: Kernel, whence: int, by_pid: int
) -> None:
    """Because it is none of ours, or because of a filter that came meanwhile."""
    before, file = kernel.counts("zpl_llseek"), kernel.file(b"f")
    kernel.enter("zpl_llseek", file, 0, SEEK_HOLE)
    kernel.settings(by_pid=by_pid)
    kernel.call("zpl_llseek", (file, 0, whence), 0)
    assert kernel.events() == []
    counts = kernel.counts("zpl_llseek").minus(before)
    assert (counts.missed, counts.in_flight) == (1, 0)


@pytest.mark.parametrize("symbol", ["zpl_read_folio", "zpl_readpage"])
def test_a_page_read_without_a_file_is_told_by_the_inode(kernel: Kernel, symbol: str) -> None:
    kernel.call(symbol, (0, kernel.folio(kernel.mapping(b"d", b"f"), 2)), 0)
    assert told(one(kernel)) == ("page-read", "d/f", "", 2 * PAGE, PAGE, 0)


def test_readahead_without_a_file_is_told_by_the_inode(kernel: Kernel) -> None:
    kernel.call("zpl_readahead", (kernel.readahead(0, kernel.mapping(b"d", b"f"), 5, 1),), 0)
    assert told(one(kernel)) == ("readahead", "d/f", "", 5 * PAGE, PAGE, 0)


@pytest.mark.parametrize("fault", [0, 0x200, 0x100, 0x4000])
def test_a_fault_that_was_served_is_no_error(kernel: Kernel, fault: int) -> None:
    """Locked, "no page", retry and the like are ways of success."""
    kernel.call("zpl_page_mkwrite", (kernel.fault(kernel.file(b"f"), 0),), fault)
    assert one(kernel).result == 0


def test_a_temporary_file_of_an_older_kernel_is_a_dentry(kernel: Kernel) -> None:
    kernel.call("zpl_tmpfile", (kernel.noise(), kernel.named(b"d", b"#1", ino=0), 0o600), 0)
    assert told(one(kernel)) == ("tmpfile", "d/#1", "", None, None, 0)


def test_a_link_read_in_path_walk_has_only_its_inode(kernel: Kernel) -> None:
    """Without the dentry, because nothing is locked."""
    inode = kernel.inode(kernel.super_block(), 34, kernel.dentries(b"d", b"link"))
    kernel.call("zpl_get_link", (0, inode, kernel.noise()), -errno.ECHILD)
    assert told(one(kernel)) == ("readlink", "d/link", "", None, None, -errno.ECHILD)


def test_a_znode_is_found_by_its_number_where_nothing_tells_its_layout(kernel: Kernel) -> None:
    """Also when something before the inode points to the super block of ZFS."""
    znode = kernel.znode(b"d", b"f", ino=34)
    kernel.poke(znode + 64, struct.pack("=Q", kernel.super_block()))
    kernel.call("zfs_holey", (znode, 0, kernel.noise()), 0)
    assert told(one(kernel)) == ("seek", "d/f", "", None, None, 0)


def test_of_several_hard_links_none_is_guessed(kernel: Kernel) -> None:
    first, second = kernel.dentries(b"one"), kernel.dentries(b"two")
    inode = kernel.inode(kernel.super_block(), 815, first)
    kernel.poke(first + kernel.at["DENTRY_ALIAS"], struct.pack("=Q", second + kernel.at["DENTRY_ALIAS"]))
    kernel.call("zfs_open", (inode, 0, 0, 0), 0)
    assert one(kernel).key.path == "inode#815"


# Volumes.


def test_a_device_that_is_no_volume_is_rejected(kernel: Kernel) -> None:
    before = kernel.counts("zvol_read")
    for dev in (8 << 20 | 1, DEV, 0):
        kernel.call("zvol_read", (kernel.request(b"tank/vol", dev, 0, 512),), 0)
    kernel.source.take_paths()
    assert kernel.source.paths.volumes() == {}, "its number belongs to something else, which keeps its name"
    assert kernel.events() == []
    assert added(before, kernel.counts("zvol_read")) == {"entered": 3, "returned": 3, "rejected": 3}


def test_a_volume_is_named_once_and_anew_every_second(kernel: Kernel) -> None:
    """It may be renamed, and its number may pass to another."""
    paths = kernel.source.paths
    for volume in (b"tank/a", b"tank/b"):
        kernel.call("zvol_read", (kernel.request(volume, VOLUME_DEV, 0, 512),), 0)
        kernel.source.take_paths()
    assert paths.volumes() == {VOLUME_DEV: "tank/a"}
    paths.tidy()
    kernel.call("zvol_read", (kernel.request(b"tank/b", VOLUME_DEV, 0, 512),), 0)
    kernel.source.take_paths()
    assert paths.volumes() == {VOLUME_DEV: "tank/b"}


def test_a_filter_by_device_takes_volumes_too(kernel: Kernel) -> None:
    kernel.source.apply(0, ALL_BITS, frozenset(), frozenset({VOLUME_DEV}))
    kernel.settings(by_dev=1)
    for dev in (VOLUME_DEV, VOLUME_DEV + 16):
        kernel.call("zvol_read", (kernel.request(b"tank/vol", dev, 0, 512),), 0)
    assert one(kernel).key.dataset == "tank/vol"
    kernel.source.apply(0, ALL_BITS, frozenset(), None)


# The rest of single decoders.


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
        sizes={"SEATS": 1},
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
    elsewhere(lambda: small.read(file))
    assert small.events() == []
    read = small.counts("zpl_iter_read")
    assert (read.entered, read.full, read.unmatched, read.losses) == (1, 1, 1, 1)


def elsewhere(work: Callable[[], object]) -> None:
    """Do it in another thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.fixture
def two_seats(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """Room for two threads, and for as many statistics as a slot's operation needs places to look in."""
    source, kernel = open_source(
        monkeypatch, symbols=["zpl_open"], sizes={"SEATS": 2}, event_bytes=1 << 16, path_bytes=1 << 16
    )
    yield kernel
    source.close()


def opened_by(kernel: Kernel, threads: int) -> set[int]:
    """Threads that live at the same time, each in a call then; the numbers of those that were told."""
    inside, over = threading.Barrier(threads), threading.Barrier(threads)
    one_at_a_time = threading.Lock()

    def call() -> None:
        with one_at_a_time:
            kernel.enter("zpl_open", 0, file)
        inside.wait()
        with one_at_a_time:
            kernel.leave("zpl_open", 0, file, result=0)
        over.wait()

    file = kernel.file(b"f")
    running = [threading.Thread(target=call) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return {event.tid for event in kernel.events()}


def seats_taken(kernel: Kernel) -> int:
    return len(bpf.map_keys(kernel.maps["seats_taken"], 4, 10))


def free_seats(kernel: Kernel) -> None:
    """Wait until all are: the kernel lets go of a thread a moment after its end."""
    end = time.monotonic() + 30
    while seats_taken(kernel):
        assert time.monotonic() < end, "a thread that has ended keeps its seat"
        time.sleep(0.01)


def test_threads_whose_numbers_lead_to_the_same_seat_take_different_ones(two_seats: Kernel) -> None:
    assert len(opened_by(two_seats, 2)) == 2
    counts = two_seats.counts("zpl_open")
    assert (counts.entered, counts.seen, counts.losses) == (2, 2, 0)


def test_without_a_free_seat_a_call_is_lost_in_the_open(two_seats: Kernel) -> None:
    assert len(opened_by(two_seats, 3)) == 2
    counts = two_seats.counts("zpl_open")
    assert (counts.entered, counts.seen, counts.full, counts.unmatched, counts.losses) == (3, 2, 1, 1, 1)


def test_a_thread_that_ends_leaves_its_seat_to_another(two_seats: Kernel) -> None:
    for _ in range(5):
        assert len(opened_by(two_seats, 2)) == 2
        free_seats(two_seats)
    counts = two_seats.counts("zpl_open")
    assert (counts.entered, counts.seen, counts.losses, counts.unmatched) == (10, 10, 0, 0)


def test_a_thread_that_ends_inside_a_call_is_told_as_missed_before_its_seat_is_free(
    two_seats: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "IDLE_NS", 0)
    file = two_seats.file(b"f")
    elsewhere(lambda: two_seats.enter("zpl_open", 0, file))
    time.sleep(0.2)
    assert seats_taken(two_seats) == 1
    assert two_seats.missed_returns() == 1
    assert two_seats.in_flight() == ()
    assert seats_taken(two_seats) == 0


def test_the_statistics_of_more_datasets_than_have_room_are_counted_as_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "capacity", lambda: 64)
    opened, kernel = open_source(monkeypatch, symbols=["zpl_open"])
    with contextlib.closing(opened):
        told: Counter[int] = Counter()
        for dev in range(1, 201):
            kernel.clear()
            kernel.call("zpl_open", (0, kernel.file(b"f", block=kernel.super_block(dev))), 0)
            if dev in (20, 200):
                told.update({dev: tally.calls for (_, dev), tally in opened.tallies().items()})
        left_out = kernel.counts("zpl_open").untallied
    assert set(told) >= set(range(1, 21)), "as long as there is room everything is told"
    assert set(told.values()) == {1}
    assert sum(told.values()) + left_out == 200
    assert sum(told.values()) <= 64


# Calls inside calls, and returns that never come.


def test_a_call_inside_a_call_keeps_both_right(kernel: Kernel) -> None:
    outer, inner = kernel.file(b"outer"), kernel.file(b"inner")
    kernel.enter("zpl_fsync", outer, 0, 8191, 1)
    kernel.call("zpl_open", (0, inner), 0, lambda: time.sleep(0.01))
    kernel.leave("zpl_fsync", outer, 0, 8191, 1, result=0)
    first, second = kernel.events()
    assert [(event.key.op, event.key.path) for event in (first, second)] == [
        ("open", "inner"),
        ("fsync", "outer"),
    ]
    assert second.latency_ns > first.latency_ns > 10 * MS


def test_a_missed_return_is_found_by_the_next_call_and_by_the_return_around_it(kernel: Kernel) -> None:
    file, before = kernel.file(b"f"), kernel.counts("zpl_open")
    kernel.enter("zpl_open", 0, file)
    kernel.call("zpl_open", (0, file), 0)
    assert kernel.counts("zpl_open").missed - before.missed == 1, "the thread is here again"
    kernel.enter("zpl_fsync", file, 0, 8191, 1)
    kernel.enter("zpl_open", 0, file)
    kernel.leave("zpl_fsync", file, 0, 8191, 1, result=0)
    assert kernel.counts("zpl_open").missed - before.missed == 2, "the call around it has returned"
    assert [event.key.op for event in kernel.events()] == ["open", "fsync"]
    assert kernel.in_flight() == ()


def test_deeper_than_anything_goes_all_before_was_missed(kernel: Kernel) -> None:
    file = kernel.file(b"f")
    calls = {
        "zpl_open": (0, file),
        "zpl_release": (kernel.noise(), file),
        "zpl_fsync": (file, 0, 8191, 1),
        "zpl_fallocate": (file, 3, PAGE, 8192),
        "zpl_iterate": (file, kernel.noise()),
    }
    before = {name: kernel.counts(name) for name in calls}
    for name, arguments in calls.items():
        kernel.enter(name, *arguments)
    assert [kernel.counts(name).missed - before[name].missed for name in calls] == [1, 1, 1, 1, 0]
    kernel.leave("zpl_iterate", *calls["zpl_iterate"], result=0)
    assert one(kernel).key.op == "readdir"
    assert kernel.in_flight() == ()


# Where the time goes.


def waits(kernel: Kernel) -> Waits:
    event = one(kernel)
    assert event.waits is not None
    assert sum(event.waits) == event.latency_ns
    return event.waits


def test_a_sleep_that_nothing_explains_is_other(kernel: Kernel) -> None:
    kernel.call("zpl_open", (0, kernel.file(b"f")), 0, lambda: time.sleep(0.05))
    found = waits(kernel)
    assert found.other > 0.045 * 1000 * MS * 0.98
    assert (found.disk, found.throttle, found.txg, found.zil, found.lock, found.memory) == (0, 0, 0, 0, 0, 0)


def test_a_call_that_runs_is_the_cpus_and_its_queues(kernel: Kernel) -> None:
    def spin() -> None:
        end = time.thread_time_ns() + 30 * MS
        while time.thread_time_ns() < end:
            pass

    kernel.call("zpl_open", (0, kernel.file(b"f")), 0, spin)
    found = waits(kernel)
    assert found.cpu > 25 * MS
    assert found.total - found.cpu - found.runqueue < 5 * MS


def test_a_sleep_in_a_region_has_its_cause_and_what_is_around_it_has_not(kernel: Kernel) -> None:
    def work() -> None:
        time.sleep(0.01)
        with kernel.region("zil"):
            time.sleep(0.04)
        with kernel.region("throttle"):
            time.sleep(0.02)

    kernel.call("zpl_fsync", (kernel.file(b"f"), 0, 8191, 1), 0, work)
    found = waits(kernel)
    assert 39 * MS < found.zil < 200 * MS
    assert 19 * MS < found.throttle < 200 * MS
    assert 9 * MS < found.other < 200 * MS
    assert (found.disk, found.txg, found.lock, found.memory) == (0, 0, 0, 0)


def test_the_waits_of_an_inner_call_are_also_those_of_the_call_around_it(kernel: Kernel) -> None:
    outer, inner = kernel.file(b"outer"), kernel.file(b"inner")

    def wait() -> None:
        with kernel.region("zil"):
            time.sleep(0.02)

    kernel.enter("zpl_fsync", outer, 0, 8191, 1)
    wait()
    kernel.call("zpl_open", (0, inner), 0, wait)
    kernel.leave("zpl_fsync", outer, 0, 8191, 1, result=0)
    first, second = (event.waits for event in kernel.events())
    assert first is not None
    assert second is not None
    assert 19 * MS < first.zil < second.zil - 19 * MS


def test_a_region_whose_end_was_missed_ends_with_the_call(kernel: Kernel) -> None:
    file = kernel.file(b"f")
    kernel.enter("zpl_fsync", file, 0, 8191, 1)
    kernel.region("zil").__enter__()
    time.sleep(0.01)
    kernel.leave("zpl_fsync", file, 0, 8191, 1, result=0)
    assert waits(kernel).zil > 9 * MS
    kernel.call("zpl_fsync", (file, 0, 8191, 1), 0, lambda: time.sleep(0.01))
    assert waits(kernel).zil == 0


def test_a_call_in_flight_tells_its_waits_so_far(kernel: Kernel) -> None:
    file = kernel.file(b"f")
    kernel.enter("zpl_fsync", file, 0, 8191, 1)
    with kernel.region("zil"):
        time.sleep(0.02)
        (call,) = kernel.in_flight()
        assert call.waits is not None
        assert call.waits.zil > 19 * MS
        assert abs(call.waits.total - call.age_ns) < MS
    kernel.leave("zpl_fsync", file, 0, 8191, 1, result=0)
    kernel.events()


def test_a_sleep_that_nothing_explains_gets_its_function_while_somebody_asks(kernel: Kernel) -> None:
    file, source = kernel.file(b"f"), kernel.source
    source.name_sleeps(100 * MS, 100 * MS, 0)
    assert [probe.op for probe in source.loaded.report.waits][-1:] == ["other"]
    kernel.call("zpl_open", (0, file), 0, lambda: time.sleep(0.03))
    named = one(kernel)
    source.name_sleeps(0, 0, 61_000 * MS)
    assert "other" not in [probe.op for probe in source.loaded.report.waits]
    kernel.call("zpl_open", (0, file), 0, lambda: time.sleep(0.03))
    assert one(kernel).slept_in == "", "nobody asks"
    assert named.waits is not None
    assert named.waits.other > 29 * MS
    assert "sleep" in named.slept_in


def test_while_sleeps_are_not_watched_events_tell_no_waits(kernel: Kernel) -> None:
    kernel.settings(blind=1)
    kernel.call("zpl_open", (0, kernel.file(b"f")), 0)
    assert one(kernel).waits is None
