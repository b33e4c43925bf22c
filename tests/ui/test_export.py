"""What is on the screen goes into a file by ``e``, as it is at that moment."""

from __future__ import annotations

import asyncio
import csv
import errno
import io
import json
import os
import stat
from pathlib import Path

import pytest
from driving import Screen, shown
from fake_feed import FakeFeed, busy_feed, busy_second, calls_feed

from zfstop.player import Player
from zfstop.screen import demo_recording
from zfstop.ui.app import ZfstopApp
from zfstop.ui.exporting import Export


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def written(screen: Screen) -> Path:
    """The file, once it is said to be there."""
    for _ in range(500):
        await screen.pilot.pause()
        said = [note.message for note in screen.app._notifications]
        if said:
            return Path(said[-1].split(" written to ", 1)[1])
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was said")


async def exported(screen: Screen, name: str) -> str:
    screen.app.clear_notifications()
    await screen.press("e")
    await screen.type(name)
    return (await written(screen)).read_text()


async def test_e_writes_the_demo_as_a_report_under_a_sensible_name(tmp_path: Path) -> None:
    player = Player(demo_recording(), autoplay=False)
    player.start()
    app = ZfstopApp(player, look_every_s=3600)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        screen = Screen(app, pilot)
        await screen.press("e", "enter")
        path = await written(screen)
        assert not isinstance(app.screen, Export)
        assert path.parent == tmp_path
        assert path.match("zfstop-lab-[0-9]*-[0-9]*.html")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        text = path.read_text()
        first = screen.table[1].lstrip("> ").split()
        assert f">{first[0]}</td>" in text
        for words in (
            "<svg",
            "Books since",
            "zpl_iter_write",
            "6.12.117+deb13-amd64",
            "slow is 10ms or longer",
        ):
            assert words in text


async def test_every_format_holds_what_the_table_shows() -> None:
    async with shown(busy_feed(), 200, 50) as screen:
        await screen.press("slash", *"pool:tank", "enter", "g", "w")
        first = screen.table[1].lstrip("> ").split()
        table = list(csv.DictReader(io.StringIO(await exported(screen, "a.csv"))))
        assert table[0]["comm"] in screen.table[1]
        assert len(table) == sum(bool(line.strip()) for line in screen.table[1:])
        whole = json.loads(await exported(screen, "a.json"))
        assert whole["grouping"] == "process"
        assert "filter: pool:tank" in whole["filters"]
        assert {name for row in whole["rows"] for name in row["pool"]} == {"tank"}
        assert len(whole["map"]["columns"]) == 90
        text = await exported(screen, "a.md")
        assert first[0] in text
        assert "filter: pool:tank" in text
        picture = await exported(screen, "a.svg")
        assert "postgres" in picture
        assert "Export what is shown" not in picture
        assert "http" not in picture.replace("http://www.w3.org/", "").replace(
            "https://www.textualize.io", ""
        )


async def test_single_calls_are_exported_with_all_their_fields() -> None:
    async with shown(calls_feed(), 120, 40) as screen:
        await screen.press("g", "enter", "enter", "enter")
        table = list(csv.DictReader(io.StringIO(await exported(screen, "calls.csv"))))
        shown_calls = [line for line in screen.table[1:] if line.strip()]
        assert len(table) == len(shown_calls) == 3
        assert table[0]["latency_ns"] == "41000000"
        assert (table[0]["tid"], table[0]["offset"], table[0]["pid_inside"]) == ("99", "4096", "17")
        assert table[0]["time"].startswith("2026-01-14T14:00:01.750")


async def test_what_was_shown_when_e_was_pressed_is_exported_whatever_comes_meanwhile() -> None:
    feed = busy_feed(60)
    async with shown(feed, 120, 40) as screen:
        await screen.press("[", "[", "e")
        for at in range(60, 90):
            feed.history.append(busy_second(at))
        await screen.type("then.json")
        whole = json.loads((await written(screen)).read_text())
        assert whole["ended"].startswith("2026-01-14T14:00:57")


async def test_arrows_and_the_ending_choose_the_format() -> None:
    async with shown() as screen:
        await screen.press("e")
        assert any("> .html" in line for line in screen.lines)
        await screen.press("down", "down")
        assert any("> .csv" in line for line in screen.lines)
        assert any("zfstop-db1-" in line and ".csv" in line for line in screen.lines)
        await screen.press("up", "up", "up")
        assert any("> .svg" in line for line in screen.lines)
        await screen.press("ctrl+u", *"x")
        assert not any("> ." in line for line in screen.lines)
        await screen.press("down")
        assert any("> .html" in line for line in screen.lines)
        assert any("x.html" in line for line in screen.lines)
        await screen.press("escape")
        assert not isinstance(screen.app.screen, Export)


async def test_ctrl_n_exports_without_names_and_a_picture_refuses() -> None:
    async with shown(busy_feed(), 120, 40) as screen:
        await screen.press("e", "ctrl+n")
        assert "[x] stand-ins for all names" in screen.text
        await screen.type("screen.svg")
        await told(screen, "a picture shows the names that are there")
        await screen.type("x.html")
        text = (await written(screen)).read_text()
        assert "names, PIDs and UIDs are stand-ins" in text
        assert not [
            name for name in ("postgres", "tank", "db1", "pg_wal", "docker:3f9a", "2431") if name in text
        ]
        assert ".raw</td>" in text


async def told(screen: Screen, words: str) -> None:
    for _ in range(500):
        await screen.pilot.pause()
        body = " ".join(" ".join(line.split("│")[1].split()) for line in screen.lines if line.count("│") > 1)
        if words in body:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(screen.text)


async def test_what_cannot_be_written_is_told_and_the_name_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.md").write_text("mine")
    async with shown(width=120) as screen:
        await screen.press("e")
        for typed, said in (
            ("old.md", "'old.md' exists already. choose another name, or remove it"),
            ("no/such.csv", "'no/such.csv' cannot be made: No such file or directory"),
            ("x.pdf", "the name of the file tells no format"),
        ):
            await screen.type(typed)
            await told(screen, said)
        assert (tmp_path / "old.md").read_text() == "mine"

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr("zfstop.recording.files.os.write", full)
            await screen.type("new.md")
            await told(screen, "'new.md' could not be written: No space left on device")
        assert [path.name for path in tmp_path.iterdir()] == ["old.md"]


async def test_before_the_first_second_there_is_something_to_export_too() -> None:
    async with shown(FakeFeed()) as screen:
        assert "None." in await exported(screen, "empty.md")
