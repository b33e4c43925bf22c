"""Pictures of the screen, compared to the stored ones to the byte.

``ZFSTOP_PICTURES=new python -m pytest tests/ui/test_pictures.py`` stores them anew: look at them before committing.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from driving import Screen, shown
from fake_feed import (
    MS,
    FakeFeed,
    busy_feed,
    busy_second,
    calls_feed,
    costs_of_everything,
    everything_feed,
    key,
    second,
    state_feed,
    stats,
    why_feed,
)

from zfstop.config.settings import Settings
from zfstop.model.costs import Cost, Costs, Usage
from zfstop.model.state import Controls, Phase, Problem, Status
from zfstop.recorder import RecorderState

_STORED = Path(__file__).parent / "pictures"


def check(screen: Screen, name: str, seen: Path) -> None:
    """The screen is as stored; if not, what was seen is kept in ``seen`` for looking at."""
    picture = screen.app.export_screenshot(title="zfstop", simplify=True)
    stored = _STORED / f"{name}.svg"
    if os.environ.get("ZFSTOP_PICTURES") == "new":
        _STORED.mkdir(exist_ok=True)
        stored.write_text(picture)
    if stored.read_text() != picture:
        (seen / stored.name).write_text(picture)
        pytest.fail(f"{name} looks otherwise: compare {seen / stored.name} with {stored}")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 16), (40, 10)])
async def test_busy(width: int, height: int, tmp_path: Path) -> None:
    async with shown(width=width, height=height) as screen:
        check(screen, f"busy-{width}x{height}", tmp_path)


async def test_paused_demo(tmp_path: Path) -> None:
    feed = busy_feed()
    feed.now_status = Status(
        Phase.DEMO, "recorded on zfs-lab (Debian 13, OpenZFS 2.3.9) 2026-11-21 14:00 UTC"
    )
    async with shown(feed) as screen:
        await screen.press("space")
        check(screen, "paused-demo", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
async def test_back_in_time_while_recording(width: int, height: int, tmp_path: Path) -> None:
    feed = busy_feed(400)
    async with shown(feed, width, height) as screen:
        await screen.press("{", "{", "{", "{", *["["] * 10)
        screen.app.recorder = Told()
        screen.app.draw()
        await screen.pilot.pause()
        check(screen, f"past-{width}x{height}", tmp_path)


class Told:
    """A recorder that writes nothing."""

    state = RecorderState("db1-20260114-140322.zfstop", 73)


async def test_lost_filtered_and_failed_calls(tmp_path: Path) -> None:
    feed = busy_feed()
    groups = [(key("write", path="[red]x[/]"), stats(*[700 * MS] * 120, errors=3, size=4096))]
    feed.history.append(second(groups, 90, lost=12, full=3))
    feed.now_controls = Controls(pids=frozenset({1234, 2431}), datasets=frozenset({"tank"}))
    async with shown(feed) as screen:
        await screen.press("down")
        check(screen, "lost-filtered", tmp_path)


async def test_failed(tmp_path: Path) -> None:
    problem = Problem("the Python of this system has no bcc", "apt-get install python3-bpfcc")
    async with shown(FakeFeed(status=Status(Phase.FAILED, "", problem))) as screen:
        check(screen, "failed", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
async def test_a_filter_being_typed(width: int, height: int, tmp_path: Path) -> None:
    async with shown(width=width, height=height) as screen:
        await screen.press("slash", *"pool:tank !comm:dd where:", "tab")
        check(screen, f"filter-{width}x{height}", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
async def test_single_calls(width: int, height: int, tmp_path: Path) -> None:
    async with shown(calls_feed(kept=3), width, height) as screen:
        await screen.press("g", "enter", "enter", "enter")
        check(screen, f"calls-{width}x{height}", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
async def test_help(width: int, height: int, tmp_path: Path) -> None:
    async with shown(width=width, height=height) as screen:
        await screen.press("?")
        check(screen, f"help-{width}x{height}", tmp_path)


async def test_symbols(tmp_path: Path) -> None:
    async with shown() as screen:
        await screen.press("S")
        check(screen, "symbols", tmp_path)


async def test_sixteen_colours(tmp_path: Path) -> None:
    async with shown() as screen:
        screen.app.theme = "16-colours"
        await screen.pilot.pause()
        check(screen, "sixteen-colours", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
async def test_every_operation(width: int, height: int, tmp_path: Path) -> None:
    async with shown(everything_feed(), width, height) as screen:
        check(screen, f"everything-{width}x{height}", tmp_path)


async def test_classes(tmp_path: Path) -> None:
    feed = everything_feed()
    feed.now_costs = costs_of_everything()
    async with shown(feed) as screen:
        await screen.press("C")
        check(screen, "classes", tmp_path)


async def test_books(tmp_path: Path) -> None:
    async with shown(everything_feed(), 120, 40) as screen:
        await screen.press("b")
        check(screen, "books", tmp_path)


async def test_box_on_the_map(tmp_path: Path) -> None:
    async with shown(busy_feed(160), 200, 60) as screen:
        await screen.press("shift+up", "shift+left", "shift+left", "shift+down", "enter")
        check(screen, "box-200x60", tmp_path)


async def test_map_in_sixteen_colours(tmp_path: Path) -> None:
    async with shown(width=120, height=40) as screen:
        screen.app.theme = "16-colours"
        await screen.pilot.pause()
        check(screen, "map-sixteen-colours", tmp_path)


async def test_map_where_it_is_low(tmp_path: Path) -> None:
    async with shown() as screen:
        await screen.press("H", "shift+up")
        check(screen, "map-80x24", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60)])
async def test_syncs_beneath_the_chart(width: int, height: int, tmp_path: Path) -> None:
    async with shown(state_feed(157), width, height) as screen:
        check(screen, f"syncs-{width}x{height}", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
async def test_zfs_itself(width: int, height: int, tmp_path: Path) -> None:
    async with shown(state_feed(155), width, height) as screen:
        await screen.press("z")
        check(screen, f"zfs-{width}x{height}", tmp_path)


async def test_a_suspended_pool(tmp_path: Path) -> None:
    async with shown(state_feed(30, tank="SUSPENDED")) as screen:
        check(screen, "suspended", tmp_path)


async def test_threshold_dialog(tmp_path: Path) -> None:
    async with shown() as screen:
        await screen.press("t")
        check(screen, "threshold", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
async def test_why_it_was_slow(width: int, height: int, tmp_path: Path) -> None:
    async with shown(why_feed(), width, height) as screen:
        check(screen, f"why-{width}x{height}", tmp_path)
        await screen.press("W")
        check(screen, f"why-panel-{width}x{height}", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
async def test_flood_over_budget_and_what_it_costs(width: int, height: int, tmp_path: Path) -> None:
    feed = busy_feed()
    notes = ("flood: threshold 10ms -> 50ms for now", "budget 2%: gave up metadata for now")
    force = Controls(50 * MS, classes=Controls().classes - {"metadata"})
    feed.history.append(replace(busy_second(90), controls=force, notes=notes))
    feed.now_costs = Costs({"read": Cost(12_000, 0.018)}, own=Usage(0.014, 62 << 20))
    async with shown(feed, width, height) as screen:
        check(screen, f"flood-{width}x{height}", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("look", ["light", "high-contrast", "ascii"])
async def test_looks(look: str, width: int, height: int, tmp_path: Path) -> None:
    """The dark theme is that of the other pictures."""
    settings = Settings(ascii=True) if look == "ascii" else Settings(theme=look)
    async with shown(everything_feed(), width, height, settings=settings) as screen:
        check(screen, f"{look}-{width}x{height}", tmp_path)


async def test_no_colours(tmp_path: Path) -> None:
    async with shown(everything_feed(), 120, 40, settings=Settings(theme="no-colours")) as screen:
        check(screen, "no-colours-120x40", tmp_path)


async def test_ascii_where_there_is_little_room(tmp_path: Path) -> None:
    async with shown(width=60, height=16, settings=Settings(ascii=True, mouse=False)) as screen:
        check(screen, "ascii-60x16", tmp_path)


async def test_the_widest(tmp_path: Path) -> None:
    async with shown(busy_feed(160), 200, 60) as screen:
        check(screen, "busy-200x60", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
async def test_before_and_after(width: int, height: int, tmp_path: Path) -> None:
    async with shown(busy_feed(160), width, height) as screen:
        await screen.press("{", "A", "L", "B")
        check(screen, f"compare-{width}x{height}", tmp_path)
