"""``y`` copies: in a real terminal, through tmux."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from driving import Screen, shown
from fake_feed import MS, PG, FakeFeed, busy_feed, call, calls_feed, with_calls

from zfstop.model.waits import Waits
from zfstop.ui.clipboard import hint, in_tmux, sequences


def clipboard(screen: Screen) -> str:
    return screen.app.clipboard


async def test_y_copies_the_selected_row_with_every_figure_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    async with shown(busy_feed()) as screen:
        await screen.press("down", "y")
        wait = screen.selected.lstrip("> ").split()[0]
        text = clipboard(screen)
        assert text.startswith(f"WAIT {wait}  ")
        assert "  OP write  " in text
        assert text.endswith("WHERE user:1000  DATASET:FILE tank/bak:nightly/data1")
        assert "\n" not in text
        said = await screen.toast()
        assert said.startswith(f"copied: WAIT {wait}")
        assert "tmux" not in said


async def test_of_one_call_y_copies_all_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/x,1,0")
    async with shown(calls_feed()) as screen:
        await screen.press("g", "enter", "enter", "enter", "y")
        row = clipboard(screen)
        assert row.startswith(
            "operation: read, of class data; took: 41.0ms (41,000,000 ns); ended: 2026-01-14"
        )
        assert "process: postgres, pid 2431 (17 inside), thread 99" in row
        assert "if it does not arrive: tmux set -g set-clipboard on" in await screen.toast()
        await screen.press("enter", "y")
        assert clipboard(screen).splitlines() == row.split("; ")


async def test_the_waits_of_a_call_are_copied_too() -> None:
    event = replace(call(PG, 40, 0), waits=Waits(zil=30 * MS, cpu=10 * MS))
    async with shown(FakeFeed([with_calls([event], 0)])) as screen:
        await screen.press("g", "enter", "enter", "enter", "y")
        assert clipboard(screen).endswith("; waits: zil 30.0ms, cpu 10.0ms")


async def test_with_no_row_there_is_nothing_to_copy() -> None:
    async with shown(busy_feed(0)) as screen:
        await screen.press("y")
        assert clipboard(screen) == ""
        assert not screen.app._notifications


def test_in_tmux_the_sequence_comes_plain_and_wrapped() -> None:
    plain = f"\x1b]52;c;{base64.b64encode('ä'.encode()).decode()}\a"
    assert sequences("ä", {"TERM": "xterm"}) == sequences("ä", {"TERM": "screen"}) == plain
    assert not hint({"TERM": "xterm"})
    assert hint({"TERM": "screen"})
    for environ in ({"TMUX": "x"}, {"TERM": "tmux-256color"}):
        assert in_tmux(environ)
        assert sequences("ä", environ) == plain + f"\x1bPtmux;\x1b{plain}\x1b\\"
