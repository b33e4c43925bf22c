"""Going back in time, replay and recording, by their keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from driving import Clock, Screen, replayed, shown
from fake_feed import PROBES, FakeFeed, busy_feed, busy_second, everything_second, second

from zfstop.model.history import History, InFlight
from zfstop.model.rows import Grouping
from zfstop.model.state import Controls, Host, Phase, Problem, Status
from zfstop.recording import Meta, Writer, open_recording
from zfstop.ui.dialogs import Ask

LENGTH = 600


def long_feed(length: int = LENGTH) -> FakeFeed:
    feed = busy_feed(length)
    feed.now_controls = Controls()
    return feed


def banner(screen: Screen) -> str:
    """What is said over the full width."""
    return next(line for line in screen.lines if " ago; " in line or "PAUSED at" in line or "END of" in line)


async def as_it_was(at: int, width: int = 80, height: int = 24) -> list[str]:
    """The screen when ``at`` was the end, without the lines that say what is live."""
    async with shown(long_feed(at), width, height) as screen:
        return body(screen)


def body(screen: Screen) -> list[str]:
    """Everything below the banner, and the line of health above it."""
    return [screen.lines[2], *screen.lines[4:-1]]


@pytest.mark.parametrize(
    ("keys", "at", "said"),
    [
        (("[",), 599, "14:09:58, 1 s ago; L is live"),
        (("[", "[", "]", "["), 598, "14:09:57, 2 s ago; L is live"),
        (("{", "{", "{", "{", "["), 359, "14:05:58, 4 min 1 s ago; L is live"),
        (("{", "{", "}"), 540, "14:08:59, 1 min ago; L is live"),
        (("space", "["), 599, "14:09:58, 1 s ago; L is live"),
    ],
)
async def test_steps_lead_to_the_screen_as_it_was_then(keys: tuple[str, ...], at: int, said: str) -> None:
    async with shown(long_feed()) as screen:
        await screen.press(*keys)
        assert banner(screen).strip() == said
        assert len(banner(screen)) == 80
        assert " PAST " in screen.text
        seen = body(screen)
    assert seen == await as_it_was(at)


async def test_on_a_wide_terminal_everything_is_as_it_was_then_too() -> None:
    async with shown(long_feed(), 200, 50) as screen:
        await screen.press("{", "[", "[", "[")
        seen = body(screen)
    assert seen == await as_it_was(LENGTH - 63, 200, 50)


@pytest.mark.parametrize(
    "keys", [("[", "]"), ("{", "}"), ("{", "L"), ("[", "space"), ("{", "}", "}"), ("]",), ("L",)]
)
async def test_the_end_and_l_are_live_again(keys: tuple[str, ...]) -> None:
    feed = long_feed()
    async with shown(feed) as screen:
        await screen.press(*keys)
        assert " LIVE " in screen.text
        feed.history.append(busy_second(LENGTH))
        await screen.look()
        assert "14:10:00" in screen.text


async def test_a_place_gone_to_stands_still_while_collection_goes_on() -> None:
    feed = long_feed()
    async with shown(feed) as screen:
        await screen.press("{")
        before = body(screen)
        for at in range(LENGTH, LENGTH + 70):
            feed.history.append(busy_second(at))
            screen.app.look()
        await screen.pilot.pause()
        assert "14:08:59, 2 min 10 s ago" in banner(screen)
        assert body(screen) == before


async def test_a_place_gone_to_outlasts_the_history() -> None:
    feed = busy_feed()
    feed.history = History(capacity=100)
    for at in range(100):
        feed.history.append(busy_second(at))
    async with shown(feed) as screen:
        await screen.press("{")
        before = body(screen)
        for at in range(100, 300):
            feed.history.append(busy_second(at))
        await screen.look()
        await screen.press(*["g"] * len(Grouping))
        assert body(screen) == before
        await screen.press("[")
        assert "14:03:20" in banner(screen), "the oldest that is left"


async def test_the_last_half_hour_is_always_there_though_a_flood_left_only_sums() -> None:
    feed, plain = busy_feed(), busy_feed(1900 - 29 * 60)
    feed.now_controls = plain.now_controls = Controls(0)
    feed.history = History(keep_details=1500)
    for at in range(1900):
        feed.history.append(busy_second(at))
    async with shown(feed) as screen:
        await screen.press("T")
        await screen.type("-29m")
        assert "29 min ago; L is live; slow was >= 10ms then; only sums are left" in banner(screen)
        assert "(summed)" in screen.text
        old = screen.app.lens.frame(60).points
    async with shown(plain) as screen:
        assert screen.app.lens.frame(60).points == old


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("14:05:00", "14:05:00, 4 min 59 s ago"),
        ("14:05", "14:05:00, 4 min 59 s ago"),
        ("-5m", "14:04:59, 5 min ago"),
        ("@1768399230", "14:00:30, 9 min 29 s ago"),
    ],
)
async def test_t_goes_to_a_time(typed: str, said: str) -> None:
    async with shown(long_feed()) as screen:
        await screen.press("[", "T")
        await screen.type(typed)
        assert banner(screen).strip() == f"{said}; L is live"


async def test_a_time_that_is_none_gets_one_sentence_and_the_input_stays() -> None:
    async with shown(long_feed(), 120, 40) as screen:
        await screen.press("T")
        for typed, said in (
            ("soon", "'soon' is not a time; write one such as 19:03:12, -5m or @1768399200"),
            ("15:00:00", "there is only 14:00:00 to 14:09:59 to go to"),
            ("-11m", "there is only 14:00:00 to 14:09:59 to go to"),
        ):
            await screen.type(typed)
            assert isinstance(screen.app.screen, Ask)
            assert said in " ".join(
                " ".join(line.split("│")[1].split()) for line in screen.lines if "│" in line
            )
        await screen.press("escape")
        assert " LIVE " in screen.text


async def test_with_no_second_yet_nothing_happens() -> None:
    async with shown(FakeFeed(status=Status(Phase.STARTING, "starting"))) as screen:
        for name in ("[", "]", "{", "}", "L"):
            await screen.press(name)
        await screen.press("T")
        await screen.type("-1s")
        assert "there is no second yet to go to" in screen.text


async def test_losses_books_and_stuck_calls_are_as_they_were_and_later_losses_are_told() -> None:
    feed = long_feed(100)
    call = InFlight(feed.history.last(1)[0].groups[0][0], 7, 4_200_000_000, None, None, "zil_commit")
    feed.history.append(replace(second((), 100, lost=3), stuck=(call,)))
    for at in range(101, 160):
        feed.history.append(second((), at, lost=int(at == 150) * 9))
    async with shown(feed) as screen:
        assert "LOST 12 " in screen.text
        assert "STUCK" not in screen.text
        await screen.press("{")
        await screen.press("]")
        assert "STUCK 1" in screen.text
        assert "LOST 3, since then 9" in screen.text
        await screen.press("b")
        assert "2,003" not in screen.text
        async with shown(long_feed(100)) as before:
            await before.press("b")
            issued = next(line for line in before.lines if line.split()[:1] == ["read"])
        assert f"{101 * 2000:,}"[:4] not in issued


async def test_status_probes_and_host_are_those_known_then_and_trouble_of_now_is_told() -> None:
    feed = long_feed(50)
    async with shown(feed, 120, 40) as screen:
        feed.now_probes = replace(PROBES, attached=PROBES.attached[:1])
        feed.now_host = Host("db1", "6.99.0", "2.4.0")
        await screen.look()
        for at in range(50, 60):
            feed.history.append(busy_second(at))
        await screen.look()
        feed.now_status = Status(Phase.FAILED, "", Problem("the probes are gone", "start zfstop again"))
        await screen.look()
        assert "OpenZFS 2.4.0" in screen.text
        for _ in range(15):
            await screen.press("[")
        assert "OpenZFS 2.3.9" in screen.text
        assert "probes 4" in screen.text
        assert "the probes are gone" in screen.text
        await screen.press("]", "]", "]", "]", "]", "]")
        assert "OpenZFS 2.4.0" in screen.text
        await screen.press("C")
        assert "not kept of the past" in screen.text


async def test_a_threshold_that_was_higher_then_is_told() -> None:
    feed = FakeFeed(replace(busy_second(at), controls=Controls(20_000_000)) for at in range(5))
    feed.history.append(busy_second(5))
    async with shown(feed, 120, 40) as screen:
        await screen.press("[")
        assert "slow was >= 20ms then" in banner(screen)


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 10), (60, 16), (300, 90)])
async def test_every_size_says_where_it_stands(width: int, height: int) -> None:
    async with shown(long_feed(), width, height) as screen:
        await screen.press("{")
        assert any(line.startswith(" 14:08:59, 1 min") for line in screen.lines)
        assert len(screen.lines) == height


async def test_the_chart_has_no_holes_wherever_one_goes() -> None:
    async with shown(long_feed(1300), 300, 40) as screen:
        for name in ("{",) * 9 + ("}",) * 5 + ("{",) * 3:
            await screen.press(name)
            frame = screen.app.lens.frame(300)
            assert len(frame.points) == 300


# --- replay ------------------------------------------------------------------------------------------------------

META = Meta(Host("db1", "6.12.57", "2.3.9"), "2026-01-14T19:00:00+05:00", "", PROBES)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "r.zfstop"
    with Writer(path, META) as writer:
        for at in range(200):
            writer.append(replace(busy_second(at), slots=(everything_second(at).slots[0],)))
    return path


async def test_a_replay_plays_from_the_beginning_on_the_clock_of_the_recording(recorded: Path) -> None:
    clock = Clock()
    async with replayed(recorded, clock, 120, 40) as screen:
        assert " REPLAY " in screen.text
        assert "REPLAY 00:01 of 03:20: recorded 2026-01-14 19:00 on db1" in screen.text
        clock.now += 90
        await screen.look()
        assert "19:01:30" in screen.text
        assert "postgres" in screen.table[1]
        await screen.press("space")
        clock.now += 1000
        await screen.look()
        assert banner(screen).strip() == "PAUSED at 19:01:30, 1 min 31 s into 3 min 20 s; Space plays on"
        assert " REPLAY PAUSED " in screen.text
        await screen.press("space")
        clock.now += 2
        await screen.look()
        assert "19:01:32" in screen.text
        clock.now += 1000
        await screen.look()
        assert "END of the recording, 19:03:19; Space plays it again" in banner(screen)


async def test_in_a_replay_keys_step_and_jump(recorded: Path) -> None:
    async with replayed(recorded, Clock()) as screen:
        for name, clock_then in (
            ("}", "19:01:00"),
            ("]", "19:01:01"),
            ("[", "19:01:00"),
            ("{", "19:00:00"),
            ("L", "19:03:19"),
        ):
            await screen.press(name)
            assert clock_then in banner(screen)
        for typed, clock_then in (("19:02", "19:02:00"), ("-30", "19:01:30"), ("+10s", "19:01:40")):
            await screen.press("T")
            await screen.type(typed)
            assert f"PAUSED at {clock_then}" in banner(screen)


async def test_a_replay_has_every_feature_of_the_screen(recorded: Path) -> None:
    async with replayed(recorded, Clock(), 120, 40) as screen:
        await screen.press("}", "}")
        await screen.press("P")
        await screen.type("2431")
        assert all("2431" in line for line in screen.table[1:3])
        await screen.press("x", "g", "w")
        assert "300 s" in screen.text
        await screen.press("+")
        assert "slow >= 20ms" in screen.text
        await screen.press("-", "-")
        assert "this recording holds nothing below 10ms" in await screen.toast()
        for name in ("b", "S", "?"):
            await screen.press(name, "escape")
        await screen.press("R")
        assert "this is a recording already" in await screen.toast()


# --- recording ---------------------------------------------------------------------------------------------------


async def until(screen: Screen, text: str) -> None:
    for _ in range(500):
        screen.app.look()
        await screen.pilot.pause()
        if text in screen.text or any(text in n.message for n in screen.app._notifications):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{text} never came")


async def test_r_records_into_a_file_and_r_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    feed = long_feed(5)
    async with shown(feed, 120, 40) as screen:
        await screen.press("R")
        assert "db1-" in screen.text
        await screen.press("enter")
        assert "RECORDING db1-" in screen.lines[0]
        for at in range(5, 8):
            feed.history.append(busy_second(at))
        await until(screen, "00:03")
        await screen.press("R")
        await until(screen, "3 seconds recorded in db1-")
        assert "RECORDING" not in screen.lines[0]
    (file,) = tmp_path.iterdir()
    assert len(open_recording(file).seconds()) == 3


@pytest.mark.parametrize("width", [40, 60, 80])
async def test_recording_is_never_left_out(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with shown(long_feed(5), width, 10) as screen:
        await screen.press("R")
        await screen.press("enter")
        assert "REC" in screen.lines[0]
        screen.app.recorder.join(30)  # type: ignore[union-attr]


async def test_a_file_that_cannot_be_made_is_told_and_the_input_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with shown(long_feed(5), 120, 40) as screen:
        await screen.press("R")
        for typed in ("", ".", "no/such"):
            await screen.type(typed)
            assert isinstance(screen.app.screen, Ask)
        assert screen.app.recorder is None


async def test_a_recording_that_stops_by_itself_says_so_until_the_next_and_the_screen_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    feed = long_feed(5)
    async with shown(feed, 120, 40) as screen:
        await screen.press("R")
        await screen.type("r")
        feed.history.append(replace(busy_second(5), in_flight=2**70))
        await until(screen, "recording stopped: OverflowError")
        feed.history.append(busy_second(6))
        await screen.look()
        assert "14:00:06" in screen.text
        await screen.press("R")
        await screen.type("s")
        assert "recording stopped" not in screen.text
        screen.app.recorder.join(30)  # type: ignore[union-attr]
