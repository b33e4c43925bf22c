"""Recording beside the screen: what came is in the file, and no disk stops more than the recording."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.errors import UserError
from zfstop.player import Player
from zfstop.recorder import Recorder, default_name
from zfstop.recording import open_recording


@pytest.fixture
def feed(make: Any) -> Player:
    player = Player(make.recording(9), preload=3, autoplay=False)
    player.start()
    return player


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_what_comes_from_now_on_is_in_the_file_up_to_the_end(feed: Player, tmp_path: Path, make: Any) -> None:
    recorder = Recorder(feed, str(tmp_path / "r"))
    feed.advance(4)
    recorder.join(30)
    assert recorder.state.ended
    assert recorder.told() == f"4 seconds recorded in {tmp_path}/r"
    read = open_recording(tmp_path / "r")
    assert read.seconds() == make.recording(9).seconds()[3:7]
    assert (read.meta.host, read.meta.probes) == (feed.host(), feed.probes())
    assert [item.name for item in tmp_path.iterdir()] == ["r"]


def test_seconds_that_went_by_while_the_disk_was_busy_are_counted(
    feed: Player, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(feed, str(tmp_path / "r"))
    recorder._position = feed.history.end - 5
    monkeypatch.setattr(feed.history, "_capacity", 2)
    feed.advance(1)
    recorder.join(30)
    assert recorder.state.missing > 0
    assert "are missing: the disk was too slow" in recorder.told()


def test_a_file_that_is_there_is_not_touched(feed: Player, tmp_path: Path) -> None:
    (tmp_path / "r").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        Recorder(feed, str(tmp_path / "r"))
    assert (tmp_path / "r").read_text() == "mine"


def test_a_disk_that_fills_up_stops_the_recording_and_what_was_written_can_be_read(
    feed: Player, small_disk: Path
) -> None:
    recorder = Recorder(feed, str(small_disk / "r"))
    while not recorder.state.ended and feed.history.end < 1500:
        feed.advance(10)
        time.sleep(0.02)
    assert recorder.state.ended
    error = recorder.state.error
    assert error is not None
    assert "stopped: database or disk is full" in error.sentence
    written = recorder.state.seconds
    assert written > 0
    seconds = open_recording(small_disk / "r").seconds()
    assert seconds == feed.history.between(3, 3 + written)


def test_a_second_that_cannot_be_stored_stops_only_the_recording(
    feed: Player, tmp_path: Path, make: Any
) -> None:
    recorder = Recorder(feed, str(tmp_path / "r"))
    feed.history.append(make.second(in_flight=2**70))
    recorder.join(30)
    assert "recording stopped: OverflowError" in recorder.told()


@given(st.text(max_size=80))
def test_the_name_that_is_offered_needs_no_quotes_and_is_in_this_folder(host: str) -> None:
    name = default_name(host, datetime(2026, 1, 14, 14, 3, 22))
    assert name.endswith("-20260114-140322.zfstop")
    assert name.isascii()
    assert not set(name) & set("/ \\'\"$*?~")
    assert not name.startswith("-")
    assert len(name) < 100
