"""Whatever is typed, and whatever the host lacks: one sentence, what to do, an exit status of its own, no traceback."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zfstop
from zfstop import cli
from zfstop.config.settings import Settings
from zfstop.errors import Exit, UserError
from zfstop.kernel import host
from zfstop.model.relief import Limits
from zfstop.model.state import Controls
from zfstop.zfs.operations import BY_NAME, CLASSES

ROOT = Path(zfstop.__file__).parents[1]
MS = 1_000_000


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the one who runs the tests has in a file has no say."""
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")


def zfstop_run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, without a terminal."""
    return python("-m", "zfstop", *words)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return in_shell(shlex.join([sys.executable, *words]))


def in_shell(command: str) -> subprocess.CompletedProcess[str]:
    """The project's directory is the current one, and nothing is written into it."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment,
    )


def assert_said(done: subprocess.CompletedProcess[str], status: Exit, *words: str) -> None:
    """One sentence with these words and a remedy, this status, nothing on stdout."""
    lines = done.stderr.splitlines()
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert lines[0].startswith("zfstop: ")
    assert lines[0].endswith(".")
    assert lines[1].startswith("  to mend it: ")
    assert len(lines) == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert not done.stdout


# Options and words.


@pytest.mark.parametrize(
    ("words", "controls"),
    [
        ((), Controls()),
        (("1",), Controls(MS)),
        (("0",), Controls(0)),
        (("250us",), Controls(250_000)),
        ((".5",), Controls(MS // 2)),
        (("1s", "tank", "fast/vm"), Controls(1000 * MS, frozenset(), frozenset({"tank", "fast/vm"}))),
        (("tank/",), Controls(datasets=frozenset({"tank"}))),
        (("tank@snap",), Controls(datasets=frozenset({"tank@snap"}))),
        (("-p", "1,2", "-p", "3"), Controls(pids=frozenset({1, 2, 3}))),
        (("--op", "read,fsync", "--op", "W"), Controls(ops=frozenset({"read", "fsync", "write"}))),
        (
            ("1", "--op", "fsync", "tank/pg"),
            Controls(MS, frozenset(), frozenset({"tank/pg"}), frozenset({"fsync"})),
        ),
        (("--op", "xattr-get,zvol-read"), Controls(ops=frozenset({"xattr-get", "zvol-read"}))),
        (("--class", "data"), Controls(classes=frozenset({"data"}))),
        (
            ("--class", "data,Zvol", "--class", "mapped"),
            Controls(classes=frozenset({"data", "zvol", "mapped"})),
        ),
        (("--class", "all"), Controls(classes=frozenset(CLASSES))),
        (
            ("--op", "rename", "--class", "zvol"),
            Controls(ops=frozenset({"rename"}), classes=frozenset({"zvol"})),
        ),
        (("-p", "7", "1", "tank"), Controls(MS, frozenset({7}), frozenset({"tank"}))),
        (("1", "tank", "-p", "7", "fast"), Controls(MS, frozenset({7}), frozenset({"tank", "fast"}))),
    ],
)
@pytest.mark.parametrize("parser", [cli._screen_parser, cli._trace_parser])
def test_words_mean_what_the_help_says(parser: object, words: tuple[str, ...], controls: Controls) -> None:
    assert cli.controls_of(parser().parse_intermixed_args(words)) == controls  # type: ignore[operator]


@pytest.mark.parametrize(("text", "share"), [("2%", 0.02), ("2", 0.02), (" .5 % ", 0.005), ("250%", 2.5)])
def test_a_budget_is_a_percentage_of_one_cpu(text: str, share: float) -> None:
    args = cli._screen_parser().parse_intermixed_args(["--budget", text])
    assert cli.limits_of(args) == Limits(auto_threshold=True, budget=pytest.approx(share))


@pytest.mark.parametrize("text", ["0", "0%", "-1", "x", "", "2%%", "٢%", "1e3", "inf", "nan"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    args = cli._screen_parser().parse_intermixed_args([f"--budget={text}"])
    with pytest.raises(UserError, match="is not a share of a CPU"):
        cli.limits_of(args)


def test_a_flood_raises_the_threshold_on_the_screen_and_for_a_file_but_lines_only_when_asked() -> None:
    screen, record, trace = cli._screen_parser(), cli._record_parser(), cli._trace_parser()
    assert cli.limits_of(screen.parse_args([])) == Limits(auto_threshold=True)
    assert cli.limits_of(record.parse_args(["-o", "file"])) == Limits(auto_threshold=True)
    assert cli.limits_of(trace.parse_args([])) == Limits()
    assert cli.limits_of(trace.parse_args(["--auto-threshold"])) == Limits(auto_threshold=True)
    assert cli.limits_of(screen.parse_args(["--no-auto-threshold"])) == Limits()
    begun = Settings(auto_threshold=False, budget=0.02)
    assert cli.limits_of(screen.parse_args([]), begun) == Limits(False, 0.02)
    assert cli.limits_of(screen.parse_args(["--auto-threshold", "--budget", "3"]), begun) == Limits(
        True, 0.03
    )


def test_options_of_trace_may_stand_anywhere() -> None:
    words = ["0", "--format", "json", "tank", "-n", "5", "--for", "1m", "fast"]
    args = cli._trace_parser().parse_intermixed_args(words)
    assert (args.words, args.format, args.count, args.duration) == (["0", "tank", "fast"], "json", 5, "1m")


@pytest.mark.parametrize(
    "words",
    [
        ["10x"], ["1e3"], ["2d"], ["99999h"], ["10", "20"], ["tank", "10ms"], ["1..2"], ["--op", "reads"],
        ["--op", ""], ["--class", "datas"], ["--class", ""], ["--class", "read"], ["--class"],
        ["-p", "abc"], ["-p", "0"], ["-p", "-1"], ["-p", ""], ["-p", "1,"], ["-p", "4194305"],
        ["-p", "9" * 5000], ["-p", "٣"], ["-p", "1_0"], ["-p"], ["--nonsense"], ["--for", "10s"], ["\x1b[31m1"],
        ["-p", ",".join(map(str, range(1, 131_074)))],
    ],
)  # fmt: skip
def test_bad_words_of_the_screen(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = in_process(words, capsys)
    assert said.status == (Exit.NO_TERMINAL if words == ["\x1b[31m1"] else Exit.USAGE)


@pytest.mark.parametrize(
    "words",
    [
        ["10x"], ["--format", "xml"], ["--for", "soon"], ["--for", "-1s"], ["--for", ""], ["-n", "0"], ["-n", "-3"],
        ["-n", "abc"], ["-n", "1.5"], ["-n", ""], ["-n", "9" * 5000], ["-p", "x"], ["--op", "*"], ["--demo"],
        ["--state"], ["--state", "--format", "csv"],
    ],
)  # fmt: skip
def test_bad_words_of_trace(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = in_process(["trace", *words], capsys)
    assert said.status == Exit.USAGE
    assert "_" not in said.text.replace("THRESHOLD_", ""), "no name of a function of ours"


class Said:
    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text


def in_process(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> Said:
    """main() with captured output: quicker than a process, and no less strict."""
    try:
        status = cli.main(words)
    except SystemExit as end:
        status = int(end.code or 0)
    out, err = capsys.readouterr()
    if status:
        lines = err.splitlines()
        assert lines[0].startswith("zfstop: ")
        assert lines[1].startswith("  to mend it: ")
        assert err.replace("\n", "").isprintable()
        assert not out
    return Said(status, err)


typed = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "trace",
        "record",
        "-p",
        "--op",
        "--class",
        "-n",
        "--for",
        "--format",
        "json",
        "10ms",
        "tank",
        "--",
        "-",
        "--demo",
        "-o",
        "@x",
        "\udcff",
        "\x1b[0m",
        "--version=1",
        "--he",
        "-p1",
        "-n5",
        "1,2",
        "[bold]",
        "{}",
        "%s",
        "-1",
    ]
)


@settings(max_examples=200)
@given(st.lists(typed, max_size=6))
def test_nothing_typed_gives_a_traceback(words: list[str]) -> None:
    """On this test's host nothing can go live: not a terminal, no kprobes or not root."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryFile("w+") as out:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", out)
        patch.setattr(host, "require_kernel", no_kernel)
        try:
            status = cli.main([word.replace("\0", "") for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
        assert status in set(Exit)
        out.seek(0)
        text = out.read()
    assert status != Exit.INTERNAL
    if status:
        assert text.startswith("zfstop: ")
        assert text.replace("\n", "").isprintable()


def no_kernel() -> None:
    raise UserError(Exit.NO_KPROBES, "not here", "elsewhere")


# What the host lacks. Each as a process of its own.


def test_a_pipe_is_no_terminal() -> None:
    assert_said(zfstop_run("replay", "x.zfstop"), Exit.NO_TERMINAL)
    assert_said(zfstop_run(), Exit.NO_TERMINAL, "terminal", "zfstop trace")
    assert_said(zfstop_run("--demo"), Exit.NO_TERMINAL)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-"])
def test_a_closed_terminal_is_none_either(closed: str) -> None:
    done = in_shell(f"{sys.executable} -m zfstop {closed}")
    assert_said(done, Exit.NO_TERMINAL)


def test_trace_with_a_closed_output_says_so() -> None:
    assert_said(in_shell(f"{sys.executable} -m zfstop trace 0 >&-"), Exit.NO_TERMINAL, "closed")


#: Gives up root, or its capabilities, after everything is imported: the checkout may be root's alone.
DROP = (
    "import ctypes, os, struct, sys, zfstop.collector, zfstop.mounts\n"
    "from zfstop.cli import main\n"
    "if sys.argv[1] == 'user':\n"
    "    os.geteuid() or os.setresuid(65534, 65534, 65534)\n"
    "else:\n"
    "    ctypes.CDLL(None).capset(struct.pack('=II', 0x20080522, 0), bytes(24))\n"
    "sys.exit(main(sys.argv[2:]))\n"
)


@pytest.mark.parametrize("words", [("trace",), ("record", "-o", "never-written")])
def test_an_ordinary_user_is_told_to_use_sudo(words: tuple[str, ...]) -> None:
    done = python("-c", DROP, "user", *words)
    assert_said(done, Exit.NOT_ROOT, "root", "sudo", "--demo")
    assert not (ROOT / "never-written").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="has no root to take capabilities from")
def test_root_without_capabilities_is_told_about_the_container() -> None:
    assert_said(python("-c", DROP, "capabilities", "trace"), Exit.NOT_ROOT, "CAP_SYS_ADMIN", "container")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to come so far")
@pytest.mark.skipif(os.path.exists("/sys/bus/event_source/devices/kprobe"), reason="this kernel has kprobes")
def test_a_kernel_without_kprobes_cannot_be_traced() -> None:
    assert_said(zfstop_run("trace", "0"), Exit.NO_KPROBES, "kprobes", "zfstop --demo")


@pytest.fixture
def willing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A host that lacks nothing."""
    for name in ("require_privileges", "require_kernel", "needs_headers"):
        monkeypatch.setattr(host, name, lambda: None)
    monkeypatch.setattr(host, "bcc_pythons", lambda: ["python3"])
    monkeypatch.setattr(host, "zfs_loaded", lambda: True)
    monkeypatch.setattr("zfstop.mounts.known_datasets", lambda mounts: ("fast", "tank", "tank/data"))
    return monkeypatch


@pytest.mark.parametrize("command", [["trace"], ["record", "-o", "never-written"]])
def test_an_unknown_dataset_is_told_with_the_known_ones(
    willing: pytest.MonkeyPatch, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = in_process([*command, "tank/dat"], capsys)
    assert said.status == Exit.UNKNOWN_NAME
    assert "'tank/dat'" in said.text
    assert "fast, tank, tank/data" in said.text


def test_a_pid_without_process_is_told(
    willing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    said = in_process(["trace", "-p", f"{os.getpid()},{gone.pid}"], capsys)
    assert said.status == Exit.UNKNOWN_NAME
    assert f"no process {gone.pid}" in said.text


def test_what_is_wrong_with_the_words_is_told_before_what_is_wrong_with_the_host() -> None:
    assert_said(zfstop_run("trace", "10x"), Exit.USAGE, "not a time")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["no-such"], Exit.BAD_RECORDING, "No such file"),
        (["/dev/null"], Exit.BAD_RECORDING, "it is not a file"),
        ([__file__], Exit.BAD_RECORDING, "is not a zfstop recording"),
        ([], Exit.USAGE, "FILE"),
        (["x", "10x"], Exit.USAGE, "not a time"),
    ],
)
def test_what_cannot_be_replayed_is_told_before_the_screen_opens(
    words: list[str],
    status: Exit,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "_check_terminal", lambda: None)
    told = in_process(["replay", *words], capsys)
    assert told.status == status
    assert said in told.text


# Help.


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("trace", "--help"),
        ("record", "--help"),
        ("replay", "--help"),
        ("report", "--help"),
        ("anonymize", "--help"),
        ("--version",),
    ],
)
def test_help_needs_neither_root_nor_terminal(words: tuple[str, ...]) -> None:
    done = zfstop_run(*words)
    assert done.returncode == 0
    assert not done.stderr
    assert "zfstop" in done.stdout
    assert zfstop.__version__ in done.stdout or words != ("--version",)


@pytest.mark.parametrize(
    "words", [["--help"], ["trace", "--help"], ["record", "--help"], ["replay", "--help"]]
)
def test_help_names_every_operation_and_class(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(words)
    # Names are broken at hyphens where a line ends.
    text = re.sub(r"-\n\s*", "-", capsys.readouterr().out)
    assert all(re.search(rf"\b{word}\b", text) for word in (*BY_NAME, *CLASSES, "all"))


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(
        word in text
        for word in ("trace", "record", "replay", "report", "anonymize", "--demo", "--op", "--class", "-p")
    )


def test_help_is_answered_without_the_screen_and_without_bcc() -> None:
    code = (
        "import sys\nfrom zfstop.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = python("-c", code)
    assert not set(done.stderr.split()) & {
        "textual",
        "rich.console",
        "rich.text",
        "bcc",
        "sqlite3",
        "zfstop.collector",
    }


def test_help_into_a_closed_pipe_is_quiet() -> None:
    done = in_shell(f"{sys.executable} -m zfstop --help | true")
    assert not done.stderr


def test_settings_of_the_file_hold_and_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('threshold = "5ms"\nclasses = ["zvol"]\ntheme = "light"\nmouse = false\n')
    args = cli._screen_parser().parse_intermixed_args(["tank", "--config", str(file), "--theme", "dark"])
    look = cli.look_of(args)
    assert (look.settings.theme, look.settings.mouse, look.asked.mouse) == ("dark", False, None)
    assert cli.controls_of(args, look.settings) == Controls(
        5 * MS, datasets=frozenset({"tank"}), classes=frozenset({"zvol"})
    )
    args = cli._screen_parser().parse_intermixed_args(["1ms", "--class", "data", "--config", str(file)])
    assert cli.controls_of(args, look.settings) == Controls(MS, classes=frozenset({"data"}))
    # A recording has a threshold and classes of its own.
    assert cli.controls_of(cli._replay_parser().parse_intermixed_args(["FILE"])) == Controls()


def test_without_a_file_of_settings_nothing_is_read_nor_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zfstop").mkdir()
    (tmp_path / "zfstop" / "config.toml").write_text("this is not TOML")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    parser = cli._screen_parser()
    with pytest.raises(UserError, match=r"config\.toml:1: this is not TOML"):
        cli.look_of(parser.parse_intermixed_args([]))
    look = cli.look_of(parser.parse_intermixed_args(["--no-config"]))
    assert look.settings == look.asked
    with pytest.raises(UserError, match="--no-config"):
        look.save(look.settings)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--theme lite", "--theme: 'lite' is not a theme; did you mean \"light\"?"),
        ("--window 7s", "--window: '7s' is not one of 10s, 60s, 300s"),
        ("--sort=-wiat", "--sort: '-wiat' is not a column; did you mean \"wait\"?"),
        ("--group by", "--group: 'by' is not a grouping; there are process/file, "),
        ("--window x", "--window: 'x' is not a time"),
        ("--config /nowhere/at/all", "there is no file /nowhere/at/all"),
        ("--config x --no-config", "not allowed with"),
    ],
)
def test_wrong_looks_are_said(words: str, said: str) -> None:
    with pytest.raises(UserError) as told:
        cli.look_of(cli._screen_parser().parse_intermixed_args(words.split()))
    assert said in told.value.sentence


def test_every_key_is_printed_for_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[keys]\nfilter = 'F3'\n")
    done = zfstop_run("--keys", "--config", str(file))
    assert done.returncode == 0
    assert done.stdout.startswith("[keys]\n")
    assert 'filter = "F3" ' in done.stdout
