"""Names of files and programs are chosen by other users: none of them acts on the terminal of who looks."""

from __future__ import annotations

import random
import unicodedata
from itertools import count

import pytest
from driving import Screen, shown
from fake_feed import MS, FakeFeed, key, second, stats

from zfstop.model.history import Second
from zfstop.text import cell_width, visible

#: Controls, C1, bidi and other format characters, marks without a cell, separators, surrogates, private, unassigned.
_ACTING = ("Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Zl", "Zp")
_PIECES = (
    "\x1b[2J", "\x1b]52;c;eA==\a", "\x9b31m", "\x90", "\r\n", "\t", "\x7f", "\u202e", "\u2066", "\u200b",
    "\ufeff", "e\u0301\u0301", "\u2028", "[bold]", "\ud800", "\U000e0041", "\u115f", "日本", "ÿ",
    "a b", "\U0001f469\u200d\U0001f4bb",
)  # fmt: skip
_WIDTH, _HEIGHT, _PARTS = 420, 900, 14


def hostile(dice: random.Random) -> str:
    """A name as it comes from outside, at most six characters of it odd, let in by the one door there is."""
    pieces = dice.choices(_PIECES, k=dice.randint(1, 2))
    raw = "".join(pieces) + chr(dice.randrange(0x3000)) + f"{dice.randrange(4096):x}"
    return visible(raw.encode("utf-8", "surrogatepass") if dice.random() < 0.5 else raw)


def crowd(number: int, rows: int) -> tuple[Second, int]:
    """``rows`` files whose every name is hostile, and how many names that are."""
    dice, names, groups = random.Random(number), 0, []
    for pid in range(rows):
        path = "/".join(hostile(dice) for _ in range(_PARTS - 3))
        who = key(
            pid=pid + 1, comm=hostile(dice), dataset=f"tank/{hostile(dice)}", path=path, where=hostile(dice)
        )
        groups.append((who, stats(20 * MS + pid)))
        names += _PARTS
    return second(groups), names


def acting(screen: Screen) -> set[str]:
    return {char for char in set(screen.text) - {"\n"} if unicodedata.category(char) in _ACTING}


async def test_of_100_000_hostile_names_none_acts_in_any_frame() -> None:
    """Every one is painted once, on a terminal large enough for hundreds of rows at a time."""
    painted = names = 0
    for number in count():
        found, more = crowd(number, 1200)
        async with shown(FakeFeed([found]), _WIDTH, _HEIGHT) as screen:
            seen = 0
            while seen < 1200:
                assert acting(screen) == set()
                assert {cell_width(line) for line in screen.lines} == {_WIDTH}
                seen += screen.app.main.table.size.height - 2
                await screen.press("pagedown")
        painted, names = painted + seen, names + more
        if names >= 100_000:
            break
    assert painted >= 100_000 // _PARTS


@pytest.mark.parametrize("width", [60, 80, 200])
async def test_wherever_names_are_told_none_acts(width: int) -> None:
    """The details of a row, filters, their completion, one call, what stands above the table."""
    found, _ = crowd(7, 60)
    keys = (
        *(
            "down",
            "down",
            "f",
            "escape",
            "!",
            "enter",
            "x",
            "slash",
            "p",
            "a",
            "t",
            "h",
            ":",
            "tab",
            "escape",
            "g",
            "g",
        ),
        *("enter", "g", "g", "g", "g", "g", "backspace", "W", "escape", "O", "escape", "y", "A", "B"),
    )
    async with shown(FakeFeed([found]), width, 30) as screen:
        for name in keys:
            await screen.press(name)
            assert acting(screen) == set(), name
            assert {cell_width(line) for line in screen.lines} == {width}
        assert not [char for char in screen.app.clipboard if unicodedata.category(char) in _ACTING]
