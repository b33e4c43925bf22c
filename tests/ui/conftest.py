"""The screen's tests run in UTC, without animation, and wait for painting rather than for time."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

os.environ["TEXTUAL_ANIMATIONS"] = "none"  # read when textual is imported

import pytest
from fake_feed import FakeFeed, busy_feed
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from zfstop.ui.app import ZfstopApp


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks on the screen do not depend on where the tests run."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Screen:
    """A running app, what it shows, and the keys to press."""

    def __init__(self, app: ZfstopApp, pilot: Pilot[None]) -> None:
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
        await self.pilot.pause()

    async def toast(self) -> str:
        """The text of a message in passing, once it is there."""
        while not self.app.screen.query(Toast):
            await self.pilot.pause(0.01)
        await self.pilot.pause()
        return " ".join(self.text.split())

    async def look(self) -> None:
        """What the timer does."""
        self.app.look()
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Replace what is in the input by ``text``, and Enter."""
        await self.press("ctrl+u", *text, "enter")


@asynccontextmanager
async def shown(feed: FakeFeed | None = None, width: int = 80, height: int = 24) -> AsyncIterator[Screen]:
    """The app on a terminal of this size; it looks at the feed only when told to."""
    app = ZfstopApp(feed or busy_feed(), look_every_s=3600)
    async with app.run_test(size=(width, height)) as pilot:
        await pilot.pause()
        yield Screen(app, pilot)
