"""A device number becomes the dataset the mount table says, and no text upsets the parsers."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.zfs.datasets import has_zfs_fuse, parse_mountinfo, parse_objset, unescape


def mount(dev: str, source: str, root: str = "/", point: str = "/mnt", optional: str = "shared:9 ") -> str:
    return f"60 28 {dev} {root} {point} rw,noatime {optional}- zfs {source} rw,xattr,posixacl\n"


def parsed(*lines: str) -> dict[int, bytes]:
    return parse_mountinfo("".join(lines).encode("utf-8", "surrogateescape"))


def test_datasets_and_snapshots_by_device() -> None:
    table = parsed(
        "22 28 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n",
        mount("0:57", "tank"),
        mount("0:58", "tank/data", point="/tank/data"),
        mount("0:61", "tank/data@now", point="/tank/data/.zfs/snapshot/now"),
        "28 1 254:1 / / rw shared:1 - ext4 /dev/vda1 rw\n",
    )
    assert table == {57: b"tank", 58: b"tank/data", 61: b"tank/data@now"}


def test_the_device_is_numbered_as_in_the_kernel() -> None:
    assert parsed(mount("253:7", "tank"), mount("0:1048575", "big")) == {
        253 << 20 | 7: b"tank",
        0xFFFFF: b"big",
    }
    dev = os.makedev(253, 7)
    assert (os.major(dev) << 20 | os.minor(dev)) in parsed(mount("253:7", "tank"))


@pytest.mark.parametrize("optional", ["", "shared:1 ", "shared:1 master:2 propagate_from:3 unbindable "])
def test_optional_fields_are_as_many_as_they_like(optional: str) -> None:
    assert parsed(mount("0:57", "tank", optional=optional)) == {57: b"tank"}


def test_a_bind_mount_does_not_change_the_name() -> None:
    lines = (mount("0:57", "tank/data"), mount("0:57", "tank/data", root="/sub/dir", point="/srv"))
    assert parsed(*lines) == parsed(*reversed(lines)) == {57: b"tank/data"}


def test_octal_escapes_are_taken_back() -> None:
    assert parsed(mount("0:57", r"tank/a\040b")) == {57: b"tank/a b"}
    assert unescape(rb"\040\011\012\134") == b" \t\n\\"
    assert unescape(rb"\04 \8 \999 \08") == rb"\04 \8 \999 \08"
    assert unescape(rb"a\134040") == rb"a\040", "what was unescaped is not unescaped again"


def test_a_mount_point_cannot_forge_a_dataset() -> None:
    """The kernel escapes blanks in names of others; the separator is the first ' - ' of the line."""
    hostile = r"/mnt/x\040-\040zfs\040evil/ds\040rw"
    assert parsed(mount("0:57", "tank", point=hostile)) == {57: b"tank"}
    assert parsed(f"60 28 0:99 / {hostile} rw - ext4 /dev/sda rw\n") == {}
    assert parsed("60 28 0:99 / /mnt rw - fuse x - zfs evil rw\n") == {}


@pytest.mark.parametrize(
    "line",
    ["", " - ", "- zfs x", " - zfs", "a - zfs tank", "1 2 0 / - zfs tank", "1 2 :3 / - zfs tank", "1 2 0: / - zfs tank",
     "1 2 -1:3 / - zfs tank", "1 2 0x1:3 / - zfs tank", "1 2 0:57 / /m rw - zfsx tank",
     "1 2 0:57 / /m rw - fuse.zfs tank"],
)  # fmt: skip
def test_a_line_that_is_not_a_zfs_mount_is_passed_over(line: str) -> None:
    assert parsed(line + "\n", mount("0:58", "tank")) == {58: b"tank"}


@given(st.binary(max_size=300))
def test_no_bytes_upset_the_parsers(text: bytes) -> None:
    parse_mountinfo(text)
    parse_objset(text)
    unescape(text)
    has_zfs_fuse(text)


PIECES = st.sampled_from(
    [
        b"1 ",
        b"0:57 ",
        b"/ ",
        b"rw ",
        b"- ",
        b" - zfs ",
        b"zfs",
        b"tank",
        b"\\040",
        b"\\777",
        b"\n",
        b"\xff",
        b":",
    ]
)


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_no_broken_table_upsets_the_parser(text: bytes) -> None:
    for dev, name in parse_mountinfo(text).items():
        assert dev >= 0
        assert b"\n" not in name.replace(b"\\012", b"")


@given(st.integers(0, 4095), st.integers(0, 0xFFFFF), st.binary(min_size=1, max_size=40))
def test_any_name_comes_back_as_it_was(major: int, minor: int, name: bytes) -> None:
    """Escaped as the kernel does it (mangle: blank, tab, newline, backslash)."""
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in name)
    line = b"60 28 %d:%d / /mnt rw shared:9 - zfs %s rw\n" % (major, minor, escaped)
    assert parse_mountinfo(line) == {major << 20 | minor: name}


OBJSET = b"""42 1 0x01 7 2160 5214787391 73405258558961
name                            type data
dataset_name                    7    tank/data set
writes                          4    0
nwritten                        4    0
"""


def test_an_objset_kstat_tells_its_dataset() -> None:
    assert parse_objset(OBJSET) == b"tank/data set"


@pytest.mark.parametrize(
    "text", [b"", b"dataset_name\n", b"dataset_name 7\n", b"dataset_name 7 \n", b"name type data\n"]
)
def test_a_kstat_without_a_name_has_none(text: bytes) -> None:
    assert parse_objset(text) is None


def test_zfs_fuse_is_told_from_other_file_systems_of_users() -> None:
    assert has_zfs_fuse(b"60 28 0:50 / /tank rw - fuse.zfs tank rw\n")
    assert not has_zfs_fuse(b"60 28 0:50 / /home rw - fuse.gvfsd-fuse gvfsd-fuse rw\n")
    assert not has_zfs_fuse(mount("0:57", "tank").encode())
    assert not has_zfs_fuse(b"60 28 0:50 / /mnt rw - fuse.sshfs me@box:/srv/zfs-backups rw\n")
