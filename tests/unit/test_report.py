"""A report tells what is looked at, as the screen does; no name in it acts on who reads it."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import random
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from markdown_it import MarkdownIt
from test_recording import write

from zfstop import cli
from zfstop.errors import Exit, UserError
from zfstop.export.formats import WRITERS, default_name, ending_of, without_fonts
from zfstop.export.html import html
from zfstop.export.markdown import fenced, markdown
from zfstop.export.parts import Facts, Table
from zfstop.export.report import Report, filters_of, sections
from zfstop.export.zfs_state import plain, state_parts
from zfstop.model.books import Books
from zfstop.model.causes import by_cause
from zfstop.model.heat import NO_LIMIT, Box
from zfstop.model.history import InFlight, Second, Tally
from zfstop.model.look import Look, seen
from zfstop.model.percentiles import summaries
from zfstop.model.query import parse
from zfstop.model.rows import Grouping, rows
from zfstop.model.state import Attached, Controls, Counts, Host, ProbeReport, Rejected
from zfstop.model.waits import Waits
from zfstop.recording import RecordedHistory
from zfstop.recording import files as files_module
from zfstop.replay import Replay
from zfstop.report import ReportOptions, report_of
from zfstop.ui.columns import View
from zfstop.ui.tables import as_table

MS = 1_000_000


def report(look: Look, **changes: Any) -> Report:
    found = seen(look)
    view = View(found.length_ns, max(1, look.count), look.start + look.count)
    made = Report(
        host=Host("box", "6.12.57", "2.3.9"),
        origin="measured live",
        filters=filters_of(look),
        controls=look.controls,
        grouping=look.grouping.value,
        seen=found,
        heat=found.heat,
        table=as_table(found.rows, look.grouping, look.single, view, top=10**6),
        probes=ProbeReport(),
        books=(),
        losses=Counts(),
        zone=None,
    )
    return replace(made, **changes)


def look_at(*seconds: Second, **changes: Any) -> Look:
    return replace(Look(seconds, 0, len(seconds), Controls(0)), **changes)


@pytest.fixture(scope="module")
def seconds(make: Any) -> tuple[Second, ...]:
    return make.recording(90).seconds()  # type: ignore[no-any-return]


# What it adds up to.


@pytest.mark.parametrize("grouping", list(Grouping))
def test_rows_are_those_of_the_screen(seconds: tuple[Second, ...], grouping: Grouping) -> None:
    found = seen(look_at(*seconds, grouping=grouping))
    split = tuple(map(by_cause, seconds)) if grouping is Grouping.CAUSE else seconds
    wanted = rows(split, grouping, 0, len(seconds))
    for ours, theirs in zip(found.rows, wanted, strict=True):
        for name in (
            "identity",
            "count",
            "total_ns",
            "errors",
            "bytes",
            "buckets",
            "max_ns",
            "keys",
            "cells",
        ):
            assert getattr(ours, name) == getattr(theirs, name)
    assert found.length_ns == 90 * 10**9
    assert (found.began, found.ended) == (seconds[0].clock - 1, seconds[-1].clock)


def test_all_calls_and_the_map_hold_every_call(seconds: tuple[Second, ...]) -> None:
    tallied = tuple(
        replace(second, tallies=tuple((k.op, k.dataset, tally_of(s)) for k, s in second.groups))
        for second in seconds
    )
    found = seen(look_at(*tallied))
    assert found.calls == summaries(tallied)
    mapped = sum(sum(item.counts) for item in found.heat.slices)
    assert mapped == sum(item.calls for item in found.calls) > 0


def tally_of(stats: Any) -> Any:
    return Tally(stats.count, stats.errors, stats.total_ns, stats.bytes, stats.buckets)


def test_filters_hide_and_are_told_in_words(seconds: tuple[Second, ...]) -> None:
    controls = Controls(20 * MS, frozenset({812}), frozenset({"tank"}))
    look = look_at(
        *seconds, controls=controls, query=parse("comm:postgres"), box=Box(0, 90, 50 * MS, NO_LIMIT)
    )
    found = seen(look)
    assert {key.comm for row in found.rows for key in row.keys} == {"postgres"}
    assert min(row.max_ns for row in found.rows) >= 50 * MS
    assert filters_of(look, (("process", "postgres 812"),)) == (
        "slow is 20ms or longer",
        "only processes 812",
        "only tank, with all below",
        "classes of operations: data, open, metadata, space, lifetime",
        "filter: comm:postgres",
        "within process postgres 812",
        "only calls that took 50ms or longer, of the seconds of a box on the map",
    )


def test_waits_are_added_by_operation_where_they_are_known(make: Any) -> None:
    event = make.event(30 * MS, waits=Waits(disk=20 * MS, cpu=10 * MS))
    second = make.second(0, (event, event, make.event(op="write")))
    made = report(look_at(second))
    assert made.seen.waits == ((event.key.op, Waits(disk=40 * MS, cpu=20 * MS)),)
    (section,) = (section for section in sections(made) if section.title == "Where slow operations waited")
    assert section.parts[0] == Table(
        ("op", "time", "disk", "cpu"), (True, False, False, False), (("read", "60.0ms", "66.7%", "33.3%"),), 1
    )
    assert "Where slow operations waited" not in markdown(report(look_at(make.second(0, (make.event(),)))))


class Pool(NamedTuple):
    name: str
    used: int | None
    sync_ns: int


class Arc(NamedTuple):
    size: int
    ratio: float | None = None


class State(NamedTuple):
    pools: tuple[Pool, ...]
    arc: Arc
    suspended: bool = False


class Told(NamedTuple):
    zfs: State


def test_the_state_of_zfs_is_told_whatever_its_shape() -> None:
    state = State((Pool("tank", None, 5 * MS),), Arc(4096))
    parts = state_parts(Told(state))  # type: ignore[arg-type]
    assert parts == (
        Facts((("suspended", "no"),)),
        Table(("name", "used", "sync ns"), (True, False, False), (("tank", "-", "5.00ms"),), 1),
        Facts((("arc size", "4,096"),)),
    )
    assert plain(state) == {
        "pools": [{"name": "tank", "used": None, "sync_ns": 5 * MS}],
        "arc": {"size": 4096, "ratio": None},
        "suspended": False,
    }
    assert state_parts(None) == ()


def test_an_empty_view_can_be_exported_too() -> None:
    for writer in WRITERS.values():
        assert writer(report(look_at()))


# Names.

_NASTY = (
    "<script>", "</td>", "&lt;", '"', "'", "`", "```", "~~~~", "|", "\n", "\r", "\t", "\x1b[31m", "\x9b1m",
    "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\x00", "=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "＝1",
    "# x", "[x](http://e.vil)", "<img src=//e.vil>", "https://e.vil", "*b*", "_i_", "\\", "$x$", "<!--", "]]>", "{%",
    "ä", "漢", "e\u0301", "😀", "\udcff", "a", "b", "/", ".", " ", "~", "^", "\x7f", "\u00ad", "\ue000", "\u3164",
    "javascript:", "onload=", "<style>", "&#x41;", ",",
)  # fmt: skip
_ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def names(dice: random.Random) -> Iterator[str]:
    while True:
        yield "".join(dice.choice(_NASTY) for _ in range(dice.randrange(1, 5)))


def hostile(number: int, make: Any) -> Report:
    """More than 10,000 names, one in every place that has one."""
    dice = random.Random(number)
    name = names(dice)
    events = tuple(
        make.event(comm=next(name), dataset=next(name), path=next(name), where=next(name), symbol=next(name),
                   to=next(name), ts_ns=10**12 - at, result=dice.choice((-5, 3)))
        for at in range(1700)
    )  # fmt: skip
    stuck = tuple(InFlight(event.key, 1, 2 * 10**9, None, None, next(name)) for event in events[:100])
    second = replace(make.second(0, events), stuck=stuck, notes=(next(name),))
    texts = tuple(Attached(next(name), next(name), next(name), next(name), next(name)) for _ in range(20))
    probes = ProbeReport(texts, (Rejected(next(name), next(name), next(name)),), (next(name), next(name)))
    query = parse('path:"' + next(name).replace('"', "") + 'x"')
    look = look_at(second, single=number % 2 == 1)
    return report(
        look,
        host=Host(next(name), next(name), next(name)),
        origin=next(name),
        filters=(*filters_of(replace(look, query=query)), *(next(name) for _ in range(100))),
        probes=probes,
        books=tuple(make_books(dice) for _ in texts),
        remarks=(next(name),),
    )


def make_books(dice: random.Random) -> Any:
    return Books(issued=dice.randrange(9), wrong=dice.choice((0, 0, 3)))


class Tags(HTMLParser):
    """Every tag with its attributes, but for the text."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[tuple[str, tuple[str, ...]]] = set()
        self.values: set[str] = set()
        self.open = 0
        self.odd: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.kinds.add((tag, tuple(name for name, _ in attrs)))
        self.values |= {value or "" for name, value in attrs if name not in ("content", "x", "y", "width")}

    def handle_comment(self, data: str) -> None:
        self.odd.append(data)

    def unknown_decl(self, data: str) -> None:
        self.odd.append(data)

    def handle_pi(self, data: str) -> None:
        self.odd.append(data)


def tags_of(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    return tags


@pytest.fixture(scope="module")
def plain_tags(make: Any) -> Tags:
    """Of a report with every kind of part, and no name that could harm."""
    event = make.event(waits=Waits(disk=1))
    second = replace(make.second(0, (event,)), stuck=(InFlight(event.key, 1, 1, 1, 1, "x"),))
    second = replace(second, tallies=(("read", "x", tally_of(second.groups[0][1])),))
    probes = ProbeReport((Attached("read", "a", "b", "c", "d"),), (Rejected("a", "b", "c"),), ("n",))
    made = report(look_at(second), probes=probes, books=(make_books(random.Random(1)),))
    return tags_of(html(replace(made, controls=Controls())))


@pytest.mark.parametrize("number", range(10))
def test_of_100_000_hostile_names_none_acts_in_any_export(number: int, make: Any, plain_tags: Tags) -> None:
    made = hostile(number, make)
    texts = {ending: writer(made) for ending, writer in WRITERS.items()}
    for text in texts.values():
        bad = {char for char in set(text) - {"\n"} if unicodedata.category(char) in _ACTING}
        assert not bad
    _no_markup_in_html(texts["html"], plain_tags)
    _no_markup_in_markdown(texts["md"])
    _no_formula(texts["csv"], made)
    assert texts["json"].isascii()
    assert len(json.loads(texts["json"])["rows"]) == len(made.rows)


def _no_markup_in_html(text: str, plain_tags: Tags) -> None:
    tags = tags_of(text)
    assert tags.kinds <= plain_tags.kinds | {("td", ()), ("td", ("class",)), ("p", ("class",))}
    assert tags.values <= plain_tags.values | {"note", "l", "facts"}
    assert not tags.odd


def _no_markup_in_markdown(text: str) -> None:
    """A parser of CommonMark sees our headings, sentences and blocks, and nothing else."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    kinds = {token.type for token in tokens}
    assert kinds <= {"heading_open", "inline", "heading_close", "fence", "paragraph_open", "paragraph_close"}
    inline = {child.type for token in tokens if token.type == "inline" for child in token.children or ()}
    assert inline == {"text"}
    words = " ".join(token.content for token in tokens if token.type == "inline")
    assert "vil" not in words
    assert "script" not in words


def _no_formula(text: str, made: Report) -> None:
    table = list(csv.reader(io.StringIO(text)))
    assert len(table) == len(made.rows) + 1
    assert {len(row) for row in table} == {len(table[0])}
    assert not [
        cell for row in table for cell in row if cell.lstrip()[:1] in tuple("=+-@＝＋－＠") and cell.strip()
    ]


def test_the_html_needs_nothing_from_anywhere_and_runs_nothing(make: Any) -> None:
    text = html(report(look_at(make.second(0, (make.event(),)))))
    kinds = {tag for tag, _ in tags_of(text).kinds}
    assert not kinds & {"script", "link", "img", "iframe", "object", "use", "a", "base", "form"}
    attributes = {name for _, names in tags_of(text).kinds for name in names}
    assert not [name for name in attributes if name in ("src", "href", "style") or name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src &#x27;none&#x27;" in text


def test_no_line_closes_a_block_of_markdown() -> None:
    for line in ("```", "`````", "  ```x", "~~~"):
        block = fenced([line, "# not a heading"])
        (token,) = MarkdownIt().parse(block)
        assert token.type == "fence"
        assert token.content == f"{line}\n# not a heading\n"


def test_fonts_are_not_fetched_and_names_like_rules_stay() -> None:
    svg = "<svg><style>\n@font-face {\n src: url(https://x) }\n.a { b }</style><text>@font-face { x }</text></svg>"
    assert without_fonts(svg) == "<svg><style>\n.a { b }</style><text>@font-face { x }</text></svg>"


# The file.


def test_the_ending_is_the_format_and_the_name_needs_no_quotes() -> None:
    assert (
        default_name("db 1/x", datetime(2026, 1, 14, 14, 3, 22), "md") == "zfstop-db-1-x-20260114-140322.md"
    )
    assert ending_of("a.b/x.HTML") == "html"
    for name in ("x", "x.pdf", "", "x."):
        with pytest.raises(UserError):
            ending_of(name)


def test_a_file_is_new_and_its_owners_alone_and_nothing_else_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    assert files_module.write_new(str(path), "ä\n") == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for other in (path, tmp_path / "link"):
        if other.name == "link":
            other.symlink_to(tmp_path / "nowhere")
        with pytest.raises(UserError, match="exists already"):
            files_module.write_new(str(other), "z")
    assert path.read_text() == "ä\n"
    assert not (tmp_path / "nowhere").exists()


def test_a_full_disk_is_told_and_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match=r"could not be written: No space left on device") as caught:
        files_module.write_new(str(tmp_path / "r.html"), "x")
    assert "make room" in caught.value.remedy
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_the_file_belongs_to_who_called_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "2345")
    files_module.write_new(str(tmp_path / "r.csv"), "x")
    status = (tmp_path / "r.csv").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o600)


# zfstop report.


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, make: Any, seconds: tuple[Second, ...]) -> Path:
    return write(tmp_path_factory.mktemp("report") / "r", make.meta, seconds)


def of_recording(path: Path, **changes: Any) -> Report:
    options = replace(ReportOptions(str(path), "", "html", Controls()), **changes)
    replay = Replay(RecordedHistory(path))
    try:
        if options.controls != Controls():
            replay.control(options.controls)
        return report_of(replay, options)
    finally:
        replay.stop()


def test_a_recording_is_told_whole_or_in_part(
    recording: Path, seconds: tuple[Second, ...], make: Any
) -> None:
    whole = of_recording(recording)
    assert {row.identity for row in whole.rows} == {
        row.identity for row in rows(seconds, Grouping.PROCESS_FILE)
    }
    assert [row.total_ns for row in whole.rows] == sorted((row.total_ns for row in whole.rows), reverse=True)
    assert whole.losses.entered == sum(second.counts.entered for second in seconds)
    assert whole.host == make.meta.host
    part = of_recording(recording, begin="+10s", end="-20s")
    assert (part.seen.began, part.seen.ended) == (seconds[10].clock - 1, seconds[69].clock)
    only = of_recording(recording, controls=Controls(pids=frozenset({812})))
    assert {key.pid for row in only.rows for key in row.keys} == {812}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "-10s", "--to", "-20s"], "--from is not before --to"),
        (["--from", "soon"], "--from: 'soon' is not a time"),
        (["--to", "+3h"], "--to: there is only"),
        (["--from"], "expected one argument"),
        (["0.1ms"], "holds nothing below 10ms"),
    ],
)
def test_a_span_that_is_none_is_told(
    words: list[str], said: str, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", str(recording), "-o", str(tmp_path / "x.html"), *words]) == Exit.USAGE
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "words", "begins"),
    [
        ("x.html", [], "<!DOCTYPE html>"),
        ("x.md", [], "# zfstop report"),
        ("x.json", [], '{"type":"report"'),
        ("x.csv", [], "wait_s_per_s,"),
        ("x", [], "<!DOCTYPE html>"),
        ("x.txt", ["--format", "md"], "# zfstop report"),
    ],
)
def test_the_command_writes_each_format(
    name: str,
    words: list[str],
    begins: str,
    recording: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    assert cli.main(["report", str(recording), "-o", str(path), "--from", "-30s", *words]) == Exit.OK
    assert path.read_text().startswith(begins)
    assert f"written to {path}" in capsys.readouterr().err
