"""The mount tables and kstats of this host, read when they change: which device is which dataset.

One thread uses an object of this; names come out as safe text.
"""

from __future__ import annotations

import contextlib
import glob
import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from zfstop.model.events import unknown_dataset
from zfstop.namespaces import Namespaces, link, read
from zfstop.text import visible
from zfstop.zfs.datasets import has_zfs_fuse, parse_mountinfo, parse_objset

KSTAT = "/proc/spl/kstat/zfs"


#: Looking costs at most a fiftieth of the time, however many mounts there are, and is never done more often.
_SHARE, _EVERY_SECONDS = 50, 1.0
#: How long one pass of a search through all processes may hold up the collector.
_SEARCH_SECONDS = 0.005
#: A device that is in no table is not searched for again within this time; nor longer than that at the start.
_GIVE_UP_SECONDS, _FIRST_SECONDS = 30.0, 2.0
_MOST_ASKED = 4096


class Mounts:
    """s_dev -> dataset, of our mount namespace and of init's, and of others' where they alone have a device.

    Numbers of devices are used again. The kernel tells at once of changes in the first two, so a name is never that
    of a file system gone before, if names are asked for as the collector does: take records, then ``changed``, then
    name them. A foreign namespace is looked at once a second. ``zfs rename`` without a remount is told by nobody and
    seen within a second too.
    """

    def __init__(self, proc: str = "/proc", clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watched = _open_tables(proc)
        self._poll = select.poll()
        for file in self._watched:
            self._poll.register(file, select.POLLPRI | select.POLLERR)
        self._foreign = Namespaces(proc, {name for pid in ("self", 1) if (name := link(proc, pid))}, clock)
        self._texts: list[bytes] = []
        self._home: dict[int, bytes] = {}
        self._found: dict[int, bytes] = {}
        self._names: dict[int, str] = {}
        self._volumes: dict[int, str] = {}
        self._latest: dict[int, str] = {}
        self._told = False
        self._asked: set[tuple[int, int]] = set()
        self._sought: dict[int, float] = {}
        self._searching = False
        self.doubt = False
        self.generation = 0
        self.refresh()

    def close(self) -> None:
        """Give the watched files back."""
        for file in self._watched:
            file.close()

    def refresh(self) -> None:
        """Read all tables, in force at once."""
        self._asked.clear()
        self._look()
        self.settle()

    def changed(self) -> bool:
        """Whether some device has another name than at the last look, or none, or a first one.

        Cheap as long as the kernel reports no change. The new names are in force after ``turn`` and ``settle``.
        """
        told = bool(self._poll.poll(0))
        if told:
            self._asked.clear()
        elif self.doubt or not self._due():
            return False
        changed = self._look()
        self._told = told
        return changed

    def _due(self) -> bool:
        """Whether it is time to look, though the kernel reports nothing."""
        if self._searching and self._foreign.search(self._home, _SEARCH_SECONDS):
            self._searching = False
            return True
        return self._clock() >= self._next

    def turn(self) -> None:
        """From now on a device that changed its name has none, for records of before and after are still to come.

        Where the kernel would have told of a mount and did not, another name is the same dataset's: it was renamed.
        """
        both = self._names | self._latest
        for dev in self._names.keys() & self._latest.keys():
            if self._names[dev] != self._latest[dev] and (self._told or dev not in self._home):
                both[dev] = unknown_dataset(dev)
        self._names = both
        self.doubt = True
        self.generation += 1

    def settle(self) -> None:
        """All records of before have been named: the new names are in force."""
        self._names = dict(self._latest)
        self.doubt = False
        self.generation += 1

    def _look(self) -> bool:
        """Read the tables; whether a name is another now."""
        begun = self._clock()
        texts = []
        for file in self._watched:
            file.seek(0)
            texts.append(file.read())
        if texts != self._texts:
            # What our own table says is believed first.
            self._home = {
                dev: name for text in reversed(texts) for dev, name in parse_mountinfo(text).items()
            }
            self._texts = texts
        self._foreign.reread(self._home)
        changed = self._combine()
        now = self._clock()
        self._next = now + max(_EVERY_SECONDS, (now - begun) * _SHARE)
        return changed

    def _combine(self) -> bool:
        found = self._foreign.devices() | self._home
        changed = found != self._found
        if changed:
            self._found = found
            self._latest = {dev: visible(name) for dev, name in found.items()}
            self._sought = {dev: until for dev, until in self._sought.items() if dev not in found}
        return changed

    def name(self, dev: int, pid: int | None = None) -> str:
        """The dataset of a device. An unknown one is looked up where ``pid`` lives, once, and sought everywhere else.

        What the search finds ``changed`` tells of.
        """
        known = self._names.get(dev) or self._volumes.get(dev)
        if known is None and pid is not None:
            known = self._ask(dev, pid)
        if known is None:
            self._seek(dev)
            return unknown_dataset(dev)
        return known

    def _ask(self, dev: int, pid: int) -> str | None:
        if (dev, pid) in self._asked or len(self._asked) >= _MOST_ASKED:
            return None
        self._asked.add((dev, pid))
        name = self._foreign.ask(pid, dev, self._home)
        if name is None:
            return None
        self._found[dev] = name
        self._names[dev] = self._latest[dev] = known = visible(name)
        self.generation += 1
        return known

    def _seek(self, dev: int) -> None:
        """Search for a device, unless that was in vain a short time ago."""
        now = self._clock()
        if now < self._sought.get(dev, now):
            return
        self._sought = {other: until for other, until in self._sought.items() if until > now}
        self._sought[dev] = now + _GIVE_UP_SECONDS
        self._searching = True

    def look_everywhere(self) -> None:
        """Search now, for two seconds at most: before a filter by dataset, which must know the devices first."""
        self._searching = not self._foreign.search(self._home, _FIRST_SECONDS)
        self._combine()
        self.settle()

    def seek_everywhere(self) -> None:
        """The same, but bit by bit in ``changed``."""
        self._searching = True

    def devices(self) -> dict[int, str]:
        """All known devices with their dataset."""
        return self._volumes | self._names

    def learn(self, volumes: dict[int, str]) -> bool:
        """Volumes have no mount; the kernel names them when they are used. Returns whether anything is new."""
        new = {dev: name for dev, name in volumes.items() if self._volumes.get(dev) != name}
        self._volumes |= new
        self.generation += bool(new)
        return bool(new)


def _open_tables(proc: str) -> list[BinaryIO]:
    """Our own table and, in another namespace, init's: the kernel reports changes through poll(2) on them."""
    files: list[BinaryIO] = [Path(f"{proc}/self/mountinfo").open("rb")]  # noqa: SIM115  (open as long as Mounts)
    if link(proc, 1) != link(proc, "self"):
        with contextlib.suppress(OSError):
            files.append(Path(f"{proc}/1/mountinfo").open("rb"))  # noqa: SIM115
    return files


def known_datasets(mounts: Mounts | None) -> tuple[str, ...]:
    """Names of the imported pools and their datasets, mounted or not, sorted.

    Pools from the kstat directory, datasets from its objset files (OpenZFS 0.8 and later) and the mount table.
    """
    names = set(mounts.devices().values()) if mounts else set()
    for path in glob.glob(f"{KSTAT}/*/objset-*"):
        name = parse_objset(read(path))
        names |= {visible(name)} if name else set()
    names |= {visible(os.path.basename(os.path.dirname(path))) for path in glob.glob(f"{KSTAT}/*/state")}
    names |= {name.split("/")[0].split("@")[0] for name in names}
    return tuple(sorted(names))


def pool_imported() -> bool:
    """Whether a pool is imported; True also where the kstats cannot tell."""
    try:
        with os.scandir(KSTAT) as entries:
            return any(entry.is_dir() for entry in entries)
    except OSError:
        return True


def zfs_fuse_serves() -> bool:
    """Whether zfs-fuse is at work here: by the type of a mount or, as older ones say only "fuse", by its process."""
    if has_zfs_fuse(read("/proc/self/mountinfo")):
        return True
    return any(read(path).strip() == b"zfs-fuse" for path in glob.glob("/proc/[0-9]*/comm"))
