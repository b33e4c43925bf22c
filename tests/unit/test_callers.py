"""A caller's cgroup and inner PID come from the kernel's own files; what cannot be proved is left empty."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zfstop.callers
from zfstop.callers import Callers, cgroup_mount, cgroup_of, inner_pid

NOBODY = 4_194_303
DOCKER = "docker-" + "3f9a1c2b4d5e6f70" * 4 + ".scope"


class Proc:
    """A made-up /proc, with a made-up cgroup2 file system."""

    def __init__(self, root: Path, mount_root: str = "/") -> None:
        self.root = root / "proc"
        self.cgroups = root / "cgroup"
        self.cgroups.mkdir()
        self.write("self", "mountinfo", f"30 20 0:26 {mount_root} {self.cgroups} rw - cgroup2 cgroup2 rw\n")

    def write(self, pid: int | str, name: str, text: str) -> None:
        path = self.root / str(pid) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def cgroup(self, *pids: int, path: str, root: str = "") -> int:
        """Make a cgroup with these processes; its id."""
        made = self.cgroups / path
        made.mkdir(parents=True, exist_ok=True)
        for pid in pids:
            self.write(pid, "cgroup", f"4:memory:/elsewhere\n0::{root}/{path}\n")
        return made.stat().st_ino


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


@pytest.fixture
def callers(proc: Proc) -> Iterator[Callers]:
    callers = Callers(str(proc.root))
    yield callers
    callers.close()


def test_a_cgroup_is_named_by_a_process_in_it(proc: Proc, callers: Callers) -> None:
    number = proc.cgroup(812, path=f"system.slice/{DOCKER}")
    assert callers.owner(number, 812) == "docker:3f9a1c2b4d5e"
    assert callers.owner(number, NOBODY) == "docker:3f9a1c2b4d5e", "from now on it is known"


def test_a_process_that_has_moved_since_its_call_names_nothing(proc: Proc, callers: Callers) -> None:
    before = proc.cgroup(path="system.slice/a.service")
    after = proc.cgroup(812, path="system.slice/b.service")
    assert callers.owner(before, 812) == ""
    assert callers.owner(after, 812) == "b.service"


def test_an_id_that_nobody_can_name_is_asked_for_again(proc: Proc, callers: Callers) -> None:
    number = proc.cgroup(path="system.slice/a.service")
    assert callers.owner(number, 812) == ""
    proc.cgroup(813, path="system.slice/a.service")
    assert callers.owner(number, 813) == "a.service"


def test_a_removed_cgroup_keeps_its_own_name_or_has_none(proc: Proc, callers: Callers) -> None:
    known = proc.cgroup(812, path="system.slice/a.service")
    unknown = proc.cgroup(813, path="system.slice/b.service")
    assert callers.owner(known, 812) == "a.service"
    for name in ("a", "b"):
        (proc.cgroups / f"system.slice/{name}.service").rmdir()
    assert callers.owner(known, 812) == "a.service"
    assert callers.owner(unknown, 813) == ""


def test_part_of_the_hierarchy_mounted_is_named_by_the_whole_path(tmp_path: Path) -> None:
    proc = Proc(tmp_path, "/lxc.payload.web1")
    number = proc.cgroup(812, path="system.slice/a.service", root="/lxc.payload.web1")
    foreign = proc.cgroup(813, path="system.slice/b.service")
    callers = Callers(str(proc.root))
    assert callers.owner(number, 812) == "lxc:web1/a.service"
    assert callers.owner(foreign, 813) == "", "its path is not below the part that is mounted"
    callers.close()


def test_without_cgroup2_nobody_has_an_owner(tmp_path: Path) -> None:
    callers = Callers(str(tmp_path))
    assert callers.owner(1, os.getpid()) == ""
    assert callers.inner_pid(NOBODY) == 0
    callers.close()
    callers.close()


def test_many_cgroups_are_remembered_within_bounds(
    proc: Proc, callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zfstop.callers, "_MOST_OWNERS", 10)
    ids = {proc.cgroup(pid, path=f"system.slice/{pid}.service"): pid for pid in range(100, 140)}
    for number, pid in ids.items():
        assert callers.owner(number, pid) == f"{pid}.service"
        assert len(callers._owners) <= 10


def test_a_thread_is_named_by_where_it_is_now(proc: Proc, callers: Callers) -> None:
    proc.cgroup(812, path="system.slice/a.service")
    assert callers.owner_now(812) == "a.service"
    assert callers.owner_now(NOBODY) == ""


def test_an_inner_pid_is_asked_for_anew_every_second(proc: Proc, callers: Callers) -> None:
    proc.write(812, "status", "Name:\tdd\nNStgid:\t812\t17\n")
    assert callers.inner_pid(812) == 17
    proc.write(812, "status", "Name:\tother\nNStgid:\t812\n")
    assert callers.inner_pid(812) == 17
    callers.forget_pids()
    assert callers.inner_pid(812) == 0


@pytest.mark.parametrize(
    ("status", "number"),
    [
        (b"Pid:\t9\nNStgid:\t9\t4\t2\nNSpid:\t9\t4\t3\n", 2),
        (b"NStgid:\t9\t17\n", 17),
        (b"NStgid:\t9\n", 0),
        (b"Name:\tNStgid:\t8\t8\nNStgid:\t9\n", 0),
        (b"", 0),
    ],
)
def test_the_innermost_number_counts_and_one_alone_is_none(status: bytes, number: int) -> None:
    assert inner_pid(status) == number


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"0::/system.slice/a.service\n", "/system.slice/a.service"),
        (b"9:name=systemd:/x\n4:memory:/y\n0::/\n", "/"),
        (b"4:memory:/docker/abc\n", None),
        (b"0::/system.slice/a.service (deleted)\n", "/system.slice/a.service"),
        (b"0::/../../other\n", None),
        (b"0::/..a/b..\n", "/..a/b.."),
        (b"0::/\xff\n", "/\udcff"),
        (b"", None),
    ],
)
def test_the_unified_hierarchy_counts_and_only_below_our_own_root(text: bytes, path: str | None) -> None:
    assert cgroup_of(text) == path


def test_the_mount_of_the_whole_hierarchy_is_preferred() -> None:
    part = rb"41 31 0:38 /box /run/a\040b rw - cgroup2 none rw"
    whole = b"42 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate"
    others = b"43 31 0:39 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\nodd"
    assert cgroup_mount(b"\n".join((others, part, whole))) == ("/sys/fs/cgroup/unified", "/")
    assert cgroup_mount(b"\n".join((others, part))) == ("/run/a b", "/box")
    assert cgroup_mount(others) == ("", "")


@given(st.binary(max_size=60) | st.text("0123456789:/ \n\t-cgroup2", max_size=60).map(str.encode))
def test_no_text_of_proc_is_too_odd_to_read(text: bytes) -> None:
    assert inner_pid(text) >= 0
    assert inner_pid(b"NStgid:" + text) >= 0
    assert cgroup_of(b"0::" + text) is None or isinstance(cgroup_of(b"0::" + text), str)
    assert len(cgroup_mount(b"1 2 3 / /x - cgroup2 " + text)) == 2


# --- the kernel's own ----------------------------------------------------------------------------------------------


@pytest.fixture
def make_cgroup() -> Iterator[Callable[[str], Path]]:
    """Makes real cgroups, and removes what is left of them."""
    top, made = Path(cgroup_mount(Path("/proc/self/mountinfo").read_bytes())[0] or "/nowhere"), []
    if os.geteuid() != 0 or not os.access(top / "cgroup.procs", os.W_OK):
        pytest.skip("only root can make cgroups, and only in a cgroup2 file system")

    def make(name: str) -> Path:
        made.append(top / name)
        made[-1].mkdir()
        return made[-1]

    yield make
    for path in made:
        if path.exists():
            path.rmdir()


@pytest.fixture
def real() -> Iterator[Callers]:
    callers = Callers()
    yield callers
    callers.close()


def test_a_real_cgroup_is_named_by_its_id_alone(make_cgroup: Callable[[str], Path], real: Callers) -> None:
    number = make_cgroup(f"zfstop-{os.getpid()}.service").stat().st_ino
    assert real.owner(number, NOBODY) == f"zfstop-{os.getpid()}.service"
    root = cgroup_mount(Path("/proc/self/mountinfo").read_bytes())[0]
    assert real.owner(os.stat(root).st_ino, NOBODY) == ""


def test_a_real_cgroup_that_is_gone_is_never_named(make_cgroup: Callable[[str], Path], real: Callers) -> None:
    first = make_cgroup(f"zfstop-{os.getpid()}-a.service")
    number = first.stat().st_ino
    first.rmdir()
    second = make_cgroup(f"zfstop-{os.getpid()}-a.service").stat().st_ino
    assert second != number
    assert real.owner(number, NOBODY) == ""
    assert real.owner(number | 1 << 63, NOBODY) == ""


def test_a_real_process_in_another_pid_namespace_has_its_own_number(real: Callers) -> None:
    command = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "echo; exec cat"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as outer:
        assert outer.stdout is not None
        if not outer.stdout.readline():
            pytest.skip("no right to make PID namespaces")
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        assert [real.inner_pid(int(child)) for child in children] == [1]
        assert real.inner_pid(outer.pid) == 0
        outer.communicate()
