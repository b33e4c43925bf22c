"""The module comes and goes. Last, because the pools go with it."""

from __future__ import annotations

import json
import lzma
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import test_waits as waits
from harness import ATTACH_SECONDS, DISKS, MODULE_BTF, Call, Terminal, Trace, Workload, elsewhere, sh, until
from slow import MS
from test_calls import seen
from test_calls import told as expected
from test_waits import Tracing, known


def load_zfs() -> None:
    """The module and the pools, where they are not there yet."""
    sh("modprobe", "zfs")
    for pool in ("tank", "dozer"):
        sh("zpool", "import", "-o", "cachefile=none", "-d", str(DISKS), pool)


@pytest.fixture
def no_module() -> Iterator[Callable[[], None]]:
    """No zfs module; the value brings module and pools back."""

    sh("zpool", "export", "-a")
    # Probes of the test before hold the module until the kernel has freed them.
    until("the module is not in use", unused)
    sh("modprobe", "-r", "zfs")
    yield load_zfs
    if not Path("/sys/module/zfs").exists():
        load_zfs()


@pytest.fixture
def changed_module(
    no_module: Callable[[], None], tmp_path: Path
) -> Iterator[Callable[[Callable[[Path], Path]], None]]:
    """Load the zfs module after a change of its file; afterwards the real one is back."""

    def load(change: Callable[[Path], Path]) -> None:
        packed = Path(sh("modinfo", "-n", "zfs").strip())
        module = tmp_path / "zfs.ko"
        module.write_bytes(
            lzma.decompress(packed.read_bytes()) if packed.suffix == ".xz" else packed.read_bytes()
        )
        # One module in 2.3, seven in 2.1.
        sh("modprobe", "-a", *sh("modinfo", "-F", "depends", "zfs").strip().split(","))
        sh("insmod", str(change(module)))
        no_module()

    yield load
    sh("zpool", "export", "-a")
    until("the module is not in use", unused)
    sh("modprobe", "-r", "zfs")
    no_module()


def unused() -> bool:
    """Whether nobody holds the zfs module."""
    return Path("/sys/module/zfs/refcnt").read_text().strip() == "0"


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


@pytest.fixture
def back_again() -> Iterator[None]:
    """Module and pools are there after the test, whatever became of it."""
    yield
    if not Path("/proc/spl/kstat/zfs/tank").exists():
        load_zfs()


@pytest.mark.parametrize("attach", ["fentry", "kprobe"] if MODULE_BTF else ["kprobe"])
def test_the_module_is_unloaded_and_loaded_again_while_it_runs(
    attach: str,
    back_again: None,
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZFSTOP_ATTACH", attach)
    tracer = trace("0", "--op", "read,write")
    programs = [workload("calls", "/tank/data", "3")]
    programs[-1].run()
    for _ in range(2):
        reload_under(tracer, holds=attach == "fentry")
        programs.append(workload("calls", "/tank/data", "3"))
        programs[-1].run()
    events = tracer.stop()
    for program in programs:
        mine = [event for event in events if event["pid"] == program.pid]
        assert [event["op"] for event in mine] == ["write", "read"] * 3
        assert {event["dataset"] for event in mine} == {"tank/data"}


def reload_under(tracer: Trace, holds: bool) -> None:
    """Unload the module and load it again; ``tracer`` says so. What is attached by fentry ``holds`` it for a while."""
    said = len(tracer.err)
    sh("zpool", "export", "-a")
    if holds:
        assert not unused()
        until("there is nothing left to trace", lambda: "no pool is imported" in said_since(tracer, said))
        until("the module is let go", unused)
    sh("modprobe", "-r", "zfs")
    until("a word about the module", lambda: "modprobe zfs" in said_since(tracer, said))
    load_zfs()
    until("it is attached again", lambda: "attached" in said_since(tracer, said), ATTACH_SECONDS)


def said_since(tracer: Trace, line: int) -> str:
    return b"".join(tracer.err[line:]).decode()


def strip(module: Path) -> Path:
    """Take the names of everything that is not global."""
    sh("strip", "--strip-unneeded", str(module))
    return module


def test_a_stripped_module_is_served_by_its_global_functions(
    changed_module: Callable[[Callable[[Path], Path]], None],
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
) -> None:
    changed_module(strip)
    program = workload("calls", "/tank/data", "23")
    tracer = trace("0", "-p", str(program.pid))
    start = json.loads(tracer.out[0])
    assert {probe["symbol"] for probe in tracer.probes} == {
        "zfs_read",
        "zfs_write",
        "zfs_open",
        "zfs_fsync",
    }
    assert {"op": "read", "symbol": "zpl_iter_read", "reason": "absent"} in start["not_attached"]
    calls = program.run()
    events = tracer.stop()
    assert [seen(event) for event in events] == [from_below(call, "read", "write") for call in calls]


def strip_and_rename_tracepoints(module: Path) -> Path:
    """And have the stubs that ZFS builds for its tracepoints under names that no release has."""
    stubs = [line.split()[-1] for line in sh("nm", str(module)).splitlines() if " T trace_zfs_" in line]
    assert stubs
    renamed = module.with_suffix(".names")
    renamed.write_text("".join(f"{stub} other_{stub}\n" for stub in stubs))
    sh("objcopy", "--strip-unneeded", f"--redefine-syms={renamed}", str(module))
    return module


def test_with_a_stripped_module_and_other_tracepoints_time_is_under_its_cause_or_under_none(
    changed_module: Callable[[Callable[[Path], Path]], None], trace: Callable[..., Trace]
) -> None:
    changed_module(strip_and_rename_tracepoints)
    stubs = re.findall(r" T trace_zfs_\w+\t\[zfs\]", Path("/proc/kallsyms").read_text())
    assert not stubs, "those of spl are others"
    tracing = Tracing(trace("0"))
    for scenario in (
        waits.reads_from_a_slow_disk,
        waits.writes_at_the_limit_of_dirty_data,
        waits.fsyncs_with_a_slow_disk,
        waits.writes_of_a_locked_range,
        waits.reads_into_memory_that_is_handed_out_late,
    ):
        cause = waits.SCENARIOS[scenario]
        with ExitStack() as stack:
            done = scenario(stack)
            every = [seen for program in done.programs for seen in tracing.seen(program)]
        waits.check_sums(every)
        calls = [seen for seen in every if seen.account.op == done.op and known(seen, cause, done.delayed_ns)]
        injected = sum(known(seen, cause) for seen in calls)
        told = sum(min(known(seen, cause), seen.waits[cause] + seen.waits["other"]) for seen in calls)
        assert injected >= 100 * MS
        assert told >= waits.RIGHT_SHARE * injected, scenario.__name__


def from_below(call: Call, *lower: str) -> tuple[object, ...]:
    """What can be told of a call that succeeds; the operations ``lower`` are seen below the file layer.

    Without the module's types nobody knows there at which offset it was, how much was asked for and how much was moved.
    """
    fields = expected(call, "tank/data")
    return fields if MODULE_BTF or call["op"] not in lower else (*fields[:-3], None, None, None)


#: What NOKPROBE_SYMBOL() makes of a function.
NEVER = """
extern char zpl_iter_read[];
static void *never __attribute__((used, section("_kprobe_blacklist"))) = zpl_iter_read;
"""


@pytest.mark.parametrize("told", [True, False], ids=["blacklist read", "blacklist hidden"])
def test_a_function_that_must_not_be_probed_is_replaced_by_the_next_best(
    told: bool,
    changed_module: Callable[[Callable[[Path], Path]], None],
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def forbid(module: Path) -> Path:
        source, object_, result = tmp_path / "never.c", tmp_path / "never.o", tmp_path / "forbidden.ko"
        source.write_text(NEVER)
        sh(
            "gcc",
            "-c",
            "-fno-pic",
            "-fcf-protection=none",
            "-mcmodel=kernel",
            "-o",
            str(object_),
            str(source),
        )
        sh("objcopy", "--globalize-symbol=zpl_iter_read", str(module))
        sh("ld", "-r", "-o", str(result), str(module), str(object_))
        return result

    changed_module(forbid)
    assert "zpl_iter_read" in Path("/sys/kernel/debug/kprobes/blacklist").read_text()
    monkeypatch.setenv("ZFSTOP_ATTACH", "kprobe")
    program = workload("calls", "/tank/data", "23")
    tracer = trace(
        "0", "-p", str(program.pid), prefix=() if told else elsewhere("umount -l /sys/kernel/debug")
    )
    start = json.loads(tracer.out[0])
    symbols = {probe["op"]: probe["symbol"] for probe in start["probes"]}
    assert symbols["read"] == "zfs_read"
    assert symbols["write"] == "zpl_iter_write"
    (reason,) = [item["reason"] for item in start["not_attached"] if item["symbol"] == "zpl_iter_read"]
    assert reason.startswith("blacklisted" if told else "kprobe: not traceable")
    calls = program.run()
    assert [seen(event) for event in tracer.stop()] == [from_below(call, "read") for call in calls]
