"""Program text to maps and instructions: by clang through bcc, or from what an earlier start compiled.

Used by the loader only, under the distribution's Python; bcc is imported only when something must be compiled. A
compile takes most of a start, and its outcome depends on the text, the kernel and bcc alone: with those as key the
instructions are kept in a directory that nobody but its owner can touch. What comes out of it still passes the
kernel's verifier.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import json
import mmap
import os
import stat
from types import ModuleType
from typing import Any

DIRECTORY = "/var/cache/zfstop"
_FORMAT = 1
_KEPT = 4
_MOST_BYTES = 4 << 20
_WIDE_LOAD, _FROM_MAP = 0x18, 1


class Unusable(Exception):
    """Nothing could be compiled. ``kind`` is a word that source.py turns into an error for the user."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Compiled:
    """Descriptors of the maps, and the instructions of the programs, which refer to these maps."""

    def __init__(self, maps: dict[str, int], programs: dict[str, bytes], cached: bool) -> None:
        self.maps = maps
        self.programs = programs
        self.cached = cached


def obtain(
    bpf: ModuleType, text: str, headers: str | None, maps: tuple[str, ...], programs: tuple[str, ...]
) -> Compiled:
    """From the cache, else from clang. ``headers`` is the tree to compile with, None for the kernel's own.

    With the kernel's own headers, whose contents are no part of the key, nothing is cached.
    """
    cache = _Cache(text) if headers else None
    kept = cache.read() if cache else None
    if kept is not None:
        with contextlib.suppress(OSError, KeyError, ValueError, TypeError):
            return _restore(bpf, kept, maps, programs)
    compiled = _compile(text, headers, maps, programs)
    if cache:
        cache.write(_packed(bpf, compiled))
    return compiled


def _compile(text: str, headers: str | None, maps: tuple[str, ...], programs: tuple[str, ...]) -> Compiled:
    if headers:
        os.environ["BCC_KERNEL_SOURCE"] = headers
    try:
        import bcc
    except (ImportError, OSError) as failure:
        raise Unusable("no-bcc", str(failure)) from None
    if not hasattr(bcc, "BPF"):
        raise Unusable("wrong-bcc", f"{getattr(bcc, '__file__', 'bcc')} is not the BPF Compiler Collection")
    # A warning of clang would be printed for every compile, and means nothing for text that is tested; debug
    # information takes a fifth of the time.
    flags = ["-w", "-g0", "-fms-extensions", f"-DZFSTOP_PAGE_SIZE={mmap.PAGESIZE}"]
    try:
        module = bcc.BPF(text=text.encode(), cflags=flags)
    except Exception as failure:  # bcc raises bare Exception for everything
        raise Unusable("compile", str(failure)) from None
    return Compiled(
        {name: module[name.encode()].map_fd for name in maps},
        {name: module.dump_func(name.encode()) for name in programs},
        cached=False,
    )


def _packed(bpf: ModuleType, compiled: Compiled) -> dict[str, Any]:
    places = {fd: place for place, fd in enumerate(compiled.maps.values())}
    return {
        "maps": {name: bpf.map_shape(fd) for name, fd in compiled.maps.items()},
        "programs": {
            name: base64.b64encode(_relocated(code, places)).decode()
            for name, code in compiled.programs.items()
        },
    }


def _restore(
    bpf: ModuleType, kept: dict[str, Any], maps: tuple[str, ...], programs: tuple[str, ...]
) -> Compiled:
    made: dict[str, int] = {}
    try:
        for name in maps:
            made[name] = bpf.map_create(name, *map(int, kept["maps"][name]))
        fds = dict(enumerate(made.values()))
        code = {
            name: _relocated(base64.b64decode(kept["programs"][name], validate=True), fds)
            for name in programs
        }
    except BaseException:
        for fd in made.values():
            os.close(fd)
        raise
    return Compiled(made, code, cached=True)


def _relocated(code: bytes, numbers: dict[int, int]) -> bytes:
    """The instructions with every map they refer to renumbered."""
    changed = bytearray(code)
    for at in range(0, len(code) - 15, 8):
        if code[at] == _WIDE_LOAD and code[at + 1] >> 4 == _FROM_MAP:
            number = int.from_bytes(code[at + 4 : at + 8], "little")
            changed[at + 4 : at + 8] = numbers[number].to_bytes(4, "little")
    return bytes(changed)


def _bcc_identity() -> list[Any]:
    """Which bcc would compile, without importing it; nothing found is an identity too."""
    spec = importlib.util.find_spec("bcc")
    if spec is None or spec.origin is None:
        return []
    found = os.stat(spec.origin)
    return [spec.origin, found.st_size, found.st_mtime_ns]


class _Cache:
    """One file a key. ``ZFSTOP_CACHE`` names another directory; empty, nothing is cached.

    Everything that goes wrong here only costs the time of a compile.
    """

    def __init__(self, text: str) -> None:
        kernel = os.uname()
        everything = [_FORMAT, text, kernel.release, kernel.version, kernel.machine, mmap.PAGESIZE]
        digest = hashlib.sha256(json.dumps([*everything, *_bcc_identity()]).encode()).hexdigest()
        self._name = f"{digest[:32]}.json"
        self._place = os.environ.get("ZFSTOP_CACHE", DIRECTORY)

    def read(self) -> dict[str, Any] | None:
        """What was kept under this key, if nobody else could have written it."""
        with contextlib.suppress(OSError, ValueError), self._directory() as directory:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(
                self._name, "rb", opener=lambda name, _: os.open(name, flags, dir_fd=directory)
            ) as file:
                if not _private(os.fstat(file.fileno()), stat.S_IFREG):
                    return None
                digest, _, body = file.read(_MOST_BYTES).partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() == digest:
                kept: dict[str, Any] = json.loads(body)
                return kept
        return None

    def write(self, kept: dict[str, Any]) -> None:
        """Keep it; a reader sees the whole file or none."""
        body = json.dumps(kept).encode()
        with contextlib.suppress(OSError):
            os.mkdir(self._place, 0o700)
        with contextlib.suppress(OSError), self._directory() as directory:
            temporary = f"{self._name}.{os.getpid()}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(temporary, flags, 0o600, dir_fd=directory)
            try:
                with open(fd, "wb") as file:
                    file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
                os.rename(temporary, self._name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                os.unlink(temporary, dir_fd=directory)
            _prune(directory)

    @contextlib.contextmanager
    def _directory(self) -> Any:
        if not self._place:
            raise OSError("not wanted")
        fd = os.open(self._place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not _private(os.fstat(fd), stat.S_IFDIR):
                raise OSError("not private")
            yield fd
        finally:
            os.close(fd)


def _private(found: os.stat_result, kind: int) -> bool:
    """Whether it is ours, and nobody else may write or read it."""
    return found.st_uid == os.geteuid() and stat.S_IFMT(found.st_mode) == kind and not found.st_mode & 0o077


def _prune(directory: int) -> None:
    """Keep the newest few: each kernel and each version of zfstop has its own."""
    names = os.listdir(directory)
    ages = {name: os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns for name in names}
    for name in sorted(names, key=lambda name: ages[name])[:-_KEPT]:
        os.unlink(name, dir_fd=directory)
