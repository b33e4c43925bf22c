"""Of a kernel's whole symbol table exactly our functions are found, by exact name, and nothing upsets the parser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.kernel.resolver import wanted_symbols
from zfstop.kernel.symbols import Symbol, parse

TRIXIE = (Path(__file__).parent / "data" / "kallsyms-trixie.txt").read_bytes()
WANTED = wanted_symbols()


def line(name: str, kind: str = "t", module: str | None = "zfs") -> str:
    return f"0000000000000000 {kind} {name}" + (f"\t[{module}]" if module is not None else "") + "\n"


def found(*lines: str) -> dict[str, tuple[Symbol, ...]]:
    return parse("".join(lines).encode(), WANTED)


def test_trixie_has_these_functions_and_no_other() -> None:
    symbols = parse(TRIXIE, WANTED)
    listed = set(re.findall(r" [tTwW] (\S+)\t\[zfs\]$", TRIXIE.decode(), re.MULTILINE))
    assert set(symbols) == listed & set(WANTED)
    assert {"zpl_iter_read", "zpl_open", "zpl_rename", "zpl_get_link", "zfs_read", "zfs_inactive"} <= set(
        symbols
    )
    assert not {"zpl_read", "zpl_rename2", "zpl_clone_file_range"} & set(symbols)
    assert all(found == (Symbol(name, name, "zfs"),) for name, found in symbols.items())


def test_the_sample_holds_what_could_be_mistaken() -> None:
    """The decoys are really in the real text: page-cache helpers, directory reads, statics with a suffix."""
    decoys = (
        b"zpl_root_iterate",
        b"zpl_snapdir_lookup",
        b"zpl_xattr_get_sa",
        b"zpl_writepage",
        b"zpl_fallocate_common",
        b"zfs_write_simple",
        b"zpl_clone_file_range_impl.isra.0",
    )
    assert all(
        re.search(rb" [tT] " + re.escape(name) + rb"\t\[zfs\]$", TRIXIE, re.MULTILINE) for name in decoys
    )
    assert TRIXIE.count(b"\n") > 1000
    assert not re.search(rb"^0*[1-9a-f]", TRIXIE, re.MULTILINE), "addresses of a machine"


@pytest.mark.parametrize(
    "name",
    [
        "zpl_iter_read_foo", "zpl_readpages", "zpl_read_common", "zpl_writepage", "zpl_clone_file_range_impl",
        "x_zpl_read", "__zpl_iter_read", "zpl_iter_rea", "zfs_read_simple", "zpl_common_open", "__pfx_zpl_open",
        "zpl_rename3", "zpl_xattr_get_sa", "zvol_reads", "ZPL_OPEN", "zpl_open$x", "zpl_open-x",
    ],
)  # fmt: skip
def test_a_name_that_only_begins_or_ends_like_ours_is_not_ours(name: str) -> None:
    assert found(line(name)) == {}


@pytest.mark.parametrize("module", ["nfs", "zfs_fuse", "xzfs", "zfsx", "bpf", "ext4", "ZFS", " zfs"])
def test_the_same_name_in_another_module_is_not_ours(module: str) -> None:
    assert found(line("zpl_open", module=module)) == {}
    assert found(line("zpl_open", module=module), line("zpl_open"))["zpl_open"] == (
        Symbol("zpl_open", "zpl_open", "zfs"),
    )


def test_zfs_built_into_the_kernel_has_no_module_column() -> None:
    assert found(line("zpl_open", module=None))["zpl_open"] == (Symbol("zpl_open", "zpl_open", ""),)


@pytest.mark.parametrize("kind", list("tTwW"))
def test_text_is_taken_also_when_weak(kind: str) -> None:
    assert "zpl_open" in found(line("zpl_open", kind))


@pytest.mark.parametrize("kind", list("rRdDbBaAuUvV?"))
def test_data_of_the_same_name_is_not_a_function(kind: str) -> None:
    assert found(line("zpl_open", kind)) == {}


@pytest.mark.parametrize(
    "suffix", [".isra.0", ".constprop.0", ".part.0", ".cold", ".llvm.7352", ".isra.0.cold"]
)
def test_a_suffix_is_kept_apart_from_the_name(suffix: str) -> None:
    (symbol,) = found(line("zfs_read" + suffix))["zfs_read"]
    assert (symbol.name, symbol.base, symbol.suffix) == ("zfs_read" + suffix, "zfs_read", suffix)


def test_addresses_do_not_matter() -> None:
    """kptr_restrict shows zeros to some, real ones to others."""
    zeros = TRIXIE
    real = re.sub(rb"^0{16}", b"ffffffffc0a81240", zeros, flags=re.MULTILINE)
    assert parse(real, WANTED) == parse(zeros, WANTED)


def test_a_symbol_listed_twice_is_one() -> None:
    assert len(found(line("zpl_open"), line("zpl_open"))["zpl_open"]) == 1


def test_a_last_line_without_newline_counts_and_a_torn_one_does_not() -> None:
    assert "zpl_open" in parse(b"0 t zpl_fsync\t[zfs]\n0 t zpl_open\t[zfs]", WANTED)
    assert "zpl_open" not in parse(b"0 t zpl_fsync\t[zfs]\n0 t zpl_open\t[zf", WANTED)


@given(st.binary(max_size=400))
def test_no_bytes_upset_it(text: bytes) -> None:
    parse(text, WANTED)


#: Pieces of real lines, so that whole matches with odd parts come up.
PIECES = st.sampled_from(
    [b"0", b"ffff", b" ", b"t", b"T", b"\t", b"[zfs]", b"[\xff\xfe]", b"[", b"]", b"\n", b"\r", b"\0", b".", b".isra.0",
     b"zpl_open", b"zpl_iter_read", b"zfs_read", b"0 t zpl_open", b"0 t zpl_open\t[\xff]\n", b"\xc3\xa9"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_no_broken_lines_upset_it(text: bytes) -> None:
    for base, symbols in parse(text, WANTED).items():
        assert base in WANTED
        assert all(symbol.name.startswith(base) for symbol in symbols)
