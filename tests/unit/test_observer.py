"""The state of ZFS once a second: what is new is told once, and a command that hangs stops nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from test_kstats import LINES, TXGS

from zfstop.inquiry import Answers, Commands, Inquiry
from zfstop.model.zfs_state import Commits, Properties, Scan, ZfsState, syncs
from zfstop.observer import Observer, heaviest
from zfstop.zfs.answers import PoolAnswer

#: CLOCK_MONOTONIC is so much ahead of CLOCK_MONOTONIC_RAW.
AHEAD = 1_000


@pytest.fixture
def kstat(tmp_path: Path) -> Path:
    """Kstats of one pool with one dataset."""
    folder = tmp_path / "kstat"
    (folder / "tank").mkdir(parents=True)
    (folder / "tank" / "state").write_text("ONLINE\n")
    (folder / "tank" / "txgs").write_bytes(TXGS)
    (folder / "zil").write_text("zil_commit_count 4 5\n")
    objset(folder, 5)
    (tmp_path / "zfs_dirty_data_max").write_text("4096\n")
    return folder


def objset(folder: Path, commits: int, name: str = "tank/pg") -> None:
    text = f"60 1 0x01\nname type data\ndataset_name 7 {name}\nzil_commit_count 4 {commits}\n"
    (folder / "tank" / "objset-0x36").write_text(text)


@pytest.fixture
def inquiry(kstat: Path) -> Inquiry:
    return Inquiry(lambda words: None, str(kstat))


@pytest.fixture
def look(kstat: Path, inquiry: Inquiry) -> Callable[..., ZfsState]:
    return Observer(inquiry, str(kstat), str(kstat.parent), lambda: (10**12 + AHEAD, 10**12)).look


def numbers(state: ZfsState) -> list[int]:
    return [txg.number for txg in state.pools[0].txgs]


def test_the_first_look_tells_all_and_the_next_only_what_is_under_way_and_the_last_committed(
    look: Callable[..., ZfsState],
) -> None:
    assert numbers(look()) == [13, 14, 15, 16]
    state = look()
    assert numbers(state) == [14, 15, 16]
    pool = state.pools[0]
    assert [txg and txg.number for txg in (pool.committed, pool.syncing, pool.newest)] == [14, 15, 16]
    assert pool.txgs[0].birth_ns == 33768939428 + AHEAD


def test_a_txg_that_changed_is_told(look: Callable[..., ZfsState], kstat: Path) -> None:
    look()
    done = LINES[3].replace(b" S ", b" C ")[:-1] + b"9000"
    more = b"\n".join([*LINES[:3], done, LINES[4].replace(b" O ", b" C "), b"17 9 O 0 0 0 0 0 0 0 0 0", b""])
    (kstat / "tank" / "txgs").write_bytes(more)
    assert numbers(look()) == [15, 16, 17]
    assert numbers(look()) == [16, 17]


def test_a_storm_of_txgs_stays_small(look: Callable[..., ZfsState], kstat: Path) -> None:
    look()
    many = b"".join(b"%d 5 C 0 0 0 0 0 1 1 1 1\n" % number for number in range(100, 200))
    (kstat / "tank" / "txgs").write_bytes(LINES[0] + b"\n" + many)
    found = look()
    assert numbers(found) == list(range(168, 200))


def test_counts_are_of_the_time_since_the_last_look(look: Callable[..., ZfsState], kstat: Path) -> None:
    assert look().figures.zil_commits is None
    (kstat / "zil").write_text("zil_commit_count 4 12\n")
    state = look()
    assert state.figures.zil_commits == 7
    assert state.figures.dirty_max == 4096
    assert state.figures.arc_size is None


def test_commits_of_busy_datasets_are_told_under_the_name_they_have_now(
    look: Callable[..., ZfsState], kstat: Path, inquiry: Inquiry
) -> None:
    inquiry.inquire()
    assert look().commits == ()
    objset(kstat, 9)
    assert look(busy=["tank/none", "tank/pg"]).commits == (Commits("tank/pg", 4),)
    assert look(busy=["tank/pg"]).commits == ()
    objset(kstat, 20, "tank/renamed")
    assert look(busy=["tank/pg"]).commits == ()


def test_of_many_datasets_the_busy_ones_are_read(
    look: Callable[..., ZfsState], kstat: Path, inquiry: Inquiry
) -> None:
    for number in range(40):
        text = f"dataset_name 7 tank/{number:02}\nzil_commit_count 4 1\n"
        (kstat / "tank" / f"objset-0x1{number:02}").write_text(text)
    inquiry.inquire()
    look(busy=["tank/30"])
    for number in range(40):
        text = f"dataset_name 7 tank/{number:02}\nzil_commit_count 4 2\n"
        (kstat / "tank" / f"objset-0x1{number:02}").write_text(text)
    found = look(busy=["tank/30", "tank/31"]).commits
    assert Commits("tank/30", 1) in found
    assert len(found) < 17


def test_what_the_commands_answered_is_added_and_without_an_answer_nothing_is_known(
    look: Callable[..., ZfsState], inquiry: Inquiry
) -> None:
    assert (look().pools[0].scan, look().pools[0].log) == (None, None)
    known = (Properties("tank/pg", 8192, "standard", "lz4"),)
    inquiry.answers = Answers({"tank": PoolAnswer(Scan("scrub", 0.5), False)}, known)
    state = look()
    assert (state.pools[0].scan, state.pools[0].log, state.properties) == (Scan("scrub", 0.5), False, known)


def test_no_zfs_is_no_pools(tmp_path: Path, inquiry: Inquiry) -> None:
    assert Observer(inquiry, str(tmp_path / "none"), str(tmp_path)).look().pools == ()


def test_a_pool_that_goes_and_one_that_comes(look: Callable[..., ZfsState], kstat: Path) -> None:
    look()
    (kstat / "tank").rename(kstat / "fast")
    (kstat / "fast" / "state").write_text("SUSPENDED\n")
    state = look()
    assert state.suspended == ("fast",)
    assert numbers(state) == [13, 14, 15, 16]
    assert state.pool("tank") is None
    assert state.pool("fast") is state.pools[0]


def test_the_heaviest_come_first() -> None:
    assert heaviest([("a", 1), ("b", 2), ("a", 2)]) == ["a", "b"]


def test_syncs_are_spans_as_the_last_look_saw_them(look: Callable[..., ZfsState], kstat: Path) -> None:
    first = look()
    done = LINES[3].replace(b" S ", b" C ")[:-1] + b"9000"
    (kstat / "tank" / "txgs").write_bytes(b"\n".join([*LINES[:3], done]))
    now = 60 * 10**9
    begin = 37312405952 + 3251102540 + 20090 + 109068 + AHEAD
    assert [sync[1:] for sync in syncs([(now, first)])][-1] == (15, begin, now, False)
    assert [sync[1:] for sync in syncs([(now, first), (now, look())])][-1] == (15, begin, begin + 9000, True)


# --- commands ----------------------------------------------------------------------------------------------------


def test_a_command_gives_its_output_whatever_its_status() -> None:
    assert Commands().run(["sh", "-c", "echo yes; exit 3"]) == b"yes\n"
    assert Commands().run(["no-such-command-here"]) is None


def test_a_command_that_hangs_is_given_up_and_no_other_begun_until_it_has_ended(tmp_path: Path) -> None:
    commands = Commands(timeout_s=0.05)
    trap = tmp_path / "trap"
    assert commands.run(["sh", "-c", "sleep 1000 & wait"]) is None
    last = commands._last
    assert last is not None
    last.wait()

    class Immortal:
        """As one that waits in the kernel, and no signal reaches."""

        ended: int | None = None

        def poll(self) -> int | None:
            return self.ended

    commands._last = Immortal()  # type: ignore[assignment]
    assert commands.run(["touch", str(trap)]) is None
    assert not trap.exists()
    commands._last.ended = -9  # type: ignore[attr-defined]
    assert commands.run(["touch", str(trap)]) == b""
    assert trap.exists()


def test_old_commands_are_asked_without_json_and_only_datasets_are_named(kstat: Path) -> None:
    asked: list[list[str]] = []

    def run(words: list[str]) -> bytes | None:
        asked.append(words)
        if "-j" in words:
            return b""
        return b"tank/pg\trecordsize\t8192\n" if words[0] == "zfs" else b"  pool: tank\nconfig:\n"

    inquiry = Inquiry(run, str(kstat))
    inquiry.want(["tank/pg@snap", "dev 0:57", "-rf", "tank/$(id)", "?", "(summed)", "tank/pg"])
    inquiry.inquire()
    inquiry.inquire()
    assert [words[:2] for words in asked] == [["zpool", "status"]] * 2 + [
        ["zfs", "get"],
        ["zpool", "status"],
        ["zfs", "get"],
    ]
    assert ["-j" in words for words in asked] == [True, False, False, False, False]
    assert asked[2][6:] == ["tank/pg"]
    assert inquiry.answers.properties == (Properties("tank/pg", 8192),)
    assert inquiry.answers.pools == {"tank": PoolAnswer(Scan(), False)}
    assert inquiry.answers.objsets == {"tank/pg": str(kstat / "tank" / "objset-0x36")}


def test_while_the_commands_hang_nothing_is_known_and_looking_goes_on(kstat: Path) -> None:
    hangs, asked = threading.Event(), threading.Event()

    def run(words: list[str]) -> bytes | None:
        asked.set()
        hangs.wait()
        return None

    inquiry = Inquiry(run, str(kstat))
    observer = Observer(inquiry, str(kstat), str(kstat.parent))
    with observer.asking():
        assert asked.wait(30)
        begun = time.monotonic()
        assert observer.look().pools[0].scan is None
        inquiry.stop()
        assert time.monotonic() - begun < 30
        hangs.set()
