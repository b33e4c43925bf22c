"""Words and options -> one of the commands. Wires everything; imports lazily, so that --help is quick."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from zfstop import __version__
from zfstop.errors import Exit, UserError
from zfstop.model.relief import Limits
from zfstop.model.state import Controls
from zfstop.text import visible
from zfstop.units import parse_share, parse_time
from zfstop.zfs.operations import BY_NAME, CLASSES, DEFAULT_CLASSES, parse_classes, parse_operations

if TYPE_CHECKING:
    from zfstop.config.settings import Settings
    from zfstop.kernel.head_start import HeadStart
    from zfstop.screen import Look

_EPILOG = """\
A leading number is the threshold, in ms unless it has a unit: 250us, 10ms, 1s; 0 shows everything.
Other words are pools or datasets; a dataset takes its children and snapshots with it.

  zfstop                    what is slower than 10 ms, anywhere
  zfstop 1 tank/pg          slower than 1 ms on tank/pg
  zfstop -p 2431 --op fsync fsyncs of one process
  zfstop trace 0 --format json --for 10s > calls.json
  zfstop --demo             the same screen from a recording: no root, no ZFS
  zfstop replay FILE        the same from a recording of yours, as any user
"""
#: No pool's name begins so.
_NUMBER_STARTS = frozenset("0123456789.+-")
_MOST_PIDS = 131_072
_HIGHEST_PID = 4_194_304


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are UserErrors like all others."""

    def error(self, message: str) -> NoReturn:
        raise UserError(Exit.USAGE, visible(message), f"{self.prog} --help")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="THRESHOLD | POOL | DATASET")
    parser.add_argument(
        "-p", dest="pids", action="append", default=[], metavar="PID[,PID...]", help="only these processes"
    )
    parser.add_argument("--op", dest="ops", action="append", default=[], metavar="OP[,OP...]",
                        help=f"only these operations: {', '.join(BY_NAME)}")  # fmt: skip
    parser.add_argument("--class", dest="classes", action="append", default=[], metavar="CLASS[,CLASS...]",
                        help=f"only these classes of operations: {', '.join(CLASSES)} or all; "
                             f"default: {','.join(c for c in CLASSES if c in DEFAULT_CLASSES)}")  # fmt: skip


def _add_limits(parser: argparse.ArgumentParser, auto_threshold: bool) -> None:
    default = "on" if auto_threshold else "off"
    parser.set_defaults(auto_threshold_unasked=auto_threshold)
    parser.add_argument("--budget", metavar="PERCENT",
                        help="the most of one CPU that the probes may take, such as 2%%: above it the dearest is given "
                             "up for a while")  # fmt: skip
    parser.add_argument("--auto-threshold", action=argparse.BooleanOptionalAction, default=None,
                        help="raise the threshold for a while when events are lost or more than 20,000 a second; "
                             f"default: {default}")  # fmt: skip


def _add_looks(parser: argparse.ArgumentParser) -> None:
    """How the screen begins. All but the last three can be said in the file too."""
    looks = parser.add_argument_group("the screen (defaults can be set in ~/.config/zfstop/config.toml)")
    looks.add_argument("--window", metavar="TIME", help="10s, 60s or 5min")
    looks.add_argument(
        "--sort", metavar="COLUMN", help="wait, p99, max, ...; with --sort=-COLUMN the other way round"
    )
    looks.add_argument(
        "--group", metavar="BY", help="process/file, process, file, directory, dataset, pool, ..."
    )
    looks.add_argument("--theme", metavar="NAME", help="dark, light, high-contrast, 16-colours, no-colours")
    looks.add_argument(
        "--ascii", action=argparse.BooleanOptionalAction, default=None, help="nothing but ASCII"
    )
    looks.add_argument(
        "--mouse",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="leave the mouse to the terminal, or not",
    )
    looks.add_argument(
        "--keys", action="store_true", help="print every action with its keys, as for the file, and end"
    )
    files = looks.add_mutually_exclusive_group()
    files.add_argument("--config", metavar="FILE", help="settings from this file")
    files.add_argument("--no-config", action="store_true", help="settings from no file")


def _screen_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="zfstop",
        description="Which process waits on which file of which ZFS dataset, for how long, live.\n"
        "Commands: trace (one line an event), record (write a recording), replay (look at one),\n"
        "report (one in one file), anonymize (one without names), doctor (is this host ready);\n"
        "see zfstop trace --help.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_filters(parser)
    _add_limits(parser, auto_threshold=True)
    _add_looks(parser)
    parser.add_argument("--demo", action="store_true", help="play the recording that comes with zfstop")
    parser.add_argument("--meter", action=argparse.BooleanOptionalAction, default=None,
                        help="have the kernel count what the probes cost, or not (M on the screen)")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"zfstop {__version__}")
    return parser


def _trace_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="zfstop trace", description="Print one line for every slow ZFS operation.")
    _add_filters(parser)
    # Who asks for lines asks for every one.
    _add_limits(parser, auto_threshold=False)
    parser.add_argument("--format", choices=("text", "json", "csv"), default="text", help="default: text")
    parser.add_argument(
        "--for", dest="duration", metavar="DURATION", help="end after this time: 10s, 500ms, 5m"
    )
    parser.add_argument(
        "-n", dest="count", type=_positive, metavar="COUNT", help="end after this many events"
    )
    parser.add_argument(
        "--state", action="store_true", help="with --format json: every second a line on ZFS itself, too"
    )
    return parser


def _record_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="zfstop record", description="Write what the screen would show into a file.")
    _add_filters(parser)
    _add_limits(parser, auto_threshold=True)
    parser.add_argument("-o", dest="output", required=True, metavar="FILE", help="must not exist yet")
    parser.add_argument("--for", dest="duration", metavar="DURATION", help="end after this time: 10s, 5m")
    parser.add_argument("--place", default="", help="a few words about where this was recorded")
    return parser


def _replay_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="zfstop replay",
        description="Look at a recording: from its beginning in real time, and at any second of it. Space pauses, "
        "[ and ] step a second, { and } a minute, T goes to a time.",
    )
    parser.add_argument("file", metavar="FILE", help="what zfstop record or R on the screen has written")
    _add_filters(parser)
    _add_looks(parser)
    return parser


def _report_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="zfstop report",
        description="Write what a recording holds into one file: heat map, top rows, percentiles, waits, "
        "calls in flight, books and probes.",
    )
    parser.add_argument("file", metavar="RECORDING", help="what zfstop record or R on the screen has written")
    _add_filters(parser)
    parser.add_argument("-o", dest="output", required=True, metavar="FILE", help="must not exist yet")
    parser.add_argument(
        "--format", choices=("html", "md", "json", "csv"), help="default: by FILE's ending, else html"
    )
    times = "such as 19:03:12, @1768399200, +5m from the beginning, -5m from the end"
    parser.add_argument("--from", dest="begin", metavar="T", help=f"only from this time on, {times}")
    parser.add_argument("--to", dest="end", metavar="T", help="only up to this time")
    parser.add_argument("--anonymize", action="store_true", help="stand-ins for all names, PIDs and UIDs")
    return parser


def _anonymize_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="zfstop anonymize",
        description="Write a recording again, with stand-ins for the names of hosts, pools, datasets, files, programs "
        "and owners, and for PIDs and UIDs: the same for the same name, other ones in every run.",
    )
    parser.add_argument("file", metavar="RECORDING", help="what zfstop record or R on the screen has written")
    parser.add_argument("-o", dest="output", required=True, metavar="FILE", help="must not exist yet")
    return parser


def _doctor_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="zfstop doctor",
        description="Say what this host has and lacks, and whether zfstop tells the truth on it (status 0).",
    )
    parser.add_argument(
        "--canary",
        metavar="DATASET|DIRECTORY",
        help="make, use and delete one small file there (a directory begins with / or .), "
        "and check that every call is reported right",
    )
    parser.add_argument("--json", action="store_true", help="one object, for a ticket")
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text)):
        raise argparse.ArgumentTypeError(f"'{visible(text)}' is not a count; write a number from 1 on")
    return int(text)


def look_of(args: argparse.Namespace) -> Look:
    """What the command line and the file say of the screen. Raises UserError with a sentence."""
    from zfstop.config.place import load, place_of, whoever
    from zfstop.config.settings import Settings, parse_group, parse_sort, parse_theme, parse_window
    from zfstop.screen import Look

    def taken(name: str, take: Callable[[str], Any]) -> Any:
        text = getattr(args, name)
        try:
            return None if text is None else take(text)
        except ValueError as error:
            reason = str(error)
            reason = reason if reason.startswith("'") else f"'{visible(text[:40])}' {reason}"
            raise UserError(Exit.USAGE, f"--{name}: {reason}", "zfstop --help") from None

    sort, descending = taken("sort", parse_sort) or (None, None)
    asked = Settings(
        window=taken("window", parse_window),
        sort=sort,
        descending=descending,
        group=taken("group", parse_group),
        theme=taken("theme", parse_theme),
        ascii=args.ascii,
        mouse=args.mouse,
        meter=getattr(args, "meter", None),
    )
    place = None if args.no_config else place_of(whoever(os.environ), os.environ, args.config)
    return Look(asked.over(load(place) if place else Settings()), asked, place)


def _print_keys(look: Look) -> int:
    """Every action, in words that ``config.toml`` takes."""
    from zfstop.ui.keymap import keys_toml

    _check_output("zfstop --keys")
    print(keys_toml(look.settings.keys), end="")
    return int(Exit.OK)


def controls_of(args: argparse.Namespace, begun: Settings | None = None) -> Controls:
    """Threshold and filters of the command line, else of ``begun``. Raises UserError with a sentence."""
    words = list(args.words)
    default = Controls()
    if begun is not None:
        default = Controls(
            default.threshold_ns if begun.threshold_ns is None else begun.threshold_ns,
            classes=default.classes if begun.classes is None else begun.classes,
        )
    threshold = default.threshold_ns
    try:
        if words and words[0][0:1] in _NUMBER_STARTS:
            threshold = parse_time(words.pop(0), "ms")
        ops = frozenset().union(*map(parse_operations, args.ops))
        classes = frozenset().union(*map(parse_classes, args.classes)) or default.classes
    except ValueError as error:
        raise UserError(Exit.USAGE, visible(str(error)), "zfstop --help") from None
    stray = [word for word in words if word[0:1] in _NUMBER_STARTS]
    if stray:
        raise UserError(
            Exit.USAGE, f"the threshold comes first, and only once: '{visible(stray[0])}'", "zfstop 10ms tank"
        )
    datasets = frozenset(visible(os.fsencode(word).rstrip(b"/")) for word in words)
    return Controls(threshold, _pids(args.pids), datasets, ops, classes)


def limits_of(args: argparse.Namespace, begun: Settings | None = None) -> Limits:
    """What zfstop may cost, by the command line, else by ``begun``. Raises UserError with a sentence."""
    try:
        budget = None if args.budget is None else parse_share(args.budget)
    except ValueError as error:
        raise UserError(Exit.USAGE, str(error), "zfstop --budget 2%") from None
    raised, unasked = args.auto_threshold, args.auto_threshold_unasked
    if begun is not None:
        budget = begun.budget if budget is None else budget
        unasked = unasked if begun.auto_threshold is None else begun.auto_threshold
    return Limits(unasked if raised is None else raised, budget)


def _pids(texts: Sequence[str]) -> frozenset[int]:
    pids = {_pid(part.strip()) for text in texts for part in text.split(",")}
    if len(pids) > _MOST_PIDS:
        raise UserError(Exit.USAGE, f"more than {_MOST_PIDS} process IDs", "filter by dataset instead")
    return frozenset(pids)


def _pid(text: str) -> int:
    # An empty one is refused too: -p "$PID" with nothing in PID must not mean every process.
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and 0 < int(text) <= _HIGHEST_PID):
        raise UserError(Exit.USAGE, f"'{visible(text[:40])}' is not a process ID", "ps -e")
    return int(text)


def _duration(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_time(text, "s")
    except ValueError as error:
        raise UserError(Exit.USAGE, visible(str(error)), "zfstop trace --for 10s") from None


def _begin_live(controls: Controls) -> HeadStart:
    """Check what can be known while the terminal is still as it was, and begin with what takes long.

    Raises UserError. It ends with this process, at the latest.
    """
    from zfstop.kernel import host
    from zfstop.kernel.head_start import HeadStart

    host.require_privileges()
    host.require_kernel()
    host.needs_headers()
    begun = HeadStart(host.bcc_pythons()[0])
    try:
        _check_controls(controls)
    except BaseException:
        begun.close()
        raise
    return begun


def _check_controls(controls: Controls) -> None:
    from zfstop.collector import check_datasets, check_pids
    from zfstop.kernel import host
    from zfstop.mounts import Mounts, known_datasets

    check_pids(controls.pids)
    if controls.datasets and host.zfs_loaded():
        check_datasets(controls, known_datasets(Mounts()))


def _check_output(command: str) -> None:
    if sys.stdout is None:
        raise UserError(
            Exit.NO_TERMINAL, "standard output is closed, so there is nowhere to print to", command
        )


def _trace(arguments: Sequence[str]) -> int:
    args = _trace_parser().parse_intermixed_args(arguments)
    controls, limits, duration = controls_of(args), limits_of(args), _duration(args.duration)
    if args.state and args.format != "json":
        raise UserError(
            Exit.USAGE,
            f"--state is for JSON; {args.format} has no line for it",
            "zfstop trace --state --format json",
        )
    _check_output("zfstop trace")
    begun = _begin_live(controls)
    from zfstop.trace import TraceOptions, run_trace

    return run_trace(TraceOptions(controls, args.format, duration, args.count, args.state, limits), begun)


def _record(arguments: Sequence[str]) -> int:
    args = _record_parser().parse_intermixed_args(arguments)
    controls, limits, duration = controls_of(args), limits_of(args), _duration(args.duration)
    begun = _begin_live(controls)
    from zfstop.record import run_record

    return run_record(controls, args.output, duration, visible(args.place), limits, begun)


def _doctor(arguments: Sequence[str]) -> int:
    args = _doctor_parser().parse_args(arguments)
    if args.canary == "":
        raise UserError(Exit.USAGE, "the canary needs a dataset or a directory", "zfs list -o name")
    _check_output("zfstop doctor")
    from zfstop.doctor import run_doctor

    return run_doctor(args.canary, args.json)


def _check_terminal() -> None:
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise UserError(
            Exit.NO_TERMINAL,
            "the screen needs a terminal, and this is a pipe or a file",
            "zfstop trace --format text",
        )


def _replay(arguments: Sequence[str]) -> int:
    args = _replay_parser().parse_intermixed_args(arguments)
    controls, look = controls_of(args), look_of(args)
    if args.keys:
        return _print_keys(look)
    _check_terminal()
    from zfstop.screen import run_replay

    return run_replay(controls, args.file, look)


def _report(arguments: Sequence[str]) -> int:
    args = _report_parser().parse_intermixed_args(_with_times(arguments))
    controls = controls_of(args)
    from zfstop.export.formats import WRITERS
    from zfstop.report import ReportOptions, run_report

    ending = args.output.rpartition(".")[2].lower()
    ending = args.format or (ending if ending in WRITERS else "html")
    return run_report(
        ReportOptions(args.file, args.output, ending, controls, args.begin, args.end, args.anonymize)
    )


def _anonymize(arguments: Sequence[str]) -> int:
    args = _anonymize_parser().parse_args(arguments)
    from zfstop.anonymize import run_anonymize

    return run_anonymize(args.file, args.output)


def _with_times(arguments: Sequence[str]) -> list[str]:
    """``--from -5m`` as one word: argparse would take -5m for an option."""
    words = list(arguments)
    for index in reversed(range(len(words) - 1)):
        if words[index] in ("--from", "--to") and words[index + 1][:1] == "-":
            words[index : index + 2] = [f"{words[index]}={words[index + 1]}"]
    return words


def _screen(arguments: Sequence[str]) -> int:
    args = _screen_parser().parse_intermixed_args(arguments)
    look = look_of(args)
    limits = limits_of(args, look.settings)
    # A recording has a threshold and classes of its own.
    controls = controls_of(args, None if args.demo else look.settings)
    if args.keys:
        return _print_keys(look)
    _check_terminal()
    from zfstop.screen import run_demo, run_live

    if args.demo:
        return run_demo(controls, look)
    return run_live(controls, limits, look, _begin_live(controls))


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "trace": _trace,
    "record": _record,
    "replay": _replay,
    "report": _report,
    "anonymize": _anonymize,
    "doctor": _doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit status (errors.Exit)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = _COMMANDS.get(words[0]) if words else None
    try:
        return command(words[1:]) if command else _screen(words)
    except UserError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return int(error.status)
    except KeyboardInterrupt:
        return 130
