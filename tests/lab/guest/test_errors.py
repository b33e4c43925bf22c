"""What can be wrong on a host gives one clear sentence and a status of its own."""

from __future__ import annotations

import os
import subprocess

import pytest

USAGE = 2
UNKNOWN_NAME = 12
NOT_ROOT = 3
NO_TERMINAL = 13


def run_in_terminal(*words: str) -> tuple[int, bytes, str]:
    """Status, what it did to the terminal, and what it said on stderr."""
    ours, theirs = os.openpty()
    with subprocess.Popen(["zfstop", *words], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE) as program:
        os.close(theirs)
        assert program.stderr is not None
        said = program.stderr.read().decode()
        status = program.wait(60)
    try:
        drawn = os.read(ours, 65536)
    except OSError:
        # The other side is closed and never wrote.
        drawn = b""
    os.close(ours)
    return status, drawn, said


def run(*words: str, user: str = "") -> subprocess.CompletedProcess[str]:
    """Run zfstop to its end, which must come by itself."""
    command = ["zfstop", *words]
    if user:
        command = ["runuser", "-u", user, "--", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("command", ["trace", "screen"])
@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["0", "nopool"], UNKNOWN_NAME, ["nopool", "tank", "dozer"]),
        (["0", "tank/nothing"], UNKNOWN_NAME, ["tank/nothing", "tank/data"]),
        (["10parsecs"], USAGE, ["10parsecs"]),
        (["-p", "abc"], USAGE, ["abc"]),
        (["-p", "4194303"], UNKNOWN_NAME, ["4194303"]),
        (["--op", "frobnicate"], USAGE, ["frobnicate", "read"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_wrong_word(command: str, words: list[str], status: int, says: list[str]) -> None:
    if command == "trace":
        done = run("trace", *words)
        ended, drawn, said = done.returncode, done.stdout.encode(), done.stderr
    else:
        ended, drawn, said = run_in_terminal(*words)
    assert (ended, drawn) == (status, b"")
    assert "Traceback" not in said
    for word in says:
        assert word in said


def test_not_root() -> None:
    done = run("trace", "0", user="nobody")
    assert done.returncode == NOT_ROOT
    assert "root" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_terminal() -> None:
    done = run("0")
    assert done.returncode == NO_TERMINAL
    assert "trace" in done.stderr
