"""A running screen, driven by keys and read as text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fake_feed import FakeFeed, busy_feed
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from zfstop.ui.app import ZfstopApp


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
async def shown(feed: FakeFeed | None = None, width: int = 80, height: int = 24) -> AsyncIterator[Screen]:
    """The app on a terminal of this size; it looks at the feed only when told to."""
    app = ZfstopApp(feed or busy_feed(), look_every_s=3600)
    async with app.run_test(size=(width, height), notifications=True) as pilot:
        await pilot.pause()
        yield Screen(app, pilot)
