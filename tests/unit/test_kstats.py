"""Kstats become numbers; a missing key costs a field, and no text whatever does harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.zfs_state import Figures, Txg
from zfstop.zfs.kstats import Limits, figures, parse_named, parse_number, parse_state, parse_txgs, risen

#: OpenZFS 2.3.9, shortened.
ZIL = b"""23 1 0x01 20 5440 28881349653 53423495144
name                            type data
zil_commit_count                4    17
zil_commit_writer_count         4    1
dataset_name                    7    tank/a b
below                           3    -5
"""
TXGS = b"""txg  birth  state ndirty  nread  nwritten  reads  writes  otime  qtime  wtime  stime
13  33640735194  C  0  0  87040  0  35  128204234  35883  7138426  27207413
14  33768939428  C  37553664  7  36183552  0  327  3543466524  36524  15758463  1061704683
15  37312405952  S  0  0  0  0  0  3251102540  20090  109068  0
16  40563508492  O  0  0  0  0  0  0  0  0  0
"""
LINES = TXGS.split(b"\n")


def test_a_named_kstat_becomes_its_numbers() -> None:
    assert parse_named(ZIL) == {"zil_commit_count": 17, "zil_commit_writer_count": 1, "below": -5}


def test_txgs_become_lines_and_bytes_are_told_only_of_committed_ones() -> None:
    assert parse_txgs(TXGS) == (
        Txg(13, "C", 33640735194, 128204234, 35883, 7138426, 27207413, 0, 0, 87040),
        Txg(14, "C", 33768939428, 3543466524, 36524, 15758463, 1061704683, 37553664, 7, 36183552),
        Txg(15, "S", 37312405952, 3251102540, 20090, 109068, 0),
        Txg(16, "O", 40563508492),
    )


def test_only_the_newest_txgs_are_taken() -> None:
    assert [txg.number for txg in parse_txgs(TXGS, most=2)] == [15, 16]


def test_a_column_of_bytes_that_is_missing_costs_that_figure_only() -> None:
    without = b"\n".join(b" ".join(word for at, word in enumerate(line.split()) if at != 3) for line in LINES)
    found = parse_txgs(without)
    assert [txg.dirty for txg in found] == [None] * 4
    assert [txg._replace(dirty=None) for txg in parse_txgs(TXGS)] == list(found)


def test_columns_may_stand_in_another_order() -> None:
    turned = b"\n".join(b" ".join(reversed(line.split())) for line in LINES)
    assert parse_txgs(turned) == ()  # the head is known by its first word
    moved = b"\n".join(b" ".join([*line.split()[:1], *reversed(line.split()[1:])]) for line in LINES)
    assert parse_txgs(moved) == parse_txgs(TXGS)


@pytest.mark.parametrize(
    "line",
    [
        b"17 x C 0 0 0 0 0 0 0 0 0",
        b"17 1 C 0 0 0",
        b"17 1 ? 0 0 0 0 0 0 0 0 0",
        b"17 -1 O 0 0 0 0 0 0 0 0 0",
        b"17 99999999999999999999 O 0 0 0 0 0 0 0 0 0",
    ],
)
def test_a_line_that_says_not_when_is_left_out(line: bytes) -> None:
    assert parse_txgs(TXGS + line + b"\n") == parse_txgs(TXGS)


def test_no_history_is_no_txgs() -> None:
    assert parse_txgs(b"") == parse_txgs(LINES[0]) == parse_txgs(b"\n".join(LINES[1:])) == ()


def test_figures_are_differences_of_counts_and_values_of_sizes() -> None:
    before = {"zil": {"zil_commit_count": 10}, "arcstats": {"hits": 1, "misses": 2, "size": 5}}
    now = {
        "zil": {"zil_commit_count": 17},
        "arcstats": {"hits": 91, "misses": 12, "size": 7, "c": 8, "c_max": 9},
        "dmu_tx": {"dmu_tx_dirty_delay": 4},
    }
    found = figures(Limits(1000, 60, 100, 5), before, now)
    assert found == Figures(
        dirty_max=1000, delay_percent=60, txg_history=100, txg_timeout=5, zil_commits=7,
        arc_size=7, arc_target=8, arc_max=9, arc_hits=90, arc_misses=10,
    )  # fmt: skip
    assert found.delay_bytes == 600
    assert found.hit_ratio == 0.9


def test_nothing_read_is_nothing_known() -> None:
    assert figures(Limits(), {}, {}) == Figures()
    assert Figures().delay_bytes is Figures().hit_ratio is Figures(arc_hits=0, arc_misses=0).hit_ratio is None


def test_a_count_that_began_anew_tells_nothing() -> None:
    assert risen(10, 9) is None
    assert risen(10, 10) == 0


def test_one_number_and_one_word() -> None:
    assert parse_number(b"411231436\n") == 411231436
    assert parse_number(b"4 5\n") is parse_number(b"") is parse_number(b"\xff") is None
    assert parse_state(b"SUSPENDED\n") == "SUSPENDED"
    assert parse_state(b"") == ""


#: Words a kstat is made of, and what is in none.
WORDS = st.sampled_from(
    [*LINES[0].split(), *LINES[2].split(), b"4", b"-", b"\x1b[2J", b"9" * 30, "\u202e".encode()]
)
TEXTS = st.binary(max_size=300) | st.lists(
    st.lists(WORDS, max_size=14).map(b" ".join), max_size=6
).map(lambda lines: b"\n".join([LINES[0], *lines]))  # fmt: skip


@given(TEXTS)
def test_hostile_text_does_no_harm(text: bytes) -> None:
    for txg in parse_txgs(text):
        assert txg.state in "BOQWSC"
        assert all(0 <= figure < 2**63 for figure in txg[2:] if figure is not None)
    assert all(name.isprintable() for name in parse_named(text))
    assert parse_state(text).isprintable()
    parse_number(text)
    numbers = {"arcstats": {"hits": -5, "size": -1, "c": 2**70}}
    assert figures(Limits(-1, 2**64, None, 5), numbers, numbers) == Figures(txg_timeout=5, arc_hits=0)
