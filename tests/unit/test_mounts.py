"""The mount tables are followed: names come, go and change with them, and an unknown device is never given a name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zfstop.mounts
from zfstop.mounts import Mounts, known_datasets


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


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_the_kernel_tells_of_a_mount_once() -> None:
    """On the real mountinfo, in a mount namespace of its own."""
    code = (
        "import ctypes, os, sys\n"
        "from zfstop.mounts import Mounts\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.unshare(0x20000): sys.exit(77)\n"
        "libc.mount(b'none', b'/', None, 1 << 18 | 1 << 14, None)\n"
        "mounts = Mounts()\n"
        "print(mounts.changed())\n"
        "if libc.mount(b'none', b'/mnt', b'tmpfs', 0, None): sys.exit(77)\n"
        "print(mounts.changed(), mounts.changed())\n"
        "libc.umount2(b'/mnt', 2)\n"
        "print(mounts.changed(), mounts.changed())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no mount namespaces here")
    assert done.stdout.split() == ["False", "True", "False", "True", "False"], done.stderr


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


def test_the_pool_of_a_mounted_dataset_is_known_without_kstats(kstat: Kstat, proc: Proc) -> None:
    proc.write("self", table(d57="tank/a/b", d58="old@snap"))
    assert known_datasets(Mounts(str(proc.root))) == ("old", "old@snap", "tank", "tank/a/b")


def test_without_zfs_nothing_is_known(kstat: Kstat) -> None:
    assert known_datasets(None) == ()
