"""What is attached, for the symbols of any release: the functions that carry the calls, each with its own decoder.

The shapes of old and odd kernels are written by hand after the sources of OpenZFS 0.6.5 to 2.4.
"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from zfstop.kernel.resolver import Facts, Plan, Planned, plan, wanted_symbols
from zfstop.kernel.symbols import parse
from zfstop.zfs.operations import OPERATIONS

TRIXIE = (Path(__file__).parent / "data" / "kallsyms-trixie.txt").read_bytes()
WANTED = wanted_symbols()
CANDIDATES = [(op.name, c.symbol) for op in OPERATIONS for tier in op.tiers for c in tier]
#: Of every release or of some, and never to be attached.
DECOYS = ("zpl_readpages", "zpl_readpage_filler", "zpl_read_common", "zpl_read_common_iovec", "zpl_writepage",
          "zpl_common_open", "zpl_root_readdir", "zpl_snapdir_lookup", "zpl_xattr_get_sa", "zpl_fallocate_common",
          "zpl_setattr_impl", "zfs_getattr_fast", "zfs_setattr_dir", "zfs_write_simple", "zvol_write_impl")  # fmt: skip
#: What a module stripped of its static functions still has.
GLOBALS = ("zfs_read", "zfs_write", "zfs_open", "zfs_close", "zfs_fsync", "zfs_lookup", "zfs_create", "zfs_remove",
           "zfs_mkdir", "zfs_rmdir", "zfs_readdir", "zfs_setattr", "zfs_rename", "zfs_symlink", "zfs_readlink",
           "zfs_link", "zfs_inactive", "zfs_getpage", "zfs_putpage", "zfs_space", "zfs_holey")  # fmt: skip


def kernel(*names: str, module: str | None = "zfs") -> bytes:
    tag = f"\t[{module}]" if module else ""
    return "".join(f"0000000000000000 t {name}{tag}\n" for name in names).encode()


def planned(text: bytes, facts: Facts = Facts()) -> Plan:  # noqa: B008
    return plan(parse(text, WANTED), facts)


def attached_first(result: Plan) -> dict[str, set[tuple[str, str]]]:
    """Operation -> what the loader tries first: (symbol, decoder) of its best tier."""
    best = {p.op: min(q.tier for q in result.probes if q.op == p.op) for p in result.probes}
    return {
        op: {(p.symbol, p.decoder) for p in result.probes if (p.op, p.tier) == (op, tier)}
        for op, tier in best.items()
    }


def reasons(result: Plan) -> dict[str, str]:
    return {item.symbol: item.reason for item in result.rejected}


def only(result: Plan, symbol: str) -> Planned:
    (probe,) = [probe for probe in result.probes if probe.symbol == symbol]
    return probe


ZPL = {
    "open": {("zpl_open", "inode_file")},
    "fsync": {("zpl_fsync", "file_range")},
}
ITER = ZPL | {
    "read": {("zpl_iter_read", "kiocb_iter")},
    "write": {("zpl_iter_write", "kiocb_iter")},
}
#: What OpenZFS 2.3.9 on Linux 6.12 carries everything else through.
ITER_AND_ALL_ELSE = ITER | {
    "release": {("zpl_release", "inode_file")},
    "lookup": {("zpl_lookup", "new_dentry")},
    "create": {("zpl_create", "dentry_status")},
    "mkdir": {("zpl_mkdir", "new_dentry")},
    "mknod": {("zpl_mknod", "dentry_status")},
    "symlink": {("zpl_symlink", "dentry_status")},
    "link": {("zpl_link", "two_dentries")},
    "unlink": {("zpl_unlink", "dentry_status")},
    "rmdir": {("zpl_rmdir", "dentry_status")},
    "rename": {("zpl_rename", "two_dentries")},
    "setattr": {("zpl_setattr", "dentry_attr")},
    "truncate": {("zpl_setattr", "dentry_length")},
    "getattr": {("zpl_getattr", "path_status")},
    "readdir": {("zpl_iterate", "file_status")},
    "readlink": {("zpl_get_link", "dentry_or_inode")},
    "xattr-get": {("zpl_xattr_get", "inode_sized")},
    "xattr-set": {("zpl_xattr_set", "inode_sized")},
    "xattr-list": {("zpl_xattr_list", "dentry_sized")},
    "tmpfile": {("zpl_tmpfile", "tmpfile")},
    "fallocate": {("zpl_fallocate", "file_extent")},
    "seek": {("zpl_llseek", "file_seek")},
    "copy": {("zpl_copy_file_range", "two_files")},
    "clone": {("zpl_remap_file_range", "two_files_clone")},
    "dedupe": {("zpl_remap_file_range", "two_files_dedupe")},
    "page-read": {("zpl_read_folio", "file_folio")},
    "readahead": {("zpl_readahead", "readahead")},
    "page-write": {("zpl_writepages", "mapping")},
    "evict": {("zpl_evict_inode", "inode_void")},
    "syncfs": {("zpl_sync_fs", "super_status")},
    "automount": {("zpl_snapdir_automount", "path_pointer")},
}


def test_trixie() -> None:
    result = planned(TRIXIE)
    assert attached_first(result) == ITER_AND_ALL_ELSE
    assert {probe.module for probe in result.probes} == {"zfs"}
    assert set(reasons(result)) == {
        "zpl_aio_read", "zpl_read", "zpl_aio_write", "zpl_write", "zpl_rename2", "zpl_readdir", "zpl_clone_file_range",
        "zpl_dedupe_file_range", "zpl_readpage", "zpl_page_mkwrite", "zvol_read", "zvol_read_task", "zvol_write",
        "zvol_write_task",
    }  # fmt: skip
    assert set(reasons(result).values()) == {"absent"}


def test_0_6_5_carries_read_and_readv_through_two_functions_and_both_are_attached() -> None:
    names = (
        "zpl_read",
        "zpl_iter_read",
        "zpl_write",
        "zpl_iter_write",
        "zpl_open",
        "zpl_fsync",
        "zfs_read",
        "zfs_write",
        "zfs_open",
        "zfs_fsync",
        *DECOYS,
    )
    assert attached_first(planned(kernel(*names))) == ZPL | {
        "read": {("zpl_read", "file_buf"), ("zpl_iter_read", "kiocb_iter")},
        "write": {("zpl_write", "file_buf"), ("zpl_iter_write", "kiocb_iter")},
    }


def test_0_6_5_9_on_a_kernel_without_iterators_uses_aio() -> None:
    names = ("zpl_aio_read", "zpl_aio_write", "zpl_open", "zpl_fsync", "zfs_read", "zfs_write", *DECOYS)
    assert attached_first(planned(kernel(*names))) == ZPL | {
        "read": {("zpl_aio_read", "kiocb_iovec")},
        "write": {("zpl_aio_write", "kiocb_iovec")},
    }


def test_a_stripped_module_still_has_the_global_functions() -> None:
    assert attached_first(planned(kernel(*GLOBALS, "zpl_xattr_list"))) == {
        "read": {("zfs_read", "znode_uio")},
        "write": {("zfs_write", "znode_uio")},
        "open": {("zfs_open", "inode_errno")},
        "release": {("zfs_close", "inode_errno")},
        "fsync": {("zfs_fsync", "znode_only")},
        "lookup": {("zfs_lookup", "znode_name")},
        "create": {("zfs_create", "znode_name")},
        "mkdir": {("zfs_mkdir", "znode_name")},
        "symlink": {("zfs_symlink", "znode_name")},
        "link": {("zfs_link", "znode_name")},
        "unlink": {("zfs_remove", "znode_name")},
        "rmdir": {("zfs_rmdir", "znode_name")},
        "rename": {("zfs_rename", "znode_name")},
        "setattr": {("zfs_setattr", "znode_only")},
        "readdir": {("zfs_readdir", "inode_errno")},
        "readlink": {("zfs_readlink", "inode_errno")},
        "xattr-list": {("zpl_xattr_list", "dentry_sized")},
        "fallocate": {("zfs_space", "znode_only")},
        "seek": {("zfs_holey", "znode_only")},
        "page-read": {("zfs_getpage", "inode_errno")},
        "page-write": {("zfs_putpage", "inode_errno")},
        "evict": {("zfs_inactive", "inode_void")},
    }


def test_before_linux_4_20_clone_and_dedupe_have_functions_of_their_own() -> None:
    names = ("zpl_copy_file_range", "zpl_clone_file_range", "zpl_dedupe_file_range", *DECOYS)
    assert attached_first(planned(kernel(*names))) == {
        "copy": {("zpl_copy_file_range", "two_files")},
        "clone": {("zpl_clone_file_range", "two_files_status")},
        "dedupe": {("zpl_dedupe_file_range", "two_files_status")},
    }


def test_volumes_are_read_and_written_by_a_function_or_by_its_task() -> None:
    assert attached_first(planned(kernel("zvol_read", "zvol_read_task", "zvol_write_task", *DECOYS))) == {
        "zvol-read": {("zvol_read", "zvol")},
        "zvol-write": {("zvol_write_task", "zvol")},
    }


def test_a_function_of_two_operations_is_planned_for_both() -> None:
    both = [p for p in planned(kernel("zpl_setattr")).probes if p.symbol == "zpl_setattr"]
    assert [(p.op, p.decoder, p.hook) for p in both] == [
        ("setattr", "dentry_attr", "inode_operations.setattr"),
        ("truncate", "dentry_length", "inode_operations.setattr"),
    ]
    assert both[0].bit != both[1].bit


def test_zfs_built_into_the_kernel() -> None:
    result = planned(kernel("zpl_iter_read", "zpl_iter_write", "zpl_open", "zpl_fsync", module=None))
    assert attached_first(result) == ITER
    assert {probe.module for probe in result.probes} == {"kernel"}


def test_only_helpers_and_no_operation_attaches_nothing() -> None:
    result = planned(kernel(*DECOYS, "zpl_iter_read_foo", "__zpl_iter_read"))
    assert result.probes == ()
    assert {item.op for item in result.rejected} == {operation.name for operation in OPERATIONS}
    assert set(reasons(result)) == set(WANTED)


def test_clangs_renaming_is_taken_and_attached_under_its_full_name() -> None:
    result = planned(kernel("zpl_open.llvm.4711"), Facts(module_btf=True))
    probe = only(result, "zpl_open.llvm.4711")
    assert probe.decoder == "inode_file"
    assert probe.kinds == ("kprobe",), "BTF knows the function under its plain name only"


def test_the_exact_name_is_better_than_a_renamed_one() -> None:
    for names in permutations(("zpl_open.llvm.1", "zpl_open", "zpl_open.cold")):
        assert only(planned(kernel(*names)), "zpl_open").op == "open"


@pytest.mark.parametrize(
    "suffix",
    [".isra.0", ".constprop.0", ".part.0", ".cold", ".constprop.0.isra.0", ".part.0.cold", ".cold.1",
     ".llvm.123.cold", ".llvm.123.isra.0", ".llvm", ".llvm.", ".llvmx.1"],
)  # fmt: skip
def test_no_decoder_reads_the_arguments_of_a_changed_function(suffix: str) -> None:
    result = planned(kernel("zpl_open" + suffix))
    assert result.probes == ()
    assert "zpl_open" + suffix in reasons(result)["zpl_open"], "the reason names what was found"


def test_a_blacklisted_function_is_not_tried_and_the_next_tier_is() -> None:
    facts = Facts(blacklist=frozenset({"zpl_open"}))
    result = planned(kernel("zpl_open", "zfs_open"), facts)
    assert attached_first(result) == {"open": {("zfs_open", "inode_errno")}}
    assert reasons(result)["zpl_open"] == "blacklisted by the kernel"


@pytest.mark.parametrize("blacklist", [None, frozenset[str](), frozenset({"zpl_opening", "do_int3"})])
def test_an_unreadable_or_foreign_blacklist_is_no_reason_against(blacklist: frozenset[str] | None) -> None:
    assert only(planned(kernel("zpl_open"), Facts(blacklist=blacklist)), "zpl_open")


@pytest.mark.parametrize(
    ("facts", "kinds"),
    [
        (Facts(module_btf=True), ("fentry", "kprobe")),
        (Facts(module_btf=False), ("kprobe",)),
        (Facts(module_btf=True, kinds=("kprobe",)), ("kprobe",)),
        (Facts(module_btf=False, kinds=("fentry",)), ()),
    ],
)
def test_fentry_needs_the_modules_types_and_comes_first(facts: Facts, kinds: tuple[str, ...]) -> None:
    assert only(planned(kernel("zpl_open"), facts), "zpl_open").kinds == kinds


def test_every_candidate_ends_as_planned_or_with_a_reason_once() -> None:
    for text in (TRIXIE, kernel(), kernel(*WANTED), kernel(*(name + ".isra.0" for name in WANTED))):
        result = planned(text)
        names = [(probe.op, probe.symbol) for probe in result.probes]
        names += [(item.op, item.symbol) for item in result.rejected]
        assert sorted(names) == sorted(CANDIDATES)
        assert all(item.reason for item in result.rejected)


def test_the_plan_keeps_each_operations_bit_and_tier() -> None:
    bits = {operation.name: operation.bit for operation in OPERATIONS}
    result = planned(kernel(*WANTED))
    assert all(probe.bit == bits[probe.op] for probe in result.probes)
    for operation in OPERATIONS:
        tiers = [[p.symbol for p in result.probes if p.op == operation.name and p.tier == number]
                 for number in range(len(operation.tiers))]  # fmt: skip
        assert tiers == [[candidate.symbol for candidate in tier] for tier in operation.tiers]
