"""What this host is and lacks: read before anything is compiled, so that a failure has a sentence, not an errno."""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from zfstop.errors import Exit, UserError
from zfstop.kernel.resolver import Facts
from zfstop.model.state import Host
from zfstop.mounts import zfs_fuse_serves
from zfstop.text import visible

_CAP_SYS_ADMIN = 21
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_ZFS_MODULE = "/sys/module/zfs"
TRACEFS_COMMAND = "mount -t tracefs nodev /sys/kernel/tracing"
#: What is imported to see whether a Python has the real bcc, and which: the same import as the loader's.
_BCC_CODE = "import bcc; print(getattr(bcc, '__version__', 'unknown') if hasattr(bcc, 'BPF') else '')"
_BCC_SECONDS = 120.0


def read(path: str) -> str:
    """A small file as text, stripped; empty when it cannot be read."""
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def describe() -> Host:
    """Names and versions for the status line."""
    return Host(visible(platform.node()), platform.release(), read(f"{_ZFS_MODULE}/version") or "not loaded")


def require_privileges() -> None:
    """Raise unless CAP_SYS_ADMIN is there.

    CAP_BPF and CAP_PERFMON are not enough: the BTF of a module is given to CAP_SYS_ADMIN only, and Debian's kernels
    open perf events for nobody else (seen in the lab).
    """
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", read("/proc/self/status"), re.MULTILINE)
    caps = int(match[1], 16) if match else 0
    if caps >> _CAP_SYS_ADMIN & 1:
        return
    if os.geteuid() != 0:
        raise UserError(
            Exit.NOT_ROOT,
            "live use needs root (the capability CAP_SYS_ADMIN)",
            f"sudo {own_command()}    (without root: zfstop --demo)",
        )
    raise UserError(
        Exit.NOT_ROOT,
        "root here lacks the capability CAP_SYS_ADMIN (a container, most likely)",
        "run zfstop on the host, or give the container CAP_SYS_ADMIN and the host's PID namespace",
    )


def own_command() -> str:
    """How to call this very program under sudo, whose PATH does not hold a venv."""
    name = sys.argv[0]
    return os.path.abspath(name) if os.path.basename(name) == "zfstop" else f"{sys.executable} -m zfstop"


def require_kernel() -> None:
    """Raise if this kernel cannot be traced at all."""
    require_no_lockdown()
    require_kprobes()


def lockdown() -> str:
    """The lockdown mode in force: none, integrity, confidentiality; empty when the kernel does not tell."""
    match = re.search(r"\[(\w+)\]", read("/sys/kernel/security/lockdown"))
    return match[1] if match else ""


def require_no_lockdown() -> None:
    """Raise if the kernel is locked down so far that it lets nobody trace it."""
    if lockdown() == "confidentiality":
        raise UserError(
            Exit.LOCKDOWN,
            "the kernel is locked down in confidentiality mode, which forbids kprobes and reading kernel memory",
            "boot with lockdown=integrity (what Secure Boot alone sets), which allows both",
        )


def require_kprobes() -> None:
    """Raise if this kernel was built without kprobes."""
    if not os.path.exists("/sys/bus/event_source/devices/kprobe"):
        raise UserError(
            Exit.NO_KPROBES,
            f"this kernel ({platform.release()}) was built without kprobes (CONFIG_KPROBE_EVENTS), so nothing in it "
            "can be traced",
            "boot your distribution's kernel; to look at the screen: zfstop --demo",
        )


def mounted(kind: str) -> bool:
    """Whether a file system of this type ("cgroup2") is mounted where this process can see it."""
    return f" - {kind} " in read("/proc/self/mountinfo")


def tracefs_mounted() -> bool:
    """Whether tracefs is there: mounted (only root may look into it), or by way of debugfs."""
    return mounted("tracefs") or any(
        os.path.exists(f"{place}/available_filter_functions") for place in _TRACEFS
    )


def zfs_loaded() -> bool:
    """Whether ZFS is in the kernel: as a module or built in."""
    return os.path.isdir(_ZFS_MODULE)


def zfs_identity() -> int | None:
    """Changes when the zfs module is unloaded and loaded again (sysfs makes a new node); None without it."""
    try:
        return os.stat(_ZFS_MODULE).st_ino
    except FileNotFoundError:
        return None


def zvol_major() -> int:
    """The major number of volumes; OpenZFS asks for 230, a module parameter may say otherwise."""
    match = re.search(r"^ *(\d+) zvol$", read("/proc/devices"), re.MULTILINE)
    return int(match[1]) if match else 230


def no_zfs() -> UserError:
    """Why there is no ZFS to trace, with the way out."""
    if zfs_fuse_serves():
        return UserError(
            Exit.NO_ZFS,
            "the pool here is served by zfs-fuse, a user program, and passes no kernel function that zfstop traces",
            "import the pool with OpenZFS: modprobe zfs, then zpool import",
        )
    return UserError(Exit.NO_ZFS, "the zfs module is not loaded", "modprobe zfs")


def no_pool() -> UserError:
    """The module is there, and nothing for it to do: then zfstop does not hold it."""
    return UserError(Exit.NO_ZFS, "no pool is imported", "zpool import")


def kallsyms() -> bytes:
    """The whole symbol table, read once."""
    try:
        return Path("/proc/kallsyms").read_bytes()
    except OSError as failure:
        raise UserError(
            Exit.NO_PROBE, f"/proc/kallsyms cannot be read ({failure.strerror})", "mount -t proc proc /proc"
        ) from None


def facts() -> tuple[Facts, tuple[str, ...]]:
    """What the resolver should know, and notes for the symbols panel about what could not be read."""
    notes = []
    blacklist = None
    with contextlib.suppress(OSError):
        lines = Path("/sys/kernel/debug/kprobes/blacklist").read_text().splitlines()
        blacklist = frozenset(line.split("\t")[-1].split()[0] for line in lines if line.strip())
    if blacklist is None:
        notes.append("the kprobe blacklist cannot be read (debugfs is not mounted or not allowed)")
    best = "fentry,kprobe"
    if preemptible():
        best = "kprobe,fentry"
        notes.append("this kernel interrupts its own work for other tasks: kprobe pairs come first, for a fentry "
                     "program that is interrupted is not run for the others on its CPU")  # fmt: skip
    kinds = tuple(filter(None, os.environ.get("ZFSTOP_ATTACH", best).split(",")))
    if not tracefs_mounted():
        notes.append(
            "tracefs is not mounted: return probes, where zfs has no BTF, have room for 2 x CPUs sleeping calls a "
            f"function, and more are missed; to mend it: {TRACEFS_COMMAND}"
        )
    return Facts(
        module_btf(), blacklist, tuple(kind for kind in kinds if kind in ("fentry", "kprobe"))
    ), tuple(notes)


def preemptible() -> bool:
    """Whether a task in the kernel, and so a fentry program, may be interrupted for another; True if nobody tells.

    Debian forky's kernel (lazy) lost 8,000 of 228,000 calls to that in the lab; kprobe programs are not interrupted.
    """
    mode = re.search(r"\((\w+)\)", read("/sys/kernel/debug/sched/preempt"))
    if mode:
        return mode[1] in ("full", "lazy")
    return "PREEMPT" in platform.version()


def btf_hidden() -> bool:
    """Whether the user asked to do without BTF (``ZFSTOP_BTF=``, for tests and odd kernels)."""
    return os.environ.get("ZFSTOP_BTF") == ""


def kernel_btf() -> bool:
    """Whether the kernel describes its own types, and the user lets us read it."""
    return os.path.exists("/sys/kernel/btf/vmlinux") and not btf_hidden()


def module_btf() -> bool:
    """The same for module zfs."""
    return os.path.exists("/sys/kernel/btf/zfs") and not btf_hidden()


def btf_command() -> str:
    """What gives kernel and module their BTF."""
    if btf_hidden():
        return "unset ZFSTOP_BTF"
    return "use a kernel with CONFIG_DEBUG_INFO_BTF_MODULES=y, and build its zfs module with pahole installed"


def needs_headers() -> bool:
    """Whether offsets must come from installed kernel headers; raises if there are none either."""
    if kernel_btf():
        return False
    release = platform.release()
    if os.path.exists(f"/lib/modules/{release}/build/include/linux/kconfig.h") or glob.glob(
        f"/lib/modules/{release}/source/include/linux/kconfig.h"
    ):
        return True
    if os.path.exists("/sys/kernel/kheaders.tar.xz"):
        return True
    raise UserError(
        Exit.NO_BTF,
        f"this kernel has no BTF (/sys/kernel/btf/vmlinux) and no headers of {release} are installed",
        header_command(release),
    )


def _os_family() -> str:
    text = read("/etc/os-release")
    words = " ".join(re.findall(r'^ID(?:_LIKE)?="?([^"\n]*)', text, re.MULTILINE))
    return next(
        (name for name in ("debian", "ubuntu", "fedora", "rhel", "arch", "suse") if name in words), ""
    )


def distribution() -> str:
    """``debian 13``, ``fedora 43``: who made this system, as far as it says."""
    fields = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]*)', read("/etc/os-release"), re.MULTILINE))
    return visible(" ".join(fields[key] for key in ("ID", "VERSION_ID") if key in fields)) or "unknown"


def bcc_command() -> str:
    """How bcc's Python binding is installed here."""
    return {
        "fedora": "dnf install python3-bcc",
        "rhel": "dnf install python3-bcc",
        "arch": "pacman -S python-bcc",
        "suse": "zypper install python3-bcc",
    }.get(_os_family(), "apt-get install python3-bpfcc")


def header_command(release: str) -> str:
    """How kernel headers are installed here."""
    return {
        "fedora": f"dnf install kernel-devel-{release}",
        "rhel": f"dnf install kernel-devel-{release}",
        "arch": "pacman -S linux-headers",
        "suse": "zypper install kernel-default-devel",
    }.get(_os_family(), f"apt-get install linux-headers-{release}")


def bcc_pythons() -> list[str]:
    """Pythons that have the real bcc, in order: ZFSTOP_BCC_PYTHON, this one, the distribution's.

    The real one has libbcc.py in it; the package of that name on PyPI is something else. Raises when none has.
    """
    chosen = os.environ.get("ZFSTOP_BCC_PYTHON")
    if chosen:
        chosen = os.path.abspath(chosen)
        if not (os.path.isfile(chosen) and os.access(chosen, os.X_OK)):
            raise UserError(
                Exit.NO_BCC, f"ZFSTOP_BCC_PYTHON={visible(chosen)} cannot be run", "unset ZFSTOP_BCC_PYTHON"
            )
        return [chosen]
    own = _own_bcc()
    found = [sys.executable] if own == "real" else []
    found += [path for path in _distribution_pythons() if path not in found]
    if found:
        return found
    if own == "other":
        raise UserError(
            Exit.NO_BCC,
            "the package 'bcc' in this Python is not the BPF Compiler Collection (PyPI's 'bcc' is something else)",
            f"pip uninstall bcc; {bcc_command()}",
        )
    raise UserError(
        Exit.NO_BCC, "the Python binding of bcc is not installed (it is not on PyPI)", bcc_command()
    )


def bcc_version(python: str) -> str:
    """The version of bcc in this Python, found by importing it as the loader does; raises UserError."""
    try:
        done = subprocess.run(
            [python, "-I", "-B", "-c", _BCC_CODE],
            capture_output=True, text=True, errors="replace", timeout=_BCC_SECONDS, cwd="/", check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise broken_bcc(python, visible(str(failure))) from None
    if done.returncode != 0:
        raise broken_bcc(python, visible(done.stderr.strip().rpartition("\n")[2]))
    if not done.stdout.strip():
        raise wrong_bcc(python)
    return visible(done.stdout.strip())


def broken_bcc(python: str, detail: str) -> UserError:
    """A Python that should have bcc and cannot import it."""
    return UserError(Exit.NO_BCC, f"{visible(python)} cannot load bcc", bcc_command(), detail)


def wrong_bcc(python: str, detail: str = "") -> UserError:
    """A Python in which another package has bcc's name."""
    return UserError(
        Exit.NO_BCC,
        f"the package 'bcc' of {visible(python)} is not the BPF Compiler Collection",
        f"{visible(python)} -m pip uninstall bcc; {bcc_command()}",
        detail,
    )


def _own_bcc() -> str:
    spec = importlib.util.find_spec("bcc")
    places = list(spec.submodule_search_locations or []) if spec else []
    if any(os.path.exists(os.path.join(place, "libbcc.py")) for place in places):
        return "real"
    return "other" if spec else "none"


def _distribution_pythons() -> list[str]:
    """/usr/bin/python3 where its packages hold bcc, else the versioned one that bcc was installed for."""
    if glob.glob("/usr/lib/python3/dist-packages/bcc/libbcc.py"):
        return ["/usr/bin/python3"]
    found = glob.glob("/usr/lib*/python3*/site-packages/bcc/libbcc.py")
    versions = [match[1] for path in found if (match := re.search(r"/(python3\.\d+)/", path))]
    return [f"/usr/bin/{name}" for name in versions if os.access(f"/usr/bin/{name}", os.X_OK)]
