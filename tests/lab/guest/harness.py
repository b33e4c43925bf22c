"""What the tests drive: `zfstop trace`, the workload program, and a terminal with the screen in it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

OUT = Path(os.environ["LAB_OUT"])
WORKLOAD = os.environ["LAB_WORKLOAD"]
DISKS = Path(os.environ["LAB_DISKS"])
RECORD = 128 << 10
# The release under test, and whether its ZFS module tells its types: of the three only that of Debian 12 does not.
SUITE = platform.freedesktop_os_release()["VERSION_CODENAME"]
MODULE_BTF = SUITE != "bookworm"
#: How everything is attached here unless asked otherwise: forky's kernel interrupts fentry programs.
BEST = "fentry/fexit" if SUITE == "trixie" else "kprobe pair"

# Loading takes a second on metal; this machine may be emulated, and share its processors.
ATTACH_SECONDS = 400
MOMENT_SECONDS = 60

# The operations the workload program tells of; whatever else its calls amount to is asked for by name.
KNOWN = ("open", "read", "write", "fsync")

Call = dict[str, Any]
Event = dict[str, Any]


def sh(*command: str) -> str:
    """Output of a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def until(what: str, check: Callable[[], Any], seconds: float = MOMENT_SECONDS) -> Any:
    """Wait for `check` to become true and return what it gave."""
    end = time.monotonic() + seconds
    while True:
        if found := check():
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def until_it_waits_for_its_disk(pid: int) -> None:
    """Wait until a process has been in the middle of a read for longer than a second.

    Of the file's content: what leads to it (lookup, open) reads from the disk first where memory was short before.
    """
    stacks = Path(f"/proc/{pid}/task").glob

    def waits() -> bool:
        texts = [stack.read_text() for stack in stacks("*/stack")]
        return any("zio_wait" in text and "zpl_iter_read" in text for text in texts)

    until("the read waits for its disk", waits, 3 * MOMENT_SECONDS)
    time.sleep(1.5)


class Program:
    """A process whose output lines are collected while it runs."""

    def __init__(self, command: Iterable[str | bytes]) -> None:
        self.process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.out: list[bytes] = []
        self.err: list[bytes] = []
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(pipe: Any, lines: list[bytes]) -> None:
        for line in pipe:
            lines.append(line)

    @property
    def pid(self) -> int:
        return self.process.pid

    def errors(self) -> str:
        return b"".join(self.err).decode(errors="replace")

    def first_line(self, seconds: float) -> bytes:
        """The first line of output, unless the program ends without one."""

        def look() -> bool:
            ended = self.process.poll() is not None
            assert self.out or not ended, f"ended with {self.process.returncode}: {self.errors()}"
            return bool(self.out)

        until(f"first line of {self.process.args}", look, seconds)
        return self.out[0]

    def wait(self, seconds: float = MOMENT_SECONDS) -> int:
        """Exit status, once all output is in."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return status

    def close(self) -> None:
        """End it, whatever it is doing; harmless when it has ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


def elsewhere(setup: str) -> list[str]:
    """What to put before a command to run it in a mount namespace of its own, after ``setup`` was done there."""
    return ["unshare", "-m", "sh", "-ec", f'{setup}; exec "$@"', "sh"]


class Workload(Program):
    """The known program, ready and waiting for its go. ``prefix`` is a command that executes it."""

    def __init__(
        self,
        *words: str | bytes,
        comm: str | None = None,
        threaded: bool = False,
        prefix: Iterable[str] = (),
    ) -> None:
        options = ["-g", *(["-t"] if threaded else []), *(["-c", comm] if comm else [])]
        super().__init__([*prefix, WORKLOAD, *options, *words])
        ready = json.loads(self.first_line(MOMENT_SECONDS))
        assert ready == {"ready": self.pid}

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def calls(self) -> list[Call]:
        """Every call it made, in order, once it has ended."""
        assert self.wait() == 0, self.errors()
        return [_call(line) for line in self.out[1:]]

    def run(self) -> list[Call]:
        """Let it go and return its calls."""
        self.go()
        return self.calls()


def _call(line: bytes) -> Call:
    call: Call = json.loads(line)
    call["path"] = bytes.fromhex(call["path"])
    call["comm"] = bytes.fromhex(call["comm"])
    return call


class Trace(Program):
    """`zfstop trace`, started and attached; of the operations in KNOWN unless the words say otherwise."""

    def __init__(
        self, *words: str, form: str = "json", attached: bool = True, prefix: Iterable[str] = ()
    ) -> None:
        if not {"--op", "--class"} & set(words):
            words = (*words, "--op", ",".join(KNOWN))
        super().__init__([*prefix, "zfstop", "trace", *words, "--format", form])
        self.form = form
        if attached:
            self.attached()

    def attached(self) -> None:
        """Wait until it sees everything: its first line says so."""
        first = self.first_line(ATTACH_SECONDS)
        if self.form == "json":
            assert json.loads(first)["type"] == "start"

    def stop(self) -> list[Event]:
        """End it with an interrupt and return its events: all of the calls that had returned by then."""
        self.process.send_signal(2)
        status = self.wait()
        assert status == 0, f"status {status}: {self.errors()}"
        return self.events

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out]

    @property
    def events(self) -> list[Event]:
        """The events, after a check that start, events, calls in flight and summary come in that order."""
        first, *rest, last = self.objects
        assert [first["type"], last["type"]] == ["start", "summary"]
        rest = [line for line in rest if line["type"] != "zfs"]
        events = [line for line in rest if line["type"] == "event"]
        assert rest == [*events, *self.in_flight]
        return events

    @property
    def probes(self) -> list[dict[str, Any]]:
        """What stands for the operations in KNOWN, by the first line."""
        return [probe for probe in self.objects[0]["probes"] if probe["op"] in KNOWN]

    @property
    def in_flight(self) -> list[dict[str, Any]]:
        """Calls that had not returned at the end."""
        return [line for line in self.objects if line["type"] == "in_flight"]

    @property
    def states(self) -> list[dict[str, Any]]:
        """What ZFS said of itself, second by second, so far (with --state)."""
        lines = (json.loads(line) for line in list(self.out) if line.endswith(b"\n"))
        return [line for line in lines if line["type"] == "zfs"]

    @property
    def summary(self) -> dict[str, Any]:
        summary = self.objects[-1]
        assert summary["type"] == "summary"
        return summary


class Follower:
    """What a trace in JSON says while it goes on, so that several tests may share it."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._read = 1
        self._of_pid: dict[int, list[Event]] = {}

    def of(self, pid: int) -> list[Event]:
        """Events of a process so far, in the order of their lines."""
        lines = self._trace.out[self._read :]
        self._read += len(lines)
        for line in lines:
            event = json.loads(line)
            if event["type"] == "event":
                self._of_pid.setdefault(event["pid"], []).append(event)
        return self._of_pid.get(pid, [])


class Terminal:
    """A program in a terminal of its own, read as a person reads it."""

    def __init__(self, command: str, columns: int = 120, lines: int = 40) -> None:
        self._tmux("kill-server", check=False)
        self._tmux("new-session", "-d", "-x", str(columns), "-y", str(lines), command)
        self._tmux("set-option", "-g", "remain-on-exit", "on")

    @staticmethod
    def _tmux(*words: str, check: bool = True) -> str:
        done = subprocess.run(["tmux", "-u", "-L", "lab", "-f", "/dev/null", *words], capture_output=True)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.decode()

    @property
    def pid(self) -> int:
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    @property
    def ended(self) -> bool:
        return self._tmux("display-message", "-p", "#{pane_dead}").strip() == "1"

    def text(self) -> str:
        """What is on the screen now."""
        return self._tmux("capture-pane", "-p")

    def line(self, *words: str) -> str:
        """The first line on the screen that holds all the words, or nothing."""
        return next((line for line in self.text().splitlines() if all(word in line for word in words)), "")

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def wait_for(self, *words: str, seconds: float = MOMENT_SECONDS) -> str:
        """Wait for a line with all the words."""
        try:
            return str(until(f"{words} on the screen", lambda: self.line(*words), seconds))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()}") from None

    def close(self) -> None:
        self._tmux("kill-server", check=False)


def left_in_kernel() -> dict[str, frozenset[Any]]:
    """Everything of BPF and kprobes the kernel holds now, by kind."""

    def ids(kind: str) -> frozenset[int]:
        # bpftool fails when something goes away while it goes through the list.
        for _ in range(20):
            done = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, text=True)
            if done.returncode == 0:
                return frozenset(item["id"] for item in json.loads(done.stdout))
        raise AssertionError(f"bpftool {kind} list: {done.stderr}")

    probes = Path("/sys/kernel/tracing/kprobe_events").read_text().splitlines()
    # Address, kind and place of each probe; a probe of perf_event_open(2) is only listed here.
    kprobes = Path("/sys/kernel/debug/kprobes/list").read_text().splitlines()
    return {
        "programs": ids("prog"),
        "links": ids("link"),
        "maps": ids("map"),
        "kprobe_events": frozenset(probes),
        "kprobes": frozenset(line.split()[2] for line in kprobes),
    }
