"""Words and options -> one of the commands. Wires everything; imports lazily, so that --help is quick."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from zfstop import __version__
from zfstop.errors import Exit, UserError
from zfstop.model.state import Controls
from zfstop.text import visible
from zfstop.units import parse_time
from zfstop.zfs.operations import BY_NAME, parse_operations

_EPILOG = """\
A leading number is the threshold, in ms unless it has a unit: 250us, 10ms, 1s; 0 shows everything.
Other words are pools or datasets; a dataset takes its children and snapshots with it.

  zfstop                    what is slower than 10 ms, anywhere
  zfstop 1 tank/pg          slower than 1 ms on tank/pg
  zfstop -p 2431 --op fsync fsyncs of one process
  zfstop trace 0 --format json --for 10s > calls.json
  zfstop --demo             the same screen from a recording: no root, no ZFS
"""
#: No pool's name begins so.
_NUMBER_STARTS = frozenset("0123456789.+-")
_MOST_PIDS = 4096
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


def _screen_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="zfstop",
        description="Which process waits on which file of which ZFS dataset, for how long, live.\n"
        "Commands: trace (one line an event), record (write a recording); see zfstop trace --help.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_filters(parser)
    parser.add_argument("--demo", action="store_true", help="play the recording that comes with zfstop")
    parser.add_argument("--version", action="version", version=f"zfstop {__version__}")
    return parser


def _trace_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="zfstop trace", description="Print one line for every slow ZFS operation.")
    _add_filters(parser)
    parser.add_argument("--format", choices=("text", "json", "csv"), default="text", help="default: text")
    parser.add_argument(
        "--for", dest="duration", metavar="DURATION", help="end after this time: 10s, 500ms, 5m"
    )
    parser.add_argument(
        "-n", dest="count", type=_positive, metavar="COUNT", help="end after this many events"
    )
    return parser


def _record_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="zfstop record", description="Write what the screen would show into a file.")
    _add_filters(parser)
    parser.add_argument("-o", dest="output", required=True, metavar="FILE", help="must not exist yet")
    parser.add_argument("--for", dest="duration", metavar="DURATION", help="end after this time: 10s, 5m")
    parser.add_argument("--place", default="", help="a few words about where this was recorded")
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text)):
        raise argparse.ArgumentTypeError(f"'{visible(text)}' is not a count; write a number from 1 on")
    return int(text)


def controls_of(args: argparse.Namespace) -> Controls:
    """Threshold and filters of the command line. Raises UserError with a sentence."""
    words = list(args.words)
    threshold = Controls().threshold_ns
    try:
        if words and words[0][0:1] in _NUMBER_STARTS:
            threshold = parse_time(words.pop(0), "ms")
        ops = frozenset().union(*map(parse_operations, args.ops))
    except ValueError as error:
        raise UserError(Exit.USAGE, visible(str(error)), "zfstop --help") from None
    stray = [word for word in words if word[0:1] in _NUMBER_STARTS]
    if stray:
        raise UserError(
            Exit.USAGE, f"the threshold comes first, and only once: '{visible(stray[0])}'", "zfstop 10ms tank"
        )
    datasets = frozenset(visible(os.fsencode(word).rstrip(b"/")) for word in words)
    return Controls(threshold, _pids(args.pids), datasets, ops)


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


def _check_live(controls: Controls) -> None:
    """What can be known before anything is started, so that the terminal is still as it was."""
    from zfstop.collector import check_datasets, check_pids
    from zfstop.kernel import host
    from zfstop.mounts import Mounts, known_datasets

    host.require_privileges()
    host.require_kernel()
    host.bcc_pythons()
    host.needs_headers()
    check_pids(controls.pids)
    if controls.datasets and host.zfs_loaded():
        check_datasets(controls, known_datasets(Mounts()))


def _trace(arguments: Sequence[str]) -> int:
    args = _trace_parser().parse_intermixed_args(arguments)
    controls, duration = controls_of(args), _duration(args.duration)
    if sys.stdout is None:
        raise UserError(
            Exit.NO_TERMINAL, "standard output is closed, so there is nowhere to print to", "zfstop trace"
        )
    _check_live(controls)
    from zfstop.trace import TraceOptions, run_trace

    return run_trace(TraceOptions(controls, args.format, duration, args.count))


def _record(arguments: Sequence[str]) -> int:
    args = _record_parser().parse_intermixed_args(arguments)
    controls, duration = controls_of(args), _duration(args.duration)
    _check_live(controls)
    from zfstop.record import run_record

    return run_record(controls, args.output, duration, visible(args.place))


def _screen(arguments: Sequence[str]) -> int:
    args = _screen_parser().parse_intermixed_args(arguments)
    controls = controls_of(args)
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise UserError(
            Exit.NO_TERMINAL,
            "the screen needs a terminal, and this is a pipe or a file",
            "zfstop trace --format text",
        )
    from zfstop.screen import run_demo, run_live

    if args.demo:
        return run_demo(controls)
    _check_live(controls)
    return run_live(controls)


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"trace": _trace, "record": _record}


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
