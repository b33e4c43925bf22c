"""The table of operations is sound: names, bits and classes tell calls apart, and each function has a decoder."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.kernel.decoders import DECODERS
from zfstop.kernel.source import _SIZES
from zfstop.zfs.operations import (
    BY_NAME,
    CLASSES,
    DEFAULT_CLASSES,
    OPERATIONS,
    Candidate,
    mask_of,
    parse_classes,
    parse_operations,
    wanted,
)

NAMES = [operation.name for operation in OPERATIONS]
CANDIDATES = [(operation, c) for operation in OPERATIONS for tier in operation.tiers for c in tier]
names = st.frozensets(st.sampled_from(NAMES))
classes = st.frozensets(st.sampled_from(sorted(CLASSES)))


def test_names_and_bits_tell_operations_apart() -> None:
    assert len(set(NAMES)) == len(OPERATIONS) == len(BY_NAME)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)?", name) for name in NAMES)
    assert [operation.bit for operation in OPERATIONS] == [1 << place for place in range(len(OPERATIONS))]
    assert len(OPERATIONS) <= 64, "the mask of the program has 64 bits"


def test_letters_are_those_of_zfsslower_and_the_rest_goes_by_name() -> None:
    letters = {operation.name: operation.letter for operation in OPERATIONS if operation.letter}
    assert letters == {"read": "R", "write": "W", "open": "O", "fsync": "S"}
    assert len({operation.code for operation in OPERATIONS}) == len(OPERATIONS)
    assert BY_NAME["fsync"].code == "S"
    assert BY_NAME["rename"].code == "rename"


def test_every_class_has_operations_and_every_operation_a_class() -> None:
    assert {operation.group for operation in OPERATIONS} == set(CLASSES)
    assert set(CLASSES) > DEFAULT_CLASSES
    assert "all" not in CLASSES, "that word means every class"


def test_functions_of_any_release_have_a_slot_each() -> None:
    assert len(CANDIDATES) < _SIZES["SLOTS"]


def test_every_function_has_a_decoder_and_every_decoder_a_function() -> None:
    assert {candidate.decoder for _, candidate in CANDIDATES} == set(DECODERS)
    assert all(re.fullmatch(r"(zpl|zfs|zvol)_[a-z0-9_]+", c.symbol) for _, c in CANDIDATES)


def test_a_function_of_several_operations_gives_each_call_to_one_of_them() -> None:
    shared: dict[str, dict[str, Candidate]] = defaultdict(dict)
    for operation, candidate in CANDIDATES:
        shared[candidate.symbol][operation.name] = candidate
    several = {symbol: uses for symbol, uses in shared.items() if len(uses) > 1}
    assert set(several) == {"zpl_setattr", "zpl_remap_file_range"}
    for uses in several.values():
        variants = [DECODERS[candidate.decoder].variant for candidate in uses.values()]
        assert len(set(variants)) == len(variants)
        assert "all" not in variants


def test_a_function_whose_arguments_moved_names_the_hook_it_fills() -> None:
    for _, candidate in CANDIDATES:
        if isinstance(DECODERS[candidate.decoder].arg, str):
            assert re.fullmatch(r"inode_operations\.[a-z_]+", candidate.hook), candidate


def test_words_and_letters_name_operations() -> None:
    assert parse_operations("read, FSYNC") == {"read", "fsync"}
    assert parse_operations("R,S,read") == {"read", "fsync"}
    assert parse_operations("xattr-get,zvol-read") == {"xattr-get", "zvol-read"}


@pytest.mark.parametrize(
    "word", ["", " , ", "reads", "r", "re", "x", "read;write", "read write", "\x1b[31m", "*", "all"]
)
def test_another_word_is_refused_and_the_known_ones_listed(word: str) -> None:
    with pytest.raises(ValueError, match="read, write, open, fsync"):
        parse_operations(word)


@given(st.text(max_size=20))
def test_any_text_is_operations_or_a_sentence(text: str) -> None:
    try:
        found = parse_operations(text)
    except ValueError as error:
        found = frozenset()
        said = str(error)
    else:
        said = "is not an operation"
    assert found <= set(NAMES)
    assert "is not an operation" in said


def test_words_name_classes() -> None:
    assert parse_classes("data, ZVOL") == {"data", "zvol"}
    assert parse_classes("all") == parse_classes("data,all") == set(CLASSES)


@pytest.mark.parametrize("word", ["", "dat", "data;", "read", "data open", "\x1b[31m", "data,"])
def test_another_class_is_refused_and_the_known_ones_listed(word: str) -> None:
    with pytest.raises(ValueError, match="data, open, metadata, space, mapped, lifetime, zvol and all"):
        parse_classes(word)


@given(st.lists(st.sampled_from([*CLASSES, "all", "none", ""]), max_size=4).map(",".join))
def test_any_words_are_classes_or_a_sentence(text: str) -> None:
    words = text.split(",")
    if "none" in words or "" in words:
        with pytest.raises(ValueError, match="is not a class"):
            parse_classes(text)
    else:
        assert parse_classes(text) == (set(CLASSES) if "all" in words else set(words))


@given(names, classes)
def test_operations_named_count_whatever_their_class(ops: frozenset[str], chosen: frozenset[str]) -> None:
    found = wanted(ops, chosen)
    assert found == (ops or {name for name in NAMES if BY_NAME[name].group in chosen})


def test_by_default_all_is_measured_but_mapped_pages_and_volumes() -> None:
    off = set(NAMES) - wanted(frozenset(), DEFAULT_CLASSES)
    assert off == {"page-read", "readahead", "page-write", "page-mkwrite", "zvol-read", "zvol-write"}


@given(names)
def test_the_kernels_mask_has_exactly_the_wanted_bits(wanted_names: frozenset[str]) -> None:
    mask = mask_of(wanted_names)
    assert {operation.name for operation in OPERATIONS if mask & operation.bit} == wanted_names
    assert mask < 1 << len(OPERATIONS)
