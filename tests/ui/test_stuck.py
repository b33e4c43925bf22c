"""A call that has not returned says who waits where, and never runs over the edge."""

from __future__ import annotations

import pytest
from fake_feed import key

from zfstop.model.history import InFlight
from zfstop.ui.stuck import stuck_lines

CALL = InFlight(
    key("fsync", 2431, "postgres", "tank/pg", "pg_wal/0001", where="lxc:db"), 2431, 4_200_000_000, None, None,
    "zil_commit",
)  # fmt: skip


def text(width: int) -> str:
    (line,) = stuck_lines((CALL,), width, 1)
    return "".join(part for part, _ in line)


def test_a_wide_screen_says_where_the_caller_is() -> None:
    wanted = " STUCK 1   4.20s fsync postgres/2431 lxc:db tank/pg:pg_wal/0001  in zil_commit"
    assert text(120).rstrip() == wanted
    assert text(80).rstrip() == wanted.replace(" lxc:db", "")


@pytest.mark.parametrize("width", [20, 40, 80, 99, 100, 120, 200])
def test_it_fits(width: int) -> None:
    assert len(text(width)) <= width
