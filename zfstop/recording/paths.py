"""The path of a recording, and how an error sentence shows it."""

from __future__ import annotations

import os

from zfstop.text import visible

StrPath = str | os.PathLike[str]


def shown_path(path: StrPath) -> str:
    return visible(os.fsencode(path))


def reason_of(error: BaseException) -> str:
    return visible(str(getattr(error, "strerror", None) or error))
