"""Without names a recording, or an export, tells the same: and of the names nothing is left."""

from __future__ import annotations

import random
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from test_recording import write
from test_report import report

from zfstop import cli
from zfstop.errors import Exit
from zfstop.export.formats import WRITERS
from zfstop.export.report import disguised
from zfstop.export.stand_ins import StandIns, names_in, words_of
from zfstop.model.aggregate import groups_of
from zfstop.model.events import Event, Key
from zfstop.model.history import InFlight, Second, Stats, Tally
from zfstop.model.look import Look, seen
from zfstop.model.query import parse
from zfstop.model.rows import Grouping, rows
from zfstop.model.state import Controls, Host
from zfstop.model.zfs_state import Commits, PoolState, Properties, Txg, ZfsState
from zfstop.recording import Meta, RecordedHistory, open_recording
from zfstop.recording.schema import SCHEMA
from zfstop.ui.columns import View
from zfstop.ui.tables import as_table
from zfstop.zfs.operations import BY_NAME, CLASSES

MS = 1_000_000
_ENDINGS = ("", "", ".log", ".db", ".conf", ".service", ".tar.gz", ".raw", ".v12", ".2024")


def word(dice: random.Random) -> str:
    """Of few letters, those that stand-ins are made of too: by chance they would often be the same."""
    return "".join(dice.choice("bdk") + dice.choice("ao") for _ in range(dice.randrange(1, 4)))


def component(dice: random.Random) -> str:
    return word(dice) + dice.choice(("", "", "-", "_2", "Ä")) + dice.choice(_ENDINGS)


def dataset(dice: random.Random) -> str:
    snapshot = f"@{word(dice)}" if dice.random() < 0.2 else ""
    return "/".join(word(dice) for _ in range(dice.randrange(1, 4))) + snapshot


def path(dice: random.Random) -> str:
    plain = "/".join(component(dice) for _ in range(dice.randrange(1, 5)))
    return dice.choice((plain, plain, plain + " (deleted)", "…/" + plain, plain + "/?"))


def owner(dice: random.Random) -> str:
    return dice.choice(("", f"docker:{word(dice)}", f"{word(dice)}.service", f"user:{dice.randrange(1000, 9000)}",
                        f"user:1000/podman:{word(dice)}", f"lxc:{word(dice)}/{word(dice)}.service"))  # fmt: skip


def made(number: int, make: Any) -> tuple[Meta, tuple[Second, ...]]:
    dice = random.Random(number)

    def event(at: int) -> Event:
        found: Event = make.event(
            10 * MS + at, comm=component(dice), dataset=dataset(dice), path=path(dice), where=owner(dice),
            op=dice.choice(tuple(BY_NAME)), pid=dice.randrange(1, 99), uid=dice.choice((0, 1000, 1001)),
            cgroup=dice.choice((1, 4711)), to=dice.choice(("", path(dice))), tid=dice.randrange(1, 99),
        )  # fmt: skip
        return found

    def second(at: int) -> Second:
        events = tuple(event(at * 100 + n) for n in range(10))
        stuck = tuple(InFlight(event(n).key, 7, 10**9, None, None, "zil_commit") for n in range(2))
        tally = Tally(3, 0, 3000, 0, {200: 3})
        found: Second = make.second(at, events)
        return replace(
            found,
            groups=groups_of(events),
            stuck=stuck,
            tallies=tuple((each.key.op, each.key.dataset, tally) for each in events),
            controls=Controls(10 * MS, frozenset({7, 8}), frozenset({dataset(dice)})),
            notes=(f"{word(dice)} is suspended", "demo starts over"),
            zfs=ZfsState(
                (PoolState(word(dice), "ONLINE", (Txg(7, "C", 5),)),),
                commits=(Commits(dataset(dice), 4),),
                properties=(Properties(dataset(dice), 131072, "standard", "lz4"),),
            ),
        )

    host = Host(word(dice) + word(dice), "6.12.57", "2.3.9")
    meta = replace(
        make.meta, host=host, place=f"in {word(dice)}", probes=replace(make.meta.probes, notes=(word(dice),))
    )
    return meta, tuple(second(at) for at in range(6))


def originals(meta: Meta, seconds: tuple[Second, ...]) -> set[str]:
    """Every name as a whole, and every part of it that is a name of its own, of four letters or more."""
    found = {meta.host.name, meta.place, *meta.probes.notes}
    for one in seconds:
        keys = (
            [key for key, _ in one.groups] + [event.key for event in one.events] + [c.key for c in one.stuck]
        )
        texts = [text for key in keys for text in (key.comm, key.dataset, key.path, key.where)]
        texts += [event.to for event in one.events] + [name for _, name, _ in one.tallies]
        state = one.zfs or ZfsState()
        texts += [pool.name for pool in state.pools]
        texts += [item.dataset for item in (*state.commits, *state.properties)]
        texts += [*one.controls.datasets, *(note for note in one.notes if "suspended" in note)]
        for text in texts:
            bare = text.removesuffix(" (deleted)").removeprefix("…/").removesuffix("/?")
            found |= {bare, *re.split(r"[/@:]", bare)}
    kept = {"docker", "podman", "user", "lxc", "user:0"}
    return {name for name in found if len(name) >= 4 and not name.isdigit()} - kept


def vocabulary() -> str:
    """Words of fields: they stay."""
    return " ".join((*SCHEMA.values(), *BY_NAME, *CLASSES, "zil_commit", "zpl_iter_read")).lower()


@pytest.mark.parametrize("number", range(12))
def test_no_name_of_four_letters_survives_in_the_bytes_of_the_file(
    number: int,
    make: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Repeatable: the length of the next row, as a byte behind the end of a text, may look like a letter of it.
    monkeypatch.setattr("zfstop.export.stand_ins.random.SystemRandom", lambda: random.Random(number))
    meta, seconds = made(number, make)
    write(tmp_path / "in", meta, seconds)
    assert cli.main(["anonymize", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == Exit.OK
    content = (tmp_path / "out").read_bytes().lower()
    words = vocabulary()
    names = {name for name in originals(meta, seconds) if name.lower() not in words}
    assert len(names) > 100
    assert not {name for name in names if name.lower().encode() in content}
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["in", "out"]
    assert "6 seconds in" in capsys.readouterr().err


@pytest.mark.parametrize("number", range(4))
def test_all_else_is_as_it_was(number: int, make: Any, tmp_path: Path) -> None:
    meta, seconds = made(number, make)
    write(tmp_path / "in", meta, seconds)
    cli.main(["anonymize", str(tmp_path / "in"), "-o", str(tmp_path / "out")])
    after = open_recording(tmp_path / "out")
    assert (after.meta.started, after.meta.probes.attached) == (meta.started, meta.probes.attached)
    assert (after.meta.host.kernel, after.meta.host.zfs, after.meta.place) == ("6.12.57", "2.3.9", "")
    for old, new in zip(seconds, after.seconds(), strict=True):
        assert [stats for _, stats in new.groups] == [stats for _, stats in old.groups]
        assert new.slots == old.slots
        assert new.zfs is not None
        assert old.zfs is not None
        assert (new.zfs.pools[0].txgs, new.zfs.pools[0].state) == (old.zfs.pools[0].txgs, "ONLINE")
        assert new.zfs.properties[0][1:] == old.zfs.properties[0][1:]
        assert [(op, tally) for op, _, tally in new.tallies] == [(op, tally) for op, _, tally in old.tallies]
        assert new.notes[1] == "demo starts over"
        for before, now in zip(old.events, new.events, strict=True):
            alike = replace(now, key=before.key, tid=before.tid, to=before.to)
            assert alike == before
            _same_shape(before.key, now.key)
            assert bool(now.to) is bool(before.to)
            assert (now.tid == now.key.pid) is (before.tid == before.key.pid)
    for grouping in Grouping:
        assert sorted(row.total_ns for row in rows(after.seconds(), grouping)) == sorted(
            row.total_ns for row in rows(seconds, grouping)
        )


def _same_shape(before: Key, now: Key) -> None:
    assert (now.op, now.symbol) == (before.op, before.symbol)
    assert now.path.count("/") == before.path.count("/")
    assert now.dataset.count("/") == before.dataset.count("/")
    assert now.dataset.count("@") == before.dataset.count("@")
    assert now.path.endswith(" (deleted)") is before.path.endswith(" (deleted)")
    assert now.path.startswith("…/") is before.path.startswith("…/")
    assert now.where.partition(":")[0] == before.where.partition(":")[0] or ":" not in before.where
    assert (now.uid == 0) is (before.uid == 0)
    for ending in (".log", ".raw", ".gz", ".db"):
        assert now.path.endswith(ending) is before.path.endswith(ending)


def test_the_same_name_gets_the_same_stand_in_everywhere_and_another_in_the_next_run(make: Any) -> None:
    event = make.event(
        comm="postgres", path="data/postgres/a.log", dataset="tank/data", where="postgres.service"
    )
    one, other = StandIns(), StandIns()
    for each in (one, other):
        each.learn(names_in(make.second(0, (event,))))
    key = one.key(event.key)
    pool, data = key.dataset.split("/")
    assert key.path.split("/")[:2] == [data, key.comm]
    assert key.path.endswith(".log")
    assert key.where.endswith(".service")
    assert pool == one.dataset("tank")
    assert one.path("data/postgres") == f"{data}/{key.comm}"
    assert other.key(event.key) != key
    assert one.query(
        parse('comm:postgres ds:tank/data pid:812 path:data/* !"post" lat>5ms op:read')
    ).text == (f"comm:{key.comm} ds:{key.dataset} pid:{key.pid} path:(hidden) !(hidden) lat>5ms op:read")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.log", ".log"), ("x.tar.gz", ".gz"), ("ann.smith", ""), (".bashrc", ""), ("nginx.service", ".service"),
        ("1249_fsm", ""), ("file.2024", ""), ("..x", ""), ("a.", ""), ("b.conf", ""),
    ],
)  # fmt: skip
def test_only_endings_that_tell_a_kind_are_kept(name: str, kept: str) -> None:
    stand_ins = StandIns(random.Random(1))
    stand_ins.learn((name, "conf"))
    assert re.fullmatch(rf"[a-z0-9]{{9}}{re.escape(kept)}", stand_ins.name(name))


@pytest.mark.parametrize("text", ["", "?", ".", "(volume)", "(summed)"])
def test_what_stands_for_no_name_stays(text: str) -> None:
    stand_ins = StandIns()
    assert (stand_ins.path(text), stand_ins.name(text)) == (text, text)
    assert stand_ins.dataset("dev 0:57") == "dev 0:57"
    assert re.fullmatch(r"inode#\d+", stand_ins.path("inode#77"))


def test_notes_that_may_hold_names_are_left_out() -> None:
    assert StandIns().notes(
        ("demo starts over", "tank is suspended", "recorded with a threshold of 20ms")
    ) == (
        "demo starts over",
        "(a note was left out: it may hold names)",
        "recorded with a threshold of 20ms",
    )


class Pool(NamedTuple):
    name: str
    state: str
    commits: tuple[tuple[int, ...], ...] = ()


class State(NamedTuple):
    pools: tuple[Pool, ...]
    dataset: str


def test_the_state_of_zfs_keeps_its_own_words() -> None:
    stand_ins = StandIns()
    state = stand_ins.state(State((Pool("tank", "ONLINE", ((1, 2),)),), "tank/pg"))
    assert state.pools[0].state == "ONLINE"
    assert state.pools[0].commits == ((1, 2),)
    assert state.dataset.startswith(state.pools[0].name + "/")
    assert "tank" not in repr(state)


@pytest.mark.parametrize("number", range(3))
def test_no_name_is_in_an_export_without_names(number: int, make: Any) -> None:
    meta, seconds = made(number, make)
    controls = Controls(datasets=frozenset())
    look = Look(seconds, 0, len(seconds), controls, query=parse("!comm:zz"), single=number == 2)
    stand_ins = StandIns()
    stand_ins.learn((meta.host.name, *words_of((meta.place, *meta.probes.notes))))
    for second in seconds:
        stand_ins.learn(names_in(second))
    named = report(look, host=meta.host, probes=meta.probes, remarks=(meta.place,))
    shown = report(replace(look), seen=seen(look, stand_ins.second), host=meta.host, probes=meta.probes,
                   remarks=(meta.place,))  # fmt: skip
    table = as_table(shown.rows, look.grouping, look.single, View(6 * 10**9, 6, 6), 10**6)
    nameless = disguised(replace(shown, table=table), look, stand_ins)
    empty = report(Look((), 0, 0, controls), probes=replace(meta.probes, notes=()))
    names = originals(meta, seconds)
    for writer in WRITERS.values():
        words = (writer(empty) + vocabulary()).lower()
        left = {name for name in names if name.lower() not in words}
        before, after = writer(named), writer(nameless).lower()
        assert [name for name in left if name in before]
        assert not {name for name in left if name.lower() in after}


def test_every_member_of_a_second_is_known_here() -> None:
    """A new member may hold names: teach StandIns, then this test."""
    known = {
        Second: "clock mono_ns length_ns controls groups events thinned slots in_flight stuck tallies notes summed zfs",
        Event: "key ts_ns latency_ns tid offset size result bucket to waits slept_in",
        InFlight: "key tid age_ns offset size waits_in waits",
        Stats: "count errors total_ns max_ns bytes buckets waits",
        Controls: "threshold_ns pids datasets ops classes",
        Meta: "host started place probes zfstop",
    }
    for kind, names in known.items():
        assert {field.name for field in fields(kind)} <= set(names.split())
    assert set(Key._fields) == {
        "op",
        "pid",
        "comm",
        "uid",
        "cgroup",
        "dataset",
        "path",
        "symbol",
        "where",
        "inner_pid",
        "cause",
    }


def test_what_is_no_recording_and_a_file_that_is_there_are_told(
    tmp_path: Path, make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in", make.meta, (make.second(),))
    assert cli.main(["anonymize", str(source), "-o", str(source)]) == Exit.USAGE
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["anonymize", "/dev/null", "-o", str(tmp_path / "out")]) == Exit.BAD_RECORDING
    assert not (tmp_path / "out").exists()
    RecordedHistory(source).close()
