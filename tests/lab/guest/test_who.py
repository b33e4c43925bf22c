"""Who called is told by the cgroup the call was made in, and the PID as the host has it and as the process has it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from harness import (
    MOMENT_SECONDS,
    RECORD,
    WORKLOAD,
    Program,
    Trace,
    Workload,
    until,
    until_it_waits_for_its_disk,
)

ID = "3f9a1c2b4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8"
POD = "kubepods-burstable-pod6ed1f3a0_1b2c_4d5e_8f90_a1b2c3d4e5f6.slice"
#: Cgroups as systemd, Docker, Kubernetes, LXC, libvirt and a login make them; None is the root.
OWNERS = {
    "": None,
    "system.slice/postgresql.service": "postgresql.service",
    f"system.slice/docker-{ID}.scope": "docker:3f9a1c2b4d5e",
    f"kubepods.slice/kubepods-burstable.slice/{POD}/cri-containerd-{ID}.scope": "pod:6ed1f3a0/3f9a1c2b4d5e",
    "lxc.payload.web1/system.slice/nginx.service": "lxc:web1/nginx.service",
    "machine.slice/machine-qemu\\x2d1\\x2dwin11.scope/libvirt/emulator": "vm:win11",
    "user.slice/user-1000.slice/session-3.scope": "user:1000",
}


class Cgroups:
    """Cgroups made by hand in the hierarchy of the machine."""

    root = Path("/sys/fs/cgroup")

    def make(self, path: str) -> Path:
        made = self.root / path
        made.mkdir(parents=True, exist_ok=True)
        return made

    def put(self, pid: int, cgroup: Path) -> None:
        (cgroup / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Remove all that is empty; what a killed process holds goes when it has ended."""
        for folder, _, _ in os.walk(self.root, topdown=False):
            if folder != str(self.root):
                with suppress(OSError):
                    os.rmdir(folder)


@pytest.fixture
def cgroups() -> Iterator[Cgroups]:
    cgroups = Cgroups()
    yield cgroups
    cgroups.close()


class Inside(Program):
    """The workload in a PID namespace of its own, under a shell that is its init."""

    def __init__(self, *words: str) -> None:
        namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        super().__init__([*namespace, "sh", "-c", '"$@"; :', "sh", WORKLOAD, "-g", *words])
        self.inner_pid = int(json.loads(self.first_line(MOMENT_SECONDS))["ready"])
        self.host_pid = _only_child(_only_child(self.pid))

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()


def _only_child(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


@pytest.fixture
def inside(stack: ExitStack) -> Callable[..., Inside]:
    """Start the workload in a PID namespace of its own; it waits for its go."""

    def start(*words: str) -> Inside:
        program = Inside(*words)
        stack.callback(program.close)
        return program

    return start


def pids_seen(tracer: Trace) -> set[int]:
    return {line["pid"] for line in tracer.objects if line["type"] == "event"}


def test_where_and_both_pids_of_units_containers_pods_and_machines(
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    inside: Callable[..., Inside],
    cgroups: Cgroups,
) -> None:
    wanted: dict[int, tuple[str | None, int | None]] = {}
    programs: list[Workload | Inside] = []
    for number, (path, owner) in enumerate(OWNERS.items()):
        plain = workload("loop", "/tank/data", f"plain{number}", "200")
        boxed = inside("loop", "/tank/data", f"boxed{number}", "200")
        for pid in (plain.pid, boxed.host_pid):
            cgroups.put(pid, cgroups.make(path))
        wanted |= {plain.pid: (owner, None), boxed.host_pid: (owner, boxed.inner_pid)}
        programs += [plain, boxed]
    tracer = trace("0", "-p", ",".join(map(str, wanted)))
    for program in programs:
        program.go()
    until("a call of every program", lambda: pids_seen(tracer) == set(wanted))
    events = tracer.stop()

    assert {event["pid"] for event in events} == set(wanted)
    for event in events:
        assert (event["where"], event["pid_inside"]) == wanted[event["pid"]]
    assert {inner for _, inner in wanted.values()} == {None, 2}, "the shell is 1 in there"


def test_a_call_in_flight_says_where_it_is_too(
    trace: Callable[..., Trace],
    inside: Callable[..., Inside],
    cgroups: Cgroups,
    cold_file: str,
    delay: Callable[[str, int], None],
) -> None:
    program = inside("reads", "/tank/bak", cold_file, "1", "4096", str(2 * RECORD))
    cgroups.put(program.host_pid, cgroups.make(f"system.slice/docker-{ID}.scope"))
    tracer = trace("0", "-p", str(program.host_pid))
    delay("tank", 20_000)
    program.go()
    until_it_waits_for_its_disk(program.host_pid)
    tracer.stop()

    (call,) = tracer.in_flight
    assert (call["pid"], call["pid_inside"]) == (program.host_pid, program.inner_pid)
    assert call["where"] == "docker:3f9a1c2b4d5e"


def test_a_removed_cgroup_is_never_shown_under_another_name(
    trace: Callable[..., Trace], workload: Callable[..., Workload], cgroups: Cgroups
) -> None:
    """Told while they lived, names stay; a cgroup that is gone before anybody asked has none."""
    known, unknown, other = (
        cgroups.make(f"system.slice/{name}.service") for name in ("known", "gone", "other")
    )
    ids = {path.stat().st_ino: path.name for path in (known, unknown, other)}
    before = workload("loop", "/tank/data", "before", "100")
    late = workload("calls", "/tank/data", "5")
    cgroups.put(before.pid, known)
    cgroups.put(late.pid, unknown)
    tracer = trace("0", "-p", f"{before.pid},{late.pid}", "--op", "open,write,read,fsync")
    before.go()
    until("a call from the known one", lambda: pids_seen(tracer) == {before.pid})

    os.kill(tracer.pid, signal.SIGSTOP)
    late.run()
    cgroups.put(before.pid, other)
    for path in (known, unknown):
        until(f"{path} is empty", lambda path=path: not (path / "cgroup.procs").read_text())
        path.rmdir()
    again = cgroups.make("system.slice/gone.service")
    assert again.stat().st_ino not in ids
    os.kill(tracer.pid, signal.SIGCONT)
    until(
        "a call from the other one",
        lambda: any(line.get("where") == "other.service" for line in tracer.objects),
    )
    events = tracer.stop()

    names = {number: None if name == "gone.service" else name for number, name in ids.items()}
    assert {event["cgroup"] for event in events} == set(ids)
    for event in events:
        assert event["where"] == names[event["cgroup"]]
    assert len([event for event in events if event["pid"] == late.pid]) == 20
