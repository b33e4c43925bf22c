"""Facts about the host, in the order in which they would stop zfstop. Each is the same check that start-up makes."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
from collections.abc import Callable, Iterator
from enum import Enum

from zfstop.doctor.facts import Fact, failed, passed, refused, warned
from zfstop.errors import Exit, UserError
from zfstop.kernel import bpf, features, host
from zfstop.kernel.source import EVENT_BYTES, PATH_BYTES
from zfstop.model.state import pools_of
from zfstop.mounts import KSTAT, Mounts, known_datasets, pool_imported, zfs_fuse_serves

_NEWER_KERNEL = "boot Linux 5.10 or later (uname -r)"


class Needs(Enum):
    """What a check cannot do without."""

    NOTHING = 0
    ROOT = 1
    ZFS = 2


def privileges() -> Fact:
    """Whether this process may trace."""
    return _examined("privileges", _privileges)


def host_facts(*, root: bool) -> Iterator[Fact]:
    """One after the other; what only root may try, and what is of ZFS, only where there is such a thing."""
    for name, check, needs in _CHECKS:
        if (needs is not Needs.ROOT or root) and (needs is not Needs.ZFS or host.zfs_loaded()):
            yield _examined(name, check)


def only_root_sees() -> list[str]:
    """Names of the facts that are left out without root."""
    return [name for name, _, needs in _CHECKS if needs is Needs.ROOT]


def _examined(name: str, check: Callable[[str], Fact]) -> Fact:
    try:
        return check(name)
    except UserError as error:
        return refused(name, error)


def _privileges(name: str) -> Fact:
    try:
        host.require_privileges()
    except UserError as error:
        if os.geteuid() == 0:
            raise
        return failed(name, error.sentence, f"sudo {host.own_command()} doctor")
    return passed(name, "CAP_SYS_ADMIN")


def _lockdown(name: str) -> Fact:
    host.require_no_lockdown()
    return passed(name, host.lockdown() or "none that the kernel tells of")


def _kernel(name: str) -> Fact:
    try:
        bpf.syscall_numbers()
    except OSError as failure:
        return failed(name, str(failure.strerror), "run it on x86_64 or aarch64; anywhere: zfstop --demo")
    return passed(name, f"{platform.release()} on {platform.machine()}")


def _kprobes(name: str) -> Fact:
    host.require_kprobes()
    return passed(name, "in the kernel")


def _tracefs(name: str) -> Fact:
    if host.tracefs_mounted():
        return passed(name, "mounted")
    price = "only return probes, used where zfs has no BTF, have less room for sleeping calls without it"
    return warned(name, f"not mounted; {price}", host.TRACEFS_COMMAND)


def _kernel_btf(name: str) -> Fact:
    if host.kernel_btf():
        return passed(name, "/sys/kernel/btf/vmlinux; kernel headers are not needed")
    host.needs_headers()
    return warned(
        name,
        "not there: the kernel's headers serve instead, which takes longer to compile",
        host.btf_command(),
    )


def _module_btf(name: str) -> Fact:
    if host.module_btf():
        return passed(name, "/sys/kernel/btf/zfs")
    return warned(name, "not there: kprobes instead of fentry, which cost more", host.btf_command())


def _zfs(name: str) -> Fact:
    if not host.zfs_loaded():
        raise host.no_zfs()
    if zfs_fuse_serves():
        return failed(
            name,
            "the module is loaded, but a pool here is served by zfs-fuse, a user program whose calls pass no "
            "function that zfstop traces",
            "import the pool with OpenZFS: zpool import",
        )
    return passed(name, f"{host.describe().zfs}, in the kernel")


def _bcc(name: str) -> Fact:
    """The first Python that can import bcc decides, as when the probes are loaded."""
    failure = UserError(Exit.NO_BCC, "no Python with bcc", host.bcc_command())
    for python in host.bcc_pythons():
        try:
            return passed(name, f"{host.bcc_version(python)} of {_which(python)}")
        except UserError as error:
            failure = error
    raise failure


def _which(python: str) -> str:
    """A Python as a ticket may name it: a user's own directories are nobody's business."""
    if os.environ.get("ZFSTOP_BCC_PYTHON"):
        return "the Python that ZFSTOP_BCC_PYTHON names"
    return "this Python" if python == sys.executable else python


def _own_python(name: str) -> Fact:
    return passed(name, platform.python_version())


def _cgroups(name: str) -> Fact:
    if host.mounted("cgroup2"):
        return passed(name, "mounted: units and containers have names")
    return warned(
        name,
        "not mounted: processes are not told apart by unit or container",
        "mount -t cgroup2 cgroup2 /sys/fs/cgroup (or boot with systemd.unified_cgroup_hierarchy=1)",
    )


def _ring(name: str) -> Fact:
    try:
        features.make_ring(EVENT_BYTES)
        features.make_ring(PATH_BYTES)
    except OSError as failure:
        if failure.errno == errno.EPERM:
            return warned(
                name, "RLIMIT_MEMLOCK is lower than the rings; bcc may raise it", "ulimit -l unlimited"
            )
        return failed(name, f"no BPF ring buffer can be made ({failure.strerror})", _NEWER_KERNEL)
    return passed(name, f"{EVENT_BYTES >> 20} MiB for events, {PATH_BYTES >> 20} MiB for paths can be had")


def _on_demand(name: str) -> Fact:
    try:
        features.run_on_demand()
    except OSError as failure:
        text = f"calls in flight have no file and dataset (BPF_PROG_TEST_RUN: {failure.strerror})"
        return warned(name, text, _NEWER_KERNEL)
    return passed(name, "BPF_PROG_TEST_RUN: calls in flight have names")


def _batches(name: str) -> Fact:
    try:
        features.read_in_batches()
    except OSError as failure:
        text = f"statistics cannot be read (BPF_MAP_LOOKUP_BATCH: {failure.strerror})"
        return failed(name, text, _NEWER_KERNEL)
    return passed(name, "BPF_MAP_LOOKUP_BATCH: statistics can be read")


def _datasets(name: str) -> Fact:
    if not pool_imported():
        raise host.no_pool()
    if not os.access(KSTAT, os.R_OK | os.X_OK):
        return warned(
            name, f"{KSTAT} cannot be read: only mounted datasets are known", "mount -t proc proc /proc"
        )
    with contextlib.closing(Mounts()) as mounts:
        known, here = known_datasets(mounts), len(mounts.devices())
    pools = len(pools_of(known))
    return passed(
        name, f"{pools} {'pool' if pools == 1 else 'pools'}, {len(known)} datasets, {here} mounted here"
    )


_CHECKS: tuple[tuple[str, Callable[[str], Fact], Needs], ...] = (
    ("lockdown", _lockdown, Needs.NOTHING),
    ("kernel", _kernel, Needs.NOTHING),
    ("kprobes", _kprobes, Needs.NOTHING),
    ("ring buffers", _ring, Needs.ROOT),
    ("run on demand", _on_demand, Needs.ROOT),
    ("map batches", _batches, Needs.ROOT),
    ("tracefs", _tracefs, Needs.NOTHING),
    ("cgroup2", _cgroups, Needs.NOTHING),
    ("python", _own_python, Needs.NOTHING),
    ("bcc", _bcc, Needs.NOTHING),
    ("kernel BTF", _kernel_btf, Needs.NOTHING),
    ("zfs", _zfs, Needs.NOTHING),
    ("zfs BTF", _module_btf, Needs.ZFS),
    ("datasets", _datasets, Needs.ZFS),
)
