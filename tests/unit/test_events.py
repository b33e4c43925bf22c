"""C and Python see the same bytes."""

from __future__ import annotations

import errno
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.events import (
    COUNTERS,
    EVENT,
    EVENT_STRUCT,
    IN_FLIGHT_CALL,
    IN_FLIGHT_STRUCT,
    KEY_STRUCT,
    PATH_HEADER,
    PATH_STRUCT,
    RECORD_BYTES,
    RECORD_STRUCT,
    RING_HEADER_BYTES,
    TALLY,
    TALLY_STRUCT,
    RawEvent,
    RawKey,
    c_structs,
    is_unknown,
    pool_of,
    unknown_dataset,
)
from zfstop.model.state import Counts

#: Of the wire, and how they are unpacked.
STRUCTS = {
    "event": EVENT_STRUCT,
    "path_header": PATH_STRUCT,
    "tally": TALLY_STRUCT,
    "in_flight_call": IN_FLIGHT_STRUCT,
}


def offsets(fields: tuple[tuple[str, str], ...]) -> dict[str, int]:
    codes = [code for _, code in fields]
    return {name: struct.calcsize("=" + "".join(codes[:place])) for place, (name, _) in enumerate(fields)}


def native_offsets(fields: tuple[tuple[str, str], ...]) -> dict[str, int]:
    """With the C compiler's alignment rules, as the struct module knows them."""
    codes = [code for _, code in fields]
    return {
        name: struct.calcsize("@" + "".join(codes[: place + 1])) - struct.calcsize("=" + codes[place])
        for place, (name, _) in enumerate(fields)
    }


def test_no_field_needs_padding() -> None:
    for fields, packed in ((EVENT, EVENT_STRUCT), (PATH_HEADER, PATH_STRUCT)):
        assert native_offsets(fields) == offsets(fields)
        assert packed.size % 8 == 0


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler here")
def test_the_c_compiler_puts_every_field_where_python_reads_it(tmp_path: Path) -> None:
    wanted = [("event", name, at) for name, at in offsets(EVENT).items()]
    wanted += [("path_header", name, at) for name, at in offsets(PATH_HEADER).items()]
    wanted += [("tally", name, at) for name, at in offsets(TALLY).items()]
    wanted += [("in_flight_call", name, at) for name, at in offsets(IN_FLIGHT_CALL).items()]
    prints = [f'printf("%zu\\n", offsetof(struct {kind}, {name}));' for kind, name, _ in wanted]
    prints += [f'printf("%zu\\n", sizeof(struct {kind}));' for kind in STRUCTS]
    prints += [f'printf("%d\\n", C_{name.upper()});' for name in COUNTERS] + ['printf("%d\\n", COUNTERS);']
    source = tmp_path / "layout.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n"
        + c_structs()
        + "int main(void) {\n"
        + "\n".join(prints)
        + "\nreturn 0;\n}\n"
    )
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", tmp_path / "layout", source], check=True)
    found = subprocess.run([tmp_path / "layout"], check=True, capture_output=True, text=True).stdout.split()
    sizes = [packed.size for packed in STRUCTS.values()]
    expected = [at for _, _, at in wanted] + [*sizes, *range(len(COUNTERS) + 1)]
    assert list(map(int, found)) == expected


def test_the_named_tuples_have_the_fields_of_the_wire_format() -> None:
    assert RawEvent._fields == tuple(name for name, _ in EVENT)
    assert Counts._fields == COUNTERS
    first = RawEvent._fields.index("path_id")
    assert RawEvent._fields[first : first + len(RawKey._fields)] == RawKey._fields


@given(
    st.tuples(*[st.integers(0, 2**64 - 1)] * 4),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
)
def test_the_fast_path_cuts_the_same_values_out_of_a_record(
    numbers: tuple[int, int, int, int], result: int, comm: bytes, pid: int, bucket: int
) -> None:
    latency, size, path_id, cgroup = numbers
    event = RawEvent(
        1,
        latency,
        -1,
        size,
        result,
        2,
        path_id,
        cgroup,
        comm,
        pid,
        3,
        4,
        5,
        6,
        7,
        bucket,
        1,
        bytes(range(16)),
        9,
    )
    record = struct.pack("=II", EVENT_STRUCT.size, 0) + EVENT_STRUCT.pack(*event)
    assert len(record) == RECORD_BYTES == RING_HEADER_BYTES + EVENT_STRUCT.size
    _, got_latency, got_size, got_result, raw_key, got_bucket, *waits = RECORD_STRUCT.unpack(record)
    assert (got_latency, got_size, got_result, got_bucket, *waits) == (
        *(latency, size, result, bucket),
        *(1, bytes(range(16))),
    )
    assert RawKey(*KEY_STRUCT.unpack(raw_key)) == RawKey(path_id, cgroup, comm, pid, 3, 4, 5, 6)
    assert RawEvent(*EVENT_STRUCT.unpack_from(record, RING_HEADER_BYTES)) == event


def test_an_unknown_device_is_shown_as_in_mountinfo_and_has_no_pool() -> None:
    name = unknown_dataset((253 << 20) | 57)
    assert name == "dev 253:57"
    assert is_unknown(name)
    assert pool_of(name) == ""


@pytest.mark.parametrize(
    ("dataset", "pool"),
    [
        ("tank", "tank"),
        ("tank/a/b", "tank"),
        ("tank@now", "tank"),
        ("dev/a", "dev"),
        ("dev box/a", "dev box"),
    ],
)
def test_a_dataset_belongs_to_its_first_part(dataset: str, pool: str) -> None:
    assert pool_of(dataset) == pool
    assert not is_unknown(dataset)


def test_only_a_negative_result_is_an_error(make: Any) -> None:
    assert make.event(result=-errno.EIO).errno == "EIO"
    assert make.event(result=-512).errno == "E512"
    assert make.event(result=0).errno is None
    assert make.event(result=4096).errno is None
