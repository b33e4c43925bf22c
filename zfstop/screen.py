"""``zfstop`` and ``zfstop --demo``: a feed, the screen on it, and a clean end of both."""

from __future__ import annotations

import sys
from importlib import resources

from zfstop.collector import Collector
from zfstop.errors import Exit, UserError
from zfstop.feed import Feed
from zfstop.model.state import Controls
from zfstop.player import Player
from zfstop.recording import Recording, open_recording

DEMO = "demo.zfstop"


def run_live(controls: Controls) -> int:
    """The screen on this host; returns the exit status. A failure while it was up is told again at the end."""
    collector = Collector(controls)
    status = _run(collector)
    if collector.error is not None:
        print("\n".join(collector.error.lines()), file=sys.stderr)
        return int(collector.error.status)
    return status


def run_demo(controls: Controls) -> int:
    """The screen on the recording in the package."""
    player = Player(demo_recording())
    if controls != Controls():
        player.control(controls)
    return _run(player)


def demo_recording() -> Recording:
    """The recording that comes with zfstop, made in the lab by ``zfstop record``."""
    place = resources.files("zfstop").joinpath(DEMO)
    if not place.is_file():
        raise UserError(
            Exit.BAD_RECORDING, f"{DEMO} is missing from the package", "pip install --force-reinstall zfstop"
        )
    with resources.as_file(place) as path:
        return open_recording(path)


def _run(feed: Feed) -> int:
    # Importing textual takes longer than anything else at start: the feed is at work meanwhile.
    feed.start()
    try:
        from zfstop.ui.app import ZfstopApp

        app = ZfstopApp(feed)
        app.run()
    finally:
        feed.stop()
    return int(app.return_code or Exit.OK)
