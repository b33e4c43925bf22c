"""What ZFS says of itself: the panel on z, the line beneath the charts, and pools that are suspended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from driving import Screen, shown
from fake_feed import FakeFeed, busy_feed, busy_second, busy_state, second, state_feed, state_second

from zfstop.model.state import Host, ProbeReport
from zfstop.model.zfs_state import Figures, PoolState, Scan, ZfsState
from zfstop.recording import Meta, RecordedHistory, Writer
from zfstop.replay import Replay
from zfstop.ui.lens import Lens
from zfstop.ui.zfs_panel import zfs_text

#: The long sync of the busy host goes on at this length, and has ended at the next.
STALLED, RECOVERED = 155, 155


def syncs(screen: Screen) -> str:
    """The line beneath the chart."""
    return next((line for line in screen.lines if line.startswith("  txg ▕")), "")


async def test_the_panel_tells_in_words_and_z_closes_it() -> None:
    feed = state_feed(STALLED)
    async with shown(feed, 120, 50) as screen:
        await screen.press("z")
        text = screen.text
        for words in (
            "rpool  ONLINE  no log device  scrub 41% done",
            "tank  ONLINE  no log device  no scrub",
            "txg 9114030 syncing for 4.40s",
            "txg 9114031 open for 4.40s",
            "4G dirty in a pool, delays from 2.4G (│), a txg every 5 s",
            "1.20k/s delayed, 3.0/s stopped at the limit",
            "212/s intent-log commits",
            "ARC  16G of at most 16G, target 16G, 91.2% hits of 12.5k/s",
        ):
            assert words in text
        assert "tank/pg   8K          standard  lz4                180/s" in text
        assert "9114029  5.00s  700ms   350M" in text
        assert feed.zfs_asked == 1
        feed.history.append(state_second(RECOVERED))
        await screen.look()
        assert "txg 9114030 synced in 5.20s, dirty ██████████████│░░░░░░░░░" in screen.text
        assert " 2.5G of 4G" in screen.text
        await screen.press("z")
        assert "ZFS itself" not in screen.text


async def test_nothing_known_is_said_and_takes_no_line() -> None:
    async with shown(busy_feed()) as screen:
        assert not syncs(screen)
        await screen.press("z")
        assert "Nothing is known of ZFS itself at this time" in screen.text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (PoolState("tank", ""), "tank  state unknown  log device and scrub unknown"),
        (
            PoolState("tank", "DEGRADED", log=True, scan=Scan("resilver", None, True)),
            "with a log device  resilver, paused",
        ),
    ],
)
def test_what_zfs_does_not_say_is_unknown(state: PoolState, words: str) -> None:
    feed = FakeFeed([replace(second((), 0), zfs=ZfsState((state,), Figures(txg_history=0)))])
    text = zfs_text(Lens(feed).frame(80)).plain
    unknown = (
        "zfs_txg_history is 0",
        "limits   unknown",
        "?/s delayed",
        "?/s intent-log",
        "ARC  ?, no lookups",
    )
    for expected in (words, *unknown):
        assert expected in text


async def test_a_line_beneath_either_chart_shows_when_a_pool_was_syncing() -> None:
    async with shown(state_feed(STALLED), 120, 40) as screen:
        for _ in range(2):
            line = syncs(screen)
            assert "▒▒   ▒▒   ▒▒   ▒▒   ▒████ tank txg 9114030 is syncing [z]" in line
            newest = line.rindex("█")
            above = screen.lines[4 : screen.lines.index(line)]
            assert any(row[newest] != " " for row in above)
            assert all(row[newest + 1] == " " for row in above)
            await screen.press("H")
        await screen.pilot.resize_terminal(200, 60)
        await screen.pilot.pause()
        assert "txg ░▒▓█ syncing part, most, all of the time" in screen.text


async def test_columns_of_several_seconds_hold_their_share() -> None:
    async with shown(state_feed(150), 120, 40) as screen:
        await screen.press(")", ")")
        # A sync of 0.7 s in each five seconds, and twice one of 5.2.
        assert (
            syncs(screen)
            .split("▕")[1]
            .strip()
            .startswith("░" * 6 + "▓" + "░" * 11 + "▓" + "░" * 11 + " tank")
        )


async def test_a_suspended_pool_is_on_the_status_line_at_any_size() -> None:
    feed = state_feed(30, tank="SUSPENDED")
    async with shown(feed) as screen:
        for width, height in ((200, 60), (120, 40), (80, 24), (60, 16), (40, 6), (30, 4)):
            await screen.pilot.resize_terminal(width, height)
            await screen.pilot.pause()
            assert " SUSPENDED" in "\n".join(screen.lines[: 3 if height >= 8 else 1]), (width, height)
        feed.history.append(state_second(30))
        await screen.look()
        assert "SUSPENDED" not in screen.text


async def test_stepping_back_shows_it_as_it_was_then() -> None:
    feed = state_feed(STALLED, tank="SUSPENDED")
    async with shown(feed, 120, 40) as screen:
        assert "SUSPENDED: tank, writes hang [z]" in screen.text
        await screen.press("[")
        assert "SUSPENDED" not in screen.text
        assert syncs(screen).rstrip().endswith("▒███ tank txg 9114030 is syncing [z]")
        await screen.press(*["["] * 5, "z")
        assert "txg 9114029 synced in 700ms" in screen.text
        assert "syncing for" not in screen.text
        await screen.press("z", "L", "z")
        assert "SUSPENDED  all its writes hang: mend its devices, then zpool clear" in screen.text


async def test_a_replay_shows_it_too(tmp_path: Path) -> None:
    meta = Meta(Host("db1", "6.12", "2.3.9"), "2026-01-14T14:00:00+00:00", probes=ProbeReport())
    with Writer(tmp_path / "r", meta) as writer:
        for at in range(STALLED - 120, STALLED):
            writer.append(state_second(at))
    feed = Replay(RecordedHistory(tmp_path / "r"))
    async with shown(feed, 120, 40) as screen:  # type: ignore[arg-type]
        await screen.press("L")
        assert "▒▒   ▒▒   ▒▒   ▒████ tank txg 9114030 is syncing [z]" in syncs(screen)
        await screen.press("z")
        assert "1.20k/s delayed" in screen.text
        assert "standard  lz4" in screen.text
    feed.stop()


async def test_only_the_pools_that_are_looked_at_are_on_the_line() -> None:
    feed = state_feed(STALLED)
    feed.now_controls = replace(feed.now_controls, datasets=frozenset({"rpool/log"}))
    async with shown(feed, 120, 40) as screen:
        assert not syncs(screen).split("▕")[1][:49].strip()


async def test_names_are_drawn_as_they_are() -> None:
    state = busy_state(0)
    odd = replace(state.pools[1], name="[red]x", state="SUSPENDED")
    feed = FakeFeed([replace(busy_second(0), zfs=replace(state, pools=(odd,)))])
    async with shown(feed, 120, 40) as screen:
        assert "SUSPENDED: [red]x" in screen.text
        await screen.press("z")
        assert "[red]x  SUSPENDED" in screen.text
