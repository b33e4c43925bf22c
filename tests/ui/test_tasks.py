"""The nine things an operator comes for, each as the keys typed on a recording, from its first screen on.

Single parts of these are looked at more closely in the other files.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from driving import Clock, Screen, replayed, running
from fake_feed import PROBES, FakeFeed, busy_state, call, key, second, why_second

from zfstop.config.settings import Settings
from zfstop.model.aggregate import groups_of
from zfstop.model.history import InFlight, Second
from zfstop.model.state import Host
from zfstop.recording import Meta, Writer
from zfstop.ui.app import ZfstopApp
from zfstop.ui.drill import OneCall

META = Meta(Host("db1", "6.12.57", "2.3.9"), "2026-01-14T14:00:00+00:00", "", PROBES)
LENGTH, SPIKE, SLOW = 330, 322, 35
VICTIM = key("read", 555, "victim", "tank/data", "hit", 3, 9, "lxc:shop", 4)
OTHER = VICTIM._replace(op="write", path="journal")


def story(at: int) -> Second:
    """The busy host with causes and the state of ZFS; at ``SPIKE`` a program reads and writes very slowly."""
    calls = (
        [call(VICTIM, 3000, at), call(VICTIM, 3100, at, result=-5), call(OTHER, 800, at)]
        if at == SPIKE
        else []
    )
    found = second((*why_second(at).groups, *groups_of(calls)), at)
    stuck = (InFlight(VICTIM, 556, 9 * 10**9, 0, 4096, "cv_wait_common"),) if at == SLOW else ()
    return replace(found, zfs=busy_state(at), events=tuple(calls), stuck=stuck)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tasks") / "r.zfstop"
    with Writer(path, META) as writer:
        for at in range(LENGTH):
            writer.append(story(at))
    return path


@asynccontextmanager
async def at_the_end(
    path: Path, width: int = 120, height: int = 40, settings: Settings | None = None
) -> AsyncIterator[Screen]:
    """The screen on the recording, at its end."""
    clock = Clock()
    async with replayed(path, clock, width, height, settings=settings or Settings()) as screen:
        clock.now += LENGTH
        await screen.look()
        yield screen


def who(screen: Screen) -> list[str]:
    """Programs in the table, from its top."""
    names = (
        "postgres",
        "victim",
        "dd",
        "mysqld",
        "qemu-vm",
        "etcd",
        "borg",
        "journald",
        "rsyslogd",
        "prometheus",
    )
    found = [[name for name in names if f" {name}" in line] for line in screen.table[1:] if line.strip()]
    return [names[0] if names else "?" for names in found]


async def test_1_what_is_hurting_us_now(recorded: Path) -> None:
    async with at_the_end(recorded, 80, 24) as screen:
        first = screen.table[1]
        assert "fsync" in first
        assert "postgres" in first
        assert "zil 91%" in first
        assert "is intent-log commit" in screen.text
        assert "lost 0" in screen.text


async def test_2_it_was_slow_five_minutes_ago(recorded: Path) -> None:
    async with at_the_end(recorded) as screen:
        now = screen.table
        await screen.press("{", "{", "{", "{", "{")
        assert "PAUSED at 14:00:29" in screen.text
        await screen.press("]", "]", "]", "]", "]", "]")
        assert "PAUSED at 14:00:35" in screen.text
        assert "STUCK" in screen.text
        assert "cv_wait_common" in screen.text
        assert screen.table != now
        await screen.press("z")
        assert "txg 9114006" in screen.text.replace(",", "") or "9114006" in screen.text
        await screen.press("escape", "T")
        await screen.type("14:00:36")
        assert "PAUSED at 14:00:36" in screen.text
        assert "STUCK" not in screen.text
        await screen.press("L")
        assert screen.table == now


async def test_3_what_is_that_spike(recorded: Path) -> None:
    async with at_the_end(recorded) as screen:
        assert screen.app.main.has_map
        assert who(screen)[0] != "victim"
        await screen.press("shift+up", "enter")
        assert f"BOX 14:05:{SPIKE - 301:02d}-14:05:{SPIKE - 300:02d}, 3s-10s" in screen.text
        assert who(screen) == ["victim"]
        assert "2 in the table" in screen.text
        await screen.press("escape")
        assert len(who(screen)) > 5


async def test_4_who_else_does_that(recorded: Path) -> None:
    async with at_the_end(recorded) as screen:
        await screen.press("slash", *"comm:victim", "enter", "g")
        assert who(screen) == ["victim"]
        for crumb in ("process victim 555", "file tank/data:hit", "operation read"):
            await screen.press("enter")
            assert crumb in screen.text
        assert "EIO" in screen.table[1] or "EIO" in screen.table[2]
        await screen.press("enter")
        assert isinstance(screen.app.screen, OneCall)
        assert "lxc:shop" in screen.text
        assert "cv_wait" not in screen.text
        await screen.press("escape", "backspace", "backspace", "backspace")
        assert "> file" not in screen.text
        await screen.press("x", "!", "enter")
        assert "victim" not in who(screen)[:1]
        assert "1 of" in screen.text


async def test_5_only_postgres_fsyncs_on_tank_over_50_ms(recorded: Path) -> None:
    async with at_the_end(recorded) as screen:
        rows = len(who(screen))
        await screen.press("slash", *"comm:postgres op:fsync pool:tank lat>50ms", "enter")
        assert set(who(screen)) == {"postgres"}
        assert all(" fsync " in line for line in screen.table[1:] if line.strip())
        assert "/ comm:postgres op:fsync pool:tank lat>50ms" in screen.text
        assert f"{rows - len(who(screen))} of {rows} rows hidden by /" in screen.text
        await screen.press("x")
        assert len(who(screen)) == rows


async def test_6_what_would_another_threshold_cost(recorded: Path) -> None:
    async with at_the_end(recorded) as screen:
        assert "[- 5ms: " in screen.text
        await screen.press("t", "ctrl+u", *"20us")
        assert "events a second, by all calls of the last 60 s" in screen.text
        low = float(screen.text.split("Brings ")[1].split()[0].replace("k", "e3"))
        await screen.press("ctrl+u", *"1s")
        high = float(screen.text.split("Brings ")[1].split()[0].replace("k", "e3"))
        assert low > 100 * max(high, 0.01)
        await screen.press("escape", "+")
        assert "slow >= 20ms" in screen.text


async def until_said(screen: Screen, word: str) -> str:
    for _ in range(500):
        screen.app.look()
        await screen.pilot.pause()
        for note in screen.app._notifications:
            if word in note.message:
                return note.message
        await asyncio.sleep(0.01)
    raise AssertionError(f"{word} never came")


async def test_7_send_this_to_the_expert(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded here, opened there: the same rows; then a report of it, and a row to paste."""
    monkeypatch.chdir(tmp_path)
    feed = FakeFeed(map(story, range(LENGTH - 1)))
    app = ZfstopApp(feed, look_every_s=3600)
    async with running(app, 120, 40) as pilot:
        screen = Screen(app, pilot)
        await screen.press("R")
        await screen.type("mine.zfstop")
        feed.history.append(story(LENGTH - 1))
        await screen.look()
        await screen.press("R")
        assert "mine.zfstop" in await until_said(screen, "mine.zfstop")
    async with at_the_end(tmp_path / "mine.zfstop") as screen:
        assert "postgres" in screen.table[1]
    async with at_the_end(recorded) as screen:
        await screen.press("e")
        await screen.type("report.json")
        await until_said(screen, "written to")
        report = json.loads((tmp_path / "report.json").read_text())
        assert len(report["rows"]) == len(who(screen))
        await screen.press("y")
        assert "tank/pg:data/pg_wal" in screen.app.clipboard


async def test_8_did_the_change_help(recorded: Path) -> None:
    async with at_the_end(recorded) as screen:
        await screen.press("{", "{", "{", "{", "A", "L", "B")
        assert "COMPARE: A 14:00:29-14:01:29 before, B 14:04:29-14:05:29 after" in screen.text
        assert " new " in next(line for line in screen.table if "victim" in line)
        assert any("%" in line or "same" in line for line in screen.table if "postgres" in line)
        await screen.press("escape")
        assert "COMPARE" not in screen.text


async def test_9_without_colours_and_without_glyphs_the_same_is_told(recorded: Path) -> None:
    async with at_the_end(recorded) as screen:
        words = who(screen)
        await screen.press("a", *["c"] * 4)
        assert screen.app.theme == "no-colours"
        assert screen.text.isascii()
        assert who(screen) == words
        styles = [
            s.style for strip in screen.app.screen._compositor.render_strips() for s in strip if s.style
        ]
        assert not [style for style in styles if style.color and not style.color.is_default]
        assert any(style.bold for style in styles)
        assert any(style.reverse for style in styles)
        assert "zil 91%" in screen.text
        await screen.press("m")
        assert "mouse off" in screen.text
