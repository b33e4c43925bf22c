"""The chart has one scale for ever: two pictures of it can be compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.latency import Point
from zfstop.ui.bands import CHART_HEIGHTS, band, edges, level, trend_bar
from zfstop.ui.chart import chart_lines, scale_width
from zfstop.ui.columns import format_wait

MS = 1_000_000
heights = pytest.mark.parametrize("height", CHART_HEIGHTS)


def drawn(points: list[Point], height: int = 4, width: int = 40) -> list[str]:
    lines = ["".join(text for text, _ in line) for line in chart_lines(tuple(points), width, height, 10 * MS)]
    assert {len(line) for line in lines} == {width}
    return [line[scale_width(height) :] for line in lines]


@heights
def test_flat_500_ms_and_flat_100_us_look_different(height: int) -> None:
    slow = drawn([Point(5, 500 * MS, 500 * MS)] * 20, height)
    fast = drawn([Point(5, MS // 10, MS // 10)] * 20, height)
    assert slow != fast


@heights
def test_a_second_without_slow_operations_is_blank_and_a_low_one_is_not(height: int) -> None:
    picture = drawn([Point(), Point(1, 1, 1)], height)
    assert {line[-2] for line in picture} == {" "}
    assert picture[-1][-1] != " "


@heights
def test_newest_is_right(height: int) -> None:
    picture = drawn([Point()] * 30 + [Point(1, MS, MS)], height)
    assert [line.rstrip() != "" for line in picture][-1]
    assert picture[-1][:-1].strip() == ""


def test_a_maximum_far_above_p99_is_told_from_a_p99_as_high() -> None:
    assert drawn([Point(200, 20 * MS, 900 * MS)]) != drawn([Point(200, 900 * MS, 900 * MS)])
    top = [line[-1] for line in drawn([Point(200, 20 * MS, 900 * MS)])]
    assert top[1] in "─▔"


@heights
def test_every_row_is_labelled_with_its_lower_edge_and_unit(height: int) -> None:
    lines = ["".join(text for text, _ in line) for line in chart_lines((), 30, height, 10 * MS)]
    assert all(any(unit in line[: scale_width(height)] for unit in ("us", "ms", "s")) for line in lines)


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.sampled_from(CHART_HEIGHTS))
def test_longer_is_never_drawn_lower(one: int, other: int, height: int) -> None:
    low, high = sorted((one, other))
    assert 0 <= level(low, height) <= level(high, height) <= height


@heights
def test_edges_rise_from_1_us_to_100_s(height: int) -> None:
    found = edges(height)
    assert len(found) == height + 1
    assert list(found) == sorted(set(found))
    assert (found[0], found[-1]) == (1_000, 100 * 10**9)


def test_three_bands_follow_the_threshold() -> None:
    assert [band(ms * MS, 10 * MS) for ms in (9, 10, 99, 100)] == ["cool", "warm", "warm", "hot"]
    assert band(5 * MS, 0) == "warm"


def test_a_trend_tells_nothing_from_little() -> None:
    assert trend_bar(0) == " "
    assert [trend_bar(waited) for waited in (0.0001, 0.02, 0.5, 9)] == ["▁", "▃", "▆", "█"]


@pytest.mark.parametrize(
    ("waited", "text"),
    [
        (0, "0.000"),
        (0.0001, "<.001"),
        (0.0306, "0.031"),
        (3.1021, "3.102"),
        (12.4, "12.40"),
        (123.44, "123.4"),
    ],
)
def test_wait_fits_its_column(waited: float, text: str) -> None:
    assert format_wait(waited) == text
