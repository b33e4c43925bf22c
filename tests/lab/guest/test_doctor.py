"""The doctor calls a healthy host healthy, an ill one ill by name, and its canary leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from harness import ATTACH_SECONDS, BEST, Program, left_in_kernel, sh, until
from test_leave_nothing import ALL_SECONDS, gone_within
from test_zz_module import no_module  # noqa: F401

from zfstop.doctor.place import find_place
from zfstop.errors import UserError
from zfstop.zfs.operations import BY_NAME, DEFAULT_CLASSES, OPERATIONS

NOT_READY = 15
STEPS = ("create", "open", "write", "fsync", "read", "rename", "unlink")

Found = dict[str, Any]


def doctor(*words: str, user: str = "", **environment: str) -> tuple[int, Found]:
    """Exit status and the JSON object of a run, which must end by itself and say nothing else."""
    command = [*(["runuser", "-u", user, "--"] if user else []), "zfstop", "doctor", "--json", *words]
    done = subprocess.run(
        command,
        capture_output=True, text=True, timeout=2 * ATTACH_SECONDS, stdin=subprocess.DEVNULL,
        env=os.environ | environment, cwd="/",
    )  # fmt: skip
    assert not done.stderr
    return done.returncode, json.loads(done.stdout)


def verdicts(found: Found) -> dict[str, str]:
    """Fact -> verdict, of the host and of the operations."""
    own = {fact["name"]: fact["verdict"] for fact in found["facts"]}
    return own | {f"probe {item['op']}": item["verdict"] for item in found["operations"]}


def not_passed(found: Found) -> dict[str, str]:
    return {name: verdict for name, verdict in verdicts(found).items() if verdict != "pass"}


def fact(found: Found, name: str) -> Found:
    (one,) = (item for item in found["facts"] if item["name"] == name)
    assert isinstance(one, dict)
    return one


def check_song(found: Found, dataset: str) -> None:
    """Every operation that zfstop knows was checked, none of them wrong, no latency above the caller's."""
    song = found["canary"]
    assert song["dataset"] == dataset
    assert tuple(step["op"] for step in song["steps"]) == tuple(op for op in STEPS if op in BY_NAME)
    assert tuple(song["unchecked"]) == tuple(op for op in STEPS if op not in BY_NAME)
    assert {step["verdict"] for step in song["steps"]} == {"pass"}, song
    for step in song["steps"]:
        assert 0 < step["latency_ns"] <= step["caller_ns"]
    assert song["verdict"] == ("warn" if song["unchecked"] else "pass")


def eggs(*places: str) -> list[str]:
    """Files a canary left."""
    return [name for place in places for name in os.listdir(place) if "canary" in name]


def canaries() -> list[str]:
    """Canaries that are still alive."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if b"canary_program" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_a_healthy_host_passes_with_its_canary_and_keeps_nothing_of_it() -> None:
    before = left_in_kernel()
    status, found = doctor("--canary", "tank/data")
    assert (status, found["ready"]) == (0, True), found
    # A release may lack a function, and a module its BTF: both are warnings, and no surprise to the suite.
    assert {name: v for name, v in not_passed(found).items() if v == "fail"} == {}
    surprising = {name for name in not_passed(found) if not name.startswith("probe ")}
    btf = os.path.exists("/sys/kernel/btf/zfs")
    slower = {"attaching"} if BEST == "kprobe pair" else set()
    assert surprising <= slower | (set() if btf else {"zfs BTF"})
    kinds = {probe["kind"] for item in found["operations"] for probe in item["probes"]}
    assert kinds == {BEST}
    assert [item["op"] for item in found["operations"]] == [
        op.name for op in OPERATIONS if op.group in DEFAULT_CLASSES
    ]
    check_song(found, "tank/data")
    assert os.uname().nodename not in re.findall(r"\w+", json.dumps(found))
    assert not eggs("/tank/data")
    assert not canaries()
    gone_within(before, ALL_SECONDS)


def test_a_directory_is_as_good_also_below_a_bind_mount_and_by_kprobes(tmp_path: Path) -> None:
    deep = Path("/srv/pg/one/tw\to")
    deep.mkdir(parents=True)
    sh("mount", "--bind", "/srv/pg/one", str(tmp_path))
    try:
        status, found = doctor("--canary", str(tmp_path / "tw\to"), ZFSTOP_ATTACH="kprobe")
    finally:
        sh("umount", str(tmp_path))
    assert status == 0, found
    assert not_passed(found)["attaching"] == "warn"
    assert fact(found, "attaching")["remedy"] == "unset ZFSTOP_ATTACH"
    check_song(found, "tank/pg")
    assert not eggs(str(deep))


@pytest.fixture
def no_tracefs() -> Iterator[None]:
    sh("umount", "-R", "/sys/kernel/debug")
    sh("umount", "/sys/kernel/tracing")
    yield
    sh("mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing")
    sh("mount", "-t", "debugfs", "debugfs", "/sys/kernel/debug")


def test_without_tracefs_it_warns_and_all_is_still_true(no_tracefs: None) -> None:
    status, found = doctor("--canary", "dozer")
    assert (status, verdicts(found)["tracefs"]) == (0, "warn")
    assert "mount -t tracefs" in fact(found, "tracefs")["remedy"]
    check_song(found, "dozer")


def test_without_module_or_pool_it_says_so_and_how_to_get_it(no_module: Callable[[], None]) -> None:  # noqa: F811
    status, found = doctor("--canary", "tank/data")
    assert (status, found["zfs"]) == (NOT_READY, "not loaded")
    assert (fact(found, "zfs")["verdict"], fact(found, "zfs")["remedy"]) == ("fail", "modprobe zfs")
    assert found["canary"]["verdict"] == "fail"
    assert (found["operations"], found["attached"]) == ([], False)
    sh("modprobe", "zfs")
    status, found = doctor()
    assert (status, found["attached"]) == (NOT_READY, False)
    assert (fact(found, "zfs")["verdict"], fact(found, "datasets")["verdict"]) == ("pass", "fail")
    assert fact(found, "datasets")["remedy"] == "zpool import"
    no_module()


def test_an_ordinary_user_gets_what_he_may_see() -> None:
    status, found = doctor(user="nobody")
    assert status == NOT_READY
    assert fact(found, "privileges")["remedy"].startswith("sudo ")
    assert [name for name, verdict in verdicts(found).items() if verdict == "fail"] == ["privileges"]
    assert "ring buffers" in fact(found, "not looked at")["text"]
    symbols = {probe["symbol"] for item in found["operations"] for probe in item["probes"]}
    assert "zpl_iter_read" in symbols
    assert {probe["kind"] for item in found["operations"] for probe in item["probes"]} == {None}


def test_another_package_called_bcc_is_found_out(tmp_path: Path) -> None:
    sh("python3", "-m", "venv", "--without-pip", str(tmp_path / "venv"))
    (site,) = tmp_path.glob("venv/lib/python3*/site-packages")
    (site / "bcc").mkdir()
    (site / "bcc" / "__init__.py").write_text("def compile(): ...\n")
    status, found = doctor(ZFSTOP_BCC_PYTHON=str(tmp_path / "venv/bin/python"))
    assert status == NOT_READY
    assert [name for name, verdict in verdicts(found).items() if verdict == "fail"] == ["bcc"]
    assert "is not the BPF Compiler Collection" in fact(found, "bcc")["text"]
    assert "pip uninstall bcc" in fact(found, "bcc")["remedy"]


@pytest.fixture
def read_only() -> Iterator[None]:
    sh("zfs", "set", "readonly=on", "tank/bak")
    yield
    sh("zfs", "set", "readonly=off", "tank/bak")


def test_a_canary_that_cannot_sing_is_a_failure_beside_a_healthy_host(read_only: None) -> None:
    status, found = doctor("--canary", "tank/bak")
    assert status == NOT_READY
    assert found["attached"]
    assert "fail" not in verdicts(found).values()
    assert found["canary"]["verdict"] == "fail"
    assert "read-only" in found["canary"]["text"]
    assert "readonly=off tank/bak" in found["canary"]["remedy"]
    assert not eggs("/tank/bak")


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("/run/lab", "not on ZFS"),
        ("/tank/bak", "read-only"),
        ("tank/nothing", "no dataset tank/nothing is mounted"),
        ("nopool", "no dataset nopool is mounted"),
        ("tank/data@then", "snapshot"),
        ("/tank/data/.zfs/snapshot/then", "read-only"),
        ("tank/small", "space"),
        ("dozer/data", "another mount"),
    ],
)
def test_a_place_where_it_cannot_sing_is_refused_with_a_reason(
    word: str, says: str, read_only: None, quota: None, stack: ExitStack
) -> None:
    sh("zfs", "snapshot", "tank/data@then")
    stack.callback(sh, "zfs", "destroy", "tank/data@then")
    sh("mount", "-t", "tmpfs", "tmpfs", "/dozer/data")
    stack.callback(sh, "umount", "/dozer/data")
    if "/.zfs/" in word:
        os.listdir(word)
        stack.callback(sh, "umount", word)
    with pytest.raises(UserError, match=says) as caught:
        find_place(word)
    assert caught.value.remedy


def slow_down_writes(milliseconds: int) -> None:
    """Every write of tank's disk takes so long, one after the other."""
    disk = sh("zpool", "list", "-vHPL", "tank").splitlines()[1].split()[0]
    sh("zinject", "-d", disk, "-D", f"{milliseconds}:1", "-T", "write", "tank")


@pytest.fixture
def full_speed() -> Iterator[None]:
    """In the end."""
    yield
    sh("zinject", "-c", "all")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_interrupts_the_canary_finds_nothing_of_it(
    number: signal.Signals, full_speed: None, stack: ExitStack
) -> None:
    for egg in eggs("/tank/data"):  # of a try before
        Path("/tank/data", egg).unlink()
    slow_down_writes(500)
    before = left_in_kernel()
    program = Program(["zfstop", "doctor", "--canary", "tank/data"])
    stack.callback(program.close)
    until("the canary's file", lambda: eggs("/tank/data"), ATTACH_SECONDS)
    program.process.send_signal(number)
    assert program.wait(ATTACH_SECONDS) == 130, program.errors()
    assert not program.errors()
    assert not any(b"ready" in line for line in program.out), "it was interrupted too late to prove anything"
    assert not eggs("/tank/data")
    gone_within(before, ALL_SECONDS)


#: The doctor with less patience: what hangs for a minute hangs for eight seconds.
HASTY = (
    "import sys\n"
    "from zfstop import cli\n"
    "from zfstop.doctor import canary\n"
    "canary._PATIENCE_SECONDS, canary._DYING_SECONDS = 8.0, 0.5\n"
    "sys.exit(cli.main(['doctor', '--canary', 'tank/data']))\n"
)


def test_a_pool_that_hangs_does_not_hang_the_doctor(full_speed: None, stack: ExitStack) -> None:
    slow_down_writes(20_000)
    program = Program(["python3", "-c", HASTY])
    stack.callback(program.close)
    assert program.wait(ATTACH_SECONDS) == NOT_READY, program.errors()
    said = b"\n".join(program.out).decode()
    assert "the canary's sync in tank/data has not returned" in said
    assert re.search(r"file (\S+) may still be in tank/data \(the process hangs in ZFS\)", said)
    sh("zinject", "-c", "all")
    # Calls that were delayed already stay so, and as long as the process lives it keeps its dataset busy.
    until("the end of the hanging process", lambda: not canaries())
    (name,) = eggs("/tank/data")
    Path("/tank/data", name).unlink()
