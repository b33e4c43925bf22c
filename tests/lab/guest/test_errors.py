"""What can be wrong on a host gives one clear sentence and a status of its own."""

from __future__ import annotations

import subprocess

import pytest

USAGE = 2
UNKNOWN_NAME = 12
NOT_ROOT = 3


def run(*words: str, user: str = "") -> subprocess.CompletedProcess[str]:
    """Run zfstop to its end, which must come by itself."""
    command = ["zfstop", *words]
    if user:
        command = ["runuser", "-u", user, "--", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("start", [["trace"], []])
@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["0", "nopool"], UNKNOWN_NAME, ["nopool", "tank", "dozer"]),
        (["0", "tank/nothing"], UNKNOWN_NAME, ["tank/nothing", "tank/data"]),
        (["10parsecs"], USAGE, ["10parsecs"]),
        (["-p", "abc"], USAGE, ["abc"]),
        (["-p", "4194303"], None, ["4194303"]),
        (["--op", "frobnicate"], USAGE, ["frobnicate", "read"]),
    ],
)
def test_a_wrong_word(start: list[str], words: list[str], status: int | None, says: list[str]) -> None:
    done = run(*start, *words)
    assert done.returncode == status if status else done.returncode not in (0, 1)
    assert "Traceback" not in done.stderr
    assert not done.stdout
    for word in says:
        assert word in done.stderr


def test_not_root() -> None:
    done = run("trace", "0", user="nobody")
    assert done.returncode == NOT_ROOT
    assert "root" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_terminal() -> None:
    done = run("0")
    assert done.returncode == 13
    assert "trace" in done.stderr
