"""Names made to do harm do none, in any format; very long paths come whole or are marked as cut."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Callable

import pytest
from harness import OUT, Trace, Workload

# What a terminal acts upon, what ends a line, what turns text around, and what is there without being seen.
ACTING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
NAMES = 20


def harmless(raw: bytes) -> str:
    """The text of an output, after a check that nothing in it acts on whoever reads it."""
    text = raw.decode("utf-8")
    found = sorted({f"{ord(char):04x} {unicodedata.name(char, '?')}" for char in ACTING.findall(text)})
    assert not found
    return text


@pytest.mark.parametrize("form", ["json", "text", "csv"])
def test_hostile_names(form: str, trace: Callable[..., Trace], workload: Callable[..., Workload]) -> None:
    program = workload("hostile", "/tank/data")
    tracer = trace("0", "-p", str(program.pid), form=form)
    calls = program.run()
    assert len(calls) == 4 * NAMES
    tracer.process.terminate() if form == "text" else tracer.process.send_signal(2)
    assert tracer.wait() == 0
    output = b"".join(tracer.out)
    (OUT / f"hostile.{form}").write_bytes(output)
    text = harmless(output)

    if form == "json":
        events = [json.loads(line) for line in text.splitlines()][1:-1]
        assert [event["op"] for event in events] == [call["op"] for call in calls]
        for call, event in zip(calls, events, strict=True):
            harmless((event["path"] + event["comm"]).encode())
            if call["path"].isascii() and call["path"].decode().isprintable():
                assert event["path"] == call["path"].decode()
        assert len({event["path"] for event in events}) == NAMES
    elif form == "csv":
        header, *rows = csv.reader(text.splitlines())
        assert header == ["ENDTIME_us", "TASK", "PID", "TYPE", "BYTES", "OFFSET_b", "LATENCY_us", "FILE"]
        assert [len(row) for row in rows if row] == [len(header)] * len(calls)
        assert {row[2] for row in rows} == {str(program.pid)}
    else:
        assert sum(f" {program.pid} " in f" {line} " for line in text.splitlines()) == len(calls)


@pytest.mark.parametrize(("levels", "whole"), [(24, True), (60, False)])
def test_deep_paths(
    levels: int, whole: bool, trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    program = workload("deep", "/tank/data", str(levels - 1))
    tracer = trace("0", "-p", str(program.pid))
    calls = program.run()
    events = tracer.stop()
    assert [event["op"] for event in events] == [call["op"] for call in calls]
    for call, event in zip(calls, events, strict=True):
        path = call["path"].decode()
        assert path.count("/") == levels - 1
        if whole:
            assert event["path"] == path
        else:
            # The end of a path tells the most; what is missing before it is said.
            assert event["path"].startswith("…/")
            assert path.endswith(event["path"].removeprefix("…"))
            assert event["path"].count("/") >= 24
