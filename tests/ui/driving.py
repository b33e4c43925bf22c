"""A running screen, driven by keys and read as text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fake_feed import FakeFeed, busy_feed
from textual import events
from textual.app import App
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from zfstop.recording import RecordedHistory
from zfstop.replay import Replay
from zfstop.ui.app import ZfstopApp


async def settle(app: App[None]) -> None:
    """Wait until the app has nothing left to do but to wait for keys, timers or threads, and everything is painted.

    Textual's own pilot waits until the process uses no CPU: 40 ms a key at least, and on a busy machine a process that
    was not let run is taken for one that is done.
    """
    loop = asyncio.get_running_loop()
    while True:
        while loop._ready:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        if app.animator._animations or app.animator._scheduled:
            await app.animator.wait_until_complete()
            continue
        screen = app.screen
        waiting = (
            screen._layout_required,
            screen._scroll_required,
            screen._repaint_required,
            screen._dirty_widgets,
        )
        if not any(waiting) and not screen._callbacks:
            return
        screen._on_timer_update()  # else it comes with the next 60th of a second
        await asyncio.sleep(0)


class SettledPilot(Pilot[None]):
    """Textual's pilot, but every wait is :func:`settle`."""

    async def press(self, *keys: str) -> None:
        """Press them one after the other, as a terminal that is typed on slowly."""
        assert self.app._driver is not None
        for key in keys:
            name = _character_to_key(key) if len(key) == 1 else key
            event = events.Key(name, key if len(key) == 1 else None)
            event.set_sender(self.app)
            self.app._driver.send_message(event)
            await self.pause()

    async def pause(self, delay: float | None = None) -> None:
        """Until there is nothing left to do, after ``delay`` seconds if any."""
        await asyncio.sleep(delay or 0)
        if self.app._resize_timer is not None:
            self.app._check_resize()  # else it comes with the next 120th
        if self.app._running and self.app._exception is None:
            await settle(self.app)


class Screen:
    """A running app, what it shows, and the keys to press."""

    def __init__(self, app: ZfstopApp, pilot: SettledPilot) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        """The terminal's lines as they are painted."""
        return [strip.text for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def table(self) -> list[str]:
        """Header and rows."""
        return self.app.main.table.texts

    @property
    def selected(self) -> str:
        """The line with the mark of the selection."""
        return next(line for line in self.table if line.startswith(">"))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def toast(self) -> str:
        """The text of a message in passing, once it is there."""
        for _ in range(100):
            if self.app.screen.query(Toast):
                break
            await self.pilot.pause(0.01)
        assert self.app.screen.query(Toast)
        return " ".join(notification.message for notification in self.app._notifications)

    async def look(self) -> None:
        """What the timer does."""
        self.app.look()
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Replace what is in the input by ``text``, and Enter."""
        await self.press("ctrl+u", *text, "enter")


@asynccontextmanager
async def shown(
    feed: FakeFeed | None = None, width: int = 80, height: int = 24, **options: Any
) -> AsyncIterator[Screen]:
    """The app on a terminal of this size; it looks at the feed only when told to. ``options`` are the app's."""
    app = ZfstopApp(feed or busy_feed(), look_every_s=3600, **options)
    async with running(app, width, height) as pilot:
        yield Screen(app, pilot)


class Clock:
    """Moves only when told to."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def replayed(
    path: Path, clock: Clock, width: int = 80, height: int = 24, **options: Any
) -> AsyncIterator[Screen]:
    """The app on a recording that plays by ``clock``, from its beginning. ``options`` are the app's."""
    feed = Replay(RecordedHistory(path), clock)
    feed.start()
    app = ZfstopApp(feed, look_every_s=3600, **options)
    async with running(app, width, height) as pilot:
        yield Screen(app, pilot)
    feed.stop()


@asynccontextmanager
async def running(app: ZfstopApp, width: int, height: int) -> AsyncIterator[SettledPilot]:
    """The app on a terminal of this size that is nowhere, once everything is painted."""
    async with app.run_test(size=(width, height), notifications=True):
        pilot = SettledPilot(app)
        await pilot.pause()
        yield pilot
