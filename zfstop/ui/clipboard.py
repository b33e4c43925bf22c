"""Copying through the terminal by OSC 52: over SSH too, and through tmux as far as it lets one."""

from __future__ import annotations

import base64
from collections.abc import Mapping

#: What to do when nothing arrives: a terminal does not say whether it took it, and tmux refuses unless told otherwise.
_HINT = "if it does not arrive: tmux set -g set-clipboard on"


def in_tmux(environ: Mapping[str, str]) -> bool:
    """Whether this is within tmux; sudo leaves only TERM to tell by."""
    return bool(environ.get("TMUX")) or environ.get("TERM", "").startswith("tmux")


def hint(environ: Mapping[str, str]) -> str:
    """What to know where it may not arrive; under sudo tmux may call itself screen."""
    return _HINT if in_tmux(environ) or environ.get("TERM", "").startswith("screen") else ""


def sequences(text: str, environ: Mapping[str, str]) -> str:
    """What to write to the terminal.

    tmux takes the plain sequence with ``set-clipboard on``, and hands the wrapped one to the terminal around it with
    ``allow-passthrough on``; both say the same.
    """
    plain = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\a"
    if not in_tmux(environ):
        return plain
    return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
