"""Pictures of the screen, compared to the stored ones to the byte.

``ZFSTOP_PICTURES=new python -m pytest tests/ui/test_pictures.py`` stores them anew: look at them before committing.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from driving import Screen, shown
from fake_feed import MS, FakeFeed, busy_feed, key, second, stats

from zfstop.model.state import Controls, Phase, Problem, Status

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


async def test_symbols(tmp_path: Path) -> None:
    async with shown() as screen:
        await screen.press("S")
        check(screen, "symbols", tmp_path)


async def test_sixteen_colours(tmp_path: Path) -> None:
    async with shown() as screen:
        screen.app.theme = "ansi-dark"
        await screen.pilot.pause()
        check(screen, "sixteen-colours", tmp_path)
