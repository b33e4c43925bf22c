"""The mount tables and kstats of this host, read when they change: which device is which dataset.

One thread uses an object of this; names come out as safe text.
"""

from __future__ import annotations

import contextlib
import glob
import os
import select
from pathlib import Path

from zfstop.model.events import unknown_dataset
from zfstop.text import visible
from zfstop.zfs.datasets import has_zfs_fuse, parse_mountinfo, parse_objset

KSTAT = "/proc/spl/kstat/zfs"


class Mounts:
    """s_dev -> dataset, of our mount namespace and of init's; of a process's own on demand."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._names: dict[int, str] = {}
        self._asked: set[tuple[int, int]] = set()
        self._watched = Path(f"{proc}/self/mountinfo").open("rb")  # noqa: SIM115  (open as long as this object)
        self._poll = select.poll()
        self._poll.register(self._watched, select.POLLPRI | select.POLLERR)
        self.generation = 0
        self.refresh()

    def close(self) -> None:
        """Give the watched file back."""
        self._watched.close()

    def changed(self) -> bool:
        """Whether the table was different from the last look; reads it anew if so.

        The kernel reports a change of our namespace through poll(2) on mountinfo.
        """
        if not self._poll.poll(0):
            return False
        self.refresh()
        return True

    def refresh(self) -> None:
        """Read our table and init's. A device that is not mounted any more is forgotten: numbers are reused."""
        self._watched.seek(0)
        found = {} if self._same_namespace(1) else parse_mountinfo(_read(f"{self._proc}/1/mountinfo"))
        found |= parse_mountinfo(self._watched.read())
        self._names = {dev: visible(name) for dev, name in found.items()}
        self._asked.clear()
        self.generation += 1

    def _same_namespace(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return os.readlink(f"{self._proc}/{pid}/ns/mnt") == os.readlink(f"{self._proc}/self/ns/mnt")
        return False

    def name(self, dev: int, pid: int) -> str:
        """The dataset of a device; looks into the namespace of ``pid`` once for a device not known here."""
        known = self._names.get(dev)
        if known is None and (dev, pid) not in self._asked and len(self._asked) < 4096:
            self._asked.add((dev, pid))
            foreign = parse_mountinfo(_read(f"{self._proc}/{pid}/mountinfo"))
            known = visible(foreign[dev]) if dev in foreign else None
            if known is not None:
                self._names[dev] = known
        return known if known is not None else unknown_dataset(dev)

    def devices(self) -> dict[int, str]:
        """All known devices with their dataset."""
        return dict(self._names)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 24)
    except OSError:
        return b""


def known_datasets(mounts: Mounts | None) -> tuple[str, ...]:
    """Names of the imported pools and their datasets, mounted or not, sorted.

    Pools from the kstat directory, datasets from its objset files (OpenZFS 0.8 and later) and the mount table.
    """
    names = set(mounts.devices().values()) if mounts else set()
    for path in glob.glob(f"{KSTAT}/*/objset-*"):
        name = parse_objset(_read(path))
        names |= {visible(name)} if name else set()
    names |= {visible(os.path.basename(os.path.dirname(path))) for path in glob.glob(f"{KSTAT}/*/state")}
    names |= {name.split("/")[0].split("@")[0] for name in names}
    return tuple(sorted(names))


def zfs_fuse_serves() -> bool:
    """Whether zfs-fuse is at work here: by the type of a mount or, as older ones say only "fuse", by its process."""
    if has_zfs_fuse(_read("/proc/self/mountinfo")):
        return True
    return any(_read(path).strip() == b"zfs-fuse" for path in glob.glob("/proc/[0-9]*/comm"))
