"""From a plan to attached probes and back to nothing; whatever the loader does, the user gets a sentence.

Most loaders here are made up: a Python script that answers as the real one could.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data.fake_zfs import open_source, why_not

from zfstop.errors import Exit, UserError
from zfstop.kernel import host, loading, source
from zfstop.kernel.decoders import MARK, PARAMETERS
from zfstop.kernel.head_start import HeadStart
from zfstop.kernel.loading import LOADER, Loading
from zfstop.kernel.resolver import Facts
from zfstop.kernel.source import LiveSource, Survey
from zfstop.model.state import Attached, ProbeReport, Rejected
from zfstop.zfs.operations import BY_NAME, mask_of

TRIXIE = (Path(__file__).parent / "data" / "kallsyms-trixie.txt").read_bytes()
REASON = why_not()
real_bpf = pytest.mark.skipif(bool(REASON), reason=REASON)
HOSTILE = "\\x1b[31mred\\x07"
#: One 64-bit constant for each parameter.
PARAMETER_LOADS = b"".join(
    struct.pack("=BBHIQ", 0x18, 0, 0, place, MARK << 32) for place in range(len(PARAMETERS))
)


@pytest.fixture
def stub(tmp_path: Path) -> Callable[[str], str]:
    """A "Python" that runs this code instead of the loader. ``channel`` is its socket."""

    def make(code: str) -> str:
        place = tmp_path / "python3"
        head = "import json, os, socket, sys, time\nchannel = socket.socket(fileno=int(sys.argv[-1]))\n"
        head += "def send(**message): channel.send(json.dumps(message).encode())\n"
        place.write_text(f"#!{sys.executable}\n{head}{code}\n")
        place.chmod(0o755)
        return str(place)

    return make


def load(
    python: str,
    stage: Callable[[str], None] = lambda text: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Any:
    return Loading(python).answer({"headers": False}, lambda: {"probes": []}, stage, stopping)


def failure(python: str) -> UserError:
    with pytest.raises(UserError) as caught:
        load(python)
    error = caught.value
    assert all(line.isprintable() for line in error.lines())
    return error


def test_stages_and_the_answer_come_through_with_their_descriptors(stub: Callable[[str], str]) -> None:
    said: list[str] = []
    python = stub(
        "assert json.loads(channel.recv(1 << 20)) == {'headers': False}\n"
        "assert json.loads(channel.recv(1 << 20)) == {'probes': []}\n"
        "send(stage='reading')\nsend(stage='compiling')\n"
        "import array\n"
        "ends = os.pipe()\n"
        "os.write(ends[1], b'hello')\n"
        "rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', ends))]\n"
        "channel.sendmsg([json.dumps({'done': {'maps': []}}).encode()], rights)\n"
    )
    answer, fds = load(python, said.append)
    assert answer == {"maps": []}
    assert said == ["reading", "compiling"]
    assert os.read(fds[0], 5) == b"hello"
    assert not any(os.get_inheritable(fd) for fd in fds), "no child of ours may keep the probes attached"
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("no-bcc", Exit.NO_BCC), ("wrong-bcc", Exit.NO_BCC), ("no-probe", Exit.NO_PROBE), ("no-btf", Exit.NO_BTF),
     ("compile", Exit.LOAD_FAILED), ("internal", Exit.LOAD_FAILED), ("never heard of", Exit.LOAD_FAILED)],
)  # fmt: skip
def test_each_failure_of_the_loader_has_its_status_and_what_was_printed(
    stub: Callable[[str], str], kind: str, status: Exit
) -> None:
    said = failure(
        stub(
            f"channel.recv(1 << 20); print('warning: {HOSTILE}'); print('second', file=sys.stderr)\n"
            f"sys.stdout.flush(); send(error={{'kind': {kind!r}, 'text': 'the text {HOSTILE}'}})"
        )
    )
    assert said.status == status
    assert said.remedy
    assert "the text" in said.detail
    assert "warning: " in said.detail
    assert "second" in said.detail


@pytest.mark.parametrize(
    "code",
    [
        "sys.exit(3)",
        "channel.recv(1 << 20); sys.exit(3)",
        "os.kill(os.getpid(), 9)",
        "raise ImportError('nothing works')",
        "channel.recv(1 << 20); send(stage='compiling'); os.abort()",
    ],
)
def test_a_loader_that_dies_is_a_sentence_with_its_last_words(stub: Callable[[str], str], code: str) -> None:
    said = failure(stub(f"print('last words', flush=True); {code}"))
    assert said.status == Exit.LOAD_FAILED
    assert "last words" in said.detail


def test_a_loader_that_is_gone_before_it_is_asked_is_a_sentence_too(
    stub: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loading._start

    def start(*arguments: Any) -> Any:
        process = real(*arguments)
        process.wait()
        return process

    monkeypatch.setattr(loading, "_start", start)
    assert failure(stub("sys.exit(0)")).status == Exit.LOAD_FAILED


def test_a_python_that_cannot_be_run_is_a_sentence(tmp_path: Path) -> None:
    assert failure(str(tmp_path / "missing")).status == Exit.NO_BCC
    (tmp_path / "garbage").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "garbage").chmod(0o755)
    assert failure(str(tmp_path / "garbage")).status == Exit.NO_BCC


def test_giving_up_kills_the_loader_at_once(stub: Callable[[str], str], tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    python = stub(f"open({str(mark)!r}, 'w').write(str(os.getpid()))\nchannel.recv(1 << 20)\ntime.sleep(60)")
    begun = time.monotonic()
    with pytest.raises(UserError):
        load(python, stopping=lambda: mark.exists() and bool(mark.read_text()))
    assert time.monotonic() - begun < 1.5
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_the_first_python_that_has_bcc_decides(
    stub: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Made:
        def __init__(self, python: str) -> None:
            self.python = python

        def answer(self, *_: Any) -> Any:
            asked.append(self.python)
            if self.python != "third":
                raise UserError(Exit.NO_BCC if self.python == "first" else Exit.LOAD_FAILED, self.python)
            return {}, []

    monkeypatch.setattr(source, "Loading", Made)
    opened, survey = LiveSource(), lambda: Survey(TRIXIE, Facts())
    assert opened._load(["first", "third"], False, survey, print) == ({}, [])
    with pytest.raises(UserError, match="second"):
        opened._load(["first", "second", "third"], False, survey, print)
    assert asked == ["first", "third", "first", "second"]


def test_a_loader_that_waits_is_asked_once_and_only_under_the_python_that_is_meant(
    stub: Callable[[str], str],
) -> None:
    python = stub("[channel.recv(1 << 20) for _ in 'ab']; send(done={'pid': os.getpid()})")
    opened, survey = LiveSource(), lambda: Survey(TRIXIE, Facts())
    waiting = Loading(python)
    first, second = (opened._load([python], False, survey, print, one)[0] for one in (waiting, None))
    assert first == {"pid": waiting._process.pid} != second
    waiting.python = "/another"
    assert opened._load([python], False, survey, print, waiting)[0] != first


@pytest.mark.parametrize("taken", [False, True])
def test_a_head_start_is_ended_whatever_becomes_of_the_start_and_keeps_no_symbols(
    stub: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    def fails() -> None:
        if taken:
            assert begun.kallsyms() == host.kallsyms()
            assert not begun._text
        raise UserError(Exit.NOT_ROOT, "not root", "sudo zfstop")

    begun = HeadStart(stub("channel.recv(1 << 20); time.sleep(60)"))
    monkeypatch.setattr(host, "require_privileges", fails)
    with pytest.raises(UserError, match="not root"):
        LiveSource().open(print, begun=begun)
    assert begun.loading._process.returncode == -9
    assert not begun._text, "10 MB, and who started it may hold it as long as zfstop runs"


def test_what_keeps_the_symbols_from_being_read_is_told_when_they_are_asked_for(
    stub: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> bytes:
        raise UserError(Exit.NO_PROBE, "no /proc", "mount it")

    monkeypatch.setattr(host, "kallsyms", fails)
    begun = HeadStart(stub("channel.recv(1 << 20)"))
    with contextlib.closing(begun), pytest.raises(UserError, match="no /proc"):
        begun.kallsyms()


def test_where_there_is_nothing_to_attach_the_loader_is_ended_at_once(stub: Callable[[str], str]) -> None:
    loading = Loading(stub("time.sleep(60)"))
    begun = time.monotonic()
    with pytest.raises(UserError, match="none of the ZFS functions"):
        loading.answer({}, lambda: {"probes": Survey(b"", Facts())}, print, lambda: False)
    assert loading._process.returncode == -9
    assert time.monotonic() - begun < 1


@real_bpf
def test_the_real_loader_ends_when_nobody_waits_for_it_any_more() -> None:
    loading = Loading(host.bcc_pythons()[0])
    loading._channel.close()
    assert loading._process.wait(30) == 0
    loading._output.seek(0)
    assert not loading._output.read()
    loading.close()


# No text of a user is ever compiled.


def request(**changes: Any) -> dict[str, Any]:
    """Both real requests for trixie's symbols, with the first probe changed."""
    opened = LiveSource()
    found = opened._to_compile(False) | opened._to_attach(Survey(TRIXIE, Facts(module_btf=True)))
    found["probes"][0] |= changes
    return found


def text_of(loader: Any, asked: dict[str, Any]) -> str:
    macros = dict.fromkeys((*loader.offsets.KERNEL_OFFSETS, *loader.offsets.MODULE_OFFSETS), 8)
    return str(loader._program_text(asked, loader.Types(macros)))


@pytest.mark.parametrize("headers", [False, True])
def test_the_compiled_text_is_the_program_numbers_and_fixed_words(loader: Any, headers: bool) -> None:
    asked = request() | {"headers": headers}
    head, structs, rest = text_of(loader, asked).partition(asked["structs"])
    words, program, tail = rest.partition((Path(LOADER).parent / "program.c").read_text())
    assert structs
    assert program
    assert not tail
    number = r"\d+|\"0x[0-9a-f]+ ll\"|__builtin_offsetof\(struct \w+, [\w.]+\)"
    line = rf"#include <[\w/]+\.h>|#define _Static_assert\(\.\.\.\)|#define [A-Z_]+ ({number})|enum {{ [A-Z_, ]+ }};|"
    assert all(re.fullmatch(line, text) for text in (head + words).splitlines())
    assert ("offsetof" in words) == headers


@pytest.mark.parametrize("bad", ['x"; system("', "kiocb_iter) int x; (", "\n#define x", "*/", "é", "\0", ""])
@pytest.mark.parametrize(
    "field", ["slot", "bit", "op", "tier", "symbol", "module", "decoder", "hook", "kinds", "attach"]
)
def test_nothing_of_what_is_to_be_attached_reaches_the_text(loader: Any, field: str, bad: str) -> None:
    """What is compiled does not depend on it at all: it can be kept from one start to the next."""
    assert text_of(loader, request(**{field: bad})) == text_of(loader, request())


@pytest.mark.parametrize("size", ["0); int x = system(", "1\n#define x", None])
def test_a_size_that_is_no_number_is_refused(loader: Any, size: Any) -> None:
    asked = request()
    asked["sizes"]["SLOTS"] = size
    with pytest.raises((ValueError, TypeError)):
        text_of(loader, asked)


@pytest.mark.parametrize("field", ["slot", "bit"])
def test_a_parameter_that_is_no_number_is_refused(loader: Any, field: str) -> None:
    attacher = loader.Attacher({"entry": PARAMETER_LOADS, "leave": PARAMETER_LOADS}, loader.Types({}))
    probe = request(**{field: "0"})["probes"][0] | {"kind": "kprobe"}
    with pytest.raises(TypeError, match="str"):
        attacher._order(probe, attacher._pair(probe)[0], "none")


@pytest.mark.parametrize("refusals", range(4))
def test_a_function_that_cannot_be_had_takes_no_waits_from_the_others(
    loader: Any, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    """Only what a more modest way of reading the clocks made possible tells that it is needed."""
    attacher = loader.Attacher({"entry": PARAMETER_LOADS, "leave": PARAMETER_LOADS}, loader.Types({}))
    attacher._clocks = ["direct", "call", "none"]
    probe = request()["probes"][0] | {"kind": "kprobe"}
    side = attacher._pair(probe)[0]
    answers = iter([OSError(errno.ENOENT, "no such function")] * refusals + [7])

    def load(*_: object) -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(loader, "_loaded", load)
    if refusals == 3:
        with pytest.raises(OSError, match="no such function"):
            attacher._load(probe, side)
        assert attacher._clocks == ["direct", "call", "none"]
    else:
        assert attacher._load(probe, side) == 7
        assert attacher._clocks == ["direct", "call", "none"][refusals:]


@pytest.mark.parametrize("facts", [Facts(kinds=("kprobe",)), Facts(kinds=("kprobe", "fentry"))])
def test_what_is_loaded_ahead_is_what_attaching_asks_for(
    loader: Any, monkeypatch: pytest.MonkeyPatch, facts: Facts
) -> None:
    ordered: list[Any] = []
    asked: list[Any] = []
    alone: list[Any] = []

    class Ahead:
        def __init__(self, load: object, orders: list[Any]) -> None:
            ordered.extend(orders)

        def take(self, order: Any) -> int:
            asked.append(order)
            return 7 if order in ordered else -1

    def loaded(*order: Any) -> int:
        alone.append(order)
        return 7

    monkeypatch.setattr(loader.ahead, "Ahead", Ahead)
    monkeypatch.setattr(loader, "_loaded", loaded)
    monkeypatch.setattr(loader.Attacher, "_bind", lambda *_: [])
    macros = dict.fromkeys((*loader.offsets.OPTIONAL_OFFSETS, *loader.offsets.SCHEDULER_OFFSETS), 8)
    attacher = loader.Attacher(dict.fromkeys(loader.PROGRAMS, PARAMETER_LOADS), loader.Types(macros))
    survey, result = Survey(TRIXIE, facts), loader.Result()
    found = LiveSource()._to_attach(survey)
    loader._attach_all(attacher, found["probes"], found["waits"], result)
    for wait in found["waits"]:
        attacher.attach_wait(wait)
    assert len(result.attached) > 30
    assert asked == ordered
    assert len(alone) == 2, "the first pair, which tells how clocks are read"


def test_filters_are_no_part_of_what_the_loader_is_asked() -> None:
    asked = request()
    assert set(asked) == {"probes", "waits", "structs", "sizes", "headers", "owner"}
    assert set(asked["probes"][0]) == {
        "slot", "op", "bit", "tier", "symbol", "decoder", "hook", "kinds", "module", "attach",
    }  # fmt: skip
    assert all(isinstance(value, int) for value in asked["sizes"].values())
    json.dumps(asked)


@pytest.mark.parametrize("names", [(), ("fsync",), ("setattr", "rename"), tuple(BY_NAME)])
def test_what_is_not_wanted_is_loaded_but_not_attached(names: tuple[str, ...]) -> None:
    opened = LiveSource()
    opened._operations = mask_of(frozenset(names))
    asked = opened._to_attach(Survey(TRIXIE, Facts()))
    assert {probe["op"] for probe in asked["probes"] if probe["attach"]} == set(names) & {
        probe["op"] for probe in asked["probes"]
    }
    assert [probe["slot"] for probe in asked["probes"]] == list(range(len(asked["probes"])))


def test_more_descriptors_come_over_than_one_message_holds(loader: Any) -> None:
    """The kernel allows 253; each pair of 70 functions takes up to six."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sent = [os.memfd_create(str(number)) for number in range(430)]
    channel = loader.Channel(theirs.detach())
    channel.hand_over(sent)
    channel.send({"done": {"maps": []}})
    asking = Loading.__new__(Loading)
    asking._channel = ours
    with ours:
        answer, fds = asking._listen(print, lambda: False)
    assert answer == {"maps": []}
    assert [os.fstat(fd).st_ino for fd in fds] == [os.fstat(fd).st_ino for fd in sent]
    for fd in sent + fds:
        os.close(fd)


# Switched while it is open.


class Switched:
    """Stands for probes.Pair."""

    def __init__(self, op: str) -> None:
        self.attached = Attached(op, f"zpl_{op}", "zfs", "kiocb_iter", "kprobe pair")
        self.bit = mask_of(frozenset({op}))
        self.on = True
        self.fails = False

    def switch(self, on: bool) -> None:
        if on and not self.on and self.fails:
            raise FileNotFoundError(2, "No such file or directory")
        self.on = on


def test_what_is_switched_is_what_is_wanted_and_what_fails_is_told_as_long_as_it_does() -> None:
    read, rename = Switched("read"), Switched("rename")
    absent = Rejected("read", "zpl_read", "absent")
    report = ProbeReport((read.attached, rename.attached), (absent,))
    opened = LiveSource()
    opened._loaded = source.Loaded({}, None, {0: read, 1: rename}, report, False)  # type: ignore[dict-item]

    def switch(*names: str) -> tuple[Rejected, ...]:
        opened._switch(mask_of(frozenset(names)))
        return opened.loaded.report.rejected

    assert switch("read") == (absent,)
    assert (read.on, rename.on) == (True, False)
    rename.fails = True
    reason = "could not be attached again: No such file or directory"
    told = (absent, Rejected("rename", "zpl_rename", reason))
    assert switch("read", "rename") == switch("read", "rename") == told
    rename.fails = False
    assert switch("read", "rename") == (absent,)
    assert (read.on, rename.on) == (True, True)
    assert opened.loaded.report.attached == report.attached


# The real loader.


@real_bpf
def test_where_nothing_can_be_attached_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ZFS here: compiled and loaded, but there is nothing of that name to attach to."""
    monkeypatch.setenv("ZFSTOP_CACHE", "")
    survey, opened = Survey(b"0 t zpl_open\t[zfs]\n", Facts()), LiveSource()
    said: list[str] = []
    with pytest.raises(UserError) as caught:
        Loading(host.bcc_pythons()[0]).answer(
            opened._to_compile(False),
            lambda: opened._to_attach(survey),
            said.append,
            lambda: False,
        )
    assert caught.value.status == Exit.NO_PROBE
    assert "zpl_open" in caught.value.detail
    assert said == ["reading kernel types", "compiling the probes", "attaching the probes"]


def test_the_wrong_bcc_is_told_from_the_right_one(tmp_path: Path) -> None:
    """PyPI's package of that name, first on the path of the chosen Python."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "bcc.py").write_text("version = '0.1.10'\n")
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nshift 2\nPYTHONPATH={tmp_path}/fake exec {sys.executable} -B "$@"\n')
    python.chmod(0o755)
    with pytest.raises(UserError) as caught:
        Loading(str(python)).answer(request() | {"headers": True}, request, print, lambda: False)
    assert caught.value.status == Exit.NO_BCC
    assert "not the BPF Compiler Collection" in caught.value.sentence
    assert "pip uninstall bcc" in caught.value.remedy


@real_bpf
def test_open_takes_the_best_of_each_operation_and_close_gives_everything_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = set(os.listdir("/proc/self/fd"))
    said: list[str] = []
    opened, _ = open_source(monkeypatch, symbols=["zpl_open", "zfs_open", "zfs_fsync"], stages=said)
    report = opened.loaded.report
    assert [
        (probe.op, probe.symbol)
        for probe in report.attached
        if probe.symbol not in ("tell", "zil", "throttle")
    ] == [
        ("open", "zpl_open"),
        ("fsync", "zfs_fsync"),
    ]
    reasons = {item.symbol: item.reason for item in report.rejected}
    assert "better" in reasons["zfs_open"]
    assert reasons["zpl_fsync"] == "absent"
    assert said[0] == "reading kernel symbols"
    assert len(opened.counts()) == len(report.attached)
    assert list(opened.drain()) == []
    opened.close()
    opened.close()
    assert set(os.listdir("/proc/self/fd")) == before
    assert list(opened.drain()) == []
    with pytest.raises(RuntimeError):
        _ = opened.loaded


@pytest.mark.parametrize(
    "text", ["", "0", "4095", "5000", "16M", "-4096", "4096 ", "٤٠٩٦", "9" * 20, str(1 << 31)]
)
def test_a_ring_of_a_size_the_kernel_would_refuse_is_refused_in_words(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZFSTOP_RING_BYTES", text)
    with pytest.raises(UserError, match="power of two") as caught:
        LiveSource()
    assert caught.value.status == Exit.USAGE
    assert caught.value.remedy == "unset ZFSTOP_RING_BYTES"


def test_the_ring_is_as_large_as_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZFSTOP_RING_BYTES", raising=False)
    assert source.ring_bytes() == 32 << 20
    monkeypatch.setenv("ZFSTOP_RING_BYTES", "65536")
    assert source.ring_bytes() == 65536


def test_the_loader_keeps_what_came_with_a_request_while_it_lives(loader: Any) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    channel = loader.Channel(theirs.detach())
    with ours:
        socket.send_fds(ours, [b'{"owner": 1}'], [writer])
        ours.send(b"{}")
        assert [channel.request(), channel.request()] == [{"owner": 1}, {}]
    os.close(writer)
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    for fd in channel._kept:
        os.close(fd)
    assert os.read(reader, 1) == b""
    os.close(reader)
