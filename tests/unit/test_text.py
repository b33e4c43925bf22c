"""No name can act on a terminal, and every cell is counted as the screen counts it."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len, get_character_cell_size

from zfstop.text import cell_width, fit, fit_path, visible

NAMES = st.one_of(st.binary(max_size=80), st.text(max_size=40), st.text(st.characters(), max_size=40))
WIDE = st.text(st.one_of(st.characters(), st.sampled_from("表示ｗ🙂é/…a")), max_size=40).map(visible)
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
ZERO_WIDTH = set("\u00ad\u034f\u180e\u200b\u200c\u200d\u2060\ufeff\ufe0f\u115f\u1160\u3164\uffa0")


def assert_harmless(text: str) -> None:
    for char in set(text):
        assert char == " " or unicodedata.category(char)[0] not in "CZ", f"{char!r} got through"
        assert unicodedata.category(char) not in ("Mn", "Me"), f"{char!r} piles up"
        assert char not in BIDI | ZERO_WIDTH, f"{char!r} got through"
        assert get_character_cell_size(char) > 0, f"{char!r} has no cell"


@pytest.fixture(scope="module")
def everything() -> str:
    """All of Unicode, made visible: every character that can be left."""
    return "".join(sorted(set(visible("".join(map(chr, range(sys.maxunicode + 1)))))))


def test_no_character_of_unicode_gets_through_that_acts_or_hides(everything: str) -> None:
    assert_harmless(everything)


@given(NAMES)
@example(b"\x1b[2J\x9b31m\x7f\x00")
@example(b"\xed\xa0\x80\xff\xfe")
@example("\ud800\udc80\udfff")
def test_what_comes_out_is_harmless_and_stays_as_it_is(raw: bytes | str) -> None:
    text = visible(raw)
    assert_harmless(text)
    text.encode("utf-8")
    assert visible(text) == text


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_ascii_is_left_alone(text: str) -> None:
    assert visible(text) == text == visible(text.encode())


@pytest.mark.parametrize("name", ["naïve", "表示/データ", "Größe", "файл", "καλημέρα", "[red]x[/]", "a\\x1b"])
def test_readable_names_are_left_alone(name: str) -> None:
    assert visible(name.encode()) == visible(name) == name


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"a\nb", "a\\x0ab"),
        (b"\xff", "\\xff"),
        ("\x85", "\\x85"),
        ("\u202eevil", "\\u202eevil"),
        ("e\u0301", "e\\u0301"),
        ("\U000e0041", "\\U000e0041"),
        ("a\u00a0b", "a\\xa0b"),
        ("\u2800", "\\u2800"),
    ],
)
def test_what_is_not_readable_is_spelled_out(raw: bytes | str, shown: str) -> None:
    assert visible(raw) == shown


def test_all_visible_characters_together_are_as_wide_as_each_alone(everything: str) -> None:
    assert cell_width(everything) == sum(map(get_character_cell_size, everything))


@given(WIDE)
def test_width_is_what_the_screen_says(text: str) -> None:
    assert cell_width(text) == cell_len(text) == sum(map(cell_width, text))


@given(WIDE, st.integers(0, 60), st.booleans())
def test_fit_gives_exactly_the_cells_asked_for(text: str, width: int, right: bool) -> None:
    fitted = fit(text, width, right=right)
    assert cell_len(fitted) == width
    if cell_len(text) <= width:
        assert fitted.strip() == text.strip()
    elif width:
        assert "…" in fitted


@given(WIDE, st.integers(0, 60))
def test_a_path_keeps_both_ends_in_exactly_the_cells_asked_for(path: str, width: int) -> None:
    fitted = fit_path(path, width)
    assert cell_len(fitted) == width
    if cell_len(path) <= width:
        assert fitted.startswith(path)


def test_a_long_path_shows_its_start_and_more_of_its_end() -> None:
    assert fit_path("srv/database/base/16384/2619", 16) == "srv/d…16384/2619"


def test_a_right_aligned_cut_still_fills_the_column() -> None:
    assert fit("表示表示", 4, right=True) == " 表…"
