"""A path is what it was in the kernel, safe to show; memory is bounded, and the program knows what was forgotten."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.kernel.paths import CUT_MARK, Paths, decode_path
from zfstop.model.events import PATH_CUT, PATH_STRUCT, PATH_VOLUME
from zfstop.text import visible


def record(path_id: int, *leaf_to_root: bytes, cut: bool = False, slack: bytes = b"") -> bytes:
    text = b"".join(name + b"\0" for name in leaf_to_root)
    return PATH_STRUCT.pack(path_id, len(text), PATH_CUT if cut else 0) + text + slack


def test_names_come_from_leaf_to_root() -> None:
    assert decode_path(record(7, b"file", b"dir", b"top")) == (7, "top/dir/file")
    assert decode_path(record(7, b"file")) == (7, "file")


def test_the_root_of_a_dataset_is_a_dot() -> None:
    assert decode_path(record(7)) == (7, ".")


def test_a_path_that_is_too_deep_says_so() -> None:
    assert decode_path(record(7, b"file", b"dir", cut=True)) == (7, CUT_MARK + "dir/file")


def test_what_lay_in_the_ring_before_is_not_part_of_a_path() -> None:
    assert decode_path(record(7, b"file", slack=b"secret\0more\0" + bytes(700))) == (7, "file")


def test_twenty_four_names_of_255_bytes_are_kept_whole() -> None:
    names = [bytes([97 + place]) * 255 for place in range(24)]
    assert decode_path(record(7, *reversed(names)))[1] == "/".join(name.decode() for name in names)


names = st.binary(min_size=1, max_size=30).map(lambda raw: raw.replace(b"\0", b"x").replace(b"/", b"y"))


@given(st.lists(names, max_size=8), st.booleans())
def test_any_names_are_shown_harmlessly_and_none_is_lost(raw: list[bytes], cut: bool) -> None:
    path = decode_path(record(7, *reversed(raw), cut=cut))[1]
    assert path == visible(path), "safe is what stays as it is"
    assert path.isprintable()
    shown = path.removeprefix(CUT_MARK) if cut else path
    assert shown.split("/") == ([visible(name) for name in raw] or ["."])


# Volumes: a path of one component, by a number that is their device's.


def volume(dev: int, name: bytes) -> bytes:
    return PATH_STRUCT.pack(0xFFFFFFFF << 32 | dev, len(name) + 1, PATH_VOLUME) + name + b"\0"


def test_volumes_are_told_once_by_their_device() -> None:
    paths = Paths(lambda ids: None, 100)
    for item in (volume(230 << 20, b"tank/vol"), volume(230 << 20 | 16, b"tank/a/b"), record(7, b"file")):
        paths.add(item)
    assert paths.volumes() == {230 << 20: "tank/vol", 230 << 20 | 16: "tank/a/b"}
    assert paths.volumes() == {}
    assert paths.get(7) == "file"


def test_a_volume_that_was_told_is_asked_for_anew_every_second() -> None:
    """It may have been renamed, or its number given to another."""
    asked: list[int] = []
    paths = Paths(asked.extend, 100)
    paths.add(volume(230 << 20, b"tank/vol"))
    paths.tidy()
    assert asked == [], "nobody has heard of it yet"
    paths.volumes()
    paths.tidy()
    assert asked == [0xFFFFFFFF << 32 | 230 << 20]
    paths.tidy()
    assert len(asked) == 1, "the program names it only when it is used again"
    paths.add(volume(230 << 20, b"tank/renamed"))
    assert paths.volumes() == {230 << 20: "tank/renamed"}


def test_the_last_of_two_names_of_a_volume_counts() -> None:
    paths = Paths(lambda ids: None, 100)
    paths.add(volume(230 << 20, b"old"))
    paths.add(volume(230 << 20, b"new"))
    assert paths.volumes() == {230 << 20: "new"}


@given(st.binary(min_size=1, max_size=200).filter(lambda raw: b"\0" not in raw))
def test_any_name_of_a_volume_is_shown_harmlessly(name: bytes) -> None:
    paths = Paths(lambda ids: None, 100)
    paths.add(volume(9, name))
    (shown,) = paths.volumes().values()
    assert shown == visible(name)


class Kernel:
    """What the BPF program believes to have been sent: a record comes only for an id it does not hold."""

    def __init__(self, capacity: int) -> None:
        self.sent: set[int] = set()
        self.paths = Paths(self.forget, capacity)

    def forget(self, ids: Iterable[int]) -> None:
        self.sent -= set(ids)

    def meet(self, path_id: int) -> None:
        if path_id not in self.sent:
            self.sent.add(path_id)
            self.paths.add(record(path_id, b"%d" % path_id))


def test_an_unknown_id_has_no_text() -> None:
    assert Paths(lambda ids: None, 100).get(5) is None


def test_the_bound_is_kept_by_letting_the_oldest_go() -> None:
    kernel = Kernel(100)
    for path_id in range(100):
        kernel.meet(path_id)
    kernel.paths.tidy()
    assert kernel.sent == set(range(25, 100)), "the program is told first"
    assert kernel.paths.get(0) == "0", "events in the ring may still refer to it"
    kernel.paths.tidy()
    assert kernel.paths.get(0) is None
    assert kernel.paths.get(25) == "25"


def test_below_the_bound_nothing_is_forgotten() -> None:
    kernel = Kernel(100)
    for path_id in range(99):
        kernel.meet(path_id)
    for _ in range(5):
        kernel.paths.tidy()
    assert len(kernel.sent) == 99


def test_a_path_that_came_again_meanwhile_stays_known() -> None:
    kernel = Kernel(100)
    for path_id in range(100):
        kernel.meet(path_id)
    kernel.paths.tidy()
    kernel.meet(0)
    kernel.paths.tidy()
    assert kernel.paths.get(0) == "0", "the program will not send it a third time"


@pytest.mark.parametrize("a_second", [10, 60, 500, 2000])
def test_a_flood_of_new_paths_does_not_grow_without_end(a_second: int) -> None:
    kernel = Kernel(100)
    held = []
    for second in range(20):
        for number in range(a_second):
            kernel.meet(second * a_second + number)
        kernel.paths.tidy()
        held.append(len(kernel.sent))
    assert max(held) <= 100
    assert len(kernel.paths._texts) <= 100 + 2 * a_second


@given(st.lists(st.lists(st.integers(0, 60), max_size=40), max_size=12))
def test_whatever_the_program_believes_to_be_known_is_known(seconds: list[list[int]]) -> None:
    kernel = Kernel(20)
    for second in seconds:
        for path_id in second:
            kernel.meet(path_id)
            assert kernel.paths.get(path_id) == str(path_id)
        kernel.paths.tidy()
        assert all(kernel.paths.get(path_id) == str(path_id) for path_id in kernel.sent)
