"""New files: never over an old one, never through a link, readable by their owner only (under sudo: by the caller)."""

from __future__ import annotations

import contextlib
import os

from zfstop.errors import Exit, UserError
from zfstop.recording.paths import reason_of, shown_path

#: Device and inode.
Identity = tuple[int, int]


def create(path: str) -> int:
    """A descriptor, to be closed, of an empty file that was not there. Raises UserError when it cannot be made."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise UserError(
            Exit.USAGE, f"'{shown_path(path)}' exists already", "choose another name, or remove it"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(Exit.USAGE, f"'{shown_path(path)}' cannot be made: {reason_of(error)}") from error
    try:
        owner = _sudo_user()
        if owner is not None:
            os.fchown(descriptor, *owner)
    except OSError as error:
        _remove(path, descriptor)
        os.close(descriptor)
        sentence = f"'{shown_path(path)}' cannot be given to who called sudo: {reason_of(error)}"
        raise UserError(Exit.USAGE, sentence, "choose a directory on another disk") from error
    return descriptor


def identity_of(status: os.stat_result) -> Identity:
    """What stays the same of a file when its name is given to another."""
    return status.st_dev, status.st_ino


def write_new(path: str, text: str) -> int:
    """Make the file and put ``text`` into it, all or nothing; returns its bytes.

    Raises UserError when it cannot be made, or not be written (disk full).
    """
    content = text.encode()
    descriptor = create(path)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError as error:
        _remove(path, descriptor)
        raise UserError(
            Exit.USAGE,
            f"'{shown_path(path)}' could not be written: {reason_of(error)}",
            "make room on that disk, or choose another one",
        ) from error
    finally:
        os.close(descriptor)
    return len(content)


def _remove(path: str, descriptor: int) -> None:
    """Only what was made here: in a folder of somebody else's the name may stand for another file by now."""
    with contextlib.suppress(OSError):
        if identity_of(os.stat(path, follow_symlinks=False)) == identity_of(os.fstat(descriptor)):
            os.unlink(path)


def _sudo_user() -> tuple[int, int] | None:
    try:
        ids = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    except (KeyError, ValueError):
        return None
    return ids if os.geteuid() == 0 and min(ids) >= 0 else None
