"""Who a caller is beyond its numbers: the owner of its cgroup, and its PID as it sees itself.

One thread uses an object of this; names come out as safe text. Nothing here looks through all cgroups or processes:
a cgroup costs one look when it is first seen, however many there are.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct

from zfstop.namespaces import read
from zfstop.zfs.datasets import unescape
from zfstop.zfs.owners import owner

_MOST_OWNERS = 20_000
#: struct file_handle of name_to_handle_at(2) for a cgroup: its type is FILEID_KERNFS, its content the cgroup's id.
_HANDLE = struct.Struct("=IiQ")
_HANDLE_BYTES, _FILEID_KERNFS = 8, 0xFE
_U64 = (1 << 64) - 1
_DELETED = " (deleted)"
_open_by_handle_at = getattr(ctypes.CDLL(None, use_errno=True), "open_by_handle_at", None)


class Callers:
    """Owners by cgroup id, and PIDs inside of PID namespaces."""

    def __init__(self, proc: str = "/proc") -> None:
        """Looks for the cgroup2 file system once; on a host without one nobody has an owner."""
        self._proc = proc
        self._owners: dict[int, str] = {}
        self._inner_pids: dict[int, int] = {}
        self._mount, self._root = cgroup_mount(read(f"{proc}/self/mountinfo"))
        self._fd = -1
        with contextlib.suppress(OSError):
            self._fd = os.open(self._mount, os.O_RDONLY | os.O_DIRECTORY) if self._mount else -1

    def close(self) -> None:
        """Give the file descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def owner(self, cgroup: int, pid: int) -> str:
        """The owner of the cgroup with this id; empty for the root, and for one that is gone and was never asked for.

        ``pid`` is one of its processes. An owner stays good: the kernel gives no cgroup id twice, and renames none.
        """
        known = self._owners.get(cgroup)
        if known is not None:
            return known
        path = self._by_handle(cgroup) or self._by_process(cgroup, pid)
        if path is None:
            return ""
        if len(self._owners) >= _MOST_OWNERS:
            self._owners.clear()
        return self._owners.setdefault(cgroup, owner(path))

    def owner_now(self, tid: int) -> str:
        """The owner of the cgroup a thread is in at this moment; empty if the thread has ended."""
        return owner(cgroup_of(read(f"{self._proc}/{tid}/cgroup")) or "")

    def inner_pid(self, pid: int) -> int:
        """The number a process has in its own PID namespace; 0 if that is ours too, or the process has ended.

        It is remembered until :meth:`forget_pids`, because the kernel gives a number to another process later.
        """
        known = self._inner_pids.get(pid)
        if known is None:
            known = self._inner_pids[pid] = inner_pid(read(f"{self._proc}/{pid}/status"))
        return known

    def forget_pids(self) -> None:
        """To be called once a second."""
        self._inner_pids.clear()

    def _by_handle(self, cgroup: int) -> str | None:
        """The path of a cgroup by nothing but its id. Needs CAP_DAC_READ_SEARCH, and the cgroup to be there."""
        if _open_by_handle_at is None or self._fd < 0:
            return None
        handle = _HANDLE.pack(_HANDLE_BYTES, _FILEID_KERNFS, cgroup & _U64)
        fd = _open_by_handle_at(self._fd, handle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if fd < 0:
            return None
        try:
            place = os.readlink(f"/proc/self/fd/{fd}").removesuffix(_DELETED)
        except OSError:
            return None
        finally:
            os.close(fd)
        return _joined(self._root, place[len(self._mount) :]) if _is_below(place, self._mount) else None

    def _by_process(self, cgroup: int, pid: int) -> str | None:
        """The path of the cgroup that a process is in now, if its directory proves to be the one with this id."""
        path = cgroup_of(read(f"{self._proc}/{pid}/cgroup"))
        if not path or not self._mount or not _is_below(path, self._root):
            return None
        try:
            same = os.stat(_joined(self._mount, path[len(self._root.rstrip("/")) :])).st_ino == cgroup
        except (OSError, ValueError):
            return None
        return path if same else None


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _joined(top: str, below: str) -> str:
    return top.rstrip("/") + below or "/"


def cgroup_mount(mountinfo: bytes) -> tuple[str, str]:
    """(where the cgroup2 file system is mounted, which of its directories is there); one with all of it if possible.

    Two empty texts on a host without: everything is then in the root of a hierarchy nobody sees.
    """
    found = []
    for line in mountinfo.split(b"\n"):
        fields, _, rest = line.partition(b" - ")
        parts = fields.split(b" ")
        if rest.startswith(b"cgroup2 ") and len(parts) > 4:
            found.append((os.fsdecode(unescape(parts[4])), os.fsdecode(unescape(parts[3]))))
    return min(found, key=lambda mount: mount[1] != "/", default=("", ""))


def cgroup_of(text: bytes) -> str | None:
    """The path in the unified hierarchy, from the text of ``/proc/PID/cgroup``; None if it is not there.

    Nor is it if it goes through ``..``: then it lies outside of what our own cgroup namespace shows.
    """
    for line in text.split(b"\n"):
        if line.startswith(b"0::"):
            path = os.fsdecode(line[3:]).removesuffix(_DELETED)
            return None if ".." in path.split("/") else path
    return None


def inner_pid(status: bytes) -> int:
    """The number in its own PID namespace, from the text of a process's or thread's status; 0 if that is ours."""
    for line in status.split(b"\n"):
        if line.startswith(b"NStgid:"):
            numbers = line.split()[1:]
            return int(numbers[-1]) if len(numbers) > 1 and numbers[-1].isdigit() else 0
    return 0
