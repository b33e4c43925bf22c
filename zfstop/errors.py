"""What can go wrong, each with one sentence and the command that mends it: never a traceback."""

from __future__ import annotations

from enum import IntEnum

from zfstop.model.state import Problem


class Exit(IntEnum):
    """Exit statuses, one for each kind of failure (listed in the README)."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    NOT_ROOT = 3
    NO_BCC = 4
    NO_ZFS = 5
    LOCKDOWN = 6
    NO_KPROBES = 7
    NO_BTF = 9
    LOAD_FAILED = 10
    NO_PROBE = 11
    UNKNOWN_NAME = 12
    NO_TERMINAL = 13
    BAD_RECORDING = 14
    NOT_READY = 15


class UserError(Exception):
    """A failure the user can mend.

    ``sentence`` says what is wrong; ``remedy`` is a command or an action, may be empty; ``detail`` holds what a
    compiler or the kernel said, for the end of the message.
    """

    def __init__(self, status: Exit, sentence: str, remedy: str = "", detail: str = "") -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.remedy = remedy
        self.detail = detail

    @property
    def problem(self) -> Problem:
        """The same, frozen, for a screen."""
        return Problem(self.sentence, self.remedy)

    def lines(self) -> list[str]:
        """The message for a terminal or log, one fact a line."""
        lines = [f"zfstop: {self.sentence}."]
        if self.remedy:
            lines.append(f"  to mend it: {self.remedy}")
        return lines + [f"  | {line}" for line in self.detail.splitlines()[:20]]
