"""A host that lacks something is served by what it has, or says in one sentence what is missing and what mends it."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import ATTACH_SECONDS, OUT, Trace, Workload, elsewhere
from test_calls import seen, told

NO_BCC, NO_BTF, USAGE = 4, 9, 2
OPS = "read,write,open,fsync"
NO_BTF_HERE = "mount -t tmpfs none /sys/kernel/btf"
NO_HEADERS_HERE = "mount -t tmpfs none /usr/src"


def check_calls(
    trace: Callable[..., Trace], workload: Callable[..., Workload], **options: Any
) -> dict[str, Any]:
    """Every call of a known program comes back right; returns the start line."""
    program = workload("calls", "/tank/data", "5")
    tracer = trace("0", "-p", str(program.pid), "--op", OPS, **options)
    calls = program.run()
    assert len(calls) == 20
    assert [seen(event) for event in tracer.stop()] == [told(call, "tank/data") for call in calls]
    start: dict[str, Any] = json.loads(tracer.out[0])
    return start


def failure(setup: str) -> tuple[int, str]:
    """Status and words of zfstop where ``setup`` was done."""
    command = [*elsewhere(setup), "zfstop", "trace", "0", "--for", "1s"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ATTACH_SECONDS)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("attach", ["fentry,kprobe", "kprobe"])
def test_without_tracefs_and_debugfs(
    attach: str,
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZFSTOP_ATTACH", attach)
    # debugfs mounts tracefs in itself when somebody looks, so both go.
    bare = elsewhere("umount -l /sys/kernel/debug; umount -l /sys/kernel/tracing")
    start = check_calls(trace, workload, prefix=bare)
    assert any("mount -t tracefs" in note for note in start["notes"])


def test_without_btf_the_headers_serve(
    trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    start = check_calls(trace, workload, prefix=elsewhere(NO_BTF_HERE))
    assert {probe["kind"] for probe in start["probes"]} == {"kprobe pair"}
    assert {probe["op"] for probe in start["probes"]} >= set(OPS.split(","))


@pytest.mark.parametrize("hide", [NO_BTF_HERE, "export ZFSTOP_BTF="])
def test_without_btf_and_headers_it_names_the_package(hide: str) -> None:
    status, said = failure(f"{hide}; {NO_HEADERS_HERE}")
    assert status == NO_BTF
    assert f"apt-get install linux-headers-{platform.release()}" in said


BINDING = "mount -t tmpfs none /usr/lib/python3/dist-packages/bcc"
LIBRARY = 'for file in $(ls /usr/lib/*/{}*); do mount --bind /dev/null "$(readlink -f "$file")"; done'


CLANG = LIBRARY.format("libclang-cpp.so")


@pytest.mark.parametrize(
    "setup", [BINDING, LIBRARY.format("libbcc.so"), CLANG], ids=["python", "libbcc", "clang"]
)
def test_without_bcc_it_names_the_package(setup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZFSTOP_CACHE", "")
    status, said = failure(setup)
    assert status == NO_BCC
    assert "apt-get install python3-bpfcc" in said


def test_what_was_compiled_once_needs_clang_no_more(
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ZFSTOP_CACHE", str(tmp_path / "cache"))
    check_calls(trace, workload)
    check_calls(trace, workload, prefix=elsewhere(CLANG))


def test_what_a_tiny_ring_loses_is_counted_exactly(
    trace: Callable[..., Trace], workload: Callable[..., Workload], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 20_000
    monkeypatch.setenv("ZFSTOP_RING_BYTES", "4096")
    workload("calls", "/tank/data", "1").run()
    program = workload("reads", "/tank/data", "calls/d0/file00", str(calls), "512", "0")
    tracer = trace("0", "-p", str(program.pid), "--op", "read")
    program.run()
    events = tracer.stop()
    reads = tracer.summary["per_op"]["read"]
    words = "seen below filtered filtered_dev lost full rejected queued missed in_flight"
    assert reads["entered"] == sum(reads[word] for word in words.split())
    assert reads["lost"] > calls / 10
    assert reads["seen"] == len(events)
    assert reads["seen"] + reads["lost"] == calls
    # What is lost from the stream is not lost to the statistics.
    assert reads["in_histogram"] == calls
    (OUT / "tiny.txt").write_text(f"{calls} calls: {reads['seen']} printed, {reads['lost']} lost\n")
    assert f"lost {reads['lost']} events" in tracer.errors()


def test_a_ring_of_an_impossible_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZFSTOP_RING_BYTES", "5000")
    status, said = failure("true")
    assert status == USAGE
    assert "unset ZFSTOP_RING_BYTES" in said
