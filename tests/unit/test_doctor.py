"""The doctor says of this host what is so, in one line a fact, and "ready" only when nothing speaks against it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from test_cli import DROP, in_shell, python, zfstop_run

from zfstop.doctor import checks, probes, report
from zfstop.doctor.facts import (
    Diagnosis,
    Fact,
    Served,
    Sighting,
    Song,
    Verdict,
    failed,
    passed,
    refused,
    warned,
)
from zfstop.errors import Exit, UserError
from zfstop.kernel import features, host
from zfstop.kernel.resolver import Facts, plan, wanted_symbols
from zfstop.kernel.symbols import parse
from zfstop.model.state import Attached, ProbeReport, Rejected

FINE = Diagnosis((passed("a", "x"), warned("b", "slow", "y")), (), attached=True)
SUNG = Song(passed("canary", "7 of 7"), "tank", (Sighting("read", "read", passed("r", "x"), 9, 5),))
PROBE = Attached("read", "zpl_iter_read", "zfs", "kiocb_iter", "fentry/fexit")
WRONG = Sighting("write", "write", failed("w", "x", "y"), 9, 5)


# Ready or not.


@pytest.mark.parametrize(
    ("diagnosis", "ready"),
    [
        (FINE, True),
        (replace(FINE, song=SUNG), True),
        (replace(FINE, attached=False), False),
        (replace(FINE, facts=(failed("a", "x", "y"),)), False),
        (replace(FINE, operations=(Served("read", failed("r", "x", "y"), ()),)), False),
        (replace(FINE, operations=(Served("clone", warned("c", "x", "y"), ()),)), True),
        (replace(FINE, song=Song(passed("canary", "0 of 0"))), False),
        (replace(FINE, song=replace(SUNG, fact=failed("canary", "x", "y"))), False),
        (replace(FINE, song=replace(SUNG, sightings=(*SUNG.sightings, WRONG))), False),
    ],
)  # fmt: skip
def test_ready_means_that_nothing_speaks_against_it(diagnosis: Diagnosis, ready: bool) -> None:
    assert diagnosis.ready is ready
    assert report.conclusion(diagnosis).startswith("ready") is ready


# Lines.


def test_columns_stand_below_each_other_and_the_remedy_below_its_fact() -> None:
    lines = [
        line
        for fact in (passed("zfs", "2.3"), failed("not looked at", "a thing", "do this"))
        for line in report.lines_of(fact, colour=False, width=None)
    ]
    assert [line.index(word) for line, word in zip(lines, ("2.3", "a thing", "to mend"), strict=True)] == [
        23
    ] * 3


def test_a_terminal_breaks_sentences_but_never_a_command() -> None:
    fact = failed("zfs", "word " * 40, "command " * 40)
    *text, remedy = report.lines_of(fact, colour=False, width=80)
    assert max(map(len, text)) <= 80
    assert remedy.count("command") == 40
    assert len(report.lines_of(fact, colour=False, width=None)) == 2


def test_only_the_verdict_has_a_colour() -> None:
    (line,) = report.lines_of(passed("zfs", "2.3"), colour=True, width=None)
    assert (
        line.replace("\x1b[32m", "").replace("\x1b[0m", "")
        == report.lines_of(passed("zfs", "2.3"), colour=False, width=None)[0]
    )
    assert "\x1b" not in "".join(report.lines_of(passed("zfs", "2.3"), colour=False, width=80))


def test_a_ticket_names_neither_the_host_nor_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "secret-host")
    monkeypatch.setattr(os, "uname", lambda: pytest.fail("holds the host's name"))
    fact = failed("bcc", "/home/alice/v/python cannot load bcc", "sudo /home/alice/v/zfstop")
    text = json.dumps(report.object_of(replace(FINE, facts=(replace(fact, detail=("/home/bob: no",)),))))
    assert "secret-host" not in text
    assert not any(name in text for name in ("alice", "bob"))
    assert "~/v/python cannot load bcc" in text


def test_a_ticket_holds_all_that_was_found() -> None:
    found = report.object_of(
        replace(FINE, operations=(Served("read", passed("probe read", "x"), (PROBE,)),), song=SUNG)
    )
    assert (found["ready"], found["type"]) == (True, "doctor")
    assert found["facts"][1] == {"name": "b", "verdict": "warn", "text": "slow", "remedy": "y"}
    assert found["operations"][0]["probes"] == [
        {"symbol": "zpl_iter_read", "module": "zfs", "decoder": "kiocb_iter", "kind": "fentry/fexit"}
    ]
    (step,) = found["canary"]["steps"]
    assert (step["latency_ns"], step["caller_ns"], step["verdict"]) == (5, 9, "pass")
    assert found["canary"]["dataset"] == "tank"
    assert report.object_of(FINE)["canary"] is None


# Operations.


def facts_of(found: ProbeReport) -> dict[str, Fact]:
    return {served.op: served.fact for served in probes.of_report(found)}


def test_every_default_operation_is_answered_for() -> None:
    found = facts_of(ProbeReport())
    assert set(found) == set(probes.default_operations()) >= {"read", "write", "open", "fsync"}
    assert found["read"].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("attached", "rejected", "verdict", "says"),
    [
        ((PROBE,), (), Verdict.PASS, "by fentry/fexit"),
        ((replace(PROBE, symbol="zpl_iter_read.llvm.7"),), (), Verdict.PASS, "llvm"),
        (
            (Attached("read", "zfs_read", "zfs", "znode_uio", "fentry/fexit"),),
            (Rejected("read", "zpl_iter_read", "absent"),),
            Verdict.WARN,
            "second choice (zpl_iter_read: absent)",
        ),
        ((), (Rejected("read", "zpl_iter_read", "absent"),), Verdict.FAIL, "zpl_iter_read: absent"),
        ((), (Rejected("read", "zpl_iter_read", "blacklisted by the kernel"),), Verdict.FAIL, "blacklisted"),
    ],
)  # fmt: skip
def test_an_operation_tells_what_serves_it_or_why_nothing_does(
    attached: tuple[Attached, ...], rejected: tuple[Rejected, ...], verdict: Verdict, says: str
) -> None:
    fact = facts_of(ProbeReport(attached, rejected))["read"]
    assert fact.verdict is verdict
    assert says in fact.text
    assert bool(fact.remedy) is (verdict is not Verdict.PASS)


def test_what_is_only_resolved_is_not_said_to_be_attached() -> None:
    table = b"0 t zpl_iter_read\t[zfs]\n0 t zfs_read\t[zfs]\n0 t zpl_open\t[zfs]\n"
    found = {s.op: s for s in probes.of_plan(plan(parse(table, wanted_symbols()), Facts()))}
    assert found["read"].fact.text == "zpl_iter_read (kiocb_iter) in the kernel; not attached"
    assert found["open"].fact.verdict is Verdict.PASS
    assert found["write"].fact.verdict is Verdict.FAIL


def test_costly_probes_are_a_warning_with_what_makes_them_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZFSTOP_ATTACH", "kprobe")
    cheap, costly = (Attached("read", "f", "zfs", "d", kind) for kind in ("fentry/fexit", "kprobe pair"))
    assert probes.attach_kind(ProbeReport((cheap,))).verdict is Verdict.PASS
    fact = probes.attach_kind(ProbeReport((cheap, costly)))
    assert (fact.verdict, fact.remedy) == (Verdict.WARN, "unset ZFSTOP_ATTACH")
    assert fact.text.startswith("fentry/fexit (1), kprobe pair (1)")


# The host: the checks of start-up, as facts.


def test_a_failure_of_start_up_is_the_same_sentence_here(monkeypatch: pytest.MonkeyPatch) -> None:
    error = UserError(Exit.NOT_ROOT, "no", "sudo", "one\ntwo")
    monkeypatch.setattr(host, "require_privileges", lambda: (_ for _ in ()).throw(error))
    assert checks.privileges() == Fact("privileges", Verdict.FAIL, "no", "sudo", ("one", "two"))
    assert refused("privileges", error) == checks.privileges()


def test_every_fact_that_is_not_well_says_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "bcc_version", lambda python: "0.31.0")
    found = [checks.privileges(), *checks.host_facts(root=os.geteuid() == 0)]
    assert len({fact.name for fact in found}) == len(found) > 8
    for fact in found:
        assert bool(fact.remedy) is (fact.verdict is not Verdict.PASS), fact
        assert fact.text.isprintable()


@pytest.mark.skipif(os.geteuid() != 0, reason="bpf(2) needs root")
@pytest.mark.parametrize(
    "feature", [lambda: features.make_ring(1 << 16), features.run_on_demand, features.read_in_batches]
)
def test_what_this_kernel_can_do_is_found_by_doing_it(feature: object) -> None:
    before = set(os.listdir("/proc/self/fd"))
    feature()  # type: ignore[operator]
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="bpf(2) needs root")
def test_a_ring_that_cannot_be_made_is_an_error_of_the_kernel() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        features.make_ring(4097)


# Which Python has bcc, found by running it.


def interpreter(place: Path, body: str) -> str:
    place.write_text(f"#!/bin/sh\n{body}\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    return str(place)


def test_the_version_of_bcc_comes_from_the_python_that_has_it(tmp_path: Path) -> None:
    assert host.bcc_version(interpreter(tmp_path / "python3", "echo 0.31.0")) == "0.31.0"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("echo", "is not the BPF Compiler Collection"),
        ("echo 'Traceback\nImportError: libbcc.so.0' >&2; exit 1", "cannot load bcc"),
        ("kill -9 $$", "cannot load bcc"),
    ],
)
def test_a_python_without_the_real_bcc_is_told(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        host.bcc_version(interpreter(tmp_path / "python3", body))
    assert caught.value.status == Exit.NO_BCC
    assert "install" in caught.value.remedy


def test_the_other_package_of_the_same_name_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "bcc.py").write_text("__version__ = '9.9'\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {host._BCC_CODE}"
    done = python("-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, "")


# The command.


@pytest.fixture
def no_bcc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that has it takes a second to import it."""
    monkeypatch.setenv("ZFSTOP_BCC_PYTHON", "/bin/true")


def test_the_command_says_all_it_can_and_is_not_ready_where_zfs_is_missing(no_bcc: None) -> None:
    if host.zfs_loaded():
        pytest.skip("ZFS is in this kernel")
    done = zfstop_run("doctor", "--canary", "tank")
    lines = done.stdout.splitlines()
    assert done.returncode == Exit.NOT_READY
    assert not done.stderr
    assert lines[-1].startswith("not ready")
    facts = [line.split()[0] for line in lines[:-1] if not line.startswith(" ")]
    assert set(facts) <= {"pass", "warn", "fail"}
    assert any(line.startswith("fail  zfs ") for line in lines)
    assert any(line.startswith("fail  canary ") for line in lines)
    assert "\x1b" not in done.stdout


def test_without_root_it_says_what_it_could_not_look_at(no_bcc: None) -> None:
    drop = DROP.replace("zfstop.mounts\n", "zfstop.mounts, zfstop.doctor\n")
    done = python("-c", drop, "user", "doctor", "--json")
    assert done.returncode == Exit.NOT_READY, done.stderr
    found = json.loads(done.stdout)
    facts = {fact["name"]: fact for fact in found["facts"]}
    assert facts["privileges"]["verdict"] == "fail"
    assert "sudo" in facts["privileges"]["remedy"]
    assert all(name in facts["not looked at"]["text"] for name in checks.only_root_sees())
    assert facts["bcc"]["verdict"] == "fail"
    assert not found["ready"]


def test_a_reader_that_goes_away_is_no_failure(no_bcc: None) -> None:
    done = in_shell(f"{{ {sys.executable} -m zfstop doctor; echo status $? >&2; }} | true")
    assert done.stderr in {f"status {status}\n" for status in map(int, (Exit.OK, Exit.NOT_READY))}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--canary", ""], Exit.USAGE),
        (["--canary"], Exit.USAGE),
        (["tank"], Exit.USAGE),
        (["--help"], Exit.OK),
    ],
)
def test_words_of_the_doctor(words: list[str], status: Exit, capsys: pytest.CaptureFixture[str]) -> None:
    from zfstop import cli

    found: int | str | None = None
    with contextlib.suppress(SystemExit):
        found = cli.main(["doctor", *words])
    assert (found or 0) == status
    assert "Traceback" not in capsys.readouterr().err
