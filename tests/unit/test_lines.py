"""Lines are what scripts and eyes rely on: fields, order, types and null rules, and no name can break out of them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.export.lines import CSV_HEADER, FORMATS, Csv, Json, Lines, Text, per_operation
from zfstop.model.books import Books
from zfstop.model.events import COUNTERS
from zfstop.model.history import InFlight, Tally
from zfstop.model.percentiles import summarize
from zfstop.model.state import Controls, Counts
from zfstop.model.waits import Waits
from zfstop.text import visible
from zfstop.zfs.operations import BY_NAME

#: A made-up clock: CLOCK_MONOTONIC 10^12 ns is this moment.
WALL_NS = 1_795_449_600_123_456_000
NOW = 10**12


def clock(ns: int) -> int:
    return ns - NOW + WALL_NS


FIELDS: dict[str, Any] = {
    "type": str, "time": str, "ts_ns": int, "op": str, "latency_ns": int, "pid": int, "pid_inside": int,
    "tid": int, "comm": str, "uid": int, "cgroup": int, "where": str, "pool": str, "dataset": str,
    "path": str, "to": (str, type(None)), "offset": int, "size": int, "result": int,
    "errno": (str, type(None)), "symbol": str, "waits": (dict, type(None)), "slept_in": (str, type(None)),
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


def test_the_state_of_zfs_is_a_line_of_json_and_of_no_other_format(make: Any) -> None:
    state = make.state(1)
    assert Text(clock).state(state, NOW) is Csv(clock).state(state, NOW) is None
    line = Json(clock).state(state, NOW) or ""
    assert line.isascii()
    found = json.loads(line)
    assert (found["type"], found["ts_ns"]) == ("zfs", NOW)
    assert found["dirty_max"] == 4 << 30
    assert found["arc_size"] is None
    tank, fast = found["pools"]
    assert (tank["pool"], tank["state"], tank["log"], tank["scan"]["kind"]) == ("tank", "ONLINE", False, "")
    assert (fast["state"], fast["log"], fast["scan"], fast["txgs"]) == ("DEGRADED", None, None, [])
    assert [(txg["number"], txg["state"], txg["dirty"]) for txg in tank["txgs"]] == [
        (9000, "C", 1 << 20),
        (9001, "O", None),
    ]
    assert found["commits"] == {"tank/db": 7}
    assert found["properties"] == [
        {"dataset": "tank/db", "recordsize": 16384, "sync": "standard", "compression": "lz4"}
    ]


def test_json_has_the_promised_fields_in_order_and_type(make: Any) -> None:
    event = make.event(result=4096, where="lxc:db", inner_pid=17)
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
    assert (found["where"], found["pid_inside"]) == ("lxc:db", 17)
    assert (found["ts_ns"], found["latency_ns"], found["tid"]) == (event.ts_ns, event.latency_ns, event.tid)
    assert (found["offset"], found["size"], found["result"], found["errno"]) == (
        event.offset,
        event.size,
        4096,
        None,
    )


def test_nowhere_and_no_other_number_are_null(make: Any) -> None:
    found = as_json(make.event())
    assert (found["where"], found["pid_inside"]) == (None, None)


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


@given(texts=st.lists(st.text(), min_size=6, max_size=6), waits=st.none() | st.builds(Waits))
def test_whatever_a_text_holds_it_comes_back_and_json_itself_would_write_the_same(
    make: Any, texts: list[str], waits: Waits | None
) -> None:
    comm, dataset, path, where, to, slept_in = texts
    event = make.event(
        comm=comm, dataset=dataset, path=path, where=where, to=to, slept_in=slept_in, waits=waits
    )
    found = as_json(event)
    assert (found["comm"], found["dataset"], found["path"]) == (comm, dataset, path)
    assert (found["where"], found["to"], found["slept_in"]) == (where or None, to or None, slept_in or None)
    assert json.dumps(found, separators=(",", ":")) == Json(clock).event(event)


def test_numbers_beyond_2_to_the_53_stay_whole(make: Any) -> None:
    assert as_json(make.event(ts_ns=2**62 + 1, cgroup=2**64 - 1))["cgroup"] == 2**64 - 1


def test_the_first_json_line_tells_what_is_in_force(make: Any) -> None:
    controls = Controls(250_000, frozenset({9, 2}), frozenset({"tank/b", "tank/a"}), frozenset({"read"}))
    found = json.loads(Json(clock).head(make.meta.host, controls, make.meta.probes))
    assert found["type"] == "start"
    assert (found["host"], found["kernel"], found["zfs"]) == ("box", "6.12.57", "2.3.9")
    assert (found["threshold_ns"], found["threshold"]) == (250_000, "250us")
    assert (found["pids"], found["datasets"], found["ops"]) == ([2, 9], ["tank/a", "tank/b"], ["read"])
    assert [probe["symbol"] for probe in found["probes"]] == [p.symbol for p in make.meta.probes.attached]
    assert found["not_attached"] == [{"op": "read", "symbol": "zpl_aio_read", "reason": "absent"}]


def test_the_last_json_line_has_the_books_of_every_operation() -> None:
    slots = (Counts(entered=9, seen=2, lost=1), Counts(entered=5, seen=3), Counts(full=4))
    per_op = per_operation(["read", "open", "read"], slots)
    assert per_op == {"read": Counts(entered=9, seen=2, lost=1, full=4), "open": Counts(entered=5, seen=3)}
    books = {"read": Books(issued=9, wrong=2), "open": Books(issued=5)}
    found = json.loads(Json(clock).tail(Counts(entered=14, seen=5, lost=1, full=4), per_op, {}, books) or "")
    assert found["type"] == "summary"
    assert {"seen", "lost", "full", "rejected", "per_op"} <= set(found)
    assert (found["seen"], found["lost"], found["full"], found["rejected"]) == (5, 1, 4, 0)
    assert set(found["per_op"]) == {"read", "open"}
    assert all(set(COUNTERS) <= set(item) for item in found["per_op"].values())
    assert (found["wrong"], found["per_op"]["read"]["wrong"], found["per_op"]["open"]["wrong"]) == (2, 2, 0)


def test_an_operation_that_was_not_called_has_all_the_figures_too() -> None:
    tally = Tally(1, 0, 7, 512, {7: 1})
    calls = {"read": summarize("read", tally, slow=1, longest_ns=7, length_ns=10**9)}
    per_op = {"read": Counts(entered=1, seen=1), "open": Counts()}
    books = {"read": Books(issued=1), "open": Books()}
    found = json.loads(Json(clock).tail(Counts(entered=1, seen=1), per_op, calls, books) or "")["per_op"]
    assert found["read"].keys() == found["open"].keys()
    assert (found["read"]["in_histogram"], found["open"]["in_histogram"]) == (1, 0)
    assert found["open"]["p50_ns"] is None


def test_csv_has_zfsslowers_columns(make: Any) -> None:
    head = Csv(clock).head(make.meta.host, Controls(), make.meta.probes)
    assert head == CSV_HEADER == "ENDTIME_us,TASK,PID,TYPE,BYTES,OFFSET_b,LATENCY_us,FILE"
    event = make.event(12_345_678, result=4096, offset=8192, ts_ns=NOW)
    assert dict(zip(head.split(","), as_csv(event), strict=True)) == {
        "ENDTIME_us": "1000000000", "TASK": "postgres", "PID": "812", "TYPE": "R", "BYTES": "4096",
        "OFFSET_b": "8192", "LATENCY_us": "12345", "FILE": "tank/db:base/16384/2619",
    }  # fmt: skip
    assert Csv(clock).tail(Counts(lost=1), {}, {}, {}) is None


@pytest.mark.parametrize(
    ("changes", "size", "letter"),
    [
        ({"op": "read", "result": -5}, "0", "R"),
        ({"op": "write", "result": 10}, "10", "W"),
        ({"op": "open", "result": 0, "offset": None, "size": None}, "0", "O"),
        ({"op": "fsync", "result": 0, "offset": 0, "size": None}, "0", "S"),
        ({"op": "copy", "result": 4096}, "0", "copy"),
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
    line = text.event(make.event(45_600_000, size=131072, offset=1572864, result=131072, where="lxc:db"))
    assert head.split() == [
        "TIME", "LAT", "OP", "SIZE", "OFFSET", "PID", "COMMAND", "WHY", "WHERE", "DATASET:FILE",
    ]  # fmt: skip
    assert line.split()[1:] == [
        "45.6ms", "read", "128K", "1.5M", "812", "postgres", "-", "lxc:db", "tank/db:base/16384/2619",
    ]  # fmt: skip
    assert line.index("tank/db") == head.index("DATASET")
    assert line.index("lxc:db") == head.index("WHERE")
    assert line.index(" read ") + 1 == head.index("OP")
    assert line.index("128K") == head.index("SIZE")


@pytest.mark.parametrize("op", BY_NAME)
def test_the_columns_stand_under_their_names_whatever_the_operation(make: Any, op: str) -> None:
    text = Text(clock)
    head = text.head(make.meta.host, Controls(), make.meta.probes)
    line = text.event(make.event(op=op))
    assert line.index("tank/db") == head.index("DATASET")
    assert line[head.index("OP") :].startswith(f"{op} ")


def test_the_other_path_is_told_in_every_format_that_has_room(make: Any) -> None:
    event = make.event(op="rename", to="new/name")
    assert as_json(event)["to"] == "new/name"
    assert as_json(make.event())["to"] is None
    assert Text(clock).event(event).endswith("base/16384/2619 -> new/name")
    failed = make.event(op="rename", to="new/name", result=-17)
    assert Text(clock).event(failed).endswith(" -> new/name  EEXIST")


def test_why_a_call_took_long_is_told_by_cause_where_somebody_looked(make: Any) -> None:
    event = make.event(
        10_000_000, waits=Waits(zil=9_300_000, other=500_000, cpu=200_000), slept_in="cv_wait_sig"
    )
    found = as_json(event)
    assert list(found["waits"]) == [
        "disk", "throttle", "txg", "zil", "lock", "memory", "runqueue", "other", "cpu",
    ]  # fmt: skip
    assert (found["waits"]["zil"], sum(found["waits"].values())) == (9_300_000, found["latency_ns"])
    assert found["slept_in"] == "cv_wait_sig"
    text = Text(clock)
    line, head = text.event(event), text.head(make.meta.host, Controls(), make.meta.probes)
    assert line[head.index("WHY") :].startswith("zil 93%  ")
    assert line.index("tank/db") == head.index("DATASET")
    longest = text.event(make.event(waits=Waits(throttle=1)))
    assert longest.index("tank/db") == head.index("DATASET")
    unknown = as_json(make.event())
    assert unknown["waits"] is unknown["slept_in"] is None
    assert as_csv(event) == as_csv(make.event(10_000_000))


def test_a_call_in_flight_has_its_waits_so_far(make: Any) -> None:
    call = InFlight(make.event().key, 813, 7_000_000, None, None, "zil_commit", Waits(zil=7_000_000))
    assert json.loads(Json(clock).in_flight(call) or "")["waits"]["zil"] == 7_000_000
    assert json.loads(Json(clock).in_flight(replace(call, waits=None)) or "")["waits"] is None


def test_a_text_line_marks_what_is_missing_and_what_failed(make: Any) -> None:
    line = Text(clock).event(make.event(op="open", size=None, offset=None, result=-13))
    assert line.split()[2:5] == ["open", "-", "-"]
    assert line.endswith("  EACCES")


def test_text_ends_with_the_losses_only_if_there_are_any() -> None:
    assert Text(clock).tail(Counts(seen=5), {}, {}, {}) is None
    assert (Text(clock).tail(Counts(lost=1, full=2, rejected=3), {}, {}, {}) or "").startswith("LOST 1 ")


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


def test_bytes_that_nobody_told_are_not_zero_bytes(make: Any) -> None:
    assert as_json(make.event(op="read", size=None, result=0))["result"] is None
    assert as_json(make.event(op="read", size=512, result=0))["result"] == 0
    assert as_json(make.event(op="fsync", size=None, result=0))["result"] == 0
    assert as_json(make.event(op="read", size=None, result=-5))["result"] == -5
