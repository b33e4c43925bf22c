"""Names that move: an event has the dataset and the path its call had, never those of what was there before."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from harness import DISKS, OUT, Event, Follower, Program, Trace, Workload, elsewhere, sh, until

OPS = "read,write"
EXPIRE = Path("/sys/module/zfs/parameters/zfs_expire_snapshot")
#: How many names the program walks up.
WALKED = 32


@pytest.fixture
def dataset() -> Iterator[Callable[..., str]]:
    """Make a dataset below tank, gone after the test: NAME, then options as of ``zfs create``."""
    made: list[str] = []

    def create(name: str, *options: str) -> str:
        made.append(f"tank/{name}")
        sh("zfs", "create", *options, made[-1])
        return made[-1]

    yield create
    for name in made:
        until(f"{name} is free", lambda name=name: destroyed(name))


def destroyed(name: str) -> bool:
    """Whether a dataset is gone; what used it may need a moment to end."""
    names = sh("zfs", "list", "-H", "-o", "name").split()
    if name in names:
        subprocess.run(["zfs", "destroy", "-rf", name], capture_output=True)
    return name not in names


@pytest.fixture
def legacy(dataset: Callable[..., str], tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A dataset with a legacy mount point, mounted."""
    name = dataset("legacy", "-o", "mountpoint=legacy")
    place = tmp_path / "place"
    place.mkdir()
    sh("mount", "-t", "zfs", name, str(place))
    yield name, place
    sh("umount", "-l", str(place))


def of(program: Program, events: list[Event]) -> list[Event]:
    return [event for event in events if event["pid"] == program.pid]


def places(events: list[Event]) -> set[tuple[str, str]]:
    """Dataset and path of each."""
    return {(event["dataset"], event["path"]) for event in events}


FILES = {f"calls/d{number}/file0{number}" for number in range(3)}


def test_pools_that_are_exported_and_come_back_also_under_another_name(
    trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    tracer = trace("0", "--op", OPS)
    programs = {}

    def move(old: str, new: str) -> None:
        sh("zpool", "export", old)
        sh("zpool", "import", "-o", "cachefile=none", "-d", str(DISKS), old, new)
        programs[f"{new}/data", len(programs)] = workload("calls", f"/{new}/data", "3")
        list(programs.values())[-1].run()

    try:
        move("tank", "tank")
        # Two at once, so that numbers of devices go from one pool to the other.
        sh("zpool", "export", "-a")
        sh("zpool", "import", "-o", "cachefile=none", "-d", str(DISKS), "dozer")
        sh("zpool", "import", "-o", "cachefile=none", "-d", str(DISKS), "tank")
        move("tank", "moved")
    finally:
        move("moved", "tank")
    program = programs["dozer/data", 3] = workload("calls", "/dozer/data", "3")
    program.run()
    events = tracer.stop()
    for (name, _), program in programs.items():
        mine = of(program, events)
        assert len(mine) == 6
        assert places(mine) == {(name, file) for file in FILES}


def test_a_dataset_renamed_with_its_mount_point(
    dataset: Callable[..., str], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    name = dataset("before")
    tracer = trace("0", "--op", OPS)
    before = workload("calls", f"/{name}", "3")
    before.run()
    sh("zfs", "rename", name, "tank/after")
    try:
        after = workload("calls", "/tank/after", "3")
        after.run()
        # What is read after it is renamed back may be of either name.
        mine = f'"pid":{after.pid},'.encode()
        until("its lines", lambda: sum(mine in line for line in list(tracer.out)) >= len(FILES) * 2)
    finally:
        sh("zfs", "rename", "tank/after", name)
    events = tracer.stop()
    assert places(of(before, events)) == {("tank/before", file) for file in FILES}
    assert places(of(after, events)) == {("tank/after", file) for file in FILES}


def test_a_legacy_mount_point_and_a_rename_under_an_open_file(
    legacy: tuple[str, Path], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    name, place = legacy
    program = workload("loop", str(place), "file", "20")
    tracer = trace("0", "-p", str(program.pid), "--op", OPS)
    program.go()
    until("events", lambda: len(tracer.out) > 5)
    sh("zfs", "rename", name, "tank/renamed")
    try:
        until("the new name", lambda: b'"dataset":"tank/renamed"' in tracer.out[-1])
    finally:
        sh("zfs", "rename", "tank/renamed", name)
    program.close()
    named = [event["dataset"] for event in tracer.stop()]
    assert named[0] == name
    assert set(named) <= {name, "tank/renamed"}
    assert places(tracer.events) == {(each, "file") for each in set(named)}


def test_a_filter_follows_a_rename(
    legacy: tuple[str, Path], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    name, place = legacy
    program = workload("loop", str(place), "file", "20")
    tracer = trace("0", "--op", OPS, name)
    program.go()
    until("events", lambda: len(tracer.out) > 5)
    sh("zfs", "rename", name, "tank/renamed")
    time.sleep(3)
    stopped = len(tracer.out)
    time.sleep(2)
    # The operator asked for a name, and this one nobody has any more.
    assert len(tracer.out) == stopped
    sh("zfs", "rename", "tank/renamed", name)
    until("events again", lambda: len(tracer.out) > stopped + 5)
    program.close()
    tracer.stop()


def device(path: str) -> int:
    return os.stat(path).st_dev


def mounted(name: str) -> bool:
    return f" zfs {name} " in Path("/proc/self/mountinfo").read_text()


def test_snapshots_that_take_each_others_device_number(
    dataset: Callable[..., str], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    name = dataset("snaps")
    Path(f"/{name}/file").write_bytes(b"x" * 512)
    for letter in "ab":
        sh("zfs", "snapshot", f"{name}@{letter}")
    tracer = trace("0", "--op", "read")
    programs: list[tuple[str, int, Program]] = []
    for number in range(16):
        letter = "ab"[number % 2]
        place = f"/{name}/.zfs/snapshot/{letter}"
        program = workload("reads", place, "file", "20", "512", "0")
        program.run()
        programs.append((f"{name}@{letter}", device(f"{place}/file"), program))
        sh("umount", place)
    events = tracer.stop()
    numbers = [number for _, number, _ in programs]
    # Both had the same, or this shows nothing.
    assert any(one == other for one, other in pairwise(numbers))
    for snapshot, number, program in programs:
        mine = of(program, events)
        assert len(mine) == 20
        unknown = f"dev {os.major(number)}:{os.minor(number)}"
        assert places(mine) <= {(snapshot, "file"), (unknown, "file")}
    right = sum(event["dataset"].startswith(f"{name}@") for event in events)
    (OUT / "names.txt").write_text(
        f"{right} of {len(events)} calls with a name; {len(set(numbers))} numbers for {len(numbers)} mounts\n"
    )
    assert right


def test_a_snapshot_that_expires_leaves_its_number_to_the_next(
    dataset: Callable[..., str], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    name = dataset("expires")
    Path(f"/{name}/file").write_bytes(b"x" * 512)
    for letter in "ab":
        sh("zfs", "snapshot", f"{name}@{letter}")
    before = EXPIRE.read_text()
    EXPIRE.write_text("5")
    try:
        tracer = trace("0", "--op", "read", name)
        programs = {}
        for letter in "ab":
            place = f"/{name}/.zfs/snapshot/{letter}"
            programs[letter] = workload("reads", place, "file", "20", "512", "0")
            # The filter knows a device as soon as it is mounted, and not before.
            assert device(f"{place}/file")
            assert mounted(f"{name}@{letter}")
            time.sleep(1)
            programs[letter].run()
            until("the expiry", lambda letter=letter: not mounted(f"{name}@{letter}"))
        events = tracer.stop()
    finally:
        EXPIRE.write_text(before)
    for letter, program in programs.items():
        assert places(of(program, events)) == {(f"{name}@{letter}", "file")}


BOX = "mount -t zfs {} /mnt"


def test_a_dataset_mounted_only_in_a_container_that_was_there_before(
    dataset: Callable[..., str], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    name = dataset("boxed", "-o", "mountpoint=legacy")
    program = workload("calls", "/mnt", "3", prefix=elsewhere(BOX.format(name)))
    assert not mounted(name)
    filtered, other, every = (
        trace("0", "--op", OPS, name),
        trace("0", "--op", OPS, "dozer"),
        trace("0", "--op", OPS),
    )
    program.run()
    for tracer in (filtered, every):
        mine = of(program, tracer.stop())
        assert len(mine) == 6
        assert places(mine) == {(name, file) for file in FILES}
    assert not of(program, other.stop())


def test_containers_that_come_later_and_take_each_others_device_number(
    dataset: Callable[..., str], trace: Callable[..., Trace], workload: Callable[..., Workload]
) -> None:
    names = [dataset(f"box{number}", "-o", "mountpoint=legacy") for number in range(3)]
    filtered, every = trace("0", "--op", OPS, "tank"), trace("0", "--op", OPS)
    expected = {}
    for name in names:
        program = workload("loop", "/mnt", "file", "20", prefix=elsewhere(BOX.format(name)))
        expected[program.pid] = name
        program.go()

        def seen_with_name(tracer: Trace, name: str = name) -> bool:
            return any(f'"dataset":"{name}"'.encode() in line for line in tracer.out[-50:])

        for tracer in (filtered, every):
            until(f"{name} is seen", lambda tracer=tracer: seen_with_name(tracer))
        program.close()
        # A namespace of others is looked at once a second.
        time.sleep(2)
    for tracer in (filtered, every):
        events = [event for event in tracer.stop() if event["pid"] in expected]
        for event in events:
            assert event["dataset"] == expected[event["pid"]] or event["dataset"].startswith("dev ")
        assert {event["dataset"] for event in events} >= set(names)


def test_a_bind_mount_shows_the_path_in_the_dataset(
    dataset: Callable[..., str],
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    tmp_path: Path,
) -> None:
    name = dataset("bound")
    Path(f"/{name}/below").mkdir()
    sh("mount", "--bind", f"/{name}/below", str(tmp_path))
    try:
        program = workload("calls", str(tmp_path), "3")
        tracer = trace("0", "-p", str(program.pid), "--op", OPS, name)
        program.run()
        assert places(tracer.stop()) == {(name, f"below/{file}") for file in FILES}
    finally:
        sh("umount", str(tmp_path))


MARK = Path("/tank/data/mark")


@pytest.fixture(scope="module")
def follower() -> Iterator[Follower]:
    """One trace of what this very process writes, for all of the tests below."""
    tracer = Trace("0", "-p", str(os.getpid()), "--op", "write", attached=False)
    try:
        tracer.attached()
        yield Follower(tracer)
    finally:
        tracer.close()


@pytest.fixture
def written(follower: Follower) -> Callable[[], list[Event]]:
    """What this process has written since the test began; all of it, for a last write comes back too."""
    before = len(follower.of(os.getpid()))

    def events() -> list[Event]:
        MARK.write_bytes(b"x")
        until("the mark", lambda: [event for event in mine()[-1:] if event["path"] == MARK.name])
        return mine()[:-1]

    def mine() -> list[Event]:
        return follower.of(os.getpid())[before:]

    return events


def test_a_file_deleted_while_it_is_open_says_so_and_its_successor_does_not(
    written: Callable[[], list[Event]],
) -> None:
    file = Path("/tank/data/deleted")
    with file.open("wb", buffering=0) as first:
        first.write(b"1")
        file.unlink()
        first.write(b"22")
        with file.open("wb", buffering=0) as second:
            second.write(b"333")
            first.write(b"4444")
    paths = {event["size"]: event["path"] for event in written()}
    assert paths == {1: "deleted", 2: "deleted (deleted)", 3: "deleted", 4: "deleted (deleted)"}


def test_a_file_that_is_renamed_has_its_new_name_from_then_on(written: Callable[[], list[Event]]) -> None:
    old, new = Path("/tank/data/moving/old"), Path("/tank/data/moved/new")
    old.parent.mkdir()
    with old.open("wb", buffering=0) as file:
        file.write(b"1")
        old.rename(old.with_name("new"))
        file.write(b"22")
        old.parent.rename(new.parent)
        file.write(b"333")
    paths = {event["size"]: event["path"] for event in written()}
    assert paths == {1: "moving/old", 2: "moving/new", 3: "moved/new"}
    new.unlink()
    new.parent.rmdir()


@pytest.mark.parametrize("levels", [WALKED - 1, WALKED, WALKED + 1, 200])
def test_a_path_longer_than_the_program_walks_is_marked_as_cut(
    levels: int, written: Callable[[], list[Event]]
) -> None:
    parts = [f"level{number}" for number in range(levels - 1)] + ["end"]
    file = Path("/tank/data", *parts)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    (event,) = written()
    # With as many names as it walks it has them all, but did not come to the root and cannot know.
    cut = "…/" if levels >= WALKED else ""
    assert event["path"] == cut + "/".join(parts[-WALKED:])
