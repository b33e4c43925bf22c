"""The order of very many rows, kept up at the cost of what changed, is that of sorting them all."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from zfstop.model import ranking as ranking_module
from zfstop.model.events import Key
from zfstop.model.histogram import bucket_of
from zfstop.model.history import SUMMED, History, Second, Stats
from zfstop.model.ranking import Ordered, Ranking, known_place, place_of, row_of
from zfstop.model.rows import Grouping, Order, Rolling, rows, sort_rows
from zfstop.model.state import Controls

ORDERS: dict[str, Order] = {
    "wait": lambda row: row.total_ns,
    "longest": lambda row: (row.max_ns,),
    "errors": lambda row: (row.errors,),
    "operation": lambda row: row.who.ops,
    "newest": lambda row: (row.last, row.total_ns),
}


def second(dice: random.Random, files: int) -> Second:
    """A few calls, many of them equally long, of files that come and go."""
    groups = {}
    for _ in range(dice.randint(0, 30)):
        ns = dice.choice((1, 5, 5, 5, 9)) * 10**7
        count = dice.randint(1, 2)
        key = Key(dice.choice(("read", "write")), 1, "x", 0, 1, "tank", f"f{dice.randrange(files)}", "s")
        groups[key] = Stats(count, dice.randint(0, 1), ns * count, ns, 0, {bucket_of(ns): count})
    return Second(0.0, 0, 10**9, Controls(), tuple(groups.items()))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few are kept that everything that happens with 100,000 rows happens with a hundred."""
    monkeypatch.setattr(ranking_module, "_KEEP", 5)
    monkeypatch.setattr(ranking_module, "_MOST", 20)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("name", ORDERS)
def test_it_is_the_order_of_all_rows_wherever_the_window_goes(name: str, descending: bool) -> None:
    dice = random.Random(f"{name}{descending}")
    history, rolling = History(), Rolling(Grouping.FILE, 12)
    ranking, deep = Ranking(ORDERS[name], descending), 0
    for _ in range(150):
        for _ in range(dice.choice((1, 1, 1, 3))):
            history.append(second(dice, dice.choice((8, 200))))
        end = history.end if dice.random() < 0.8 else dice.randrange(history.end)
        rolling.move_to(end, history.between)
        ranked = ranking.ranked(rolling.by_identity, rolling.touched())
        wanted = sort_rows(rolling.rows(), ORDERS[name], descending)
        assert len(ranked) == len(wanted)
        assert list(ranked.head) == wanted[: len(ranked.head)]
        assert len(ranked.head) >= min(5, len(wanted))
        deep += len(ranked.head) < len(wanted)
        if wanted and dice.random() < 0.3:
            assert ranked[len(ranked) - 1] is wanted[-1]
            assert list(ranked.tail) == wanted[len(wanted) - len(ranked.tail) :]
            for row in ranked.tail:
                assert wanted[place_of(ranked, row.identity) or 0] is row
        if dice.random() < 0.2:
            assert list(ranked) == wanted
            assert [place_of(ranked, row.identity) for row in wanted] == list(range(len(wanted)))
    assert deep > 50, "hardly ever were there more rows than are kept in order"


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("name", ORDERS)
def test_bit_by_bit_the_first_rows_are_those_of_what_was_looked_at(name: str, descending: bool) -> None:
    dice = random.Random(f"{name}{descending}")
    history, rolling, order = History(), Rolling(Grouping.FILE, 12), ORDERS[name]
    in_part = begun = 0
    ranking = Ranking(order, descending)
    for _ in range(400):
        if dice.random() < 0.3:
            history.append(second(dice, 200))
            rolling.move_to(history.end, history.between)
        if dice.random() < 0.05:
            ranking, begun = Ranking(order, descending), begun + 1
        ranked = ranking.ranked(rolling.by_identity, rolling.touched(), dice.choice((1, 10, 30)))
        wanted = sort_rows(rolling.rows(), order, descending)
        if ranking.looked_at is None:
            assert list(ranked.head) == wanted[: len(ranked.head)]
            assert not wanted or ranked.head
            if wanted and dice.random() < 0.5:
                assert ranked[len(wanted) - 1] is wanted[-1]
                assert list(ranked.tail) == wanted[len(wanted) - len(ranked.tail) :]
        else:
            looked, of = ranking.looked_at
            assert looked < of
            assert list(ranked.head) == sort_rows(ranked.head, order, descending)
            assert {row.identity for row in ranked.head} <= rolling.by_identity.keys()
            in_part += 1
    assert in_part > 20
    assert begun > 5


@pytest.mark.parametrize("most", [10, 100])
def test_no_more_rows_are_looked_at_than_asked_for(most: int) -> None:
    dice = random.Random(5)
    history, rolling, seen = History(), Rolling(Grouping.FILE, 12), []
    for _ in range(12):
        history.append(second(dice, 500))
    rolling.move_to(history.end, history.between)
    ranking = Ranking(lambda row: seen.append(row.identity) or row.max_ns, descending=True)
    found, times = rolling.by_identity, 0
    while not times or ranking.looked_at is not None:
        ranking.ranked(found, rolling.touched(), most)
        times += 1
    assert times == -(-len(found) // most)
    assert set(seen) == set(found)


@pytest.mark.usefixtures("few")
def test_the_last_rows_are_known_without_looking_at_all_of_them_again() -> None:
    dice = random.Random(5)
    history, rolling, seen = History(), Rolling(Grouping.FILE, 12), []
    ranking = Ranking(lambda row: seen.append(row.identity) or row.max_ns, descending=True)
    for _ in range(30):
        history.append(second(dice, 500))
        rolling.move_to(history.end, history.between)
        ranked = ranking.ranked(rolling.by_identity, rolling.touched())
    seen.clear()
    assert len(ranked) > 60
    assert ranked[len(ranked) - 1] is sort_rows(rolling.rows(), lambda row: row.max_ns, descending=True)[-1]
    assert seen == []


@pytest.mark.usefixtures("few")
def test_where_a_row_is_that_is_not_among_the_first_is_only_found_when_it_is_wanted() -> None:
    dice = random.Random(5)
    history, rolling = History(), Rolling(Grouping.FILE, 12)
    for _ in range(12):
        history.append(second(dice, 500))
    rolling.move_to(history.end, history.between)
    ranked = Ranking(ORDERS["wait"], descending=True).ranked(rolling.by_identity, rolling.touched())
    wanted = sort_rows(rolling.rows(), ORDERS["wait"], descending=True)
    deep = wanted[len(wanted) // 2].identity
    assert known_place(ranked, wanted[1].identity) == 1
    assert known_place(ranked, deep) is None
    assert row_of(ranked, deep) is wanted[len(wanted) // 2]
    assert place_of(ranked, deep) == len(wanted) // 2
    assert known_place(ranked, deep) == len(wanted) // 2


def test_a_row_that_is_not_there_has_no_place() -> None:
    assert place_of((), ("x",)) is None
    assert row_of(Ordered([], 0, {}, list, list), ("x",)) is None


def test_a_window_that_fills_bit_by_bit_is_a_shorter_one_until_it_is_whole() -> None:
    dice = random.Random(3)
    history = History()
    for _ in range(60):
        history.append(second(dice, 50))
    rolling, starts = Rolling(Grouping.FILE, 40), []
    while not starts or not rolling.whole:
        rolling.move_to(60, history.between, most=60)
        plain = Rolling(Grouping.FILE, 40)
        plain.move_to(60, history.between, floor=rolling.start)
        assert rolling.length_ns == plain.length_ns == (60 - rolling.start) * 10**9
        assert [(r.identity, r.total_ns, r.max_ns) for r in rolling.rows()] == [
            (r.identity, r.total_ns, r.max_ns) for r in plain.rows()
        ]
        starts.append(rolling.start)
    assert starts[-1] == 20
    assert len(starts) > 5
    assert all(late < early for early, late in pairwise(starts))


def test_a_window_over_less_than_it_wants_is_whole_too() -> None:
    history = History(capacity=10)
    for _ in range(30):
        history.append(second(random.Random(1), 5))
    rolling = Rolling(Grouping.FILE, 25)
    rolling.move_to(30, history.between, most=10**6)
    assert rolling.whole
    assert (rolling.start, rolling.end) == (20, 30)


def test_names_that_the_history_let_go_of_are_not_kept_in_a_window_either() -> None:
    """Else a window of five minutes would hold all names of a flood, whatever the bound of the history."""
    dice = random.Random(7)
    history, rolling = History(keep_details=60), Rolling(Grouping.FILE, 40)
    for _ in range(100):
        history.append(second(dice, 500))
        rolling.move_to(history.end, history.between)
        held = history.between(rolling.start, rolling.end)
        plain = rows(held, Grouping.FILE, rolling.start, 40)
        told = [
            [(r.identity, r.total_ns, r.max_ns, r.last) for r in found] for found in (rolling.rows(), plain)
        ]
        assert told[0] == told[1]
    assert any(row.identity == ("tank", SUMMED) for row in rolling.rows())
