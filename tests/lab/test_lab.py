"""Runs the lab's tests in the virtual machine, as one test of the host for each suite.

ZFSTOP_LAB unset: the suites whose image is there, where qemu is; 1: always, and failing to is a failure; 0: never.
ZFSTOP_LAB_SUITES: which ones, all by default.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from zlab import images, sessions, suites
from zlab.errors import LabError

HERE = Path(__file__).parent
SUITES = os.environ.get("ZFSTOP_LAB_SUITES", " ".join(suites.SUITES)).split()


def reason_to_skip(suite: str) -> str:
    """Why the lab does not run here, empty when it does."""
    match os.environ.get("ZFSTOP_LAB", ""):
        case "1":
            return ""
        case "0":
            return "ZFSTOP_LAB=0"
        case "":
            pass
        case other:
            pytest.fail(f"ZFSTOP_LAB={other!r}: 1, 0 or unset")
    if shutil.which("qemu-system-x86_64") is None:
        return "qemu-system-x86_64 is not installed"
    if not images.locate(suites.find(suite)).exists():
        return f"no image; make it with: tests/lab/lab.py build {suite}"
    return ""


@pytest.mark.lab
@pytest.mark.parametrize("suite", SUITES)
def test_the_lab(suite: str) -> None:
    if reason := reason_to_skip(suite):
        pytest.skip(reason)
    done = subprocess.run([sys.executable, str(HERE / "lab.py"), "run", suite, "--keep-going"])
    assert done.returncode == 0


def test_results_are_counted(tmp_path: Path) -> None:
    suite = ElementTree.Element("testsuite", tests="9", failures="2", errors="1", skipped="3")
    junit = tmp_path / "junit.xml"
    ElementTree.ElementTree(suite).write(junit)
    assert sessions.count(junit) == sessions.Counts(ran=6, failed=3, skipped=3)


def test_an_image_is_of_its_recipe() -> None:
    keys = {suite.key() for suite in suites.SUITES.values()}
    assert len(keys) == len(suites.SUITES)
    suite = suites.find("trixie")
    assert suites.Suite("trixie", ("--another",)).key() != suite.key() == suites.Suite("trixie").key()
    assert suites.Suite("trixie", packages=("another",)).key() != suite.key()


def test_an_unknown_suite_lists_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"potato.*bookworm, trixie, forky"):
        suites.find("potato")
