"""Why it was slow: the column, the shares, the breakdown, rows by cause and the sentence, now and back in time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import shown
from fake_feed import MS, FakeFeed, busy_feed, call, calls_feed, key, why_feed, why_second, with_calls

from zfstop.model.heat import NO_LIMIT, Box
from zfstop.model.state import Attached, Rejected
from zfstop.model.waits import CAUSES, Waits
from zfstop.ui.why import Why
from zfstop.zfs.operations import BY_NAME

SENTENCE = "91 % of slow fsync time on tank/pg is intent-log commit"


@pytest.mark.parametrize(("width", "height"), [(70, 20), (80, 24), (120, 40), (200, 60)])
async def test_every_row_tells_why_and_where_nobody_looked_nothing_is_made_up(
    width: int, height: int
) -> None:
    async with shown(why_feed(), width, height) as screen:
        rows = {line.split(":")[0].split()[-1]: line for line in screen.table[1:] if ":" in line}
        assert " zil 91% " in screen.table[1]
        assert any("disk 97%" in line for line in screen.table)
        assert rows or width < 80
        assert SENTENCE in screen.text
        assert ("W opens it" if width >= 80 else "[W]") in screen.text
        if width >= 130:
            assert "ZZZZZZZZZc" in screen.table[1]
            assert "DDDDDDDDDD" in screen.text
        borg = [line for line in screen.table if "borg" in line]
        assert all("%" not in line for line in borg)
        if height >= 24:
            assert any("ZZZZZZZZZc  zil" in line and "91%" in line for line in screen.lines)
        assert ("zil 99%  in zil_commit" if width >= 80 else "  zil 99%") in screen.text  # the call in flight


async def test_where_nobody_looked_there_is_no_sentence_and_no_line_of_waits() -> None:
    async with shown(busy_feed(), 160, 40) as screen:
        assert " WHY " in screen.table[0]
        assert "%" not in "".join(screen.table)
        assert "W opens it" not in screen.text
        await screen.press("W")
        assert "nobody looked where the time went" in screen.text
        assert "No cause explains enough" in screen.text


async def test_the_panel_has_every_cause_and_enter_shows_the_calls_of_the_sentence() -> None:
    async with shown(why_feed(), 120, 60) as screen:
        await screen.press("W")
        assert isinstance(screen.app.screen, Why)
        assert SENTENCE in screen.text
        assert "Enter  shows these calls: op:fsync ds:tank/pg" in screen.text
        assert "The selected row: tank/pg:data/pg_wal" in screen.text
        assert "In flight for 4.20s: fsync by postgres 2440" in screen.text
        assert "All slow write of the last 60 s" in screen.text
        assert "Z  zil" in screen.text
        assert "not seen" in screen.text  # of reads: borg's
        await screen.press("enter")
        assert not isinstance(screen.app.screen, Why)
        assert "/ op:fsync ds:tank/pg" in screen.lines[1]
        assert SENTENCE in screen.text


async def test_the_window_told_is_the_window_shown_where_seconds_were_recorded_late() -> None:
    feed = FakeFeed(replace(why_second(at), length_ns=1400 * MS) for at in range(90))
    async with shown(feed, 120, 60) as screen:
        assert " 60 s [w]" in screen.text
        await screen.press("W")
        assert "All slow fsync of the last 60 s" in screen.text
        await screen.press("escape", "b")
        assert "All calls of the last 60 s" in screen.text


async def test_in_a_box_the_sums_of_operations_are_those_of_the_box() -> None:
    feed = why_feed(40)
    for at in range(40, 50):
        feed.history.append(with_calls([call(key("read", 9, "late"), 900, at)], at))
    async with shown(feed, 120, 60) as screen:
        screen.app.lens.select(Box(40, 50, 0, NO_LIMIT))
        await screen.press("W")
        assert "All slow read of the box" in screen.text
        assert "fsync of the box" not in screen.text


async def test_the_sentence_is_that_of_the_time_looked_at() -> None:
    feed = why_feed(40)
    for at in range(40, 200):
        feed.history.append(with_calls([], at))
    async with shown(feed) as screen:
        assert SENTENCE not in screen.text
        await screen.press("{", "{", "{")
        assert SENTENCE in screen.text
        assert "zil 91%" in screen.text


async def test_rows_by_cause_the_filter_and_the_cell() -> None:
    who = key("fsync", 2431, "postgres", "tank/pg", "base/1")
    zil, disk = Waits(zil=35 * MS, cpu=5 * MS), Waits(disk=50 * MS, other=10 * MS)
    calls = [replace(call(who, 40, 0), waits=zil)] * 3 + [replace(call(who, 60, 0), waits=disk)]
    calls[0] = replace(calls[0], slept_in="cv_wait_sig", tid=98)
    calls.append(call(who, 20, 0))
    async with shown(FakeFeed([with_calls(calls, 0)]), 160, 40) as screen:
        await screen.press(*["g"] * 9)
        assert "by cause" in screen.text
        assert [line.split()[6:9] for line in screen.table[1:4]] == [
            ["zil", "88%", "ZZZZZZZZZc"], ["disk", "83%", "DDDDDDDD??"], ["-", "-", "fsync"],
        ]  # fmt: skip
        assert screen.table[1].startswith(">0.120")
        await screen.press("enter", "enter", "enter", "enter")
        assert "cause zil" in screen.text
        assert sum("40.0ms" in line for line in screen.table) == 3
        assert not any("60.0ms" in line for line in screen.table)
        await screen.press("enter")
        assert "Where the time went" in screen.text
        assert "Z  zil       35.0ms   88%  ZZZZZZ" in screen.text
        assert "slept in        cv_wait_sig" in screen.text
        await screen.press("escape", *["backspace"] * 4)
        await screen.press("down", "f", "enter")
        assert "/ why:disk" in screen.lines[1]
        assert "2 of 3 rows hidden by /" in screen.text
        await screen.press("slash", "ctrl+u", *"why:z", "tab", "enter")
        assert "/ why:zil" in screen.lines[1]
        assert "zil 88%" in screen.table[1]


async def test_the_symbols_tell_what_serves_each_cause_and_what_lacks() -> None:
    feed = calls_feed()
    feed.now_probes = replace(
        feed.now_probes,
        waits=(
            Attached("sleep", "__cv_wait", "spl", "", "kprobe pair"),
            Attached("zil", "zil_commit", "zfs", "", "fentry/fexit"),
        ),
        rejected=(*feed.now_probes.rejected, Rejected("memory", "callers", "none of its functions is here")),
    )
    async with shown(feed, 100, 60) as screen:
        await screen.press("S")
        tried, told = screen.text.split("Tried and not taken")[1].split("Where the time goes")
        assert "memory" not in tried
        assert "sleep  __cv_wait   spl     kprobe pair" in told
        assert "zil    zil_commit  zfs     fentry/fexit" in told
        assert "sleep: whoever asks for it tells the cause" in told
        assert "memory   callers  none of its functions is here" in told


def test_no_operation_has_the_name_of_a_cause() -> None:
    assert not {*CAUSES, "sleep"} & {*BY_NAME}
