"""The demo is full at once, goes on a second at a time for ever, and obeys threshold and filters."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from zfstop.errors import Exit, UserError
from zfstop.feed import Feed
from zfstop.model.aggregate import groups_of, keep
from zfstop.model.history import Second
from zfstop.model.state import Controls, Phase
from zfstop.player import STARTS_OVER, Player
from zfstop.recording import Recording

MS = 1_000_000


class Hands:
    """A clock that only moves when the player waits; ``turns`` waits, then the end."""

    def __init__(self, turns: int, lag: float = 0.0) -> None:
        self.now, self.lag, self.waits = 100.0, lag, []  # type: ignore[var-annotated]
        self._turns = turns
        self.ended = threading.Event()

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds + self.lag
        if len(self.waits) > self._turns:
            self.ended.set()
            return True
        return False


def clocks(player: Player) -> list[float]:
    return [second.clock - 1.8e9 for second in player.history.between(0, player.history.end)]


def still(make: Any, seconds: int = 5, **options: Any) -> Player:
    return Player(make.recording(seconds), autoplay=False, **options)


def newest(player: Player) -> Second:
    return player.history.last(1)[0]


def test_it_is_a_feed(make: Any) -> None:
    feed: Feed = still(make)
    assert feed.host() == make.meta.host
    assert feed.probes() == make.meta.probes
    assert feed.datasets() == ("fast/logs", "tank/db", "tank/vm")
    assert feed.controls() == Controls()


def test_it_says_demo_and_where_and_when_it_was_recorded(make: Any) -> None:
    status = still(make).status()
    assert status.phase is Phase.DEMO
    assert status.note == (
        "recorded 2026-11-22 in zfstop lab: Debian 13 in QEMU, Linux 6.12.57, OpenZFS 2.3.9"
    )


def test_the_first_screen_is_full_at_once(make: Any) -> None:
    player = still(make, 100)
    player.start()
    player.start()
    assert clocks(player) == list(range(60))


def test_without_being_told_otherwise_seconds_are_as_recorded(make: Any) -> None:
    player = still(make)
    player.start()
    assert player.history.between(0, 5) == make.recording(5).seconds()


def test_it_begins_again_and_says_so(make: Any) -> None:
    player = still(make, 3)
    player.start()
    player.advance(7)
    assert clocks(player) == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    starts = [second.notes[:1] == (STARTS_OVER,) for second in player.history.between(0, 10)]
    assert starts == [False] * 3 + [True, False, False] * 2 + [True]


def test_without_a_loop_it_ends_at_the_end(make: Any) -> None:
    player = still(make, 3, loop=False, preload=2)
    player.start()
    player.advance(9)
    assert clocks(player) == [0, 1, 2]


def test_it_gives_one_second_a_second(make: Any) -> None:
    hands = Hands(turns=4)
    player = Player(make.recording(), preload=2, clock=hands.clock, wait=hands.wait)
    player.start()
    assert hands.ended.wait(5)
    player.stop()
    assert hands.waits == [1.0] * 5
    assert clocks(player) == [0, 1, 2, 3, 4, 0]


def test_a_late_second_does_not_make_the_next_ones_late(make: Any) -> None:
    hands = Hands(turns=3, lag=0.25)
    player = Player(make.recording(), clock=hands.clock, wait=hands.wait)
    player.start()
    assert hands.ended.wait(5)
    player.stop()
    assert hands.waits == [1.0, 0.75, 0.75, 0.75]


def test_after_a_sleep_of_the_host_there_is_no_burst(make: Any) -> None:
    hands = Hands(turns=3, lag=1000.0)
    player = Player(make.recording(), clock=hands.clock, wait=hands.wait)
    player.start()
    assert hands.ended.wait(5)
    player.stop()
    assert hands.waits[:2] == [1.0, 0.0]
    assert player.history.end == 5 + 3


def test_it_stops_at_once_and_twice(make: Any) -> None:
    player = Player(make.recording())
    player.start()
    begun = time.monotonic()
    player.stop()
    player.stop()
    assert time.monotonic() - begun < 0.1
    assert not any(thread.name == "zfstop player" for thread in threading.enumerate())


def test_it_can_be_stopped_before_it_started(make: Any) -> None:
    player = Player(make.recording())
    player.stop()
    player.start()
    player.stop()


@pytest.mark.parametrize(
    "asked",
    [
        Controls(threshold_ns=40 * MS),
        Controls(pids=frozenset({812})),
        Controls(datasets=frozenset({"tank"})),
        Controls(ops=frozenset({"fsync", "read"})),
        Controls(30 * MS, frozenset({812, 99}), frozenset({"tank"}), frozenset({"write"})),
        Controls(threshold_ns=10**12),
    ],
)
def test_threshold_and_filters_are_obeyed_by_the_next_second(make: Any, asked: Controls) -> None:
    player = still(make)
    player.start()
    player.control(asked)
    player.advance(5)
    assert player.controls() == asked
    recorded = make.recording(5).seconds()
    assert player.history.between(0, 5) == recorded
    for before, after in zip(recorded, player.history.between(5, 10), strict=True):
        assert after.controls == asked
        assert after.events == tuple(event for event in before.events if keep(event, asked))
        assert dict(after.groups) == dict(groups_of(after.events))
        assert after.counts.seen == len(after.events)
        kept = after.counts.seen + after.counts.below + after.counts.filtered + after.counts.filtered_dev
        assert kept == before.counts.seen + before.counts.below + before.counts.filtered


def test_cleared_filters_bring_everything_back(make: Any) -> None:
    player = still(make)
    player.control(Controls(pids=frozenset({812})))
    player.start()
    player.control(Controls())
    player.advance(5)
    assert player.history.between(6, 10) == make.recording(5).seconds()[1:]


def test_a_threshold_below_the_recorded_one_is_refused_with_the_reason(make: Any) -> None:
    player = still(make)
    with pytest.raises(UserError) as caught:
        player.control(Controls(threshold_ns=5 * MS))
    assert caught.value.status == Exit.USAGE
    assert caught.value.sentence == "this recording holds nothing below 10ms"
    assert player.controls() == Controls()


def test_where_the_threshold_was_raised_while_recording_it_says_so(make: Any) -> None:
    seconds = (make.busy(0), make.second(1, controls=Controls(50 * MS)))
    player = Player(Recording(make.meta, seconds), autoplay=False)
    player.start()
    assert player.controls() == Controls(50 * MS)
    player.control(Controls(20 * MS))
    player.advance(2)
    assert newest(player).notes == ("recorded with a threshold of 50ms",)


def test_a_thinned_second_under_a_filter_says_so(make: Any) -> None:
    events = (make.event(),) * 9
    thinned = replace(make.second(0, events), events=events[:2], thinned=7)
    player = Player(Recording(make.meta, (thinned,)), autoplay=False)
    player.control(Controls(pids=frozenset({812})))
    player.start()
    assert newest(player).notes == ("7 operations were recorded only in sums, not one by one",)
    assert (newest(player).groups, newest(player).thinned) == (thinned.groups, 7)


def test_a_recording_without_a_second_cannot_be_played(make: Any) -> None:
    with pytest.raises(UserError, match="no whole second"):
        Player(Recording(make.meta, ()))


def test_counters_begin_anew_with_the_recording(make: Any) -> None:
    player = still(make, preload=0)
    player.start()
    hits = []
    for _ in range(10):
        player.advance(1)
        hits.append(player.history.totals()[1][0].entered)
    assert hits[:5] == hits[5:]
    assert hits[4] > hits[0]
