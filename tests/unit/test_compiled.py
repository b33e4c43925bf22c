"""What was compiled is kept for the next start, and whatever is wrong with what was kept only costs a compile."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import os
import stat
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from data.descriptors import open_now
from data.fake_zfs import Kernel, open_source, why_not
from hypothesis import given
from hypothesis import strategies as st

from zfstop.kernel import bpf, compiled
from zfstop.kernel.compiled import Compiled, obtain

REASON = why_not()
MAPS, PROGRAMS = ("settings", "events"), ("entry", "leave")
SHAPES = {"settings": (2, 4, 32, 1, 0), "events": (27, 0, 0, 4096, 0)}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another")
NOBODY = 65534


def load(fd: int, kind: int = 1) -> bytes:
    """An instruction that loads the address of a map (``kind`` 1) or a number."""
    return struct.pack("=BBHIQ", 0x18, kind << 4, 0, fd, 0)


EXIT = struct.pack("=BBHI", 0x95, 0, 0, 0)


class Host:
    """A kernel that makes maps, and a clang that is counted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.compiles = 0
        self.created: list[str] = []
        self.bpf: Any = SimpleNamespace(map_shape=self._shape, map_create=self._create)
        self._names: dict[int, str] = {}

    def start(self, text: str = "int x;", headers: str | None = "/headers") -> Compiled:
        return obtain(self.bpf, text, headers, MAPS, PROGRAMS)

    def compile(self, text: str, headers: str | None, maps: Any, programs: Any) -> Compiled:
        self.compiles += 1
        fds = {name: self._made(name) for name in maps}
        # A number that happens to be that of a map is none.
        code = load(fds["settings"], 0) + load(fds["events"]) + load(fds["settings"]) + EXIT
        return Compiled(fds, {"entry": code, "leave": load(fds["events"]) + EXIT}, cached=False)

    def _made(self, name: str) -> int:
        fd = os.memfd_create(name)
        self._names[fd] = name
        return fd

    def _shape(self, fd: int) -> tuple[int, ...]:
        return SHAPES[self._names[fd]]

    def _create(self, name: str, *shape: int) -> int:
        assert shape == SHAPES[name]
        self.created.append(name)
        return self._made(name)

    @property
    def kept(self) -> Path:
        """The one file of the cache."""
        (path,) = self.directory.iterdir()
        return path

    def spoil(self, body: bytes, digest: bytes | None = None) -> None:
        digest = hashlib.sha256(body).hexdigest().encode() if digest is None else digest
        self.kept.write_bytes(digest + b"\n" + body)

    def compiles_again(self) -> bool:
        """Whether the next start compiles; a good one is kept afterwards."""
        compiles, before = self.compiles, open_now()
        started = self.start()
        assert open_now() - before == set(started.maps.values()), "no map is left open"
        assert started.cached == (self.compiles == compiles)
        return not started.cached


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(tmp_path / "cache")
    monkeypatch.setenv("ZFSTOP_CACHE", str(found.directory))
    monkeypatch.setattr(compiled, "_compile", found.compile)
    before = open_now()
    yield found
    for fd in open_now() - before:
        os.close(fd)


def test_a_second_start_compiles_nothing_and_its_programs_refer_to_its_own_maps(host: Host) -> None:
    first, second = host.start(), host.start()
    assert host.compiles == 1
    assert (first.cached, second.cached) == (False, True)
    assert host.created == list(MAPS)
    assert not set(first.maps.values()) & set(second.maps.values())
    settings, events = second.maps["settings"], second.maps["events"]
    number = load(first.maps["settings"], 0)
    assert second.programs == {
        "entry": number + load(events) + load(settings) + EXIT,
        "leave": load(events) + EXIT,
    }


def test_nobody_else_may_look_into_what_is_kept(host: Host) -> None:
    old = os.umask(0)
    host.start()
    os.umask(old)
    assert stat.S_IMODE(host.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(host.kept.stat().st_mode) == 0o600


def test_another_text_kernel_or_bcc_is_compiled_anew(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.start()
    host.start("int y;")
    now = os.uname()
    for place in range(2, 5):
        other = os.uname_result([*now[:place], "another", *now[place + 1 :]])
        with monkeypatch.context() as patch:
            patch.setattr(os, "uname", lambda other=other: other)
            host.start()
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "_bcc_identity", lambda: ["another"])
        host.start()
    assert host.compiles == 6


def test_with_the_kernels_own_headers_nothing_is_kept(host: Host) -> None:
    """Their contents are no part of the key."""
    for _ in range(2):
        host.start(headers=None)
    assert host.compiles == 2
    assert not host.directory.exists()


def test_an_empty_name_of_the_directory_switches_it_off(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZFSTOP_CACHE", "")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        host.start()
    assert host.compiles == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o710, 0o701, 0o702])
def test_a_directory_that_others_may_use_is_refused(host: Host, mode: int) -> None:
    host.start()
    host.directory.chmod(mode)
    assert host.compiles_again()
    assert host.compiles_again(), "nor is anything written into it"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o602])
def test_a_file_that_others_may_use_is_refused_and_replaced(host: Host, mode: int) -> None:
    host.start()
    host.kept.chmod(mode)
    assert host.compiles_again()
    assert not host.compiles_again()


@needs_root
def test_a_directory_or_file_of_another_is_refused(host: Host) -> None:
    host.start()
    os.chown(host.kept, NOBODY, NOBODY)
    assert host.compiles_again()
    assert not host.compiles_again()
    os.chown(host.directory, NOBODY, NOBODY)
    assert host.compiles_again()
    assert host.compiles_again()


def test_no_link_is_followed(host: Host, tmp_path: Path) -> None:
    host.start()
    name = host.kept.name
    elsewhere = tmp_path / "elsewhere"
    host.kept.rename(elsewhere)
    (host.directory / name).symlink_to(elsewhere)
    assert host.compiles_again()
    assert not host.compiles_again()
    assert not host.kept.is_symlink()
    host.directory.rename(elsewhere := tmp_path / "other")
    host.directory.symlink_to(elsewhere)
    assert host.compiles_again()


def test_something_else_under_its_name_is_in_nobodys_way(host: Host) -> None:
    host.start()
    path = host.kept
    path.unlink()
    path.mkdir()
    assert host.compiles_again()
    path.rmdir()
    host.directory.rmdir()
    host.directory.write_text("a file")
    assert host.compiles_again()


def test_a_torn_file_is_refused(host: Host) -> None:
    host.start()
    whole = host.kept.read_bytes()
    for length in (0, 1, 64, 65, 66, len(whole) // 2, len(whole) - 1):
        host.kept.write_bytes(whole[:length])
        assert host.compiles_again(), length
    assert host.kept.read_bytes() != whole[:-1], "and made whole again"


@given(st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject) -> None:
    """Wherever it is: in the digest or in what it is of."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        host = Host(Path(place) / "cache")
        patch.setenv("ZFSTOP_CACHE", str(host.directory))
        patch.setattr(compiled, "_compile", host.compile)
        close(host.start())
        whole = bytearray(host.kept.read_bytes())
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
        host.kept.write_bytes(whole)
        close(host.start())
        assert host.compiles == 2


def close(started: Compiled) -> None:
    for fd in started.maps.values():
        os.close(fd)


FOREIGN = [
    b"", b"null", b"[]", b"{}", b'"text"', b"not json", b"\xff\xfe", b"{" * 99,
    json.dumps({"maps": {}, "programs": {}}).encode(),
    json.dumps({"maps": dict(SHAPES), "programs": {}}).encode(),
    json.dumps({"maps": dict(SHAPES), "programs": {"entry": "!", "leave": "!"}}).encode(),
    json.dumps({"maps": dict(SHAPES), "programs": {"entry": 5, "leave": None}}).encode(),
    json.dumps({"maps": {"settings": [2, 4, 32, 1, 0], "events": 7}, "programs": {}}).encode(),
    json.dumps({"maps": {"settings": [2, 4, 32, 1, 0], "events": ["x"]}, "programs": {}}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("body", FOREIGN, ids=range(len(FOREIGN)))
def test_what_is_no_cache_of_ours_is_refused_even_with_the_right_digest(host: Host, body: bytes) -> None:
    host.start()
    host.spoil(body)
    assert host.compiles_again()
    assert not host.compiles_again()


def test_a_program_that_refers_to_a_map_there_is_not_is_refused(host: Host) -> None:
    host.start()
    kept = json.loads(host.kept.read_bytes().partition(b"\n")[2])
    kept["maps"] = {"settings": kept["maps"]["settings"], "events": kept["maps"]["events"]}
    kept["programs"]["leave"] = base64.b64encode(load(7) + EXIT).decode()
    host.spoil(json.dumps(kept).encode())
    assert host.compiles_again()


def test_maps_that_the_kernel_refuses_are_compiled_anew(host: Host) -> None:
    host.start()
    real, refused = host.bpf.map_create, []

    def refuse(name: str, *shape: int) -> int:
        if name == "events":
            refused.append(name)
            raise OSError(1, "Operation not permitted")
        return int(real(name, *shape))

    host.bpf.map_create = refuse
    assert host.compiles_again()
    assert refused == ["events"]


def test_a_reader_sees_the_whole_file_or_none(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its name when it is complete."""
    seen: list[tuple[list[str], bytes]] = []
    rename = os.rename

    def watch(source: str, target: str, **places: int) -> None:
        seen.append((os.listdir(host.directory), (host.directory / source).read_bytes()))
        rename(source, target, **places)

    monkeypatch.setattr(os, "rename", watch)
    host.start()
    ((names, content),) = seen
    assert host.kept.name not in names
    assert content == host.kept.read_bytes()


def test_a_file_that_could_not_be_finished_leaves_nothing_behind(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        assert host.start().programs
    assert list(host.directory.iterdir()) == []
    assert host.compiles_again()
    assert not host.compiles_again()


def test_a_directory_that_cannot_be_made_costs_nothing_but_time(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZFSTOP_CACHE", str(tmp_path / "missing" / "cache"))
    assert host.compiles_again()
    assert host.compiles_again()
    assert not (tmp_path / "missing").exists()


def test_the_newest_four_are_kept(host: Host) -> None:
    for number in range(9):
        host.start(str(number))
        for path in host.directory.iterdir():
            # As if an hour lay between them.
            os.utime(path, ns=(0, path.stat().st_mtime_ns - 3_600_000_000_000))
    assert len(list(host.directory.iterdir())) == 4
    compiles = host.compiles
    for number in (5, 6, 7, 8):
        host.start(str(number))
    assert host.compiles == compiles
    host.start("4")
    assert host.compiles == compiles + 1


# With the real ones.


def tag(program: int) -> bytes:
    """The kernel's hash of the instructions of a program, whatever the numbers of its maps."""
    info = bytearray(16)
    buffer = (ctypes.c_char * 16).from_buffer(info)
    bpf.bpf(bpf.OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program, 16, bpf.address(buffer)))
    return bytes(info[8:16])


@pytest.mark.skipif(bool(REASON), reason=REASON)
def test_a_cached_start_gives_the_same_programs_and_working_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = str(tmp_path / "cache")
    started = [open_source(monkeypatch, symbols=["zpl_open", "zpl_iter_read"], cache=cache) for _ in range(2)]
    (first, _), (second, kernel) = started
    assert (first.loaded.cached, second.loaded.cached) == (False, True)
    tags = [
        {slot: tuple(map(tag, programs)) for slot, programs in source.loaded.programs.items()}
        for source in (first, second)
    ]
    assert tags[0] == tags[1]
    assert len({one for pair in tags[0].values() for one in pair}) == 2 * len(tags[0]), (
        "every program is another"
    )
    shapes = [
        {name: bpf.map_shape(fd) for name, fd in source.loaded.maps.items()} for source in (first, second)
    ]
    assert shapes[0] == shapes[1]
    told = calls(kernel)
    assert told == [("read", "dir/file", 4096), ("open", "dir/file", None)]
    assert [counts.seen for counts in second.counts()][:2] == [1, 1]
    assert [counts.seen for counts in first.counts()][:2] == [0, 0]
    for source, _ in started:
        source.close()


def calls(kernel: Kernel) -> list[tuple[str, str, int | None]]:
    file = kernel.file(b"dir", b"file")
    kernel.read(file, 4096, 512)
    kernel.call("zpl_open", (0, file), 0)
    return [(event.key.op, event.key.path, event.offset) for event in kernel.events()]
