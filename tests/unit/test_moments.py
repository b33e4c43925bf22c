"""A time that was typed leads to the second that was meant, or to one sentence."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.history import History, Second
from zfstop.model.moments import clock_text, find, parse_moment, span_text, step
from zfstop.model.state import Controls

PLUS_ONE = timezone(timedelta(hours=1))
#: 2026-01-14 14:00:00 UTC
BASE = 1_768_399_200.0


def history(*clocks: float) -> History:
    found = History()
    for clock in clocks:
        found.append(Second(clock, int(clock * 1e9), 10**9, Controls()))
    return found


def a_minute_and_a_half() -> History:
    return history(*(BASE + at + 0.7 for at in range(90)))


def go(text: str, timeline: History, here: int | None = None) -> int:
    place = timeline.end if here is None else here
    return find(parse_moment(text), timeline, place, timeline.end, PLUS_ONE)


@given(st.integers(0, 89))
def test_the_clock_that_is_shown_leads_back_to_where_it_was_shown(at: int) -> None:
    timeline = a_minute_and_a_half()
    clock = timeline.between(at, at + 1)[0].clock
    assert go(clock_text(clock, PLUS_ONE), timeline) == at + 1
    assert go(f"@{clock:.3f}", timeline) == at + 1


def test_every_way_of_writing_a_time() -> None:
    timeline = a_minute_and_a_half()
    assert go("15:00:30", timeline) == 31
    assert go(" 15:01 ", timeline) == 61
    assert go("@1768399230", timeline) == 31
    assert go("-1m", timeline) == 30
    assert go("-20", timeline) == 70
    assert find(parse_moment("+20s"), timeline, 30, 30, PLUS_ONE) == 50


@pytest.mark.parametrize("text", ["", "x", "25:00:00", "12:60", "1:2", "@", "@x", "-", "--5", "+", "-5 parsecs", "[b]",
                                  "١٢:٠٠:٠٠", "@9999999999999"])  # fmt: skip
def test_what_is_no_time_is_told_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write one such as"):
        parse_moment(text)


@given(st.text(max_size=20))
def test_nothing_typed_gives_more_than_a_sentence(text: str) -> None:
    timeline = a_minute_and_a_half()
    try:
        said, place = "", go(text, timeline)
    except ValueError as error:
        said, place = str(error), 1
    assert said.isprintable()
    assert 1 <= place <= 90


@pytest.mark.parametrize("text", ["14:59:00", "15:02:00", "03:00", "@5", "@1768399999", "-5m", "-23h"])
def test_a_time_of_which_nothing_is_held_is_told_with_what_is_held(text: str) -> None:
    with pytest.raises(ValueError, match="there is only 15:00:00 to 15:01:29 to go to"):
        go(text, a_minute_and_a_half())


def test_before_the_first_second_there_is_nowhere_to_go() -> None:
    with pytest.raises(ValueError, match="no second yet"):
        go("-1s", History())
    assert step(History(), 0, -1) == 0
    assert step(History(), 0, -60) == 0


def test_of_a_recording_over_midnight_the_nearer_time_is_meant() -> None:
    start = datetime(2026, 1, 14, 12, tzinfo=PLUS_ONE).timestamp()
    timeline = history(*(start + hour * 3600 for hour in range(40)))
    assert go("13:00", timeline, here=3) == 2
    assert go("13:00", timeline, here=30) == 26


@given(st.lists(st.sampled_from([1.0, 1.01, 3.5, 0.2, 3600.0, -40.0]), min_size=1, max_size=60), st.data())
def test_a_minute_is_always_a_step_and_there_and_back_never_overshoots(
    gaps: list[float], data: st.DataObject
) -> None:
    clocks = [BASE]
    for gap in gaps:
        clocks.append(clocks[-1] + gap)
    timeline = history(*clocks)
    here = data.draw(st.integers(1, timeline.end))
    back, on = step(timeline, here, -60), step(timeline, here, 60)
    assert back < here or here == 1
    assert on > here or here == timeline.end
    assert 1 <= back <= on <= timeline.end
    assert step(timeline, here, -1) == max(1, here - 1)
    assert step(timeline, here, 1) == min(timeline.end, here + 1)


def test_a_minute_is_a_minute_by_the_clock_also_where_seconds_were_long() -> None:
    timeline = history(*(BASE + at * 2.0 for at in range(90)))
    assert step(timeline, 90, -60) == 60
    assert step(timeline, 60, 60) == 90


def test_where_the_demo_begins_again_a_minute_is_its_seconds() -> None:
    timeline = history(*(BASE + at % 50 for at in range(100)))
    assert step(timeline, 70, -60) == 10
    assert go("15:00:10", timeline) == 61, "the newer of the two"


def test_spans_are_told_in_their_two_largest_units() -> None:
    told = [span_text(seconds) for seconds in (0, 1, 59.6, 60, 250, 3600, 3725, 49 * 3600)]
    assert told == ["0 s", "1 s", "1 min", "1 min", "4 min 10 s", "1 h", "1 h 2 min", "2 days 1 h"]
