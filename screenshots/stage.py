"""The real app on a recording, at a chosen second, with keys typed on it; what it shows as SVG text.

Nothing depends on when or where it runs: clocks are UTC, no timer looks at the feed, and every wait is for painting.
"""

from __future__ import annotations

import gzip
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHAPES = ROOT / "tests/lab/shapes"
#: Width of a cell in Rich's SVG; DejaVu Sans Mono has it at the size put in below.
CELL = 12.2

os.environ["TEXTUAL_ANIMATIONS"] = "none"  # read when textual is imported
os.environ.pop("NO_COLOR", None)
sys.path.append(str(ROOT / "tests/ui"))

from driving import SettledPilot, running  # noqa: E402
from textual.strip import Strip  # noqa: E402

from zfstop.player import Player  # noqa: E402
from zfstop.recording import RecordedHistory  # noqa: E402
from zfstop.replay import Replay  # noqa: E402
from zfstop.screen import demo_recording  # noqa: E402
from zfstop.ui.app import ZfstopApp  # noqa: E402


class Stage:
    """A running app to type on."""

    def __init__(self, app: ZfstopApp, pilot: SettledPilot) -> None:
        self._app, self._pilot = app, pilot

    async def press(self, keys: Sequence[str]) -> None:
        """One key after the other."""
        await self._pilot.press(*keys)

    async def look(self) -> None:
        """Draw what has come since."""
        self._app.look()
        await self._pilot.pause()

    @property
    def strips(self) -> list[Strip]:
        """The lines of the screen as it is now."""
        return self._app.screen._compositor.render_strips()

    def svg(self, title: str) -> str:
        """The same as a picture."""
        return _plain(self._app.export_screenshot(title=title))


#: Read once, however many pictures are made of it.
_demo = cache(demo_recording)


@contextmanager
def demo(second: int) -> Iterator[Player]:
    """The demo, stopped at its nth second."""
    player = Player(_demo(), preload=second, autoplay=False)
    player.start()
    yield player
    player.stop()


@contextmanager
def replay(name: str, second: int) -> Iterator[Replay]:
    """``zfstop replay`` of a shape, playing, at its nth second."""
    with tempfile.NamedTemporaryFile(suffix=".zfstop") as file:
        file.write(gzip.decompress((SHAPES / f"{name}.zfstop.gz").read_bytes()))
        file.flush()
        now = 0.0
        feed = Replay(RecordedHistory(file.name), lambda: now)
        feed.start()
        now = second - 1.0
        yield feed
        feed.stop()


@asynccontextmanager
async def shown(feed: Player | Replay, columns: int, rows: int) -> AsyncIterator[Stage]:
    """The app with this feed."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    app = ZfstopApp(feed, look_every_s=3600)
    async with running(app, columns, rows) as pilot:
        yield Stage(app, pilot)


def _plain(svg: str) -> str:
    """Rich names its classes after a checksum of the content, and links fonts from the network: neither is wanted."""
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")
    svg = svg.replace("font-size: 20px", "font-size: 20.265px")
    return re.sub(
        r'x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+"([^>]*)>((?:&#160;)*)([^<]*)<', _without_blanks, svg
    )


def _without_blanks(match: re.Match[str]) -> str:
    """A text element without blanks at its ends: renderers differ in what they do with those."""
    blanks, text = match[4].count("&#160;"), match[5]
    while text.endswith("&#160;"):
        text = text.removesuffix("&#160;")
    return f'x="{float(match[1]) + CELL * blanks:.1f}" y="{match[2]}"{match[3]}>{text}<'
