"""Device numbers to dataset names, from the text of mountinfo. Pure.

A ZFS file system has an anonymous device (major 0); its mount's source is the dataset, generated live by OpenZFS
2.0 and later, so that it survives ``zfs rename``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OCTAL = re.compile(rb"\\([0-7]{3})")


def parse_mountinfo(text: bytes) -> dict[int, bytes]:
    """s_dev (as the kernel keeps it: major << 20 | minor) -> dataset or snapshot, as raw bytes."""
    found: dict[int, bytes] = {}
    for line in text.split(b"\n"):
        fields, separator, rest = line.partition(b" - ")
        parts, tail = fields.split(b" "), rest.split(b" ")
        if separator and tail[0] == b"zfs" and len(tail) > 1 and len(parts) > 3:
            major, _, minor = parts[2].partition(b":")
            if major.isdigit() and minor.isdigit():
                found.setdefault(int(major) << 20 | int(minor), unescape(tail[1]))
    return found


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a dataset. ``root`` is the directory inside it that is seen at ``point`` ("/" but for binds)."""

    dev: int
    dataset: bytes
    root: bytes
    point: bytes
    read_only: bool


def parse_mounts(text: bytes) -> list[Mount]:
    """The ZFS mounts of a mountinfo, in its order: of two at one place the later one hides the other."""
    found = []
    for line in text.split(b"\n"):
        fields, _, rest = line.partition(b" - ")
        parts, tail = fields.split(b" "), rest.split(b" ")
        devices = parse_mountinfo(line)
        if devices and len(parts) > 5:
            options = parts[5].split(b",") + (tail[2].split(b",") if len(tail) > 2 else [])
            ((dev, dataset),) = devices.items()
            found.append(Mount(dev, dataset, unescape(parts[3]), unescape(parts[4]), b"ro" in options))
    return found


def unescape(text: bytes) -> bytes:
    """``\\040`` and the like, as mountinfo writes blanks, tabs, newlines and backslashes."""
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), text)


def has_zfs_fuse(text: bytes) -> bool:
    """Whether a pool of zfs-fuse is mounted: its calls do not pass the kernel's ZFS."""
    return any(line.rpartition(b" - ")[2].startswith(b"fuse.zfs ") for line in text.split(b"\n"))


def parse_objset(text: bytes) -> bytes | None:
    """The dataset_name of a kstat ``objset-0x...`` file (OpenZFS 0.8 and later), or None."""
    for line in text.split(b"\n"):
        name, _, rest = line.partition(b" ")
        if name == b"dataset_name":
            return rest.strip().partition(b" ")[2].strip() or None
    return None
