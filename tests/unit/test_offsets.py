"""Where things are in this kernel, read from its own types: members of structs, and arguments of functions."""

from __future__ import annotations

import contextlib
import platform
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.kernel import decoders, offsets
from zfstop.kernel.offsets import (
    KERNEL_OFFSETS,
    MODULE_OFFSETS,
    OPTIONAL_OFFSETS,
    Btf,
    Missing,
    functions_in,
    resolve,
    resolve_known,
)
from zfstop.zfs.operations import OPERATIONS

HOOKED = [
    (operation.name, candidate.hook, candidate.decoder)
    for operation in OPERATIONS
    for tier in operation.tiers
    for candidate in tier
    if isinstance(decoders.DECODERS[candidate.decoder].arg, str)
]


def release() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))


@pytest.fixture(scope="module")
def btf() -> Btf:
    try:
        return Btf()
    except Missing as missing:
        pytest.skip(str(missing))


#: Whether an argument for the mount's ids comes first (user_namespace, later mnt_idmap).
IDS = int(release() >= (5, 12))


@pytest.mark.parametrize(
    ("hook", "position", "pointee"),
    [
        ("create", 1 + IDS, "dentry"),
        ("mkdir", 1 + IDS, "dentry"),
        ("mknod", 1 + IDS, "dentry"),
        ("symlink", 1 + IDS, "dentry"),
        ("rename", 1 + IDS, "dentry"),
        ("rename", 3 + IDS, "dentry"),
        ("setattr", IDS, "dentry"),
        ("setattr", 1 + IDS, "iattr"),
        ("lookup", 1, "dentry"),
        ("unlink", 1, "dentry"),
        ("rmdir", 1, "dentry"),
        ("link", 0, "dentry"),
        ("link", 2, "dentry"),
        ("get_link", 0, "dentry"),
        ("get_link", 1, "inode"),
        ("tmpfile", 1 + IDS, "file" if release() >= (6, 1) else "dentry"),
        pytest.param(
            *("getattr", IDS, "path"),
            marks=pytest.mark.skipif(release() < (4, 11), reason="it took a dentry then"),
        ),
    ],
)
def test_an_argument_stands_where_this_kernel_has_it(
    btf: Btf, hook: str, position: int, pointee: str
) -> None:
    arguments = btf.hook_arguments(f"inode_operations.{hook}")
    assert arguments[position] == pointee
    assert arguments.index(pointee) <= position


@pytest.mark.parametrize(("op", "hook", "decoder"), HOOKED)
def test_every_decoder_finds_its_object_and_what_comes_with_it(
    btf: Btf, loader: Any, op: str, hook: str, decoder: str
) -> None:
    found = decoders.DECODERS[decoder]
    arguments = btf.hook_arguments(hook)
    at = loader._position(found.arg, arguments)
    assert arguments[at] in loader._POINTEES[found.arg]
    assert not set(arguments[:at]) & set(loader._POINTEES[found.arg])
    if found.second == "dentry":
        assert arguments[at + 2] == "dentry"
    if found.variant in ("attributes", "length"):
        assert arguments[at + 1] == "iattr"


def test_of_a_function_every_argument_counts_and_pointers_to_structs_have_names(btf: Btf) -> None:
    assert btf.arguments("vfs_fsync_range") == ["file", "", "", ""]
    assert btf.arguments("vfs_read") == ["file", "", "", ""]


@pytest.mark.parametrize(
    "hook", ["inode_operations.nothing_of_that_name", "no_such_table.create", "file.f_inode", "file.f_flags"]
)
def test_what_is_no_function_of_a_table_is_missing(btf: Btf, hook: str) -> None:
    with pytest.raises(Missing):
        btf.hook_arguments(hook)


def test_a_function_that_is_not_there_is_missing(btf: Btf) -> None:
    for ask in (btf.function, btf.arguments):
        with pytest.raises(Missing, match="zfstop_has_no_such_function"):
            ask("zfstop_has_no_such_function")
    assert btf.function("vfs_read") > 0


def test_functions_of_a_whole_btf_have_the_ids_that_libbpf_finds(btf: Btf) -> None:
    """This kernel's own, taken for that of a module without anything before it."""
    found = functions_in(Path("/sys/kernel/btf/vmlinux").read_bytes(), 1, 0)
    assert len(found) > 10_000
    for name in sorted(found)[:: len(found) // 50]:
        assert found[name] == btf.function(name.decode())


def test_a_function_is_known_by_its_id_only_where_that_is_its_own(btf: Btf) -> None:
    right, wrong = btf.function("vfs_read"), btf.function("vfs_fsync_range")
    for claimed in (right, wrong, 0, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(btf, "_functions", {b"vfs_read": claimed})
            assert btf.function("vfs_read") == right


@given(st.binary(max_size=200), st.integers(0, 300))
def test_no_bytes_are_taken_for_types_for_ever(body: bytes, strings: int) -> None:
    head = offsets._HEADER.pack(0xEB9F, 1, 0, 24, 0, len(body), 0, len(body))
    for data in (body, head + body):
        with contextlib.suppress(struct.error, IndexError, ValueError):
            assert all(1 <= number <= len(body) for number in functions_in(data, 1, strings).values())


def test_a_module_without_types_is_missing(btf: Btf) -> None:
    with pytest.raises(Missing, match="no_such_module"):
        btf.of_module("no_such_module")


def test_everything_that_is_needed_is_in_this_kernel(btf: Btf) -> None:
    found = resolve(btf, KERNEL_OFFSETS)
    assert set(found) == set(KERNEL_OFFSETS)
    # A word is read at each, but for these.
    halves = {"SUPER_DEV", "ATTRIBUTES_VALID"}
    assert all(offset % (4 if macro in halves else 8) == 0 for macro, offset in found.items())
    assert (
        len({found["DENTRY_PARENT"], found["DENTRY_NAME"], found["DENTRY_SUPER"], found["DENTRY_INODE"]}) == 4
    )


def test_members_are_found_in_structs_without_a_name_and_below_others(btf: Btf) -> None:
    name = btf.offset("dentry", "d_name")
    assert btf.offset("qstr", "hash_len") == btf.offset("qstr", "hash"), "a union in a union has no name"
    assert btf.offset("dentry", "d_name.name") == name + btf.offset("qstr", "name")


def test_what_is_renamed_is_found_under_its_other_name(btf: Btf) -> None:
    found = resolve_known(btf, {"A": ("dentry", "d_u.d_alias"), "B": ("file", "f_path.dentry")})
    assert set(found) == {"A", "B"}


def test_a_member_that_is_not_there_is_named(btf: Btf) -> None:
    with pytest.raises(Missing, match=r"struct file has no member f_nothing"):
        resolve(btf, {"X": ("file", "f_inode"), "Y": ("file", "f_nothing")})
    with pytest.raises(Missing, match="no_such_struct"):
        resolve(btf, {"Y": ("no_such_struct", "x")})


def test_of_what_is_optional_the_rest_is_known(btf: Btf) -> None:
    wanted = {"X": ("file", "f_inode"), "Y": ("file", "f_nothing"), "Z": ("no_such_struct", "x")}
    assert resolve_known(btf, wanted) == {"X": btf.offset("file", "f_inode")}
    assert set(resolve_known(btf, OPTIONAL_OFFSETS)) <= set(OPTIONAL_OFFSETS)


def test_every_offset_a_decoder_needs_is_looked_for() -> None:
    needed = {name for decoder in decoders.DECODERS.values() for name in decoder.needs}
    assert needed == set(OPTIONAL_OFFSETS) | set(MODULE_OFFSETS)


# Without a kernel: what the loader makes of it.


def test_without_types_the_program_seeks_its_argument(loader: Any) -> None:
    assert loader._position("dentry", None) == decoders.SEEK_ARG
    assert loader._position(1, None) == loader._position(1, ["file"]) == 1


def test_a_function_with_other_arguments_is_not_read(loader: Any) -> None:
    """getattr before Linux 4.11, of a mount and a dentry."""
    with pytest.raises(loader.offsets.Missing, match="none of its arguments is a path"):
        loader._position("path", ["vfsmount", "dentry", "kstat"])


class Types:
    """Knows these functions and hooks."""

    def __init__(self, missing: type[Exception], **known: list[str]) -> None:
        self.missing, self.known = missing, known

    def arguments(self, name: str) -> list[str]:
        if name not in self.known:
            raise self.missing(name)
        return self.known[name]

    hook_arguments = arguments


def test_the_module_knows_its_functions_best_and_the_kernel_their_shape(loader: Any) -> None:
    missing = loader.offsets.Missing
    zfs = Types(missing, zpl_mkdir=["inode", "dentry", ""])
    kernel = Types(missing, mkdir=["mnt_idmap", "inode", "dentry", ""], zpl_rmdir=["never asked"])
    both, one, none = loader.Types({}, kernel, zfs), loader.Types({}, kernel), loader.Types({})
    assert both.arguments("zpl_mkdir", "mkdir") == ["inode", "dentry", ""]
    assert (
        both.arguments("zpl_rmdir", "mkdir") == one.arguments("zpl_mkdir", "mkdir") == kernel.known["mkdir"]
    )
    assert both.arguments("zpl_rmdir", "") is one.arguments("zpl_mkdir", "rmdir") is None
    assert none.arguments("zpl_mkdir", "mkdir") is None
