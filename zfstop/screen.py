"""``zfstop``, ``zfstop --demo`` and ``zfstop replay``: a feed, the screen on it, and a clean end of both."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from importlib import resources

from zfstop.collector import Collector
from zfstop.config.place import Place, save
from zfstop.config.settings import Settings
from zfstop.curtain import curtain
from zfstop.errors import Exit, UserError
from zfstop.feed import Feed
from zfstop.inquiry import Inquiry
from zfstop.kernel.head_start import HeadStart
from zfstop.model.relief import Limits
from zfstop.model.state import Controls
from zfstop.observer import Observer
from zfstop.player import Player
from zfstop.recorder import Recorder
from zfstop.recording import RecordedHistory, Recording, open_recording
from zfstop.replay import Replay

DEMO = "demo.zfstop"
#: Whole events kept in each second: the details of a row tell where the newest rename led. Half an hour takes 7 MB.
KEEP_EVENTS = 16
#: How long quitting is silent.
_PATIENCE_SECONDS = 0.5
#: How long quitting waits for the disk that is recorded to.
_DISK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """How the screen begins. ``asked`` is of the command line, ``settings`` of both it and the file; ``place`` is where
    they are saved, None for nowhere.
    """

    settings: Settings
    asked: Settings
    place: Place | None

    def save(self, settings: Settings) -> str:
        """Write these, and say where to. Raises UserError."""
        if self.place is None:
            raise UserError(Exit.USAGE, "zfstop was started with --no-config", "start it without")
        save(self.place, settings)
        return str(self.place)


def run_live(controls: Controls, limits: Limits, look: Look, begun: HeadStart) -> int:
    """The screen on this host; returns the exit status. A failure while it was up is told again at the end."""
    collector = Collector(
        controls, limits, keep_events=KEEP_EVENTS, observer=Observer(Inquiry()), begun=begun
    )
    status = _run(collector, look)
    if collector.error is not None:
        print("\n".join(collector.error.lines()), file=sys.stderr)
        return int(collector.error.status)
    return status


def run_demo(controls: Controls, look: Look) -> int:
    """The screen on the recording in the package."""
    player = Player(demo_recording())
    if controls != Controls():
        player.control(controls)
    return _run(player, look)


def run_replay(controls: Controls, path: str, look: Look) -> int:
    """The screen on a recording."""
    replay = Replay(RecordedHistory(path))
    if controls != Controls():
        replay.control(controls)
    return _run(replay, look)


def demo_recording() -> Recording:
    """The recording that comes with zfstop, made in the lab by ``zfstop record``."""
    place = resources.files("zfstop").joinpath(DEMO)
    if not place.is_file():
        raise UserError(
            Exit.BAD_RECORDING, f"{DEMO} is missing from the package", "pip install --force-reinstall zfstop"
        )
    with resources.as_file(place) as path:
        return open_recording(path)


def _run(feed: Feed, look: Look) -> int:
    # Importing textual takes longer than anything else at start: the feed is at work meanwhile.
    feed.start()
    try:
        with curtain():
            from zfstop.ui.app import ZfstopApp

            asked = look.asked.theme is not None
            app = ZfstopApp(feed, settings=look.settings, save=look.save, theme_asked=asked)
        app.run(mouse=app.mouse)
        _end_recording(app.recorder)
    finally:
        # The kernel detaches one function after the other, and waits for every CPU each time.
        said = threading.Timer(
            _PATIENCE_SECONDS, print, ["zfstop: detaching the probes"], {"file": sys.stderr}
        )
        said.start()
        feed.stop()
        said.cancel()
    return int(app.return_code or Exit.OK)


def _end_recording(recorder: Recorder | None) -> None:
    """Quitting ends a recording too; how it went is told below the screen."""
    if recorder is not None:
        recorder.join(_DISK_SECONDS)
        print(f"zfstop: {recorder.told()}", file=sys.stderr)
