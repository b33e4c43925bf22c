#!/usr/bin/env python3
"""The lab: zfstop on real OpenZFS, in a virtual machine.

    lab.py list                              the suites, and whether their images are built
    lab.py build SUITE                       make the image (once; 5 to 10 minutes)
    lab.py run   SUITE [-- PYTEST ARGUMENTS] install the checkout in it and run the lab's tests
    lab.py exec  SUITE -- COMMAND ...        run a shell command in the same prepared machine
    lab.py shell SUITE                       a shell in it; leave it with `exit`

In the guest: the pools tank and dozer, zfstop on the PATH, $LAB_WORKLOAD the program that makes known calls,
$LAB_OUT the directory that comes back to this machine.

Suites: bookworm (kernel 6.1, OpenZFS 2.1; its module has no BTF: kprobes only), trixie (6.12, 2.3), forky (7.2, 2.4).
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from zlab import images, sessions, suites
from zlab.errors import LabError


def main() -> int:
    """Run one command; its exit status."""
    before, words = _split(sys.argv[1:])
    arguments = _parser().parse_args(before, argparse.Namespace(words=words))
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _do(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


def _do(arguments: argparse.Namespace) -> int:
    if arguments.command == "list":
        for suite in suites.SUITES.values():
            print(suite.name, "built" if images.locate(suite).exists() else "missing")
        return 0
    image = images.build(suites.find(arguments.suite))
    match arguments.command:
        case "build":
            print(image.path)
        case "shell":
            sessions.shell(image)
        case "exec":
            return _exec(image, arguments)
        case "run":
            return _run(image, arguments)
    return 0


def _exec(image: images.Image, arguments: argparse.Namespace) -> int:
    out = arguments.out or sessions.RESULTS / f"lab-{arguments.suite}-exec"
    command = ["bash", "-c", " ".join(arguments.words)]
    return sessions.execute(image, command, out, arguments.timeout, arguments.ruler, arguments.cpus)


def _run(image: images.Image, arguments: argparse.Namespace) -> int:
    words = arguments.words if arguments.keep_going else ["--exitfirst", *arguments.words]
    counts = sessions.test(image, words, arguments.timeout)
    name = arguments.suite
    print(f"lab {name}: {counts.ran} tests ran, {counts.failed} failed, {counts.skipped} skipped", flush=True)
    return 0 if counts.ran and not counts.failed else 1


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What is for this program, and what comes after the first `--`."""
    where = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:where], arguments[where + 1 :]


def _stop(number: int, frame: FrameType | None) -> None:
    """End as on Ctrl+C, so that the virtual machine ends too."""
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    for name in ("build", "run", "exec", "shell"):
        command = commands.add_parser(name)
        command.add_argument("suite", help=", ".join(suites.SUITES))
        if name in ("run", "exec"):
            command.add_argument("--timeout", type=float, default=2400, help="seconds, boot included")
        if name == "run":
            command.add_argument("--keep-going", action="store_true", help="go on after a failed test")
        if name == "exec":
            command.add_argument(
                "--out", type=Path, help="where $LAB_OUT comes back to (results/lab-SUITE-exec)"
            )
            command.add_argument(
                "--ruler", action="store_true", help="clocks count instructions (slower; see lab.md)"
            )
            command.add_argument(
                "--cpus", type=int, default=1, help="how many CPUs take turns with --ruler (1)"
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
