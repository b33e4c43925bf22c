"""The real screen in a real terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import ATTACH_SECONDS, OUT, Terminal, Workload, until


@pytest.fixture
def looping(workload: Callable[..., Workload]) -> Workload:
    """A program that writes and reads ten times a second for as long as the test lasts."""
    program = workload("loop", "/tank/data", "looped", "100", comm="lab-loop")
    program.go()
    return program


@pytest.fixture
def screen(terminal: Callable[..., Terminal], request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """The screen with threshold 0, live; its last picture goes to the results."""
    screen = terminal("exec zfstop 0", columns=140, lines=40)
    screen.wait_for("LIVE", seconds=ATTACH_SECONDS)
    yield screen
    (OUT / f"{request.node.name}.txt").write_text(screen.text())


def test_the_screen_shows_the_row_of_the_workload(looping: Workload, screen: Terminal) -> None:
    row = screen.wait_for("lab-loop", "looped")
    assert str(looping.pid) in row
    assert "tank/data" in row


def test_it_quits_and_leaves_the_terminal_as_it_was(terminal: Callable[..., Terminal]) -> None:
    shell = terminal("stty -a > /tmp/before; zfstop 0; echo status $?; stty -a > /tmp/after; sleep 1000")
    shell.wait_for("LIVE", seconds=ATTACH_SECONDS)
    shell.keys("q")
    shell.wait_for("status 0")
    after = until("stty", lambda: Path("/tmp/after").read_text())
    assert after == Path("/tmp/before").read_text()
    assert "LIVE" not in shell.text()
