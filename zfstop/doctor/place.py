"""Where the canary sings: a directory on ZFS that can be written to, or the sentence why there is none."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zfstop.errors import Exit, UserError
from zfstop.text import visible
from zfstop.zfs.datasets import Mount, parse_mounts

_SPACE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """``directory`` as this process reaches it; ``inside`` is its path within the dataset, empty for its root."""

    dataset: str
    directory: bytes
    inside: bytes


def find_place(word: str) -> Place:
    """The place a word of the command line means: a path if it begins with "/" or ".", else a dataset.

    Raises UserError for whatever is not ZFS, not mounted, not writable or full.
    """
    mounts = parse_mounts(Path("/proc/self/mountinfo").read_bytes())
    if word[:1] in ("/", "."):
        return _usable(_of_directory(word, mounts))
    return _usable(_of_dataset(visible(os.fsencode(word).rstrip(b"/")), mounts))


def _of_dataset(name: str, mounts: Sequence[Mount]) -> tuple[Place, Mount]:
    """The mount point of a dataset, that of the whole before binds of a part, a writable before a read-only one."""
    if "@" in name:
        raise UserError(Exit.NOT_READY, f"{name} is a snapshot, which nobody can write to", _other(name))
    own = [mount for mount in mounts if visible(mount.dataset) == name]
    if not own:
        # A dataset that is not mounted has no trace in the kernel's files: it may be there or not.
        raise UserError(Exit.NOT_READY, f"no dataset {name} is mounted here", f"zfs mount {name}")
    for mount in sorted(own, key=lambda m: (m.read_only, m.root != b"/")):
        if _device(mount.point) == mount.dev:
            return Place(name, mount.point, mount.root.strip(b"/")), mount
    point = visible(own[0].point)
    raise UserError(
        Exit.NOT_READY, f"another mount on {point} hides {name}", f"umount {point}, or name a directory"
    )


def _of_directory(word: str, mounts: Sequence[Mount]) -> tuple[Place, Mount]:
    directory = os.path.realpath(os.fsencode(word))
    shown = visible(os.fsencode(word))
    try:
        status = os.stat(directory)
    except OSError as failure:
        raise UserError(Exit.NOT_READY, f"{shown} cannot be used ({failure.strerror})", "ls -d") from None
    if not stat.S_ISDIR(status.st_mode):
        raise UserError(Exit.NOT_READY, f"{shown} is not a directory", "name a directory or a dataset")
    dev = _kernel_device(status.st_dev)
    # The last one that covers it is the one in sight.
    for mount in reversed(mounts):
        below = _below(directory, mount.point)
        if mount.dev == dev and below is not None:
            inside = b"/".join(part for part in (mount.root.strip(b"/"), below) if part)
            return Place(visible(mount.dataset), directory, inside), mount
    raise UserError(
        Exit.NOT_READY,
        f"{shown} is not on ZFS",
        "name a dataset or a directory in one: zfs list -o name,mountpoint",
    )


def _usable(found: tuple[Place, Mount]) -> Place:
    place, mount = found
    if mount.read_only:
        raise UserError(Exit.NOT_READY, f"{place.dataset} is mounted read-only", _other(place.dataset))
    room = os.statvfs(place.directory)
    if room.f_bavail * room.f_frsize < _SPACE_BYTES:
        raise UserError(
            Exit.NOT_READY,
            f"there is less than 1 MiB of space left in {place.dataset}",
            f"zfs list -o space {place.dataset}",
        )
    return place


def _other(dataset: str) -> str:
    return f"name another dataset, or: zfs set readonly=off {dataset}" if "@" not in dataset else "zfs list"


def _device(path: bytes) -> int | None:
    try:
        return _kernel_device(os.stat(path).st_dev)
    except OSError:
        return None


def _kernel_device(dev: int) -> int:
    """A device number of stat(2) as the kernel keeps it."""
    return os.major(dev) << 20 | os.minor(dev)


def _below(path: bytes, point: bytes) -> bytes | None:
    """The rest of ``path`` below a mount point, or None when it is not below."""
    base = point.rstrip(b"/")
    if path == base or not base:
        return path[len(base) :].strip(b"/")
    return path[len(base) + 1 :] if path.startswith(base + b"/") else None
