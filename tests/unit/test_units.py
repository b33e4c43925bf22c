"""A time means the same when it is read back, fits its column, and nothing hostile becomes a time."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zfstop.units import (
    LONGEST_NS,
    NS_PER_S,
    format_rate,
    format_size,
    format_threshold,
    format_time,
    parse_time,
    step_threshold,
)

TIMES = st.integers(0, 2**64) | st.integers(0, 64).map(lambda bits: 1 << bits) | st.floats(0, 1e22)


def ladder() -> list[int]:
    steps, value = [0], 0
    while (value := step_threshold(value, True)) != steps[-1]:
        steps.append(value)
    return steps


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("250us", 250_000),
        ("250µs", 250_000),
        ("250 μs", 250_000),
        (" 10MS ", 10_000_000),
        ("1.5s", 1_500_000_000),
        (".5ms", 500_000),
        ("3", 3_000_000),
        ("0", 0),
        ("2min", 120 * NS_PER_S),
        ("24h", LONGEST_NS),
        ("0.1ns", 1),
    ],
)
def test_a_time_is_read_as_it_is_meant(text: str, ns: int) -> None:
    assert parse_time(text, "ms") == ns


@given(st.text(max_size=60))
@example("1e9s")
@example("-5ms")
@example("nan")
@example("٣ms")
@example("1_000ms")
@example("9" * 5000)
@example("1ms\n\x1b[2J")
@example("25h")
@example("Ⅳs")
def test_other_text_is_refused_in_a_harmless_sentence(text: str) -> None:
    said, ns = "", 0
    try:
        ns = parse_time(text, "ms")
    except ValueError as error:
        said = str(error)
    assert 0 <= ns <= LONGEST_NS
    assert said.isprintable()
    assert len(said) < 200


@pytest.mark.parametrize("ns", ladder())
def test_every_step_of_the_ladder_is_read_back_exactly(ns: int) -> None:
    assert parse_time(format_threshold(ns), "ms") == ns
    assert len(format_threshold(ns)) <= 5


@given(st.integers(0, LONGEST_NS))
def test_every_threshold_is_read_back_exactly(ns: int) -> None:
    assert parse_time(format_threshold(ns), "ms") == ns


def test_the_ladder_goes_1_2_5_from_all_to_100_s_and_back() -> None:
    steps = ladder()
    assert steps[:5] == [0, 1_000, 2_000, 5_000, 10_000]
    assert steps[-1] == 100 * NS_PER_S
    assert [step_threshold(ns, False) for ns in steps[1:]] == steps[:-1]
    assert step_threshold(0, False) == 0


@given(st.integers(0, 10**12), st.booleans())
def test_a_step_always_moves_until_the_end_of_the_ladder(ns: int, up: bool) -> None:
    after = step_threshold(ns, up)
    assert after > ns or ns >= 10**11 if up else after < ns or ns == 0


@given(TIMES)
@example(999.5e3)
@example(99.95e9)
@example(359_999 * 10**9)
def test_a_time_takes_at_most_6_characters(ns: float) -> None:
    assert 1 <= len(format_time(ns)) <= 6


@given(st.integers(1, 999 * NS_PER_S // 10))
def test_a_shown_time_is_at_most_half_a_percent_off(ns: int) -> None:
    assert abs(parse_time(format_time(ns), "ns") - ns) <= ns * 0.005 + 0.5


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (0, "0"),
        (999, "999ns"),
        (1234, "1.23us"),
        (45_600_000, "45.6ms"),
        (7_890_000_000, "7.89s"),
        (100 * NS_PER_S, "1m40s"),
        (754 * NS_PER_S, "12m34s"),
        (11_100 * NS_PER_S, "3h05m"),
        (9 * 86400 * NS_PER_S + 3 * 3600 * NS_PER_S, "9d03h"),
        (400 * 86400 * NS_PER_S, "400d"),
    ],
)
def test_times_as_documented(ns: int, shown: str) -> None:
    assert format_time(ns) == shown


@given(st.integers(0, 2**64) | st.floats(0, 2**64))
@example(1023.9)
@example(1024 * 1023.97)
def test_a_size_takes_at_most_5_characters(size: float) -> None:
    assert 1 <= len(format_size(size)) <= 5
    assert not format_size(size).startswith("1024")


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0"), (512, "512"), (4096, "4K"), (1572864, "1.5M"), (131072, "128K")]
)
def test_sizes_as_documented(size: int, shown: str) -> None:
    assert format_size(size) == shown


@given(st.floats(-1, 1e15))
def test_a_rate_takes_at_most_5_characters_and_only_none_is_0(rate: float) -> None:
    assert 1 <= len(format_rate(rate)) <= 5
    assert (format_rate(rate) == "0") == (rate <= 0)
