"""The table of operations is sound, and every decoder it names is written in the BPF program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zfstop.kernel
from zfstop.zfs.operations import BY_NAME, OPERATIONS, mask_of, parse_operations

PROGRAM = (Path(zfstop.kernel.__file__).parent / "program.c").read_text()
DECODERS = sorted({c.decoder for operation in OPERATIONS for tier in operation.tiers for c in tier})
NAMES = [operation.name for operation in OPERATIONS]


def test_names_letters_and_bits_tell_operations_apart() -> None:
    assert len(set(NAMES)) == len(OPERATIONS) == len(BY_NAME)
    letters = [operation.letter for operation in OPERATIONS]
    assert len(set(letters)) == len(letters)
    assert all(letter.isupper() and len(letter) <= 2 for letter in letters)
    assert [operation.bit for operation in OPERATIONS] == [1 << place for place in range(len(OPERATIONS))]


def test_no_function_stands_for_two_operations() -> None:
    symbols = [c.symbol for operation in OPERATIONS for tier in operation.tiers for c in tier]
    assert len(set(symbols)) == len(symbols)
    assert all(re.fullmatch(r"(zpl|zfs)_[a-z_]+", symbol) for symbol in symbols)


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_program_can_read_the_arguments_and_the_result(decoder: str) -> None:
    for part in ("ENTER_", "LEAVE_", "KIND_", "ARGS_"):
        assert re.search(rf"^#define {part}{decoder}\b", PROGRAM, re.MULTILINE), part + decoder
    (count,) = re.findall(rf"^#define ARGS_{decoder} (\d)$", PROGRAM, re.MULTILINE)
    assert re.search(rf"^#define FIRST_{count}\b", PROGRAM, re.MULTILINE)


def test_the_program_has_no_decoder_that_nothing_uses() -> None:
    written = set(re.findall(r"^#define ENTER_(\w+)\(", PROGRAM, re.MULTILINE))
    assert written == set(DECODERS)


def test_words_and_letters_name_operations() -> None:
    assert parse_operations("read, FSYNC") == {"read", "fsync"}
    assert parse_operations("R,S,read") == {"read", "fsync"}


@pytest.mark.parametrize(
    "word", ["", " , ", "reads", "r", "re", "x", "read;write", "read write", "\x1b[31m", "*"]
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


@given(st.frozensets(st.sampled_from(NAMES)))
def test_the_kernels_mask_has_exactly_the_wanted_bits(names: frozenset[str]) -> None:
    mask = mask_of(names)
    assert {operation.name for operation in OPERATIONS if mask & operation.bit} == (names or set(NAMES))
    assert mask < 1 << len(OPERATIONS)
