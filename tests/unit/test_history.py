"""The history is bounded, its positions never shift, and a reader never sees it half written."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.events import Event, Key
from zfstop.model.history import History, Second, Stats
from zfstop.model.latency import by_operation
from zfstop.model.state import Controls, Counts, total

KEYS = [Key("read", pid, "x", 0, 0, "tank", "f", "s") for pid in range(8)]


def second(number: int, groups: int = 0, slots: tuple[Counts, ...] = ()) -> Second:
    stats = Stats(1, 0, 1, 1, 0, {1: 1})
    pairs = tuple((key, stats) for key in KEYS[:groups])
    return Second(float(number), number, 10**9, Controls(), groups=pairs, slots=slots)


def numbers(seconds: tuple[Second, ...]) -> list[int]:
    return [item.mono_ns for item in seconds]


@given(st.integers(1, 20), st.integers(0, 60), st.integers(-5, 70), st.integers(-5, 70))
def test_a_position_names_the_same_second_for_ever(capacity: int, count: int, start: int, end: int) -> None:
    history = History(capacity)
    for number in range(count):
        history.append(second(number))
    held = range(max(0, count - capacity), count)
    assert history.end == count
    assert numbers(history.between(start, end)) == [number for number in held if start <= number < end]


@given(st.integers(0, 12), st.integers(0, 40) | st.none())
def test_the_last_seconds_before_a_position(count: int, end: int | None) -> None:
    history = History(100)
    for number in range(30):
        history.append(second(number))
    stop = 30 if end is None else end
    assert numbers(history.last(count, end)) == list(range(max(0, stop - count), min(30, stop)))


@given(st.lists(st.integers(0, 8), min_size=1, max_size=90), st.lists(st.integers(0, 3), max_size=90))
def test_a_flood_takes_detail_of_the_oldest_and_never_a_second_or_a_sum(
    sizes: list[int], events: list[int]
) -> None:
    history = History(capacity=100, keep_details=10)
    given = []
    for number, groups in enumerate(sizes):
        kept = [Event(KEYS[0], number, 1, 1, None, None, 0, 1)] * (
            events[number] if number < len(events) else 0
        )
        given.append(replace(second(number, groups), events=tuple(kept)))
        history.append(given[-1])
    held = history.between(0, history.end)
    assert numbers(held) == list(range(len(sizes)))
    assert held[-1] == given[-1]
    assert sum(len(item.events) for item in held[:-1]) <= 10
    # A second with one name takes no more memory than its sum, and keeps it.
    assert sum(len(item.groups) for item in held[:-1] if len(item.groups) > 1) <= 10
    for before, now in zip(given, held, strict=True):
        assert [by_operation(now).groups, now.slots] == [by_operation(before).groups, before.slots]
        assert now.thinned + len(now.events) == len(before.events)
        assert now.summed == (now.groups != before.groups)


def test_the_events_of_old_seconds_go_before_any_name_does() -> None:
    history = History(capacity=100, keep_details=340)
    for number in range(90):
        event = Event(KEYS[0], number, 1, 1, None, None, 0, 1)
        history.append(replace(second(number, 3), events=(event,)))
    held = history.between(0, 90)
    assert not any(item.summed for item in held)
    gone = [not item.events for item in held]
    assert gone == sorted(gone, reverse=True)
    assert any(gone)
    assert all(item.events for item in held[-60:])


@given(
    st.lists(st.booleans(), min_size=1, max_size=150),
    st.integers(1, 150),
    st.integers(0, 160),
)
def test_counters_at_any_position_are_what_they_were_when_it_was_the_end(
    attached_anew: list[bool], capacity: int, position: int
) -> None:
    history = History(capacity)
    then = [history.totals_at(0)]
    for number, anew in enumerate(attached_anew):
        if anew:
            history.clear_slots()
        history.append(
            second(number, slots=(Counts(entered=number + 1, lost=number % 3),) * (1 + number % 2))
        )
        then.append(history.totals_at(history.end))
        assert (then[-1].counts, then[-1].slots) == history.totals()
        assert then[-1].books == history.books()
    assert history.totals_at(position) == then[min(max(position, history.start), len(attached_anew))]


@given(st.lists(st.lists(st.integers(0, 99), max_size=3), max_size=20))
def test_totals_are_the_sum_of_all_seconds_also_of_those_gone(rows: list[list[int]]) -> None:
    history = History(capacity=3)
    for number, row in enumerate(rows):
        history.append(second(number, slots=tuple(Counts(seen=n, lost=1) for n in row)))
    overall, slots = history.totals()
    assert overall == total(Counts(seen=n, lost=1) for row in rows for n in row)
    assert total(slots) == overall
    history.clear_slots()
    assert history.totals() == (overall, ())


def test_an_appended_second_cannot_change() -> None:
    with pytest.raises(AttributeError):
        second(1).thinned = 2  # type: ignore[misc]


def test_stats_add_up() -> None:
    a, b = Stats(2, 1, 30, 20, 5, {1: 1, 2: 1}), Stats(1, 0, 40, 40, 7, {2: 1})
    assert a.plus(b) == b.plus(a) == Stats(3, 1, 70, 40, 12, {1: 1, 2: 2})


def test_readers_see_whole_seconds_in_place_while_one_writes() -> None:
    history, wrong, done = History(capacity=1000), [], threading.Event()

    def read() -> None:
        while not done.is_set():
            end = history.end
            seen = numbers(history.between(end - 30, end))
            # The writer may have pushed the oldest of them out meanwhile; what is left is in its place.
            if seen != list(range(end - len(seen), end)):
                wrong.append((end, seen))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(4000):
        history.append(second(number, groups=1))
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert numbers(history.last(2)) == [3998, 3999]
