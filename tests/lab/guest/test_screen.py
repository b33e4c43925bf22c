"""The real screen in a real terminal."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import ATTACH_SECONDS, OUT, Terminal, Workload, until


@pytest.fixture
def loop(workload: Callable[..., Workload]) -> Callable[[str, str], Workload]:
    """Start a program that writes and reads ten times a second in a directory, for as long as the test lasts."""

    def start(place: str, comm: str) -> Workload:
        program = workload("loop", place, f"{comm}.file", "100", comm=comm)
        program.go()
        return program

    return start


@pytest.fixture
def screen(terminal: Callable[..., Terminal], request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """The screen with threshold 0, live; its last picture goes to the results."""
    screen = terminal("exec zfstop 0", columns=140, lines=40)
    screen.wait_for("LIVE", seconds=ATTACH_SECONDS)
    yield screen
    (OUT / f"{request.node.name}.txt").write_text(screen.text())


def choose_short_window(screen: Terminal) -> None:
    """What ended ten seconds ago is no longer shown."""
    screen.wait_for("60 s [w]")
    screen.keys("w", "w")
    screen.wait_for("10 s [w]")


def answer(screen: Terminal, key: str, question: str, *keys: str) -> None:
    """Open a dialog by its key and answer it."""
    screen.keys(key)
    screen.wait_for(question)
    screen.keys(*keys)


def rates(screen: Terminal) -> tuple[float, float]:
    """(slow operations, calls) a second, from the line that always says them; "1.2k" does not occur here."""
    slow, calls = re.findall(r"slow ([\d.]+)/s of ([\d.]+) calls/s", screen.text())[0]
    return float(slow), float(calls)


def test_the_screen_shows_the_row_of_the_workload(
    loop: Callable[[str, str], Workload], screen: Terminal
) -> None:
    program = loop("/tank/data", "lab-loop")
    row = screen.wait_for("lab-loop.file", " write ")
    assert re.search(rf"\b{program.pid} lab-loop +tank/data:lab-loop\.file", row)
    screen.wait_for("lab-loop.file", " read ")
    screen.wait_for("lost 0")


def test_the_threshold_takes_effect_at_once_up_and_down(
    loop: Callable[[str, str], Workload], screen: Terminal
) -> None:
    loop("/tank/data", "lab-loop")
    screen.wait_for("lab-loop.file")
    until("some operations", lambda: rates(screen)[0] > 0)

    answer(screen, "t", "Show operations that take at least", "10s", "Enter")
    screen.wait_for("slow >= 10s")
    screen.wait_for("No operation took 10s or longer")
    until("no more of them", lambda: rates(screen)[0] == 0)
    for _ in range(6):
        slow, calls = rates(screen)
        assert slow == 0
        assert calls > 0, "they are still counted"
        time.sleep(0.5)

    answer(screen, "t", "Show operations that take at least", "0", "Enter")
    screen.wait_for("all operations")
    until("operations again", lambda: rates(screen)[0] > 0)
    screen.wait_for("lab-loop.file")


def test_a_pid_filter_hides_the_others_and_is_cleared(
    loop: Callable[[str, str], Workload], screen: Terminal
) -> None:
    one = loop("/tank/data", "lab-one")
    loop("/tank/data", "lab-two")
    choose_short_window(screen)
    for name in ("lab-one.file", "lab-two.file"):
        screen.wait_for(name)

    answer(screen, "P", "Only these processes", str(one.pid), "Enter")
    screen.wait_for(f"pid {one.pid}")
    until("the other is gone", lambda: not screen.line("lab-two.file"))
    assert screen.line("lab-one.file")

    screen.keys("x")
    screen.wait_for("pid all")
    screen.wait_for("lab-two.file")
    assert screen.line("lab-one.file")


def test_a_pool_filter_hides_the_others(loop: Callable[[str, str], Workload], screen: Terminal) -> None:
    loop("/tank/data", "lab-tank")
    loop("/dozer/data", "lab-dozer")
    choose_short_window(screen)
    for name in ("lab-tank.file", "lab-dozer.file"):
        screen.wait_for(name)

    # The first in the list is the pool dozer.
    answer(screen, "O", "Only these pools or datasets", "Space", "Enter")
    screen.wait_for("pool dozer")
    until("the other is gone", lambda: not screen.line("lab-tank.file"))
    screen.wait_for("dozer/da", "lab-dozer.file", " write ")


def test_paused_it_stands_still_and_says_so_and_collects(
    loop: Callable[[str, str], Workload], screen: Terminal
) -> None:
    loop("/tank/data", "lab-loop")
    screen.wait_for("lab-loop.file", " write ")
    screen.keys("Space")
    screen.wait_for("PAUSED", "Space resumes")
    row = screen.line("lab-loop.file", " write ")

    def since() -> int:
        return int((re.findall(r"(\d+) slow since", screen.text()) or ["0"])[0])

    first = until("a count of what is not shown", since)
    until("it rises", lambda: since() > first + 10)
    assert screen.line("lab-loop.file", " write ") == row
    screen.keys("Space")
    until("it goes on", lambda: not screen.line("PAUSED"))
    until("the row moves", lambda: screen.line("lab-loop.file", " write ") != row)


def counts_runs(pid: int) -> bool:
    """Whether the process has the kernel count the runs of BPF programs."""
    return any("bpf-stats" in os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink())


def test_costs_are_counted_only_while_the_dialog_of_classes_is_open(
    loop: Callable[[str, str], Workload], screen: Terminal
) -> None:
    loop("/tank/data", "lab-loop")
    screen.wait_for("lab-loop.file", " write ")
    assert not counts_runs(screen.pid)
    screen.keys("C")

    def cost() -> float:
        figures = re.findall(r"\[x\] data +([\d.]+)k? +([\d.<]+)%", screen.text())
        return float(figures[0][1].replace("<", "0")) if figures else 0

    share = until("a cost of the class data", cost)
    assert 0 < share < 50
    assert counts_runs(screen.pid)
    screen.keys("Escape")
    until("the kernel counts no more", lambda: not counts_runs(screen.pid))


def test_a_class_is_switched_off_and_on_by_keys_and_the_books_balance(
    loop: Callable[[str, str], Workload], screen: Terminal
) -> None:
    loop("/tank/data", "lab-loop")
    screen.wait_for("lab-loop.file", " write ")
    choose_short_window(screen)
    screen.keys("C")
    screen.wait_for("[x] data")
    screen.keys("Space")
    screen.wait_for("[ ] data")
    screen.keys("Escape")
    screen.wait_for("op -data")
    until("its rows leave", lambda: not screen.line("lab-loop.file", " write "))
    screen.keys("x")
    screen.wait_for("lab-loop.file", " write ")
    screen.keys("b")
    screen.wait_for("The books since the probes were attached")
    assert "in no place" not in screen.text()
    assert "in two places" not in screen.text()
    screen.keys("b")
    screen.wait_for("books ok")


def test_it_quits_and_leaves_the_terminal_as_it_was(terminal: Callable[..., Terminal]) -> None:
    shell = terminal("stty -g > /tmp/before; zfstop 0; echo status $?; stty -g > /tmp/after; sleep 1000")
    shell.wait_for("LIVE", seconds=ATTACH_SECONDS)
    shell.keys("q")
    shell.wait_for("status 0")
    after = until("stty", lambda: Path("/tmp/after").exists() and Path("/tmp/after").read_text())
    assert after == Path("/tmp/before").read_text()
    assert "LIVE" not in shell.text()
