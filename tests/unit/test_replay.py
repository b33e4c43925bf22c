"""A recording of any length is played from its file: the same seconds, in bounded memory, up to where it is sound."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recording import HOSTILE, SCHEMA_LIES, rewritten, write

from zfstop.errors import Exit, UserError
from zfstop.feed import Feed
from zfstop.model.history import History, Second
from zfstop.model.state import Controls, Phase
from zfstop.recording import RecordedHistory, Writer
from zfstop.replay import Replay

MS = 1_000_000
LENGTH = 150


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def seconds(make: Any) -> tuple[Second, ...]:
    """With a gap after 100, where counters begin anew."""
    return tuple(
        replace(make.busy(number), mono_ns=10**12 + (number + 7 * (number >= 100)) * 10**9)
        for number in range(LENGTH)
    )


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, make: Any, seconds: tuple[Second, ...]) -> Path:
    return write(tmp_path_factory.mktemp("long") / "r", make.meta, seconds)


@pytest.fixture
def opened(long: Path) -> Iterator[RecordedHistory]:
    history = RecordedHistory(long, keep_details=600)
    yield history
    history.close()


@pytest.fixture
def copy(long: Path, tmp_path: Path) -> Path:
    path = tmp_path / "copy"
    path.write_bytes(long.read_bytes())
    return path


def test_any_part_is_as_it_was_written_in_whatever_order_it_is_read(
    opened: RecordedHistory, seconds: tuple[Second, ...]
) -> None:
    dice = random.Random(1)
    assert (opened.start, opened.end) == (0, LENGTH)
    for _ in range(60):
        start, length = dice.randrange(-9, LENGTH + 9), dice.randrange(40)
        assert opened.between(start, start + length) == seconds[max(0, start) : max(0, start + length)]
    assert opened.between(0, LENGTH) == seconds
    assert opened.clocks(3, 5) == [(second.clock, second.length_ns) for second in seconds[3:5]]


def test_counters_at_any_position_are_those_a_live_history_would_have_had(
    opened: RecordedHistory, seconds: tuple[Second, ...]
) -> None:
    live, then = History(), []
    for position, second in enumerate(seconds):
        if position in (0, 100):
            live.clear_slots()
        live.append(second)
        then.append(live.totals_at(position + 1))
    order = [*range(1, LENGTH + 1), *random.Random(2).sample(range(1, LENGTH + 1), 80)]
    for position in order:
        found = opened.totals_at(position)
        assert (found.counts, found.slots, found.books) == (
            then[position - 1].counts, then[position - 1].slots, then[position - 1].books
        )  # fmt: skip


def test_what_is_remembered_is_bounded_however_much_is_read(long: Path) -> None:
    history = RecordedHistory(long, keep_details=600)
    most = 0
    for position in range(0, LENGTH, 9):
        history.between(position, position + 20)
        history.totals_at(position)
        most = max(
            most, sum(len(s.groups) + len(s.events) for block in history._blocks.values() for s in block)
        )
    assert 0 < most <= 600
    assert len(history._totals) <= 64


@pytest.fixture
def replay(long: Path) -> Iterator[tuple[Replay, Clock]]:
    clock = Clock()
    found = Replay(RecordedHistory(long), clock)
    yield found, clock
    found.stop()


def test_it_is_a_feed_that_says_replay_and_where_and_when(replay: tuple[Replay, Clock], make: Any) -> None:
    feed: Feed = replay[0]
    assert feed.status().phase is Phase.REPLAY
    assert feed.status().note.startswith("recorded 2026-11-22 15:04 in zfstop lab: Debian 13 in QEMU")
    assert feed.datasets() == ("fast/logs", "tank/db", "tank/vm")
    assert (feed.host(), feed.probes()) == (make.meta.host, make.meta.probes)


def test_it_plays_a_second_a_second_from_the_beginning_and_once(replay: tuple[Replay, Clock]) -> None:
    feed, clock = replay
    feed.start()
    places = []
    for gone in (0, 0.9, 1.0, 10.5, 148.9, 149, 10**6):
        clock.now = 100 + gone
        places.append(feed.playback.position)
    assert places == [1, 1, 2, 11, 149, 150, 150]
    assert not feed.playback.playing


def test_held_it_stands_and_goes_on_from_there(replay: tuple[Replay, Clock]) -> None:
    feed, clock = replay
    feed.start()
    feed.playback.hold(70)
    clock.now += 1000
    assert feed.playback.position == 70
    feed.playback.play()
    clock.now += 3
    assert feed.playback.position == 73
    feed.playback.hold(-5)
    assert feed.playback.position == 1


def test_filters_are_in_force_for_every_second_those_before_too(
    replay: tuple[Replay, Clock], seconds: tuple[Second, ...]
) -> None:
    feed, _ = replay
    assert feed.controls() == Controls()
    feed.control(Controls(50 * MS, frozenset({812})))
    found = feed.history.between(0, LENGTH)
    assert {key.pid for second in found for key, _ in second.groups} == {812}
    assert min(event.latency_ns for second in found for event in second.events) >= 50 * MS
    feed.control(Controls())
    assert feed.history.between(0, LENGTH) == seconds
    with pytest.raises(UserError, match="holds nothing below 10ms"):
        feed.control(Controls(5 * MS))


# --- bad files ---------------------------------------------------------------------------------------------------


def read_all(path: Path) -> tuple[Second, ...] | None:
    """Everything that can be looked at; None for a file refused as it should be."""
    try:
        history = RecordedHistory(path)
    except UserError as error:
        if error.status != Exit.BAD_RECORDING or not error.sentence.isprintable():
            raise
        return None
    try:
        before = history.end
        for position in range(before + 1):
            history.totals_at(position)
        history.datasets()
        found = history.between(0, history.end)
        found = history.between(0, history.end)
        assert len(found) == history.end
        assert history.problem.isprintable()
        return found
    finally:
        history.close()


@pytest.mark.parametrize("change", HOSTILE)
def test_a_hostile_file_is_refused_or_opened_up_to_where_it_is_sound(copy: Path, change: str) -> None:
    db = sqlite3.connect(copy)
    db.executescript(HOSTILE[change])
    db.close()
    found = read_all(copy)
    assert found is None or len(found) < LENGTH or change in UNSEEN
    assert found is None or all(
        text.isprintable() for s in found for key, _ in s.groups for text in (key.path,)
    )


#: What no second that is looked at refers to.
UNSEEN = {"a second that is not there"}


@pytest.mark.parametrize("lie", SCHEMA_LIES)
def test_a_lying_schema_is_refused(copy: Path, lie: str) -> None:
    rewritten(copy, SCHEMA_LIES[lie])
    assert read_all(copy) is None


def test_it_ends_before_the_first_unsound_second_and_says_so(copy: Path, seconds: tuple[Second, ...]) -> None:
    db = sqlite3.connect(copy)
    db.execute("UPDATE groups SET calls = 0 WHERE second = 71")
    db.commit()
    db.close()
    replay = Replay(RecordedHistory(copy))
    replay.playback.hold(LENGTH)
    assert replay.status().problem is None
    assert replay.history.between(60, 90) == ()
    assert replay.history.end == replay.playback.position == 70
    assert replay.history.between(0, 90) == seconds[:70]
    problem = replay.status().problem
    assert problem is not None
    assert problem.sentence.startswith("the recording is damaged after ")
    replay.stop()


@given(data=st.data())
@settings(max_examples=60)
def test_flipped_and_cut_bytes_never_crash(
    tmp_path_factory: pytest.TempPathFactory, long: Path, seconds: tuple[Second, ...], data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped"
    whole = bytearray(long.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    read_all(path)


def test_a_recording_that_is_being_written_can_be_looked_at_as_far_as_it_is(
    tmp_path: Path, make: Any
) -> None:
    path = tmp_path / "r"
    with Writer(path, make.meta) as writer:
        with pytest.raises(UserError, match="holds no whole second"):
            RecordedHistory(path)
        for number in range(3):
            writer.append(make.busy(number))
        history = RecordedHistory(path)
        writer.append(make.busy(3))
        assert history.between(0, 9) == tuple(make.busy(number) for number in range(3))
        history.close()
    assert len(RecordedHistory(path).between(0, 9)) == 4
