"""In a real terminal, through tmux: copying, a storm of sizes, Ctrl+Z and back, a terminal that is closed."""

from __future__ import annotations

import base64
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tmux import PATIENCE_S, Tmux

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux here")


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Tmux]]:
    """Starts one; all are ended after the test."""
    found: list[Tmux] = []

    def start(*options: str, shell: bool = False) -> Tmux:
        found.append(Tmux(tmp_path, *options, shell=shell))
        return found[-1]

    yield start
    for tmux in found:
        tmux.end()


def eventually(what: Callable[[], bool], told: Callable[[], object]) -> None:
    """``what`` comes true; only a bug takes as long as the patience is."""
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end, told()
        time.sleep(0.05)


@pytest.mark.parametrize(
    "options", [("set-clipboard on",), ("set-clipboard external", "allow-passthrough on")]
)
def test_what_is_copied_in_tmux_reaches_the_terminal_around_it(
    options: tuple[str, ...], begin: Callable[..., Tmux]
) -> None:
    tmux = begin(*options)
    tmux.until("postgres")
    tmux.run("send-keys", "y")
    tmux.until("copied: WAIT")
    tmux.until(b"\x1b]52;")
    tmux.until(b"\a")
    coded = tmux.output.rpartition(b"\x1b]52;")[2].partition(b"\a")[0].partition(b";")[2]
    text = base64.b64decode(coded).decode()
    assert text.startswith("WAIT ")
    assert "DATASET:FILE tank/pg:data/pg_wal/00000001000000A20000003F" in text
    if options == ("set-clipboard on",):
        assert tmux.run("show-buffer") == text


def is_whole(lines: list[str], width: int, height: int) -> bool:
    """Status first, keys last, nothing wider than the terminal, and every row in between of one size."""
    text = "\n".join(lines)
    return (
        len(lines) == height
        and " LIVE " in lines[0]
        and "q quit" in lines[-1]
        and max(map(len, lines)) <= width
        and text.count("WAIT▼") == 1
        and "postgres" in text
    )


def test_after_a_storm_of_sizes_the_screen_is_whole(begin: Callable[..., Tmux]) -> None:
    tmux = begin("status off")
    tmux.until("postgres")
    dice = random.Random(4)
    for _ in range(60):
        tmux.resize(dice.randint(20, 220), dice.randint(4, 70))
        time.sleep(dice.choice((0, 0, 0.002, 0.02)))
    for width, height in ((60, 16), (132, 43)):
        tmux.resize(width, height)
        eventually(partial(_drained_and_whole, tmux, width, height), lambda: tmux.lines)


def _drained_and_whole(tmux: Tmux, width: int, height: int) -> bool:
    tmux.drain()
    return is_whole(tmux.lines, width, height)


def test_ctrl_z_gives_the_terminal_back_and_fg_the_screen(begin: Callable[..., Tmux]) -> None:
    tmux = begin("status off", shell=True)
    tmux.until("ready>")
    tmux.run("send-keys", tmux.program, "Enter")
    tmux.until("postgres")
    for _ in range(2):
        tmux.run("send-keys", "C-z")
        eventually(lambda: "postgres" not in "\n".join(tmux.lines), lambda: tmux.lines)
        tmux.run("send-keys", "echo $((6*7000001))", "Enter")
        tmux.until("42000006")
        tmux.run("send-keys", "clear; fg", "Enter")
        tmux.until("postgres")
        eventually(lambda: tmux.lines[0].startswith("zfstop"), lambda: tmux.lines)
        tmux.run("send-keys", "g")
        tmux.until("by process ")
        tmux.run("send-keys", *["g"] * 9)
        tmux.until("by process/file")
    tmux.run("send-keys", "q")
    tmux.until("ready>")


def test_a_closed_pane_ends_it(begin: Callable[..., Tmux]) -> None:
    tmux = begin()
    tmux.until("postgres")
    tmux.run("set", "-g", "exit-empty", "off")
    pid = tmux.pane_pid
    tmux.run("kill-pane")
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), lambda: f"process {pid} runs on")
