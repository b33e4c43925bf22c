"""Where ``config.toml`` is, whom it may be trusted from, and how it is written.

Under sudo zfstop is root in the home of somebody else. The names on the way to the file may be changed by that user at
any moment, so root opens one directory after the other, never through a symbolic link, and looks at what it has opened,
not at a name: what is not of root or of the user, or can be written by others, is refused with a sentence.
"""

from __future__ import annotations

import errno
import os
import pwd
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zfstop.config.settings import Settings, SettingsError, parse, updated
from zfstop.errors import Exit, UserError
from zfstop.text import visible

NAME = "config.toml"
#: Far more than all settings take.
_MOST_BYTES = 65_536
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Person:
    """Whose settings are wanted. ``root``: zfstop runs as root, for this user."""

    uid: int
    gid: int
    home: Path
    root: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A file: ``base`` is a directory that is there, ``below`` those from there on, which are made when needed.
    ``asked``: it was named on the command line, so that it must be there.
    """

    person: Person
    base: Path
    below: tuple[str, ...] = ()
    name: str = NAME
    asked: bool = False

    @property
    def path(self) -> Path:
        """All of it."""
        return self.base.joinpath(*self.below, self.name)

    def __str__(self) -> str:
        """As it is shown."""
        return visible(os.fsencode(self.path))


def whoever(environ: Mapping[str, str], euid: int | None = None) -> Person:
    """The user who runs zfstop; under sudo the one who called it, if there is such."""
    uid = os.geteuid() if euid is None else euid
    caller = environ.get("SUDO_UID", "")
    if uid == 0 and caller.isascii() and caller.isdigit() and 0 < int(caller[:11]) < 1 << 32:
        try:
            entry = pwd.getpwuid(int(caller))
            return Person(entry.pw_uid, entry.pw_gid, Path(entry.pw_dir), root=True)
        except KeyError:
            pass
    home = environ.get("HOME", "")
    return Person(uid, os.getegid(), Path(home if os.path.isabs(home) else "/"), root=uid == 0)


def place_of(person: Person, environ: Mapping[str, str], asked: str | None = None) -> Place:
    """The file that was asked for, else ``$XDG_CONFIG_HOME/zfstop/config.toml`` or what it is without that."""
    if asked is not None:
        path = Path(os.path.abspath(asked))
        return Place(person, path.parent, name=path.name, asked=True)
    base = environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):
        return Place(person, Path(base), ("zfstop",))
    return Place(person, person.home, (".config", "zfstop"))


def load(place: Place) -> Settings:
    """What the file says; nothing when there is none. Raises UserError with the line of what is wrong."""
    text = _read(place)
    if text is None:
        if place.asked:
            raise UserError(Exit.USAGE, f"there is no file {place}", "zfstop --no-config")
        return Settings()
    return _sound(place, text)


def save(place: Place, now: Settings) -> None:
    """Write what ``now`` says into the file, readable by its owner only, whole or not at all. Raises UserError."""
    text = _read(place) or ""
    try:
        fresh = updated(text, now)
    except SettingsError as error:
        raise _error(place, error) from None
    if fresh != text:
        _write(place, fresh)


def _sound(place: Place, text: str) -> Settings:
    try:
        return parse(text)
    except SettingsError as error:
        raise _error(place, error) from None


def _error(place: Place, error: SettingsError) -> UserError:
    first, *more = (f"{place}:{line}: {sentence}" for line, sentence in error.wrong)
    return UserError(Exit.USAGE, first, "zfstop --no-config does without", "\n".join(more))


def _read(place: Place) -> str | None:
    """The text; None when there is no file."""
    try:
        with _directory(place, make=False) as (directory, doubts), _opened(place, directory) as file:
            if doubts:
                raise doubts[0]
            data = os.read(file, _MOST_BYTES + 1)
    except OSError as error:
        # Where there is nothing to read, nobody need be told that the way there is not safe.
        if isinstance(error, FileNotFoundError) or not (place.asked or os.path.exists(place.path)):
            return None
        raise _refused(place, error) from None
    if len(data) > _MOST_BYTES:
        raise UserError(Exit.USAGE, f"{place} is larger than any settings", "zfstop --no-config")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(Exit.USAGE, f"{place}:{line}: this is not UTF-8", "zfstop --no-config") from None


def _write(place: Place, text: str) -> None:
    person = place.person
    try:
        with _directory(place, make=True) as (directory, doubts):
            if doubts:
                raise doubts[0]
            # A user's own link stays one; root has been refused by then.
            name = place.name if person.root else os.path.realpath(place.path)
            draft = os.path.join(os.path.dirname(name), f".{place.name}.{secrets.token_hex(8)}")
            try:
                with os.fdopen(os.open(draft, _FRESH, 0o600, dir_fd=directory), "wb") as file:
                    if person.root:
                        os.fchown(file.fileno(), person.uid, person.gid)
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                with suppress(OSError):
                    os.unlink(draft, dir_fd=directory)
                raise
            os.fsync(directory)
    except OSError as error:
        raise _refused(place, error) from None


def _refused(place: Place, error: OSError) -> UserError:
    reason = visible(error.strerror or str(error))
    if place.person.root and error.errno in (errno.ELOOP, errno.ENOTDIR):
        reason = "There is a symbolic link on the way, and root follows none"
    return UserError(
        Exit.USAGE, f"{place} cannot be used: {reason[:1].lower()}{reason[1:]}", "zfstop --no-config"
    )


@contextmanager
def _opened(place: Place, directory: int) -> Iterator[int]:
    """The file itself, looked at. Raises OSError and UserError."""
    # A pipe of that name must not hold the start up.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(place.name, flags | _no_links(place), dir_fd=directory)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(Exit.USAGE, f"{place} is no file", "zfstop --no-config")
        if doubt := _doubt(place, place.path, status):
            raise doubt
        yield file
    finally:
        os.close(file)


@contextmanager
def _directory(place: Place, *, make: bool) -> Iterator[tuple[int, list[UserError]]]:
    """The directory of the file, and what speaks against trusting it. Raises OSError."""
    path = place.base
    doubts: list[UserError | None] = []
    opened = os.open(path, _DIRECTORY)
    try:
        if not place.asked or make:
            doubts.append(_doubt(place, path, os.fstat(opened)))
        for name in place.below:
            if make and (doubt := doubts[-1]):
                raise doubt
            path /= name
            inner = _inner(place, opened, name, make=make)
            os.close(opened)
            opened = inner
            doubts.append(_doubt(place, path, os.fstat(opened)))
        yield opened, [doubt for doubt in doubts if doubt]
    finally:
        os.close(opened)


def _inner(place: Place, directory: int, name: str, *, make: bool) -> int:
    """A directory in a directory, made for the user when it is missing."""
    try:
        return os.open(name, _DIRECTORY | _no_links(place), dir_fd=directory)
    except FileNotFoundError:
        if not make:
            raise
    os.mkdir(name, 0o700, dir_fd=directory)
    fresh = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    # Whoever owns the outer one may have put another here since: only an empty one of root's is given away.
    if place.person.root and os.fstat(fresh).st_uid == 0 and not os.listdir(fresh):
        os.fchown(fresh, place.person.uid, place.person.gid)
    return fresh


def _no_links(place: Place) -> int:
    return os.O_NOFOLLOW if place.person.root else 0


def _doubt(place: Place, path: Path, status: os.stat_result) -> UserError | None:
    """As root, only what root or the user alone can change is trusted. A user's own zfstop is no more than its user."""
    person, shown = place.person, visible(os.fsencode(path))
    if not person.root:
        return None
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_uid not in (0, person.uid):
        why, remedy = f"is owned by uid {status.st_uid}", f"chown {person.uid}"
    elif status.st_mode & _OTHERS_WRITE and not sticky:
        why, remedy = "can be written by others", "chmod go-w"
    elif (
        stat.S_ISREG(status.st_mode)
        and person.uid
        and not status.st_uid
        and not status.st_mode & stat.S_IROTH
    ):
        # Else whoever may call zfstop by sudo could have root's files read out in errors.
        why, remedy = "is readable by root only", "chmod o+r"
    else:
        return None
    who = f"root or uid {person.uid}" if person.uid else "root"
    sentence = f"{shown} {why}, and as root zfstop trusts only what {who} alone can change"
    return UserError(Exit.USAGE, sentence, f"{remedy} {shown}")
