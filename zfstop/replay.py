"""The feed behind ``zfstop replay FILE``: a recording anybody made, anywhere, played from its beginning."""

from __future__ import annotations

import time
from collections.abc import Callable

from zfstop.model.aggregate import restrict
from zfstop.model.history import Second
from zfstop.model.moments import zone_of
from zfstop.model.state import Controls, Phase, Problem, Status
from zfstop.playback import Playback
from zfstop.player import Played, origin, refuse_below
from zfstop.recording import RecordedHistory


class Replay(Played):
    """A feed.Feed whose history is all there from the start; its playback tells what of it is looked at."""

    def __init__(self, history: RecordedHistory, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(history.meta)
        self._history = history
        self._asked: Controls | None = None
        self._playback = Playback(lambda: history.end, zone_of(self._meta.started), clock)
        self._datasets: tuple[str, ...] | None = None
        self._status = Status(Phase.REPLAY, origin(self._meta, minutes=True))

    @property
    def history(self) -> RecordedHistory:
        return self._history

    @property
    def playback(self) -> Playback:
        return self._playback

    def status(self) -> Status:
        """REPLAY, with a note where and when it was recorded; and where it is damaged."""
        problem = self._history.problem
        if problem and self._status.problem is None:
            self._status = Status(Phase.REPLAY, self._status.note, Problem(problem))
        return self._status

    def controls(self) -> Controls:
        """What was asked for last; before that, what the second looked at was recorded with."""
        if self._asked is not None:
            return self._asked
        position = self._playback.position
        newest = self._history.between(position - 1, position)
        return newest[-1].controls if newest else Controls()

    def control(self, controls: Controls) -> None:
        """For all seconds, those before too. Raises UserError for a threshold below every one recorded with."""
        refuse_below(self._history.floor_ns, controls)
        self._asked = controls
        self._history.shape = self._restricted

    def _restricted(self, second: Second) -> Second:
        if self._asked is None or self._asked == second.controls:
            return second
        return restrict(second, self._asked, self._slots)

    def datasets(self) -> tuple[str, ...]:
        """Names of all datasets in the recording, sorted."""
        if self._datasets is None:
            self._datasets = self._history.datasets()
        return self._datasets

    def start(self) -> None:
        """Begin to play."""
        self._playback.play()

    def stop(self) -> None:
        """Close the file."""
        self._history.close()
