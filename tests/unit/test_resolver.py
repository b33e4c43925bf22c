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
#: Present in every release, and never to be attached.
DECOYS = ("zpl_readpage", "zpl_readpages", "zpl_readpage_filler", "zpl_readdir", "zpl_read_common", "zpl_read_folio",
          "zpl_writepage", "zpl_writepages", "zfs_readdir", "zfs_readlink", "zpl_common_open")  # fmt: skip
GLOBALS = ("zfs_read", "zfs_write", "zfs_open", "zfs_fsync")


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


def test_trixie() -> None:
    result = planned(TRIXIE)
    assert attached_first(result) == ITER
    assert {probe.module for probe in result.probes} == {"zfs"}
    assert set(reasons(result)) == {"zpl_aio_read", "zpl_read", "zpl_aio_write", "zpl_write"}
    assert set(reasons(result).values()) == {"absent"}


def test_0_6_5_carries_read_and_readv_through_two_functions_and_both_are_attached() -> None:
    names = (
        "zpl_read",
        "zpl_iter_read",
        "zpl_write",
        "zpl_iter_write",
        "zpl_open",
        "zpl_fsync",
        *GLOBALS,
        *DECOYS,
    )
    assert attached_first(planned(kernel(*names))) == ZPL | {
        "read": {("zpl_read", "file_buf"), ("zpl_iter_read", "kiocb_iter")},
        "write": {("zpl_write", "file_buf"), ("zpl_iter_write", "kiocb_iter")},
    }


def test_0_6_5_9_on_a_kernel_without_iterators_uses_aio() -> None:
    names = ("zpl_aio_read", "zpl_aio_write", "zpl_open", "zpl_fsync", *GLOBALS, *DECOYS)
    assert attached_first(planned(kernel(*names))) == ZPL | {
        "read": {("zpl_aio_read", "kiocb_iovec")},
        "write": {("zpl_aio_write", "kiocb_iovec")},
    }


def test_a_stripped_module_still_has_the_global_functions() -> None:
    assert attached_first(planned(kernel(*GLOBALS, "zpl_xattr_list"))) == {
        "read": {("zfs_read", "znode_uio")},
        "write": {("zfs_write", "znode_uio")},
        "open": {("zfs_open", "inode_only")},
        "fsync": {("zfs_fsync", "znode_sync")},
    }


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
    assert attached_first(result) == {"open": {("zfs_open", "inode_only")}}
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
        names = [probe.symbol for probe in result.probes] + [item.symbol for item in result.rejected]
        assert sorted(names) == sorted(WANTED)
        assert all(item.reason for item in result.rejected)


def test_the_plan_keeps_each_operations_bit_and_tier() -> None:
    bits = {operation.name: operation.bit for operation in OPERATIONS}
    result = planned(kernel(*WANTED))
    assert all(probe.bit == bits[probe.op] for probe in result.probes)
    for operation in OPERATIONS:
        tiers = [[p.symbol for p in result.probes if p.op == operation.name and p.tier == number]
                 for number in range(len(operation.tiers))]  # fmt: skip
        assert tiers == [[candidate.symbol for candidate in tier] for tier in operation.tiers]
