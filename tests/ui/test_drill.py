"""Down from a row to one call and up again."""

from __future__ import annotations

import pytest
from driving import Screen, shown
from fake_feed import PG, FakeFeed, call, calls_feed, key, with_calls


def crumbs(screen: Screen) -> str:
    return next(line for line in screen.lines if " > " in line).rstrip()


async def test_enter_leads_from_process_to_file_to_operation_to_single_calls_to_one_and_back() -> None:
    async with shown(calls_feed(), width=120, height=40) as screen:
        await screen.press("g", "enter")
        assert crumbs(screen) == "all > process postgres 2431 > by file"
        assert [line.split()[-1] for line in screen.table[1:3]] == ["tank/pg:base/1", "tank/pg:base/2"]
        assert not screen.table[3].strip()
        await screen.press("enter")
        assert crumbs(screen) == "all > process postgres 2431 > file tank/pg:base/1 > by operation"
        assert [" read " in screen.table[1], " fsync " in screen.table[2]] == [True, True]
        await screen.press("down", "enter")
        assert "operation fsync > single calls" in crumbs(screen)
        assert "all 3 calls" in crumbs(screen)
        assert screen.table[0].split()[:2] == ["TIME▼", "TOOK"]
        assert screen.table[1].split()[:3] == [">14:00:01.750", "40.0ms", "fsync"]
        assert screen.table[3].split()[0] == "13:59:59.750"
        await screen.press("enter")
        for text in ("fsync, of class data", "40.0ms (40,000,000 ns)", "2026-01-14 14:00:01.750000 +0000",
                     "postgres, pid 2431 (17 inside), thread 99", "uid 26", "postgresql.service (cgroup 7)",
                     "tank/pg", "base/1", "8K", "zpl_fsync"):  # fmt: skip
            assert text in screen.text
        await screen.press("backspace")
        assert "single calls" in crumbs(screen)
        await screen.press("escape")
        assert " fsync " in screen.selected
        await screen.press("backspace", "backspace")
        assert " > " not in screen.text
        assert "postgres" in screen.selected
        assert "by process " in screen.text
        await screen.press("backspace")
        assert "WAIT▼" in screen.text


async def test_a_row_of_process_and_file_leads_straight_to_its_calls() -> None:
    async with shown(calls_feed(), width=160, height=40) as screen:
        await screen.press("home", "enter")
        assert crumbs(screen).startswith("all > fsync by postgres 2431 on tank/pg:base/2 > single calls")
        assert sum("base/2" in line for line in screen.table[1:]) == 3


async def test_what_the_history_let_go_is_told() -> None:
    async with shown(calls_feed(kept=2), width=120, height=40) as screen:
        await screen.press(*["g"] * 4, "enter", "enter", "enter", "enter")
        assert "single calls" in crumbs(screen)
        assert "thinned:" not in crumbs(screen)
        await screen.press(*["backspace"] * 4, "down", "enter", "enter", "enter", "enter")
        assert "thinned: 0 of 3" in crumbs(screen)


async def test_it_works_while_paused_and_filters_reach_single_calls() -> None:
    there = calls_feed()
    async with shown(there, width=160, height=40) as screen:
        await screen.press("space", *["g"] * 7, "enter", "enter")
        assert "operation fsync > process postgres 2431 > by file" in crumbs(screen)
        there.history.append(with_calls([call(PG, 900, 3)] * 5, 3))
        await screen.press("enter")
        assert "all 3 calls" in crumbs(screen)
        await screen.press("slash", *"lat<41ms", "enter")
        assert "hidden by /" in screen.text
        await screen.press("slash", "ctrl+u", *"lat>1s", "enter")
        assert "All 3 calls are hidden by /" in screen.text
        assert "Backspace  goes up" in screen.text


async def test_single_calls_are_sorted_by_what_one_likes() -> None:
    calls = [call(PG, ms, at) for at, ms in enumerate((30, 90, 50))]
    there = FakeFeed(with_calls([each], at) for at, each in enumerate(calls))
    async with shown(there, width=120, height=30) as screen:
        await screen.press("enter", ">")
        assert "TOOK▼" in screen.table[0]
        assert [line.split()[1] for line in screen.table[1:4]] == ["90.0ms", "50.0ms", "30.0ms"]
        await screen.press("backspace")
        assert "WAIT▼" in screen.table[0]


async def test_a_double_click_goes_into_a_row() -> None:
    async with shown(calls_feed(), width=120, height=40) as screen:
        await screen.press("g")
        await screen.pilot.click("#table", offset=(30, 2), times=2)
        await screen.pilot.pause()
        assert crumbs(screen) == "all > process dd 25686 > by file"


async def test_a_failed_call_and_one_with_two_paths_say_so() -> None:
    moved = call(key("rename", 7, "mv", "tank/pg", "[a]/b"), 30, 0, -28, "c/[/d]")
    async with shown(FakeFeed([with_calls([moved], 0)]), width=120, height=30) as screen:
        await screen.press("enter")
        assert "ENOSPC" in screen.table[1]
        assert "tank/pg:[a]/b -> c/[/d]" in screen.text
        await screen.press("enter")
        assert "failed: ENOSPC (-28)" in screen.text
        assert "c/[/d]" in screen.text


@pytest.mark.parametrize(
    ("presses", "label"),
    [(3, "directory tank/pg:base/"), (4, "dataset tank/pg"), (5, "pool tank"), (6, "in postgresql.service"),
     (7, "operation fsync"), (8, "class data")],
)  # fmt: skip
async def test_every_grouping_can_be_entered(presses: int, label: str) -> None:
    async with shown(calls_feed(), width=160, height=40) as screen:
        await screen.press(*["g"] * presses, "enter")
        assert crumbs(screen).startswith(f"all > {label} > by process")
        assert "postgres" in screen.table[1]


async def test_pools_directories_and_classes_are_named_in_their_rows() -> None:
    async with shown(calls_feed(), width=120, height=40) as screen:
        await screen.press(*["g"] * 3)
        assert "tank/pg:base/ 2 files" in screen.table[1]
        await screen.press("g", "g")
        assert "tank: 3 files of 2 datasets" in screen.table[1]
        await screen.press("g", "g", "g")
        assert "CLASS" in screen.table[0]
        assert " data " in screen.table[1]


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 10), (60, 16), (80, 24)])
async def test_at_every_size_it_is_seen_where_one_is(width: int, height: int) -> None:
    async with shown(calls_feed(), width, height) as screen:
        await screen.press("g", "enter", "enter", "enter")
        assert len(screen.lines) == height
        assert "read" in crumbs(screen)
        assert "TIME" in screen.text


async def test_grouped_otherwise_within_a_row_single_calls_become_rows_again() -> None:
    async with shown(calls_feed(), width=120, height=40) as screen:
        await screen.press("enter", "g")
        assert "WAIT▼" in screen.table[0]
        assert "by process/file" in crumbs(screen)
        assert len([line for line in screen.table[1:] if line.strip()]) == 1
