"""Waits in words and letters say what the figures say, whatever those are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.waits import CAUSES, Waits
from zfstop.why import BAR_CELLS, LETTERS, UNKNOWN, breakdown, fit_why, letters, per_cent, why

WAITS = st.lists(st.integers(0, 10**12) | st.integers(0, 3), min_size=9, max_size=9).map(
    lambda ns: Waits(*ns)
)


def test_each_cause_has_a_letter_of_its_own() -> None:
    assert tuple(LETTERS) == CAUSES
    assert len(set(LETTERS.values())) == len(CAUSES)


@given(WAITS)
def test_a_bar_is_as_long_as_it_should_be_and_none_is_a_cell_off(waits: Waits) -> None:
    bar = letters(waits)
    if not waits.total:
        assert bar == UNKNOWN
        return
    assert len(bar) == BAR_CELLS
    assert [*bar] == sorted(bar, key=[*LETTERS.values()].index)
    for cause, ns in waits._asdict().items():
        assert abs(bar.count(LETTERS[cause]) - ns / waits.total * BAR_CELLS) < 1


@given(WAITS)
def test_the_word_is_the_largest_share_and_its_figure_is_less_than_a_per_cent_off(waits: Waits) -> None:
    if not waits.total:
        assert why(waits) == UNKNOWN
        return
    cause, figure = why(waits).removesuffix("%").split()
    assert getattr(waits, cause) == max(waits)
    assert abs(int(figure) - max(waits) / waits.total * 100) < 1
    assert len(why(waits)) <= 13


def test_only_everything_is_all_of_it_and_only_nothing_is_none() -> None:
    assert [per_cent(share) for share in (0, 1e-9, 0.004, 0.996, 1 - 1e-9, 1)] == [0, 1, 1, 99, 99, 100]


def test_where_nobody_looked_nothing_is_said() -> None:
    assert (why(None), letters(None)) == (UNKNOWN, UNKNOWN)
    assert why(Waits(zil=93, cpu=7)) == "zil 93%"
    assert letters(Waits(disk=40, zil=25, lock=15, runqueue=20), 8) == "DDDZZLrr"


def test_in_nine_cells_every_cause_and_figure_is_there() -> None:
    assert [fit_why(f"throttle {figure}%", width) for figure, width in ((93, 13), (93, 9), (100, 9))] == [
        "throttle 93% ", "thrtl 93%", "thrtl 100",
    ]  # fmt: skip
    short = {fit_why(f"{cause} 100%", 9).split()[0] for cause in CAUSES}
    assert len(short) == len(CAUSES)
    assert all(fit_why(f"{cause} 100%", 9).split()[1].removesuffix("%") == "100" for cause in CAUSES)


@given(WAITS, st.integers(0, 10**13))
def test_the_breakdown_has_every_cause_that_took_time_and_what_nobody_saw(waits: Waits, more: int) -> None:
    total = waits.total + more
    found = breakdown(waits, total)
    named = [cause for _, cause, *_ in found]
    assert {cause for cause, ns in waits._asdict().items() if ns} == {*named} - {"not seen"}
    assert ("not seen" in named) == (more > total * 0.01)
    assert all(len(bar) <= 20 for *_, bar in found)
    sizes = [len(bar) for *_, bar in found]
    assert sizes == sorted(sizes, reverse=True)


def test_the_breakdown_in_words() -> None:
    assert breakdown(Waits(zil=930_000, cpu=60_000, lock=1_000), 991_000) == [
        ("Z", "zil", "930us", "94%", "Z" * 19), ("c", "cpu", "60.0us", "6%", "c"), ("L", "lock", "1.00us", "<1%", ""),
    ]  # fmt: skip
