"""What a screen, or any other reader, may know of where the seconds come from.

The live collector and the player of a recording both are a :class:`Feed`; everything after it is the same code.
"""

from __future__ import annotations

from typing import Protocol

from zfstop.model.costs import Costs, Watch
from zfstop.model.history import Timeline
from zfstop.model.state import Controls, Host, ProbeReport, Status
from zfstop.playback import Playback


class Feed(Protocol):
    """All methods may be called from any thread and return at once."""

    @property
    def history(self) -> Timeline:
        """Where the seconds go."""

    @property
    def playback(self) -> Playback | None:
        """Where a replay stands; None for what happens now."""

    def status(self) -> Status:
        """Starting, live, demo, failed ... with words."""

    def host(self) -> Host:
        """Host, kernel and OpenZFS version of the measured machine."""

    def probes(self) -> ProbeReport:
        """What is attached, and what is not and why."""

    def controls(self) -> Controls:
        """What was asked for last."""

    def control(self, controls: Controls) -> None:
        """Ask for another threshold or filter; in force for the next operation.

        Raises errors.UserError when it cannot be had (a recording holds nothing below its own threshold).
        """

    def datasets(self) -> tuple[str, ...]:
        """Names of the mounted datasets, sorted; pools are their first parts."""

    def costs(self) -> Costs:
        """What the programs cost in the second counted last, while they are watched; and the process itself."""

    def watch_costs(self, how: Watch) -> None:
        """Begin or end to have costs counted; nobody counts them for nobody. In force when it returns."""

    def ask_zfs(self) -> None:
        """Somebody looks at what only the commands of ZFS know: have it asked anew; a recording cannot be asked."""

    def start(self) -> None:
        """Begin filling the history in the background."""

    def stop(self) -> None:
        """End, detach and wait until that is done. May be called twice."""
