"""Times and sizes, both ways: ``10ms`` <-> 10_000_000 ns, ``128K`` <-> 131072 bytes.

Inside the program every time is an int of nanoseconds and every size an int of bytes; a unit is put on only
where somebody reads it.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

from zfstop.text import fit, visible

NS_PER_S = 1_000_000_000
_TIME_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": NS_PER_S,
               "m": 60 * NS_PER_S, "min": 60 * NS_PER_S, "h": 3600 * NS_PER_S}  # fmt: skip
_NUMBER = re.compile(r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})\s*([a-zµμ]*)", re.ASCII | re.IGNORECASE)
LONGEST_NS = 24 * 3600 * NS_PER_S


def parse_time(text: str, default_unit: str) -> int:
    """``"250us"`` -> 250000. A bare number is in ``default_unit``; less than a nanosecond is one, not 0 ("all").

    Raises ValueError with a sentence for anything that is not a time of at most one day.
    """
    match = _NUMBER.fullmatch(text.strip().lower().replace("µ", "u").replace("μ", "u"))
    if match is None or (match[2] or default_unit) not in _TIME_UNITS:
        raise ValueError(
            f"'{_quoted(text)}' is not a time; write a number with a unit, such as 250us, 10ms or 1s"
        )
    exact = Decimal(match[1]) * _TIME_UNITS[match[2] or default_unit]
    if exact > LONGEST_NS:
        raise ValueError(f"'{_quoted(text)}' is longer than a day")
    return int(exact.to_integral_value(ROUND_CEILING))


def parse_share(text: str) -> float:
    """``"2%"`` or ``"2"`` -> 0.02, of one CPU. Raises ValueError with a sentence."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})\s*%?", text.strip(), re.ASCII)
    if match is None or not float(match[1]):
        raise ValueError(f"'{_quoted(text)}' is not a share of a CPU; write a percentage such as 2% or 0.5%")
    return float(match[1]) / 100


def _quoted(text: str) -> str:
    return fit(visible(text[:40]), 40).rstrip()


def format_time(ns: float) -> str:
    """Three significant digits with a unit, at most 6 characters: ``999ns 1.23us 45.6ms 7.89s 12m34s 3h05m 9d03h``."""
    ns = max(0, round(ns))
    if ns == 0:
        return "0"
    if ns < 1000:
        return f"{ns}ns"
    for unit, scale in (("us", 1_000), ("ms", 1_000_000), ("s", NS_PER_S)):
        value = ns / scale
        if value < 999.5 and not (unit == "s" and value >= 99.95):
            return _three_digits(value) + unit
    return _long_time(round(ns / NS_PER_S))


def _long_time(seconds: int) -> str:
    if seconds < 6000:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    minutes = seconds // 60
    if minutes < 6000:
        return f"{minutes // 60}h{minutes % 60:02d}m"
    days, hours = divmod(minutes // 60, 24)
    return f"{days}d{hours:02d}h" if days < 100 else f"{min(days, 99999)}d"


def format_threshold(ns: int) -> str:
    """A threshold as people type it: ``10ms``, ``250us``, ``0``: no digits that are not needed."""
    if ns == 0:
        return "0"
    for unit, scale in (("s", NS_PER_S), ("ms", 1_000_000), ("us", 1_000)):
        if ns >= scale:
            return (
                f"{Decimal(ns) / scale:f}".rstrip("0").rstrip(".") + unit
                if ns % scale
                else f"{ns // scale}{unit}"
            )
    return f"{ns}ns"


def format_size(size: float) -> str:
    """Base 1024, at most 5 characters: ``512``, ``4K``, ``1.5M``, ``128K``, ``1023K``."""
    if size < 1023.5:
        return str(round(size))
    for unit in "KMGTPE":
        size /= 1024
        if size < 1023.5 or unit == "E":
            break
    return (f"{size:.1f}" if size < 9.95 else f"{size:.0f}").removesuffix(".0") + unit


def format_rate(per_second: float) -> str:
    """Events per second in at most five characters: ``0``, ``0.02``, ``3.1``, ``412``, ``21.4k``, ``1.2M``."""
    if per_second <= 0:
        return "0"
    if per_second < 0.995:
        return f"{max(per_second, 0.01):.2f}"
    if per_second < 99.95:
        return f"{per_second:.1f}"
    if per_second < 999.5:
        return f"{per_second:.0f}"
    for unit in "kMG":
        per_second /= 1000
        if per_second < 999.5:
            return _three_digits(per_second) + unit
    return "999G+"


def _three_digits(value: float) -> str:
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


_STEPS = (1, 2, 5)


def step_threshold(ns: int, up: bool) -> int:
    """The next value of the 1-2-5 series above or below ``ns``: 0, 1us, 2us, 5us, ... 10ms, 20ms, ... 100s."""
    ladder: list[int] = [0] + [step * 10**power for power in range(3, 11) for step in _STEPS] + [10**11]
    if up:
        return next((value for value in ladder if value > ns), ladder[-1])
    return next((value for value in reversed(ladder) if value < ns), 0)
