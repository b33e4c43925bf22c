"""The module comes and goes. Last, because the pools go with it."""

from __future__ import annotations

import json
import lzma
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import ATTACH_SECONDS, Terminal, Trace, Workload, sh, until
from test_calls import seen, told


@pytest.fixture
def no_module() -> Iterator[Callable[[], None]]:
    """No zfs module; the value brings module and pools back."""

    def load() -> None:
        sh("modprobe", "zfs")
        for pool in ("tank", "dozer"):
            sh("zpool", "import", "-o", "cachefile=none", "-d", "/run/lab/disks", pool)

    sh("zpool", "export", "-a")
    # Probes of the test before hold the module until the kernel has freed them.
    until("the module is not in use", lambda: Path("/sys/module/zfs/refcnt").read_text().strip() == "0")
    sh("modprobe", "-r", "zfs")
    yield load
    if not Path("/sys/module/zfs").exists():
        load()


def test_trace_waits_for_the_module(
    no_module: Callable[[], None], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    tracer = trace("0", attached=False)
    until("a word about the module", lambda: "modprobe zfs" in tracer.errors())
    time.sleep(2)
    assert tracer.process.poll() is None
    assert not tracer.out
    no_module()
    tracer.attached()
    program = workload("calls", "/tank/data", "2")
    program.run()
    events = [event for event in tracer.stop() if event["pid"] == program.pid]
    assert len(events) == 8
    assert {event["dataset"] for event in events} == {"tank/data"}


def test_the_screen_waits_for_the_module(
    no_module: Callable[[], None], terminal: Callable[..., Terminal]
) -> None:
    screen = terminal("exec zfstop 0")
    screen.wait_for("modprobe zfs", seconds=ATTACH_SECONDS)
    no_module()
    screen.wait_for("LIVE", seconds=ATTACH_SECONDS)


def test_a_stripped_module_is_served_by_its_global_functions(
    no_module: Callable[[], None],
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    tmp_path: Path,
) -> None:
    packed = Path(sh("modinfo", "-n", "zfs").strip())
    module = tmp_path / "zfs.ko"
    module.write_bytes(
        lzma.decompress(packed.read_bytes()) if packed.suffix == ".xz" else packed.read_bytes()
    )
    sh("strip", "--strip-unneeded", str(module))
    sh("modprobe", "spl")
    sh("insmod", str(module))
    no_module()
    program = workload("calls", "/tank/data", "23")
    tracer = trace("0", "-p", str(program.pid))
    start = json.loads(tracer.out[0])
    assert {probe["symbol"] for probe in start["probes"]} == {
        "zfs_read",
        "zfs_write",
        "zfs_open",
        "zfs_fsync",
    }
    assert {"op": "read", "symbol": "zpl_iter_read", "reason": "absent"} in start["not_attached"]
    calls = program.run()
    events = tracer.stop()
    assert [seen(event) for event in events] == [told(call, "tank/data") for call in calls]
