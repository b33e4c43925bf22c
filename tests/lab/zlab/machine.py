"""The virtual machine: which accelerator, how it is started, and how its console is followed."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .errors import LabError, need
from .images import Image, cache

# Emulation (TCG) as it proved fastest for a stock kernel; la57 is off because the early boot code fails with it.
TCG = ("-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max,la57=off", "-smp", "2")
KVM = ("-accel", "kvm", "-cpu", "host", "-smp", "2")
# Virtual time advances one nanosecond an instruction: a clock read in the guest counts instructions.
# Of several CPUs time is as if they ran at once.
RULER = ("-accel", "tcg", "-cpu", "max,la57=off", "-icount", "shift=0,align=off,sleep=off")
BARE = (
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    "-display",
    "none",
    "-monitor",
    "none",
    "-nic",
    "none",
)
APPEND = "root=/dev/vda rw console=ttyS0 init=/lab-init panic=-1 quiet loglevel=3 mitigations=off"

# The guest prints these lines around what its command prints.
BEGIN = b"@@lab begin@@"
END = b"@@lab end "

KVM_PROBE_SECONDS = 20
BOOT_SECONDS = 600


def accelerator() -> tuple[str, ...]:
    """KVM where a stock kernel runs on it, else emulation. Tried once for each boot of this machine."""
    chosen = os.environ.get("ZFSTOP_LAB_ACCEL")
    if chosen in ("kvm", "tcg"):
        return KVM if chosen == "kvm" else TCG
    return KVM if _kept_probe().get("kvm") else TCG


def _kept_probe() -> dict[str, object]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    kept = cache() / "accelerator.json"
    with suppress(OSError, ValueError):
        probe: dict[str, object] = json.loads(kept.read_text())
        if probe["boot"] == boot:
            return probe
    return {"boot": boot}


def probe(image: Image) -> None:
    """Find out whether KVM works, unless this boot of the machine knows already."""
    result = _kept_probe()
    if "kvm" not in result:
        result["kvm"], result["why"] = _kvm_works(image)
        print(f"lab: {'KVM' if result['kvm'] else 'emulation (TCG)'}: {result['why']}", flush=True)
        (cache() / "accelerator.json").write_text(json.dumps(result))


def _kvm_works(image: Image) -> tuple[bool, str]:
    """Let the kernel come up and end at once.

    That /dev/kvm is there proves nothing: nested hosts may stop at the first instruction they cannot emulate, with
    the process of qemu still alive.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False, "/dev/kvm is absent or not accessible"
    command = ["qemu-system-x86_64", *BARE, *KVM, "-m", "1G", "-serial", "stdio"]
    command += ["-kernel", str(image.kernel), "-initrd", str(image.initrd)]
    command += ["-append", "console=ttyS0 panic=-1 rdinit=/bin/true"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as qemu:
        try:
            text, _ = qemu.communicate(timeout=KVM_PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            qemu.kill()
            text, _ = qemu.communicate()
            for sign in (b"KVM internal error", b"emulation failure"):
                if sign in text:
                    return False, f"a stock kernel does not run on this KVM ({sign.decode()})"
            return False, f"no kernel within {KVM_PROBE_SECONDS} s on KVM"
    if qemu.returncode == 0 and b"Linux version" in text:
        return True, "a stock kernel runs"
    last = text.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
    return False, f"qemu with KVM failed ({last[0]})"


@dataclass
class Machine:
    """One run of an image: disks in, a console to follow, a tar out."""

    image: Image
    payload: Path
    out: Path
    ruler: bool = False
    cpus: int = 1
    memory: str = "4G"
    console: bytearray = field(default_factory=bytearray)

    def command(self, *serial: str) -> list[str]:
        """The command line of qemu."""
        how = (*RULER, "-smp", str(self.cpus)) if self.ruler else accelerator()
        command = ["qemu-system-x86_64", *BARE, *how, "-m", self.memory, *serial]
        command += ["-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd), "-append", APPEND]
        command += ["-device", "virtio-rng-pci"]
        for file, options in (
            (self.image.disk, "snapshot=on"),
            (self.payload, "readonly=on"),
            (self.out, "cache=unsafe"),
        ):
            command += ["-drive", f"file={file},if=virtio,format=raw,{options}"]
        return command

    def interact(self) -> None:
        """The console on this terminal, until the guest powers off."""
        need("qemu-system-x86_64")
        subprocess.run(self.command("-serial", "mon:stdio"), check=False)

    def follow(self, timeout: float, show: Callable[[bytes], object]) -> None:
        """Run to the end, showing what the guest's command prints; raise when it does not come to its end."""
        need("qemu-system-x86_64")
        start = time.monotonic()
        command = self.command("-serial", "stdio")
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as qemu:
            try:
                for line in _lines(qemu, lambda: self._deadline(start, timeout)):
                    self._take(line, show)
            finally:
                qemu.kill()
        self._check_end(time.monotonic() - start, timeout)

    def _began(self) -> bool:
        return BEGIN in self.console

    def _deadline(self, start: float, timeout: float) -> float:
        return start + (timeout if self._began() else min(timeout, BOOT_SECONDS))

    def _take(self, line: bytes, show: Callable[[bytes], object]) -> None:
        line = line.replace(b"\r", b"")
        inside = self._began() and END not in self.console and not line.startswith(END)
        self.console += line
        if inside:
            show(line)

    def _check_end(self, took: float, timeout: float) -> None:
        if END in self.console:
            return
        if not self._began():
            what = f"the guest did not get ready within {took:.0f} s"
        elif took >= timeout:
            what = f"the guest's command took more than {timeout:.0f} s and was stopped"
        else:
            what = "the guest ended in the middle of its command"
        tail = self.console.decode(errors="replace").splitlines()[-40:]
        raise LabError("\n".join([f"{what}; the end of its console:", *tail]))


def _lines(qemu: subprocess.Popen[bytes], deadline: Callable[[], float]):  # type: ignore[no-untyped-def]
    """Lines of the console as they come (a piece without line end after a second), up to the deadline."""
    assert qemu.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(qemu.stdout, selectors.EVENT_READ)
        while (left := deadline() - time.monotonic()) > 0:
            if not selector.select(min(left, 1)):
                continue
            piece = os.read(qemu.stdout.fileno(), 65536)
            if not piece:
                break
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def empty_disk(directory: Path, size: int = 1 << 30) -> Path:
    """A sparse file for the guest's answer."""
    handle, name = tempfile.mkstemp(dir=directory, prefix="out-")
    os.ftruncate(handle, size)
    os.close(handle)
    return Path(name)
