"""The books balance to the call when nothing moves, and what is said to be wrong is wrong whenever it is read."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.books import PLACES, Books, books, by_operation, sentence, together
from zfstop.model.history import History, Second
from zfstop.model.state import Controls, Counts

COUNTS = st.builds(Counts, *[st.integers(0, 50)] * len(Counts._fields))
VERDICTS = ("seen", "below", "filtered_dev", "lost", "rejected", "queued")
#: What the programs of one call count, one tuple a program, in their order.
FATES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("entered", "filtered"), ("returned", "unmatched")),
    (("entered", "full"), ("returned", "unmatched")),
    (("entered",), ("missed",)),
    (("entered",),),
    *((("entered",), ("returned", verdict)) for verdict in VERDICTS),
)
LEAK = (("entered",), ("returned",))
TWICE = (("entered",), ("returned", "seen", "below"))


def happen(calls: list[tuple[tuple[str, ...], ...]], dice: random.Random) -> list[str]:
    """What is counted, in order: the calls run side by side, each in its own order."""
    threads = [[name for program in call for name in program] for call in calls]
    order: list[str] = []
    while threads := [thread for thread in threads if thread]:
        order.append(dice.choice(threads).pop(0))
    return order


def read(order: list[str], first: int, dice: random.Random) -> Counts:
    """Each counter at a moment of its own, none before ``first``."""
    return Counts(
        **{name: Counter(order[: dice.randint(first, len(order))])[name] for name in Counts._fields}
    )


FATE_LISTS = st.lists(st.sampled_from(FATES), max_size=30)


@given(FATE_LISTS, FATE_LISTS, st.randoms(use_true_random=False))
def test_books_that_are_right_are_never_called_wrong(
    one: list[tuple[tuple[str, ...], ...]], other: list[tuple[tuple[str, ...], ...]], dice: random.Random
) -> None:
    """Calls that enter before the first read and return after it are in both halves."""
    early = happen([*one, *[(("entered",),)] * len(other)], dice)
    late = happen([tuple(program for program in call[1:]) for call in other], dice)
    for call in other:  # the entry of a call may have counted more than that it entered
        early += call[0][1:]
    before, now = read(early, 0, dice), read(early + late, len(early), dice)
    assert books(before, now).wrong == 0


@given(FATE_LISTS, st.integers(0, 3), st.integers(0, 3), st.randoms(use_true_random=False))
def test_once_nothing_moves_the_books_are_exact(
    calls: list[tuple[tuple[str, ...], ...]], leaks: int, twice: int, dice: random.Random
) -> None:
    order = happen([*calls, *[LEAK] * leaks, *[TWICE] * twice], dice)
    still = Counts(**Counter(order))
    found = books(still, still)
    assert found.difference == found.wrong == leaks - twice
    assert found.issued == len(calls) + leaks + twice
    assert found.in_flight == sum(call == (("entered",),) for call in calls)


@given(FATE_LISTS, st.integers(1, 40), st.randoms(use_true_random=False))
def test_a_leak_larger_than_what_moves_is_found_while_calls_go_on(
    moving: list[tuple[tuple[str, ...], ...]], more: int, dice: random.Random
) -> None:
    leaked = happen([LEAK] * (len(moving) + more), dice)
    order = leaked + happen(moving, dice)
    found = books(read(leaked, len(leaked), dice), read(order, len(leaked), dice))
    assert more <= found.wrong <= len(moving) + more


@given(COUNTS)
def test_a_difference_between_two_equal_reads_is_always_wrong(counts: Counts) -> None:
    found = books(counts, counts)
    assert found.wrong or not found.difference


@given(st.lists(st.tuples(COUNTS, COUNTS), max_size=4))
def test_together_adds_up_and_keeps_the_larger_trouble(pairs: list[tuple[Counts, Counts]]) -> None:
    parts = [books(*pair) for pair in pairs]
    whole = together(parts)
    for place in ("issued", *PLACES, "difference"):
        assert getattr(whole, place) == sum(getattr(part, place) for part in parts)
    assert abs(whole.wrong) == max((abs(part.wrong) for part in parts), default=0)


def test_the_history_keeps_the_books_of_each_probe_since_it_was_attached() -> None:
    history = History(capacity=1)

    def append(*slots: Counts) -> None:
        history.append(Second(0.0, 0, 10**9, Controls(), slots=slots))

    append(Counts(entered=5, returned=4, below=4))
    append(Counts(entered=1, returned=2, below=1))
    append(Counts())
    assert history.books() == (Books(issued=6, below=5, wrong=1),)
    history.clear_slots()
    assert history.books() == ()
    append(Counts(entered=3, filtered=1, filtered_dev=1, returned=1))
    assert history.books() == (Books(issued=3, filtered=2, in_flight=1),)


def test_the_books_are_told_in_one_line_with_what_is_wrong() -> None:
    found = by_operation(
        ("read", "open", "read"), (Books(7, 2, 4, wrong=1), Books(3, in_flight=3), Books(2, 2))
    )
    assert found == {"read": Books(9, 4, 4, wrong=1), "open": Books(3, in_flight=3)}
    assert sentence(together(found.values())) == (
        "issued 12 = seen 4 + below 4 + in flight 3; WRONG: 1 call in no place"
    )
    assert sentence(Books(1000, below=999)) == "issued 1,000 = below 999 +1 counted meanwhile"
    assert sentence(Books()) == "issued 0 = 0"
