"""Programs that are loaded before they are asked for: the same ones, each once, and never waited for in vain."""

from __future__ import annotations

import errno
import threading
import time

import pytest

from zfstop.kernel.ahead import Ahead


def test_what_was_ordered_is_loaded_once_whoever_asks_first() -> None:
    loaded: list[tuple[str, int]] = []
    slow = threading.Event()

    def load(name: str, number: int) -> int:
        if number == 0:
            slow.wait(30)
        loaded.append((name, number))
        return number + 100

    orders = [("program", number) for number in range(20)]
    ahead = Ahead(load, orders)
    threading.Timer(0.05, slow.set).start()
    assert [ahead.take(order) for order in orders] == list(range(100, 120))
    assert sorted(loaded) == orders


def test_it_belongs_to_who_took_it() -> None:
    ahead = Ahead(lambda number: number, [(7,)])
    assert (ahead.take((7,)), ahead.take((7,))) == (7, -1)


def test_what_was_not_ordered_is_not_waited_for() -> None:
    assert Ahead(lambda number: number, []).take((7,)) == -1


@pytest.mark.parametrize("failure", [OSError(errno.EPERM, "no"), MemoryError(), KeyError("a bug")])
def test_a_failure_keeps_nobody_waiting_and_the_rest_is_loaded(failure: Exception) -> None:
    def load(number: int) -> int:
        if number < 8:
            raise failure
        return -errno.EACCES if number == 8 else number

    ahead = Ahead(load, [(number,) for number in range(11)])
    answers = [ahead.take((number,)) for number in range(11)]
    assert [answer < 0 for answer in answers] == [True] * 9 + [False] * 2
    assert answers[9:] == [9, 10]


def test_without_threads_nothing_is_loaded_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert Ahead(lambda number: number, [(7,)]).take((7,)) == -1


def test_it_goes_on_while_nobody_asks() -> None:
    loaded: list[int] = []

    def load(number: int) -> int:
        loaded.append(number)
        return number

    Ahead(load, [(number,) for number in range(5)])
    until = time.monotonic() + 30
    while len(loaded) < 5 and time.monotonic() < until:
        time.sleep(0.001)
    assert sorted(loaded) == [*range(5)]
