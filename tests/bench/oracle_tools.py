"""What several tools find of the oracle's reads, writes, opens and fsyncs, one after the other in the same machine.

    python3 tests/lab/lab.py exec --timeout 3000 trixie -- 'python $LAB/tests/bench/oracle_tools.py [TOOL ...]'

Two workloads each: all kinds of calls of MIXED threads, and ASLEEP threads that wait for their disk all at once, which
is where return probes are missed. A line is "right" when file (the last name), bytes and, of reads and writes, offset
are what the oracle knows, and for one call at most; latencies are not compared here.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, f"{os.environ['LAB']}/tests/lab/guest")

from oracle import ROUNDS, Oracle, oracles
from oracle_compare import parse_log

MIXED = 16
ASLEEP = 512
BATCH = 512
START_SECONDS = 300
QUIET_SECONDS = 4
#: One of bcc 0.35 or later, which knows zfs.
FSSLOWER = os.environ.get("FSSLOWER", "fsslower-libbpf")
OPS = {"read": "R", "write": "W", "open": "O", "fsync": "S"}

#: What is compared: letter, last name, bytes, offset; the last two None for an open and an fsync.
Line = tuple[str, str, int | None, int | None]

_NAME = "str($f->f_path.dentry->d_name.name)"
_PRINT = 'printf("%d,%s,%d,{letter},%d,%d,%d,%s\\n", nsecs / 1000, comm, pid, retval, {offset}, $us, {name});'
_MOVED = """
kprobe:{symbol} {{ @t{letter}[tid] = nsecs; @k{letter}[tid] = arg0; @o{letter}[tid] = ((struct kiocb *)arg0)->ki_pos; }}
kretprobe:{symbol} /@t{letter}[tid]/ {{
  $us = (nsecs - @t{letter}[tid]) / 1000; $f = ((struct kiocb *)@k{letter}[tid])->ki_filp; {print}
  delete(@t{letter}[tid]); delete(@k{letter}[tid]); delete(@o{letter}[tid]);
}}"""
_STATUS = """
kprobe:{symbol} {{ @t{letter}[tid] = nsecs; @k{letter}[tid] = {file}; }}
kretprobe:{symbol} /@t{letter}[tid]/ {{
  $us = (nsecs - @t{letter}[tid]) / 1000; $f = (struct file *)@k{letter}[tid]; {print}
  delete(@t{letter}[tid]); delete(@k{letter}[tid]);
}}"""


def bpftrace_script() -> str:
    """What somebody who knows both would type: a pair of probes for each of the four, the columns of zfsslower."""
    text = 'BEGIN { printf("ready\\n"); }'
    for letter, symbol in (("R", "zpl_iter_read"), ("W", "zpl_iter_write")):
        said = _PRINT.format(letter=letter, offset=f"@o{letter}[tid]", name=_NAME)
        text += _MOVED.format(symbol=symbol, letter=letter, print=said)
    for letter, symbol, file in (("O", "zpl_open", "arg1"), ("S", "zpl_fsync", "arg0")):
        text += _STATUS.format(
            symbol=symbol,
            letter=letter,
            file=file,
            print=_PRINT.format(letter=letter, offset="0", name=_NAME),
        )
    return text


@dataclass(frozen=True)
class Tool:
    """A command, the first words it prints once it traces, and more environment."""

    name: str
    command: tuple[str, ...]
    ready: str
    environment: dict[str, str] = field(default_factory=dict)


TRACE = ("zfstop", "trace", "0", "--op", ",".join(OPS), "--format", "json", "-p", "{pids}")
TOOLS = (
    Tool("zfstop", TRACE, '"start"'),
    Tool("zfstop, kprobes", TRACE, '"start"', {"ZFSTOP_ATTACH": "kprobe"}),
    Tool("zfsslower-bpfcc 0", ("zfsslower-bpfcc", "-j", "0"), "ENDTIME_us", {"PYTHONUNBUFFERED": "1"}),
    Tool("fsslower-libbpf -t zfs", ("stdbuf", "-oL", FSSLOWER, "-t", "zfs", "-m", "0", "-c"), "ENDTIME_ns"),
    Tool("bpftrace", ("stdbuf", "-oL", "bpftrace", "-e", bpftrace_script()), "ready"),
)


@dataclass
class Running:
    """A tool at work, its output in files."""

    tool: Tool
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def said(self) -> str:
        """All its output so far."""
        return self.out.read_text(errors="replace")

    def complaints(self) -> str:
        """What it said beside its lines."""
        return self.err.read_text(errors="replace")

    def wait_until_ready(self) -> bool:
        """False when it ends, or says nothing, before it traces."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.tool.ready in self.said()[:100_000]:
                return True
            time.sleep(0.2)
        return False

    def wait_until_quiet(self) -> None:
        """Until it has printed nothing for a while."""
        size = -1
        while size != self.out.stat().st_size:
            size = self.out.stat().st_size
            time.sleep(QUIET_SECONDS)

    def stop(self) -> None:
        """As Ctrl+C does, then harder."""
        for number in (2, 15, 9):
            if self.process.poll() is None:
                self.process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(20)


def start(tool: Tool, pids: list[int], directory: Path) -> Running:
    """Start it; it may still fail."""
    out, err = directory / "out", directory / "err"
    words = [
        word.format(pids=",".join(map(str, pids))) if "{pids}" in word else word for word in tool.command
    ]
    with out.open("wb") as output, err.open("wb") as errors:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=os.environ | tool.environment
        )
    return Running(tool, process, out, err)


def lines_of(running: Running) -> Iterator[tuple[int, Line]]:
    """(PID, line) of everything it printed."""
    if running.tool.command[0] == "zfstop":
        yield from _events(running.said().splitlines())
    else:
        yield from _rows(running.said().splitlines())


def line(letter: str, path: str, result: int, offset: int | None) -> Line:
    """Only what the tools could all know."""
    moved = letter in "RW"
    name = path.removesuffix(" (deleted)").rsplit("/", 1)[-1]
    return letter, name, result if moved else None, offset if moved else None


def _events(lines: Iterable[str]) -> Iterator[tuple[int, Line]]:
    for text in lines:
        event = json.loads(text)
        if event["type"] == "event":
            yield event["pid"], line(OPS[event["op"]], event["path"], event["result"], event["offset"])


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, Line]]:
    """Lines with zfsslower's columns; a failed call has a negative number there as unsigned."""
    for row in csv.reader(lines):
        if len(row) != 8 or not row[2].isdigit():
            continue
        _, _, pid, letter, moved, offset, _, path = row
        # fsslower-libbpf has a word in place of the end of an fsync.
        result = int(moved) if moved.removeprefix("-").isdigit() else 0
        letter = "S" if letter == "F" else letter
        yield int(pid), line(letter, path, result - (1 << 32) if result >> 31 == 1 else result, int(offset))


def known(oracle: Oracle) -> Counter[Line]:
    """What the oracle knows of the four operations."""
    with oracle.log.open() as log:
        return Counter(
            line(OPS[e.op], e.path, e.result or 0, e.offset)
            for call in parse_log(log)
            for e in call.expected
            if e.op in OPS
        )


def drive(oracle: Oracle, running: Running) -> None:
    """All its rounds; each batch is let go when the last one was printed."""
    for rounds in range(BATCH, ROUNDS + 1, BATCH):
        oracle.work(rounds)
        running.wait_until_quiet()
    oracle.work(None)
    oracle.wait()
    running.wait_until_quiet()


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def report(tool: Tool, oracle: Oracle, lines: Iterable[tuple[int, Line]]) -> None:
    """One row: of each operation how many there were, were found, and were right."""
    expected, seen = known(oracle), Counter(text for pid, text in lines if pid == oracle.pid)
    right = expected & seen
    cells = []
    for letter in OPS.values():
        there, found, good = (
            sum(count for text, count in counter.items() if text[0] == letter)
            for counter in (expected, seen, right)
        )
        cells.append(
            f"{good:,} of {there:,}" + (f" ({found:,} lines)" if found != good else "") if there else ""
        )
    row(tool.name, f"{oracle.threads} {'asleep' if oracle.asleep else 'mixed'}", *cells)


def run(tool: Tool) -> None:
    """One tool on both workloads."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with oracles(directory, [MIXED], [ASLEEP]) as programs:
            begun = time.monotonic()
            running = start(tool, [program.pid for program in programs], directory)
            try:
                if not running.wait_until_ready():
                    first = (running.complaints() + running.said()).strip().splitlines()[:1]
                    row(tool.name, "", *(first or ["said nothing"]), "", "", "")
                    return
                print(f"<!-- {tool.name}: tracing after {time.monotonic() - begun:.0f} s -->")
                for program in programs:
                    drive(program, running)
            finally:
                running.stop()
            lines = list(lines_of(running))
            for program in programs:
                report(tool, program, lines)
            tell_losses(running)


def tell_losses(running: Running) -> None:
    """What the tool itself says it did not see."""
    if running.tool.command[0] == "zfstop":
        books = json.loads(running.said().splitlines()[-1])["per_op"]
        words = ("entered", "seen", "filtered", "lost", "full", "missed")
        for op, counts in books.items():
            if not counts["entered"]:
                continue
            print(f"<!-- {op}: {', '.join(f'{word} {counts[word]}' for word in words)} -->")
    elif complaints := [text for text in running.complaints().splitlines() if "ost" in text]:
        print(f"<!-- {len(complaints)} complaints, the last: {complaints[-1]} -->", flush=True)


def main() -> None:
    wanted = sys.argv[1:]
    row("tool", "threads", "reads", "writes", "opens", "fsyncs")
    row(*["---"] * 6)
    for tool in TOOLS:
        if not wanted or any(tool.name.startswith(word) for word in wanted):
            run(tool)


if __name__ == "__main__":
    main()
