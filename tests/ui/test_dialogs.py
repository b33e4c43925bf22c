"""Changing what is measured: threshold, processes, datasets."""

from __future__ import annotations

import os

import pytest
from driving import shown
from fake_feed import FakeFeed, busy_feed

from zfstop.errors import Exit, UserError
from zfstop.model.state import Controls, Phase, Status
from zfstop.ui.dialogs import Ask, Choose, parse_pids


async def test_plus_equals_and_minus_step_the_threshold_1_2_5() -> None:
    feed = busy_feed()
    async with shown(feed) as screen:
        values = []
        for name in ("+", "=", "-", "-", "-"):
            await screen.press(name)
            values.append(feed.controls().threshold_ns // 1_000_000)
        assert values == [20, 50, 20, 10, 5]
        assert "slow >= 5ms" in screen.text


async def test_a_threshold_can_be_typed_with_its_unit() -> None:
    feed = FakeFeed()
    async with shown(feed) as screen:
        for typed, ns in (
            ("250us", 250_000),
            ("10ms", 10_000_000),
            ("1s", 10**9),
            ("0", 0),
            ("7", 7_000_000),
        ):
            await screen.press("t")
            await screen.type(typed)
            assert feed.controls().threshold_ns == ns
            assert not isinstance(screen.app.screen, Ask)


async def test_a_bad_threshold_gets_one_sentence_and_the_input_stays() -> None:
    feed = FakeFeed()
    async with shown(feed) as screen:
        await screen.press("t")
        for typed in ("", "x", "10 parsecs", "-1", "9999h", "[b]"):
            await screen.type(typed)
            assert isinstance(screen.app.screen, Ask)
            assert f"'{typed}' is" in screen.text
            assert feed.controls() == Controls()


async def test_what_the_feed_refuses_is_said_and_the_input_stays() -> None:
    feed = busy_feed()
    feed.refuse = UserError(Exit.USAGE, "the recording holds nothing below 10ms", "choose 10ms or more")
    async with shown(feed) as screen:
        await screen.press("t")
        await screen.type("1ms")
        assert isinstance(screen.app.screen, Ask)
        assert "the recording holds nothing below 10ms. choose 10ms or more" in screen.text
        await screen.press("escape", "-")
        assert "the recording holds nothing below" in await screen.toast()


async def test_processes_can_be_chosen_are_shown_and_cleared_with_one_key() -> None:
    feed = busy_feed()
    async with shown(feed) as screen:
        await screen.press("P")
        await screen.type("2431, 12")
        assert feed.controls().pids == {12, 2431}
        assert "pid 12,2431" in screen.text
        await screen.press("x")
        assert feed.controls() == Controls()
        assert "pid all" in screen.text


async def test_a_bad_pid_gets_one_sentence() -> None:
    feed = FakeFeed()
    async with shown(feed) as screen:
        await screen.press("P")
        for typed, named in (
            ("abc", "abc"),
            ("0", "0"),
            ("-5", "-5"),
            ("12,x", "x"),
            ("99999999",) * 2,
            ("²",) * 2,
        ):
            await screen.type(typed)
            assert f"'{named}' is not a process number" in screen.text
            assert feed.controls() == Controls()


@pytest.mark.parametrize(("phase", "warned"), [(Phase.LIVE, True), (Phase.DEMO, False)])
async def test_a_process_that_is_not_there_is_waited_for(phase: Phase, warned: bool) -> None:
    feed = busy_feed()
    feed.now_status = Status(phase)
    absent = next(pid for pid in range(4_000_000, 4_194_304) if not os.path.exists(f"/proc/{pid}"))
    async with shown(feed) as screen:
        await screen.press("P")
        await screen.type(f"{absent},{os.getpid()}")
        assert feed.controls().pids == {absent, os.getpid()}
        if warned:
            assert f"no process {absent} now; waiting for it" in await screen.toast()
        else:
            assert not screen.app._notifications


async def test_pools_come_first_and_several_can_be_marked() -> None:
    feed = busy_feed()
    async with shown(feed) as screen:
        await screen.press("O")
        listed = [line.split("] ")[1].split("  ")[0].strip("│ ") for line in screen.lines if "[ ]" in line]
        assert listed == ["rpool", "tank", "rpool/log", "tank/bak", "tank/data", "tank/pg"]
        await screen.press("space", "j", "j", "j", "space", "enter")
        assert feed.controls().datasets == {"rpool", "tank/bak"}
        assert "pool rpool,tank/bak" in screen.text


async def test_a_chosen_dataset_that_is_gone_can_be_unmarked() -> None:
    feed = busy_feed()
    feed.now_controls = Controls(datasets=frozenset({"old/pool"}))
    async with shown(feed) as screen:
        await screen.press("O")
        assert "[x] old/pool" in screen.text
        await screen.press("end", "space", "enter")
        assert feed.controls() == Controls()


async def test_a_refused_choice_keeps_the_list_open() -> None:
    feed = busy_feed()
    feed.refuse = UserError(Exit.UNKNOWN_NAME, "there is no pool [tank]")
    async with shown(feed) as screen:
        await screen.press("O", "space", "enter")
        assert isinstance(screen.app.screen, Choose)
        assert "there is no pool [tank]" in screen.text


async def test_escape_leaves_everything_as_it_is() -> None:
    feed = busy_feed()
    async with shown(feed) as screen:
        for name in ("t", "P", "O"):
            await screen.press(name, "1", "escape")
        assert feed.controls() == Controls()


def test_pids_may_be_separated_as_one_likes() -> None:
    assert parse_pids("1, 2 3,,4") == {1, 2, 3, 4}
    assert parse_pids("  ") == frozenset()
