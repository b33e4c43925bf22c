"""The mount tables are followed: names come, go and change with them, and an unknown device is never given a name."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zfstop.mounts
from zfstop.mounts import Mounts, known_datasets, pool_imported
from zfstop.namespaces import Namespaces


def table(**mounts: str) -> str:
    """mountinfo text: ``d57="tank"`` is device 0:57."""
    return "".join(f"60 28 0:{dev[1:]} / /mnt rw shared:9 - zfs {name} rw\n" for dev, name in mounts.items())


class Proc:
    """A made-up /proc. Namespaces are told apart by where their link points."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process("self", "own", table(d57="tank"))

    def process(self, pid: str, namespace: str, text: str) -> None:
        (self.root / pid / "ns").mkdir(parents=True, exist_ok=True)
        link = self.root / pid / "ns" / "mnt"
        link.unlink(missing_ok=True)
        link.symlink_to(f"mnt:[{namespace}]")
        self.write(pid, text)

    def write(self, pid: str, text: str) -> None:
        (self.root / pid / "mountinfo").write_bytes(text.encode("utf-8", "surrogateescape"))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


@pytest.fixture
def mounts(proc: Proc) -> Iterator[Mounts]:
    mounts = Mounts(str(proc.root))
    yield mounts
    mounts.close()


def test_our_own_table_is_read_at_once(mounts: Mounts) -> None:
    assert mounts.devices() == {57: "tank"}
    assert mounts.name(57, 1) == "tank"


def test_an_unknown_device_is_shown_by_its_numbers(mounts: Mounts) -> None:
    assert mounts.name(99, 4242) == "dev 0:99"
    assert mounts.name(253 << 20 | 7, 4242) == "dev 253:7"
    assert 99 not in mounts.devices()


def test_inits_mounts_are_known_too_and_our_own_are_believed_first(proc: Proc) -> None:
    proc.process("1", "host", table(d57="stale", d58="tank/host"))
    assert Mounts(str(proc.root)).devices() == {57: "tank", 58: "tank/host"}


def test_the_same_namespace_is_not_read_twice(proc: Proc) -> None:
    proc.process("1", "own", table(d58="never read"))
    assert Mounts(str(proc.root)).devices() == {57: "tank"}


def test_a_device_of_a_container_is_looked_up_where_the_event_came_from(proc: Proc, mounts: Mounts) -> None:
    proc.process("812", "box", table(d60="tank/box"))
    assert mounts.name(60, 99) == "dev 0:60", "another process knows nothing of it"
    assert mounts.name(60, 812) == "tank/box"
    assert mounts.name(60, 99) == "tank/box", "from now on it is known"


def test_a_process_is_asked_once_for_a_device_until_the_tables_change(proc: Proc, mounts: Mounts) -> None:
    proc.process("812", "box", "")
    assert mounts.name(60, 812) == "dev 0:60"
    proc.write("812", table(d60="tank/box"))
    assert mounts.name(60, 812) == "dev 0:60", "an event costs no file read again and again"
    mounts.refresh()
    assert mounts.name(60, 812) == "tank/box"


def test_a_flood_of_unknown_devices_costs_a_bounded_number_of_looks(proc: Proc, mounts: Mounts) -> None:
    for pid in range(5000):
        mounts.name(60, pid + 10)
    proc.process("9999", "box", table(d60="tank/box"))
    assert mounts.name(60, 9999) == "dev 0:60"


def test_what_is_unmounted_is_forgotten_and_its_number_may_be_another_dataset(
    proc: Proc, mounts: Mounts
) -> None:
    before = mounts.generation
    proc.write("self", table(d58="fast"))
    mounts.refresh()
    assert mounts.devices() == {58: "fast"}
    assert mounts.name(57, 4242) == "dev 0:57"
    proc.write("self", table(d57="fast/other"))
    mounts.refresh()
    assert mounts.name(57, 4242) == "fast/other"
    assert mounts.generation == before + 2, "who remembers names must see that they may be others"


def test_a_containers_device_is_forgotten_with_the_next_change(proc: Proc, mounts: Mounts) -> None:
    proc.process("812", "box", table(d60="tank/box"))
    mounts.name(60, 812)
    proc.process("812", "box", table(d60="tank/other"))
    mounts.refresh()
    assert mounts.name(60, 812) == "tank/other"


@pytest.mark.parametrize(
    "hostile", ["tank/\x1b[31mred", "tank/a\\012b", "tank/\udcff\udcfe", "tank/\u202egpj.exe"]
)
def test_hostile_names_come_out_visible(proc: Proc, hostile: str) -> None:
    proc.write("self", table(d57=hostile))
    name = Mounts(str(proc.root)).name(57, 1)
    assert name.isprintable()
    assert name.startswith("tank/")
    assert "\u202e" not in name


def test_a_process_that_has_gone_is_no_trouble(mounts: Mounts) -> None:
    assert mounts.name(60, 2**22) == "dev 0:60"


def test_a_table_that_did_not_change_is_not_read_again(mounts: Mounts) -> None:
    before = mounts.generation
    assert not mounts.changed()
    assert mounts.generation == before


class Clock:
    """A clock the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(proc: Proc, clock: Clock) -> Iterator[Mounts]:
    mounts = Mounts(str(proc.root), clock)
    yield mounts
    mounts.close()


def test_a_rename_that_nobody_tells_of_is_seen_within_a_second_and_is_never_in_doubt(
    proc: Proc, clock: Clock, timed: Mounts
) -> None:
    proc.write("self", table(d57="tank/renamed"))
    assert not timed.changed()
    clock.now += 1
    assert timed.changed()
    assert timed.name(57) == "tank", "what came before is still to be named"
    timed.turn()
    assert timed.name(57) == "tank/renamed"
    timed.settle()
    assert timed.devices() == {57: "tank/renamed"}
    clock.now += 1
    assert not timed.changed()


def test_looking_takes_a_fiftieth_of_the_time_at_most(
    proc: Proc, clock: Clock, timed: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(text: bytes) -> dict[int, bytes]:
        clock.now += 0.2
        return {57: b"tank"}

    monkeypatch.setattr(zfstop.mounts, "parse_mountinfo", slow)
    proc.write("self", table(d57="tank", d58="a"))
    clock.now += 1
    timed.changed()
    proc.write("self", table(d57="tank", d58="b"))
    looked = clock.now
    clock.now += 9.9
    timed.changed()
    assert clock.now == looked + 9.9
    clock.now += 0.2
    timed.changed()
    assert clock.now > looked + 10.2


def test_a_device_only_a_container_has_is_found_by_a_search(proc: Proc, clock: Clock, timed: Mounts) -> None:
    proc.process("812", "box", table(d57="tank", d60="tank/box"))
    assert timed.name(60) == "dev 0:60", "a table of statistics knows no process to ask"
    assert timed.changed()
    timed.turn()
    timed.settle()
    assert timed.devices() == {57: "tank", 60: "tank/box"}


def test_a_container_that_ends_takes_its_names_along(proc: Proc, clock: Clock, timed: Mounts) -> None:
    proc.process("812", "box", table(d60="tank/box"))
    assert timed.name(60, 812) == "tank/box"
    shutil.rmtree(proc.root / "812")
    proc.process("900", "next", table(d60="tank/next"))
    clock.now += 1
    assert timed.changed()
    timed.turn()
    timed.settle()
    assert timed.devices() == {57: "tank"}
    assert timed.name(60, 900) == "tank/next"


def test_a_number_that_goes_to_another_dataset_of_the_same_container_follows_it(
    proc: Proc, clock: Clock, timed: Mounts
) -> None:
    proc.process("812", "box", table(d60="tank/box"))
    assert timed.name(60, 812) == "tank/box"
    proc.write("812", table(d60="tank/other"))
    clock.now += 1
    assert timed.changed()
    timed.turn()
    assert timed.name(60, 812) == "dev 0:60", "nobody said when"
    timed.settle()
    assert timed.name(60, 812) == "tank/other"


def test_a_search_in_vain_is_not_begun_again_at_once_and_a_device_found_may_be_sought_again(
    proc: Proc, clock: Clock, timed: Mounts
) -> None:
    for _ in range(3):
        timed.name(60)
        assert not timed.changed()
    proc.process("812", "box", table(d60="tank/box"))
    timed.name(60)
    assert not timed.changed()
    clock.now += 31
    timed.name(60)
    assert timed.changed()
    timed.turn()
    timed.settle()
    shutil.rmtree(proc.root / "812")
    clock.now += 1
    assert timed.changed()
    timed.turn()
    timed.settle()
    proc.process("900", "next", table(d60="tank/next"))
    timed.name(60)
    assert timed.changed()


def test_a_search_goes_on_where_it_stopped(proc: Proc) -> None:
    for pid in range(100, 150):
        proc.process(str(pid), f"box{pid}", table(**{f"d{pid}": f"tank/{pid}"}))
    ticks = itertools.count()
    namespaces = Namespaces(str(proc.root), {"mnt:[own]"}, lambda: float(next(ticks)))
    passes = 1
    while not namespaces.search((), 10):
        passes += 1
    assert passes > 4
    assert namespaces.devices() == {pid: f"tank/{pid}".encode() for pid in range(100, 150)}


#: Runs on the real mountinfo, in a mount namespace of its own; tmpfs stands for ZFS, which the test host need not have.
REAL = """
import ctypes, sys
import zfstop.mounts, zfstop.zfs.datasets as datasets
real = datasets.parse_mountinfo
zfstop.mounts.parse_mountinfo = lambda text: {
    dev: name for dev, name in real(text.replace(b" - tmpfs ", b" - zfs ")).items() if name.startswith(b"tank")
}
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000): sys.exit(77)
libc.mount(b"none", b"/", None, 1 << 18 | 1 << 14, None)
def mount(name):
    if libc.mount(name, b"/mnt", b"tmpfs", 0, None): sys.exit(77)
def umount():
    libc.umount2(b"/mnt", 2)
# The clock stands still: what is seen, the kernel told of.
mounts = zfstop.mounts.Mounts(clock=lambda: 0.0)
"""


def on_this_kernel(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", REAL + code], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no mount namespaces here")
    assert not done.stderr
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_the_kernel_tells_of_a_mount_once() -> None:
    said = on_this_kernel(
        "print(mounts.changed())\n"
        "mount(b'tank/a'); print(mounts.changed(), mounts.changed())\n"
        "umount(); print(mounts.changed(), mounts.changed())\n"
    )
    assert said.split() == ["False", "True", "False", "True", "False"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_device_number_that_is_used_again_never_has_the_old_name_for_the_new_file_system() -> None:
    said = on_this_kernel(
        "mount(b'tank/a'); mounts.refresh(); mounts.changed()\n"
        "(dev,) = mounts.devices()\n"
        "umount(); mount(b'tank/b')\n"
        "assert mounts.changed()\n"
        "print(mounts.name(dev)); mounts.turn(); print(mounts.name(dev))\n"
        # Again, while records of the first change are still being named.
        "umount(); mount(b'tank/c'); print(mounts.changed(), mounts.doubt)\n"
        "mounts.turn(); print(mounts.name(dev)); mounts.settle(); print(mounts.name(dev))\n"
        "print(f'dev {dev >> 20}:{dev & 0xFFFFF}')"
    )
    old, between, again, still, new, number = said.splitlines()
    assert (old, again, new) == ("tank/a", "True True", "tank/c")
    assert between == still == number


VOLUME = 230 << 20 | 16


def test_a_volume_is_known_from_when_it_was_named(mounts: Mounts) -> None:
    before = mounts.generation
    assert mounts.name(VOLUME, 1) == "dev 230:16"
    assert mounts.learn({VOLUME: "tank/vol"})
    assert mounts.name(VOLUME, 1) == "tank/vol"
    assert mounts.devices() == {57: "tank", VOLUME: "tank/vol"}
    assert mounts.generation == before + 1, "who remembers names must see that they may be others"


def test_what_is_known_already_is_no_news(mounts: Mounts) -> None:
    mounts.learn({VOLUME: "tank/vol"})
    before = mounts.generation
    assert not mounts.learn({VOLUME: "tank/vol"})
    assert not mounts.learn({})
    assert mounts.generation == before


def test_a_renamed_volume_has_its_new_name_and_a_number_passes_on(mounts: Mounts) -> None:
    mounts.learn({VOLUME: "tank/vol", VOLUME + 16: "tank/other"})
    assert mounts.learn({VOLUME: "tank/renamed"})
    assert mounts.name(VOLUME, 1) == "tank/renamed"
    assert mounts.name(VOLUME + 16, 1) == "tank/other"


def test_volumes_have_no_mount_and_stay_known_when_mounts_change(proc: Proc, mounts: Mounts) -> None:
    mounts.learn({VOLUME: "tank/vol"})
    proc.write("self", table(d58="fast"))
    mounts.refresh()
    assert mounts.devices() == {58: "fast", VOLUME: "tank/vol"}


def test_no_volume_takes_the_name_of_a_mounted_dataset(mounts: Mounts) -> None:
    mounts.learn({57: "tank/vol"})
    assert mounts.name(57, 1) == mounts.devices()[57] == "tank"


class Kstat:
    """A made-up /proc/spl/kstat/zfs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def pool(self, name: str, *datasets: str) -> None:
        (self.root / name).mkdir()
        (self.root / name / "state").write_text("ONLINE\n")
        for number, dataset in enumerate(datasets):
            text = f"1 1\nname type data\ndataset_name                    7    {dataset}\nwrites 4 0\n"
            (self.root / name / f"objset-0x{number:x}").write_text(text)


@pytest.fixture
def kstat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kstat:
    place = tmp_path / "kstat"
    place.mkdir()
    monkeypatch.setattr(zfstop.mounts, "KSTAT", str(place))
    return Kstat(place)


def test_known_are_mounted_datasets_unmounted_ones_and_empty_pools(kstat: Kstat, mounts: Mounts) -> None:
    kstat.pool("fast", "fast/vm", "fast/vm/one")
    kstat.pool("empty")
    assert known_datasets(mounts) == ("empty", "fast", "fast/vm", "fast/vm/one", "tank")


def test_volumes_in_use_are_known_without_kstats(kstat: Kstat, mounts: Mounts) -> None:
    mounts.learn({VOLUME: "fast/vm/disk"})
    assert known_datasets(mounts) == ("fast", "fast/vm/disk", "tank")


def test_the_pool_of_a_mounted_dataset_is_known_without_kstats(kstat: Kstat, proc: Proc) -> None:
    proc.write("self", table(d57="tank/a/b", d58="old@snap"))
    assert known_datasets(Mounts(str(proc.root))) == ("old", "old@snap", "tank", "tank/a/b")


def test_without_zfs_nothing_is_known(kstat: Kstat) -> None:
    assert known_datasets(None) == ()


def test_pools_are_told_from_the_files_beside_them(kstat: Kstat) -> None:
    (kstat.root / "arcstats").write_text("")
    assert not pool_imported()
    kstat.pool("fast")
    assert pool_imported()


def test_without_kstats_nobody_says_that_there_is_no_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zfstop.mounts, "KSTAT", str(tmp_path / "none"))
    assert pool_imported()
