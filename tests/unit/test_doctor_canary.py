"""The canary makes the calls it says it makes and leaves nothing; whoever reports one of them wrongly is found out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zfstop.doctor import canary_program as program
from zfstop.doctor import place
from zfstop.doctor.canary import Call, Canary, caged
from zfstop.doctor.facts import Song, Verdict
from zfstop.doctor.judge import EXPECTED, judge
from zfstop.doctor.place import Place, find_place
from zfstop.errors import Exit, UserError
from zfstop.model.events import Event, Key
from zfstop.zfs.datasets import Mount, parse_mounts

OPS = tuple(expected.op for expected in EXPECTED)
NAME = b".zfstop-canary-00"
RUNNING = threading.Event()


# The process. Any file system will do for this.


@pytest.fixture
def nest(tmp_path: Path) -> Iterator[Path]:
    """A directory that must be empty in the end."""
    yield tmp_path
    assert not list(tmp_path.iterdir())


def place_of(directory: Path) -> Place:
    return Place("tank/data", os.fsencode(directory), b"")


def test_it_makes_every_call_once_with_the_results_it_promised(nest: Path) -> None:
    with caged(place_of(nest)) as bird:
        bird.wait_until_ready(RUNNING)
        calls = bird.sing(RUNNING)
    assert tuple(call.step for call in calls) == program.STEPS
    told = {expected.step: expected.result for expected in EXPECTED}
    assert {call.step: call.result for call in calls} == told
    ends = [moment for call in calls for moment in (call.start, call.end)]
    assert ends == sorted(ends)
    assert len({call.inode for call in calls}) == 1


def test_without_the_word_it_makes_nothing(nest: Path) -> None:
    with caged(place_of(nest)) as bird:
        bird.wait_until_ready(RUNNING)
        assert not list(nest.iterdir())


def test_the_file_goes_with_it_however_it_ends(nest: Path) -> None:
    with caged(place_of(nest)) as bird:
        (nest / os.fsdecode(program.renamed(bird.name))).write_text("it was killed before it could delete it")
        os.kill(bird.pid, 9)


def test_who_gives_up_does_not_wait(nest: Path) -> None:
    ended = threading.Event()
    ended.set()
    with caged(place_of(nest)) as bird:
        bird.wait_until_ready(ended)
        assert bird.sing(ended) == []


def test_a_canary_that_dies_is_a_sentence(nest: Path) -> None:
    with caged(place_of(nest)) as bird:
        bird.wait_until_ready(RUNNING)
        os.kill(bird.pid, 9)
        with pytest.raises(UserError, match="create in tank/data has not returned"):
            bird.sing(RUNNING)


def test_a_file_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    says = r"file \.zfstop-canary-\w+ may still be in tank/data"
    with pytest.raises(UserError, match=says) as caught, caged(place_of(tmp_path)) as bird:
        (tmp_path / os.fsdecode(bird.name)).mkdir()
    assert caught.value.remedy


def test_a_call_that_fails_is_a_sentence(tmp_path: Path) -> None:
    with caged(place_of(tmp_path)) as bird:
        bird.wait_until_ready(RUNNING)
        (tmp_path / os.fsdecode(bird.name)).write_text("in the way")
        with pytest.raises(UserError, match=r"could not create its file in tank/data \(File exists\)"):
            bird.sing(RUNNING)


def test_a_directory_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened"), caged(place_of(tmp_path / "gone")):
        pass


# The judgement.


class Bird(Canary):
    """A canary that has sung: no process."""

    def __init__(self, directory: int, inside: bytes = b"") -> None:
        self.place = Place("tank/data", b"/tank/data", inside)
        self.directory = directory
        self.name = NAME


@pytest.fixture
def bird(tmp_path: Path) -> Iterator[Bird]:
    directory = os.open(tmp_path, os.O_RDONLY)
    yield Bird(directory)
    os.close(directory)


CALLS = [
    Call(step, 1000 * number, 1000 * number + 500, next(e.result for e in EXPECTED if e.step == step), 77)
    for number, step in enumerate(program.STEPS, 1)
]


def event_of(number: int, prefix: str = "") -> Event:
    """The right report of ``EXPECTED[number]``."""
    expected = EXPECTED[number]
    call = next(call for call in CALLS if call.step == expected.step)
    name = (program.renamed(NAME) if expected.step == "delete" else NAME).decode()
    key = Key(expected.op, 5, "python3", 0, 1, "tank/data", prefix + name, "f")
    to = prefix + program.renamed(NAME).decode() if expected.step == "rename" else ""
    return Event(key, call.end - 10, 400, 5, expected.offset, expected.size, expected.result, 0, to)


def reports(prefix: str = "") -> list[Event]:
    return [event_of(number, prefix) for number in range(len(EXPECTED))]


def called(event: Event, path: str) -> Event:
    """By the lower layer of ZFS, which knows no names."""
    return replace(event, key=event.key._replace(path=path), to="")


def failures(song: Song) -> list[str]:
    return [s.op for s in song.sightings if s.fact.verdict is Verdict.FAIL]


def test_right_reports_pass(bird: Bird) -> None:
    song = judge(CALLS, reports(), bird, OPS, OPS)
    assert song.right
    assert song.fact.verdict is Verdict.PASS
    assert [(s.caller_ns, s.seen_ns) for s in song.sightings] == [(500, 400)] * len(EXPECTED)


LIES: dict[str, Callable[[Event], list[Event]]] = {
    "missing": lambda e: [],
    "twice": lambda e: [e, e],
    "file": lambda e: [replace(e, key=e.key._replace(path="other"))],
    "dataset": lambda e: [replace(e, key=e.key._replace(dataset="tank"))],
    "result": lambda e: [replace(e, result=e.result + 1)],
    "began too early": lambda e: [replace(e, latency_ns=600)],
    "ended too late": lambda e: [replace(e, ts_ns=e.ts_ns + 20)],
    "another operation": lambda e: [replace(e, key=e.key._replace(op="getattr"))],
}


@pytest.mark.parametrize("number", range(len(EXPECTED)), ids=OPS)
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_any_call_is_found_and_blamed_on_that_call(bird: Bird, number: int, lie: str) -> None:
    events = reports()
    events[number : number + 1] = LIES[lie](events[number])
    song = judge(CALLS, events, bird, OPS, OPS)
    assert failures(song) == [OPS[number]]
    assert not song.right
    assert song.fact.remedy


def test_a_rename_to_another_name_is_found(bird: Bird) -> None:
    events = reports()
    number = OPS.index("rename")
    for lie in ("", NAME.decode(), "other"):
        events[number] = replace(event_of(number), to=lie)
        assert failures(judge(CALLS, events, bird, OPS, OPS)) == ["rename"]


@pytest.mark.parametrize("field", ["offset", "size"])
@pytest.mark.parametrize("op", ["read", "write"])
def test_a_wrong_offset_or_size_is_found(bird: Bird, op: str, field: str) -> None:
    events = reports()
    number = OPS.index(op)
    for lie in (None, getattr(events[number], field) + 1):
        events[number] = replace(event_of(number), **{field: lie})
        song = judge(CALLS, events, bird, OPS, OPS)
        assert failures(song) == [op]
        assert field in next(s.fact.text for s in song.sightings if s.op == op)


def test_calls_of_other_moments_do_not_count(bird: Bird) -> None:
    stray = [replace(event, ts_ns=event.ts_ns + 10**6) for event in reports()]
    assert judge(CALLS, reports() + stray, bird, OPS, OPS).right
    assert failures(judge(CALLS, stray, bird, OPS, OPS)) == list(OPS)


def test_an_operation_zfstop_does_not_trace_is_said_to_be_unchecked(bird: Bird) -> None:
    known = [op for op in OPS if op not in ("create", "rename")]
    song = judge(CALLS, [e for e in reports() if e.key.op in known], bird, known, known)
    assert song.unchecked == ("create", "rename")
    assert (song.right, song.fact.verdict) == (True, Verdict.WARN)
    assert "create, rename" in song.fact.text


def test_an_operation_without_probe_is_not_reported(bird: Bird) -> None:
    attached = [op for op in OPS if op != "fsync"]
    song = judge(CALLS, reports(), bird, attached, OPS)
    assert failures(song) == ["fsync"]


def test_the_path_begins_where_the_directory_is(tmp_path: Path, bird: Bird) -> None:
    nested = Bird(bird.directory, b"a\tb/c")
    assert judge(CALLS, reports("a\\x09b/c/"), nested, OPS, OPS).right
    assert judge(CALLS, reports("…/c/"), nested, OPS, OPS).right, "cut above by the program"
    assert not judge(CALLS, reports("c/"), nested, OPS, OPS).right
    assert not judge(CALLS, reports("…/d/"), nested, OPS, OPS).right


def test_an_inode_number_is_a_name_where_the_kernel_has_no_other(bird: Bird) -> None:
    def numbered(inode: int) -> list[Event]:
        return [called(event, f"inode#{inode}") for event in reports()]

    assert judge(CALLS, numbered(77), bird, OPS, OPS).right
    assert judge(CALLS, numbered(os.fstat(bird.directory).st_ino), bird, OPS, OPS).right
    assert failures(judge(CALLS, numbered(78), bird, OPS, OPS)) == list(OPS)


def test_a_directory_is_a_name_where_the_kernel_has_no_other(bird: Bird) -> None:
    for inside, path in ((b"", "./?"), (b"a/b", "a/b/?")):
        nested = Bird(bird.directory, inside)
        assert judge(CALLS, [called(event, path) for event in reports()], nested, OPS, OPS).right
        wrong = [called(event, "c/?") for event in reports()]
        assert failures(judge(CALLS, wrong, nested, OPS, OPS)) == list(OPS)


# The place.

MOUNTS = (
    b"1 0 8:1 / / rw - ext4 /dev/sda rw\n"
    b"2 1 0:50 / /tank rw - zfs tank rw,xattr\n"
    b"3 1 0:51 /sub/dir /srv/bind rw - zfs tank/a\\040b rw\n"
    b"4 1 0:51 / /tank/a\\040b rw master:1 - zfs tank/a\\040b rw\n"
    b"5 1 0:52 / /ro ro,relatime - zfs tank/ro rw\n"
    b"6 1 0:53 / /super rw - zfs tank@snap ro\n"
    b"half a line\n"
)


def test_mounts_tell_where_how_and_which_part() -> None:
    assert parse_mounts(MOUNTS) == [
        Mount(50, b"tank", b"/", b"/tank", False),
        Mount(51, b"tank/a b", b"/sub/dir", b"/srv/bind", False),
        Mount(51, b"tank/a b", b"/", b"/tank/a b", False),
        Mount(52, b"tank/ro", b"/", b"/ro", True),
        Mount(53, b"tank@snap", b"/", b"/super", True),
    ]


@settings(max_examples=20)
@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"1", b"0:5", b"/", b"-", b"zfs", b" ", b"\n", b"rw"])).map(b"".join)
)
def test_no_mount_table_is_too_strange(text: bytes) -> None:
    for mount in parse_mounts(text):
        assert mount.dev >= 0


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Every mount point of MOUNTS is what it is said to be, and not hidden."""
    table = {mount.point: mount.dev for mount in parse_mounts(MOUNTS)}
    monkeypatch.setattr(place, "_device", table.get)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("tank", Place("tank", b"/tank", b"")),
        ("tank/a b", Place("tank/a b", b"/tank/a b", b"")),
        ("tank/ro", Place("tank/ro", b"/ro", b"")),
    ],
)
def test_a_dataset_is_entered_where_the_whole_of_it_is_seen(
    devices: pytest.MonkeyPatch, name: str, found: Place
) -> None:
    assert place._of_dataset(name, parse_mounts(MOUNTS))[0] == found


@pytest.mark.parametrize(
    ("name", "says"),
    [("tank/x", "no dataset tank/x is mounted"), ("tank@snap", "snapshot"), ("tank@other", "snapshot")],
)
def test_a_dataset_without_a_way_in_is_refused(devices: pytest.MonkeyPatch, name: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        place._of_dataset(name, parse_mounts(MOUNTS))
    assert caught.value.remedy


def test_a_hidden_mount_point_is_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_device", lambda point: 99)
    with pytest.raises(UserError, match="another mount on /tank hides tank"):
        place._of_dataset("tank", parse_mounts(MOUNTS))


def test_of_a_bind_mount_only_the_part_is_used_when_there_is_no_more(devices: pytest.MonkeyPatch) -> None:
    binds = [mount for mount in parse_mounts(MOUNTS) if mount.point != b"/tank/a b"]
    assert place._of_dataset("tank/a b", binds)[0] == Place("tank/a b", b"/srv/bind", b"sub/dir")


def test_a_directory_knows_its_dataset_and_its_path_in_it(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    dev = place._device(os.fsencode(tmp_path))
    assert dev is not None
    mounts = [Mount(dev, b"tank/x", b"/root", os.fsencode(tmp_path), False)]
    found, _ = place._of_directory(str(tmp_path / "deep" / ".." / "deep" / "er"), mounts)
    assert found == Place("tank/x", os.fsencode(tmp_path / "deep" / "er"), b"root/deep/er")
    assert place._of_directory(str(tmp_path), mounts)[0].inside == b"root"
    beside = [replace(mounts[0], point=os.fsencode(tmp_path / "dee"))]
    with pytest.raises(UserError, match="not on ZFS"):
        place._of_directory(str(tmp_path / "deep"), beside)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("/proc", "not on ZFS"),
        (".", "not on ZFS"),
        ("/nowhere/at/all", "No such file"),
        ("/proc/version", "not a directory"),
    ],
)
def test_what_is_not_zfs_is_refused(word: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        find_place(word)
    assert caught.value.status == Exit.NOT_READY
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("room", "read_only", "says"), [(4096, False, "space"), (1 << 30, True, "read-only")]
)
def test_a_place_that_cannot_be_written_to_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, room: int, read_only: bool, says: str
) -> None:
    full = os.statvfs_result((512, 512, 9, 9, room // 512, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    found = Place("tank", os.fsencode(tmp_path), b""), Mount(50, b"tank", b"/", b"/tank", read_only)
    with pytest.raises(UserError, match=says):
        place._usable(found)
    monkeypatch.setattr(
        os, "statvfs", lambda path: os.statvfs_result((512, 512, 9, 9, 1 << 20, 9, 9, 9, 0, 255))
    )
    assert place._usable((found[0], replace(found[1], read_only=False))) == found[0]
