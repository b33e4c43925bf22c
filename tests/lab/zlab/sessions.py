"""One boot with a purpose: tests, a command, or a shell; and what comes back from it."""

from __future__ import annotations

import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from . import payload
from .errors import LabError
from .images import Image
from .machine import Machine, empty_disk, probe

RESULTS = payload.CHECKOUT / "results"
# Where the guest's command leaves files for the host; $LAB_OUT there.
STATUS = "lab.status"
CONSOLE = "lab.console.txt"
JUNIT = "junit.xml"
# The console itself cannot be a controlling terminal, the serial line behind it can.
SHELL = "exec setsid --ctty --wait bash -i </dev/ttyS0 >/dev/ttyS0 2>&1"
GUEST_TESTS = f"{payload.GUEST}/tests/lab/guest"
# Of a run's time, for booting and for the longest test that may just have begun (the oracle).
LAST_TEST_SECONDS = 480.0


@dataclass(frozen=True)
class Counts:
    """What a JUnit file says."""

    ran: int
    failed: int
    skipped: int


def execute(
    image: Image, command: list[str], out: Path, timeout: float, ruler: bool = False, cpus: int = 1
) -> int:
    """Run a command in the prepared guest; its files land in `out`; returns its exit status."""
    probe(image)
    with tempfile.TemporaryDirectory(prefix="zfstop-lab-") as temporary:
        machine = _machine(image, command, Path(temporary), ruler, cpus)
        try:
            machine.follow(timeout, _show)
        finally:
            out.mkdir(parents=True, exist_ok=True)
            (out / CONSOLE).write_bytes(machine.console)
        _unpack(machine.out, out)
    return int((out / STATUS).read_text())


def test(image: Image, arguments: list[str], timeout: float) -> Counts:
    """Run the lab's tests in the guest; raise when they did not run to their end."""
    out = RESULTS / f"lab-{image.suite.name}"
    (out / JUNIT).unlink(missing_ok=True)
    command = ["python3", "-u", "-m", "pytest", "-c", f"{GUEST_TESTS}/pytest.ini", GUEST_TESTS]
    command += ["-o", f"lab_seconds={max(60.0, timeout - LAST_TEST_SECONDS):.0f}"]
    status = execute(image, [*command, f"--junitxml={payload.GUEST}/out/{JUNIT}", *arguments], out, timeout)
    if not (out / JUNIT).exists():
        raise LabError(f"pytest in the guest ended with status {status} and left no {JUNIT}")
    counts = count(out / JUNIT)
    if status not in (0, 1, 5):
        raise LabError(f"pytest in the guest ended with status {status}")
    return counts


def shell(image: Image) -> None:
    """A shell on this terminal in the prepared guest."""
    probe(image)
    with tempfile.TemporaryDirectory(prefix="zfstop-lab-") as temporary:
        _machine(image, ["bash", "-c", SHELL], Path(temporary)).interact()


def count(junit: Path) -> Counts:
    """Tests that ran, of these the failed ones, and those that were skipped."""
    suites = list(ElementTree.parse(junit).getroot().iter("testsuite"))

    def total(key: str) -> int:
        return sum(int(suite.get(key, 0)) for suite in suites)

    return Counts(total("tests") - total("skipped"), total("failures") + total("errors"), total("skipped"))


def _machine(
    image: Image, command: list[str], directory: Path, ruler: bool = False, cpus: int = 1
) -> Machine:
    disk = directory / "payload.tar"
    payload.pack(image, command, disk)
    return Machine(image, disk, empty_disk(directory), ruler, cpus)


def _show(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _unpack(disk: Path, out: Path) -> None:
    """The guest writes its tar to the bare disk; a disk it never wrote to is zeros."""
    try:
        with tarfile.open(disk, "r:") as tar:
            tar.extractall(out, filter="data")
    except tarfile.ReadError as error:
        raise LabError(f"the guest left no results on its disk ({error})") from None
