"""What the loader writes into the programs: the values of the function, each in its place, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zfstop.kernel
from zfstop.kernel import decoders
from zfstop.kernel.decoders import (
    DECODERS,
    EXTENTS,
    KINDS,
    MARK,
    PARAMETERS,
    RESULTS,
    SECONDS,
    SEEK_ARG,
    SOURCES,
    VARIANTS,
    c_text,
    missing,
    parameters,
    specialise,
)
from zfstop.model import events

PROGRAM = (Path(zfstop.kernel.__file__).parent / "program.c").read_text()
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
#: Opcode, registers, offset, immediate.
Instruction = tuple[int, int, int, int]
WIDE = 0x18


def encoded(opcode: int, registers: int, offset: int, immediate: int) -> bytes:
    return bytes([opcode, registers]) + offset.to_bytes(2, "little") + immediate.to_bytes(4, "little")


def wide(registers: int, value: int) -> bytes:
    """A 64-bit constant: two slots."""
    return encoded(WIDE, registers, 0, value & 0xFFFFFFFF) + encoded(0, 0, 0, value >> 32)


#: Any instruction but the first half of a wide one; also with the mark where a wide one's upper half would be.
plain = st.builds(
    encoded,
    st.integers(0, 255).filter(lambda opcode: opcode != WIDE),
    st.integers(0, 255),
    st.integers(0, 65535),
    U32 | st.just(MARK),
)
constants = st.builds(wide, st.integers(0, 10), U64.filter(lambda value: value >> 32 != MARK))
#: Loads of maps and the like: the source register tells what the number means.
loads = st.builds(wide, st.integers(16, 255), U64 | st.builds(lambda low: MARK << 32 | low, U32))
asked = st.tuples(st.integers(0, 10), st.sampled_from(PARAMETERS))


@given(
    st.lists(plain | constants | loads | asked, max_size=40),
    st.fixed_dictionaries(dict.fromkeys(PARAMETERS, U64)),
)
def test_every_parameter_gets_its_value_and_nothing_else_is_touched(
    stream: list[bytes | tuple[int, str]], values: dict[str, int]
) -> None:
    def code(value_of: dict[str, int]) -> bytes:
        return b"".join(
            item if isinstance(item, bytes) else wide(item[0], value_of[item[1]]) for item in stream
        )

    before = code({name: MARK << 32 | place for place, name in enumerate(PARAMETERS)})
    assert specialise(before, values) == code(values)


def test_what_is_no_whole_instruction_is_left_alone() -> None:
    half = encoded(WIDE, 0, 0, 0)
    assert specialise(half, {}) == half
    assert specialise(b"", {}) == b""


def test_the_program_asks_for_every_parameter_and_no_other() -> None:
    asked_for = set(re.findall(r"\bPARAMETER\(([A-Z]+)\)", re.sub(r"#define .*", "", PROGRAM)))
    assert asked_for == {name.upper() for name in PARAMETERS}
    defined = dict(re.findall(r'#define PARAMETER_([A-Z]+) "(0x[0-9a-f]+) ll"', c_text()))
    assert {name: int(value, 16) for name, value in defined.items()} == {
        name.upper(): MARK << 32 | place for place, name in enumerate(PARAMETERS)
    }


def test_every_word_is_used_by_a_decoder() -> None:
    every = DECODERS.values()
    assert {decoder.source for decoder in every} | {"sought"} == set(SOURCES)
    assert {decoder.kind for decoder in every} == set(KINDS)
    assert {decoder.extent for decoder in every} == set(EXTENTS)
    assert {decoder.result for decoder in every} == set(RESULTS)
    assert {decoder.second for decoder in every} == set(SECONDS)
    assert {decoder.variant for decoder in every} == set(VARIANTS)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("direct", [False, True])
def test_the_values_of_a_decoder_are_those_of_its_words(name: str, direct: bool) -> None:
    decoder = DECODERS[name]
    arg = decoder.arg if isinstance(decoder.arg, int) else SEEK_ARG
    values = parameters(decoder, slot=95, bit=1 << 36, direct=direct, arguments=5, arg=arg, sought=False)
    assert set(values) == set(PARAMETERS)
    assert SOURCES[values["source"]] == decoder.source
    assert KINDS[values["kind"]] == decoder.kind
    assert EXTENTS[values["extent"]] == decoder.extent
    assert RESULTS[values["result"]] == decoder.result
    assert SECONDS[values["second"]] == decoder.second
    assert VARIANTS[values["variant"]] == decoder.variant
    assert (values["slot"], values["bit"], values["arguments"], values["arg"]) == (95, 1 << 36, 5, arg)
    assert values["direct"] == direct
    assert values["typed"] <= values["direct"]
    assert arg == SEEK_ARG or arg < 2
    assert not decoder.flags & ~(events.NO_OFFSET | events.ALL_SIZE | events.IN_DIRECTORY)


def test_a_znode_is_sought_only_where_its_layout_is_not_known() -> None:
    common = {"slot": 0, "bit": 1, "direct": True, "arguments": 3, "arg": 0}
    for name, decoder in DECODERS.items():
        known, sought = (parameters(decoder, **common, sought=sought) for sought in (False, True))  # type: ignore[arg-type]
        if decoder.source == "znode":
            assert SOURCES[sought["source"]] == "sought", name
            assert (known["typed"], sought["typed"]) == (1, 0), "no type is known of what is sought"
        else:
            assert sought == known


def test_the_kind_of_an_object_is_told_where_its_source_leaves_no_doubt() -> None:
    """The program stores it in two bits; "any" is decided when the call comes."""
    kinds = {
        source: {decoder.kind for decoder in DECODERS.values() if decoder.source == source}
        for source in SOURCES
        if source != "sought"
    }
    doubtful = {source for source, found in kinds.items() if found == {"any"}}
    assert doubtful == {"dentry_or_inode", "page", "readahead"}
    assert all(len(found) == 1 for found in kinds.values())
    assert KINDS.index("any") == 4, "beyond two bits: never stored"


def test_the_flags_are_those_of_events() -> None:
    assert (decoders.NO_OFFSET, decoders.ALL_SIZE, decoders.IN_DIRECTORY) == (
        events.NO_OFFSET,
        events.ALL_SIZE,
        events.IN_DIRECTORY,
    )


def test_a_decoder_without_offsets_says_so_itself() -> None:
    for name, decoder in DECODERS.items():
        nothing = decoder.extent == "none" and decoder.flags & events.NO_OFFSET
        assert bool(decoder.flags & events.NO_OFFSET) == (
            decoder.extent in ("none", "third", "fourth", "length")
        ), name
        assert not nothing or decoder.flags & events.ALL_SIZE, name


def test_the_first_offset_that_is_not_known_is_named() -> None:
    zvol = DECODERS["zvol"]
    everything = dict.fromkeys(zvol.needs, 8)
    assert missing(zvol, everything) == ""
    for name in zvol.needs:
        assert missing(zvol, {key: 8 for key in everything if key != name}) == name
    assert missing(zvol, {}) == zvol.needs[0]
    assert missing(DECODERS["kiocb_iter"], {}) == ""


def test_an_offset_of_0_is_known() -> None:
    zvol = DECODERS["zvol"]
    assert missing(zvol, dict.fromkeys(zvol.needs, 0)) == ""
