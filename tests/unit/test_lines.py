"""Lines are what scripts and eyes rely on: fields, order, types and null rules, and no name can break out of them."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.export.lines import CSV_HEADER, FORMATS, Csv, Json, Lines, Text, per_operation
from zfstop.model.events import COUNTERS
from zfstop.model.state import Controls, Counts
from zfstop.text import visible

#: A made-up clock: CLOCK_MONOTONIC 10^12 ns is this moment.
WALL_NS = 1_795_449_600_123_456_000
NOW = 10**12


def clock(ns: int) -> int:
    return ns - NOW + WALL_NS


FIELDS: dict[str, Any] = {
    "type": str, "time": str, "ts_ns": int, "op": str, "latency_ns": int, "pid": int, "tid": int, "comm": str,
    "uid": int, "cgroup": int, "pool": str, "dataset": str, "path": str, "offset": int, "size": int, "result": int,
    "errno": (str, type(None)), "symbol": str,
}  # fmt: skip


def as_json(event: Any) -> dict[str, Any]:
    line = Json(clock).event(event)
    assert "\n" not in line
    assert line.isascii()
    found: dict[str, Any] = json.loads(line)
    return found


def as_csv(event: Any) -> list[str]:
    (row,) = csv.reader(io.StringIO(Csv(clock).event(event) + "\n"))
    return row


def test_json_has_the_promised_fields_in_order_and_type(make: Any) -> None:
    event = make.event(result=4096)
    found = as_json(event)
    assert list(found) == list(FIELDS)
    for name, kind in FIELDS.items():
        assert isinstance(found[name], kind), name
        assert not isinstance(found[name], bool)
    assert found["type"] == "event"
    key = event.key
    assert (found["op"], found["pid"], found["comm"], found["uid"], found["cgroup"]) == (
        key.op, key.pid, key.comm, key.uid, key.cgroup,
    )  # fmt: skip
    assert (found["pool"], found["dataset"], found["path"]) == ("tank", "tank/db", key.path)
    assert (found["ts_ns"], found["latency_ns"], found["tid"]) == (event.ts_ns, event.latency_ns, event.tid)
    assert (found["offset"], found["size"], found["result"], found["errno"]) == (
        event.offset,
        event.size,
        4096,
        None,
    )


def test_the_time_is_that_of_the_end_with_its_zone(make: Any) -> None:
    when = datetime.fromisoformat(as_json(make.event(ts_ns=NOW + 1_000_000_000))["time"])
    assert when.utcoffset() is not None
    wanted = datetime.fromtimestamp(WALL_NS // 10**9 + 1).astimezone() + timedelta(microseconds=123_456)
    assert abs(when - wanted) <= timedelta(microseconds=1)


def test_null_is_for_what_there_is_not(make: Any) -> None:
    opened = as_json(make.event(op="open", offset=None, size=None, result=0))
    assert opened["offset"] is opened["size"] is opened["errno"] is None
    assert as_json(make.event(op="fsync", offset=0, size=None))["offset"] == 0
    assert as_json(make.event(dataset="dev 0:57"))["pool"] is None
    assert as_json(make.event(dataset="tank@snap"))["pool"] == "tank"


def test_an_error_has_its_name(make: Any) -> None:
    assert (as_json(make.event(result=-5))["errno"], as_json(make.event(result=-5))["result"]) == ("EIO", -5)
    assert as_json(make.event(result=-9999))["errno"] == "E9999"


def test_numbers_beyond_2_to_the_53_stay_whole(make: Any) -> None:
    assert as_json(make.event(ts_ns=2**62 + 1, cgroup=2**64 - 1))["cgroup"] == 2**64 - 1


def test_the_first_json_line_tells_what_is_in_force(make: Any) -> None:
    controls = Controls(250_000, frozenset({9, 2}), frozenset({"tank/b", "tank/a"}), frozenset({"read"}))
    found = json.loads(Json(clock).head(make.meta.host, controls, make.meta.probes))
    assert found["type"] == "start"
    assert (found["host"], found["kernel"], found["zfs"]) == ("box", "6.12.57", "2.3.9")
    assert (found["threshold_ns"], found["threshold"]) == (250_000, "250us")
    assert (found["pids"], found["datasets"]) == ([2, 9], ["tank/a", "tank/b"])
    assert [probe["symbol"] for probe in found["probes"]] == [p.symbol for p in make.meta.probes.attached]
    assert found["not_attached"] == [{"op": "read", "symbol": "zpl_aio_read", "reason": "absent"}]


def test_the_last_json_line_has_the_books_of_every_operation() -> None:
    slots = (Counts(entered=9, seen=2, lost=1), Counts(entered=5, seen=3), Counts(full=4))
    per_op = per_operation(["read", "open", "read"], slots)
    assert per_op == {"read": Counts(entered=9, seen=2, lost=1, full=4), "open": Counts(entered=5, seen=3)}
    found = json.loads(Json(clock).tail(Counts(entered=14, seen=5, lost=1, full=4), per_op, {}) or "")
    assert found["type"] == "summary"
    assert {"seen", "lost", "full", "rejected", "per_op"} <= set(found)
    assert (found["seen"], found["lost"], found["full"], found["rejected"]) == (5, 1, 4, 0)
    assert set(found["per_op"]) == {"read", "open"}
    assert all(set(COUNTERS) <= set(item) for item in found["per_op"].values())


def test_csv_has_zfsslowers_columns(make: Any) -> None:
    head = Csv(clock).head(make.meta.host, Controls(), make.meta.probes)
    assert head == CSV_HEADER == "ENDTIME_us,TASK,PID,TYPE,BYTES,OFFSET_b,LATENCY_us,FILE"
    event = make.event(12_345_678, result=4096, offset=8192, ts_ns=NOW)
    assert dict(zip(head.split(","), as_csv(event), strict=True)) == {
        "ENDTIME_us": "1000000000", "TASK": "postgres", "PID": "812", "TYPE": "R", "BYTES": "4096",
        "OFFSET_b": "8192", "LATENCY_us": "12345", "FILE": "tank/db:base/16384/2619",
    }  # fmt: skip
    assert Csv(clock).tail(Counts(lost=1), {}, {}) is None


@pytest.mark.parametrize(
    ("changes", "size", "letter"),
    [
        ({"op": "read", "result": -5}, "0", "R"),
        ({"op": "write", "result": 10}, "10", "W"),
        ({"op": "open", "result": 0, "offset": None, "size": None}, "0", "O"),
        ({"op": "fsync", "result": 0, "offset": 0, "size": None}, "0", "S"),
    ],
)
def test_csv_counts_bytes_only_where_they_moved(
    make: Any, changes: dict[str, Any], size: str, letter: str
) -> None:
    row = as_csv(make.event(**changes))
    assert (row[3], row[4]) == (letter, size)
    assert row[5].isdigit()


def test_a_text_line_says_it_all_in_columns(make: Any) -> None:
    text = Text(clock)
    head = text.head(make.meta.host, Controls(), make.meta.probes)
    line = text.event(make.event(45_600_000, size=131072, offset=1572864, result=131072))
    assert head.split() == ["TIME", "LAT", "OP", "SIZE", "OFFSET", "PID", "COMMAND", "DATASET:FILE"]
    assert line.split()[1:] == ["45.6ms", "R", "128K", "1.5M", "812", "postgres", "tank/db:base/16384/2619"]
    assert line.index("tank/db") == head.index("DATASET")
    assert line.index(" R ") + 1 == head.index("OP")


def test_a_text_line_marks_what_is_missing_and_what_failed(make: Any) -> None:
    line = Text(clock).event(make.event(op="open", size=None, offset=None, result=-13))
    assert line.split()[2:5] == ["O", "-", "-"]
    assert line.endswith("  EACCES")


def test_text_ends_with_the_losses_only_if_there_are_any() -> None:
    assert Text(clock).tail(Counts(seen=5), {}, {}) is None
    assert (Text(clock).tail(Counts(lost=1, full=2, rejected=3), {}, {}) or "").startswith("LOST 1 ")


hostile = st.binary(min_size=1, max_size=60).map(visible) | st.sampled_from(
    [
        visible(b)
        for b in (b'a","b', b"a,b", b"'", b'"', b"\n\r", b"\x1b]0;x\x07", b"=cmd()", b"\xe2\x80\xae", b"\\")
    ]
)


@given(hostile, hostile, st.sampled_from(sorted(FORMATS)))
def test_no_name_breaks_out_of_its_line_or_column(make: Any, comm: str, path: str, style: str) -> None:
    event = make.event(comm=comm, path=path, dataset=f"tank/{comm}")
    lines: Lines = FORMATS[style](clock)
    line = lines.event(event)
    assert line.isprintable()
    if style == "json":
        found = json.loads(line)
        assert (found["comm"], found["path"], found["dataset"]) == (comm, path, f"tank/{comm}")
    elif style == "csv":
        row = as_csv(event)
        assert (len(row), row[1], row[7]) == (8, comm, f"tank/{comm}:{path}")
    else:
        assert line.endswith(f"tank/{comm}:{path}")
