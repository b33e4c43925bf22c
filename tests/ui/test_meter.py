"""What measuring costs is on the status line, and what is measured less because of it is said in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import shown
from fake_feed import MS, FakeFeed, busy_feed, busy_second, everything_feed, everything_second

from zfstop.model.costs import Cost, Costs, Usage, Watch, format_share_briefly
from zfstop.model.state import Controls, Phase, Status
from zfstop.ui.lens import Lens
from zfstop.ui.status import status_lines

COSTS = Costs({"read": Cost(9000, 0.005), "write": Cost(3000, 0.003)}, own=Usage(0.014, 62 << 20))


def line(feed: FakeFeed, width: int) -> str:
    return "".join(text for text, _ in status_lines(Lens(feed).frame(width), width, 3)[0])


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (200, "probes 12.0k/s 0.8% cpu  zfstop 1.4% 62M"),
        (120, "probes 12.0k/s 0.8% cpu  zfstop 1.4% 62M"),
        (80, "probes 12.0k/s 0.8% cpu  zfstop 1.4% 62M"),
        (60, "probes 12.0k/s 0.8% cpu"),
        (40, "probes 12.0k/s 0.8% cpu"),
        (30, "probes 0.8% cpu"),
    ],
)
def test_the_cost_of_measuring_stays_longer_than_names_of_versions(width: int, told: str) -> None:
    feed = busy_feed()
    feed.now_costs = COSTS
    assert line(feed, width).endswith(told)
    assert len(line(feed, width)) <= width
    assert ("Linux" in line(feed, width)) == (width >= 120)


def test_nothing_is_told_that_nobody_counted() -> None:
    feed = busy_feed()
    feed.now_costs = Costs(note="not in a recording")
    assert "cpu" not in line(feed, 200)
    assert line(feed, 200).count("zfstop") == 1
    feed.now_costs = COSTS
    lens = Lens(feed)
    lens.step(-5)
    first = status_lines(lens.frame(120), 120, 3)[0]
    assert not any("cpu" in text for text, _ in first), "not of the past either"


async def test_it_is_counted_while_the_screen_is_looked_at_and_may_be_spared() -> None:
    feed = busy_feed()
    feed.now_costs = COSTS
    async with shown(feed) as screen:
        assert feed.watched == [Watch.GLANCE]
        assert "probes 12.0k/s" in screen.lines[0]
        screen.app.app_suspend_signal.publish(screen.app)
        assert feed.watched[-1] is Watch.NOT, "before the process stops"
        screen.app.app_resume_signal.publish(screen.app)
        await screen.pilot.pause()
        assert feed.watched[-1] is Watch.GLANCE
        await screen.press("M")
        assert feed.watched[-1] is Watch.NOT
        assert "not counted any more" in await screen.toast()
        await screen.press("C")
        assert feed.watched[-1] is Watch.CLOSELY
        await screen.press("escape")
        assert feed.watched[-1] is Watch.NOT


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (1e-6, ".01%"),
        (0.0004, ".04%"),
        (0.00096, "0.1%"),
        (0.014, "1.4%"),
        (0.0995, "10%"),
        (3.2, "320%"),
    ],
)
def test_a_share_in_few_characters(share: float, text: str) -> None:
    assert format_share_briefly(share) == text


FLOOD = "flood: threshold 10ms -> 50ms for now"


def flooded(feed: FakeFeed) -> FakeFeed:
    feed.history.append(replace(busy_second(90), controls=Controls(50 * MS), notes=(FLOOD,)))
    return feed


async def test_a_flood_is_told_in_words_live_in_the_past_and_without_a_single_row() -> None:
    feed = flooded(busy_feed())
    async with shown(feed) as screen:
        assert screen.lines[3].startswith(FLOOD)
        assert "slow >= 50ms for now, asked 10ms" in screen.lines[1]
        assert "▸" not in screen.text or "50ms" in screen.text
        feed.history.append(busy_second(91))
        await screen.look()
        assert "flood" not in screen.text
        assert "slow >= 10ms" in screen.lines[1]
        await screen.press("[")
        assert screen.lines[3].startswith(FLOOD)
        assert "slow >= 50ms for now, asked 10ms" in screen.lines[1]
        await screen.press("L")
        feed.now_status = Status(Phase.DEMO, "recorded somewhere")
        feed.history.append(replace(busy_second(92), notes=(FLOOD,)))
        await screen.look()
        assert screen.lines[3].startswith(f"{FLOOD}; DEMO: recorded somewhere")
    async with shown(flooded(FakeFeed()), 36, 7) as screen:
        assert " FLOOD " in screen.lines[0], "at any size"
    empty = FakeFeed([replace(busy_second(1), groups=(), controls=Controls(50 * MS), notes=(FLOOD,))])
    async with shown(empty) as screen:
        assert screen.lines[3].startswith(FLOOD)
        assert "No operation took 50ms or longer" in screen.text


async def test_a_class_given_up_for_the_budget_is_marked() -> None:
    feed = everything_feed()
    fewer = Controls(classes=Controls().classes - {"metadata"})
    words = "budget 2%: gave up metadata for now"
    feed.history.append(replace(everything_second(20), controls=fewer, notes=(words,)))
    async with shown(feed) as screen:
        assert screen.lines[3].startswith(words)
        await screen.press("C")
        assert "[-] metadata" in screen.text
        assert f"[-]: {words}" in screen.text
        assert "[x] data" in screen.text
