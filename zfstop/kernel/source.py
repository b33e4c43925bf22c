"""LiveSource: from a plan to attached probes and open maps, and back to nothing on every way out.

All methods are called from one thread, the collector's.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zfstop.errors import Exit, UserError
from zfstop.kernel import host
from zfstop.kernel.in_flight import InFlightCalls
from zfstop.kernel.maps import Counters, Numbers, SentPaths, Settings, close_all
from zfstop.kernel.paths import Paths
from zfstop.kernel.resolver import Plan, plan, wanted_symbols
from zfstop.kernel.ring import Ring
from zfstop.kernel.symbols import parse
from zfstop.kernel.tallies import Tallies, capacity
from zfstop.model.events import RECORD_BYTES, TALLY_SLICES, c_structs
from zfstop.model.history import Tally
from zfstop.model.state import Attached, Counts, ProbeReport, Rejected
from zfstop.mounts import Mounts
from zfstop.text import visible

_LOADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "loader.py")
_SIZES = {
    "MAX_PIDS": 4096,
    "MAX_DEVS": 16384,
    "MAX_IN_FLIGHT": 32768,
    "MAX_SENT_PATHS": 65536,
    "TALLY_SLICES": TALLY_SLICES,
}
#: 16 MiB hold 149,796 events; 4 MiB hold about 5,000 new paths, drained 20 times a second.
EVENT_BYTES = 16 << 20
PATH_BYTES = 4 << 20
_PATHS_KEPT = 49152
_LOAD_TIMEOUT = 180.0
_KINDS = {"fentry": "fentry/fexit", "kprobe": "kprobe pair"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the loader handed over. ``slots`` maps the program's slot to its probe, in report order."""

    maps: Mapping[str, int]
    held: tuple[int, ...]
    slots: Mapping[int, Attached]
    report: ProbeReport


class LiveSource:
    """The probes of one instance. ``open`` first, ``close`` always."""

    def __init__(self, event_bytes: int = EVENT_BYTES, path_bytes: int = PATH_BYTES) -> None:
        self._event_bytes = event_bytes
        self._path_bytes = path_bytes
        self._loaded: Loaded | None = None
        self._rings: tuple[Ring, Ring] | None = None
        self._stopping: Callable[[], bool] = lambda: False

    def open(self, stage: Callable[[str], None], stopping: Callable[[], bool] = lambda: False) -> None:
        """Resolve, compile, load and attach; tells ``stage`` in words what it is doing.

        Raises UserError. ``stopping`` is asked often; when it says True the loading is given up.
        """
        self._stopping = stopping
        host.require_privileges()
        host.require_kernel()
        headers = host.needs_headers()
        pythons = host.bcc_pythons()
        stage("reading kernel symbols")
        facts, notes = host.facts()
        chosen = plan(parse(host.kallsyms(), wanted_symbols()), facts)
        if not chosen.probes:
            raise _nothing_to_attach(chosen)
        loaded = self._load(pythons, chosen, headers, stage)
        self._take(loaded, chosen, notes)

    def _load(
        self, pythons: list[str], chosen: Plan, headers: bool, stage: Callable[[str], None]
    ) -> tuple[dict[str, Any], list[int]]:
        """The first Python that can import bcc decides."""
        failure = UserError(Exit.NO_BCC, "no Python with bcc", host.bcc_command())
        for python in pythons:
            try:
                return run_loader(python, self._request(chosen, headers), stage, self._stopping)
            except UserError as error:
                if error.status != Exit.NO_BCC:
                    raise
                failure = error
        raise failure

    def _request(self, chosen: Plan, headers: bool) -> dict[str, Any]:
        probes = [
            {"slot": slot, "op": p.op, "bit": p.bit, "tier": p.tier, "symbol": p.symbol,
             "decoder": p.decoder, "kinds": p.kinds, "module": p.module}
            for slot, p in enumerate(chosen.probes)
        ]  # fmt: skip
        page = os.sysconf("SC_PAGESIZE")
        sizes = _SIZES | {
            "EVENT_PAGES": self._event_bytes // page,
            "PATH_PAGES": self._path_bytes // page,
            "MAX_TALLIES": capacity(),
        }
        return {"probes": probes, "structs": c_structs(), "sizes": sizes, "headers": headers}

    def _take(self, answer: tuple[dict[str, Any], list[int]], chosen: Plan, notes: tuple[str, ...]) -> None:
        done, fds = answer
        maps = dict(zip(done["maps"], fds, strict=False))
        order = sorted(done["attached"], key=lambda item: item["slot"])
        slots = {item["slot"]: _attached(item) for item in order}
        rejected = chosen.rejected + tuple(
            Rejected(r["op"], r["symbol"], r["reason"]) for r in done["rejected"]
        )
        report = ProbeReport(tuple(slots.values()), rejected, notes)
        self._loaded = Loaded(maps, tuple(fds), slots, report)
        self._rings = Ring(maps["events"], self._event_bytes), Ring(maps["paths"], self._path_bytes)
        self.look = fds[len(maps)] if done["look"] else None
        self.paths = Paths(SentPaths(maps["sent_paths"]).forget, _PATHS_KEPT)
        self._counters = Counters(maps["counters"])
        self._tallies = Tallies(maps["tallies"])
        self._settings = Settings(maps["settings"])
        self._pids, self._devs = Numbers(maps["pids"]), Numbers(maps["devs"])

    @property
    def loaded(self) -> Loaded:
        """What is attached; only after ``open``."""
        if self._loaded is None:
            raise RuntimeError("the source is not open")
        return self._loaded

    def apply(
        self, threshold_ns: int, operations: int, pids: frozenset[int], devs: frozenset[int] | None
    ) -> None:
        """Put filters in force. ``devs`` None means every device; an empty set means none.

        Sets grow before and shrink after the switch, so that no moment filters by half a set.
        """
        self._pids.add(pids)
        self._devs.add(devs or frozenset())
        self._settings.write(threshold_ns, operations, bool(pids), devs is not None)
        self._pids.keep_only(pids)
        self._devs.keep_only(devs or frozenset())

    def drain(self) -> Iterator[bytes]:
        """Chunks of whole event records. The paths of an event are always read before it is given out."""
        if self._rings is None:
            return
        for chunk in self._rings[0].fixed(RECORD_BYTES):
            self.take_paths()
            yield chunk

    def counts(self) -> tuple[Counts, ...]:
        """Counters since attach, in the order of the report."""
        return self._counters.read(self.loaded.slots)

    def in_flight(self, mounts: Mounts) -> InFlightCalls:
        """The calls in flight; made once, for the life of the probes."""
        return InFlightCalls(
            self.loaded.maps, self.look, self.loaded.slots, self.paths, mounts, self.take_paths
        )

    def take_paths(self) -> None:
        """Read the paths that came since the last look."""
        if self._rings is not None:
            for record in self._rings[1].records():
                self.paths.add(record)

    def tallies(self) -> dict[tuple[str, int], Tally]:
        """(operation, device) -> all its calls since the last look, slow or not."""
        added: dict[tuple[str, int], Tally] = {}
        for (slot, dev), tally in self._tallies.read().items():
            where = self.loaded.slots[slot].op, dev
            added[where] = tally.plus(added[where]) if where in added else tally
        return added

    def close(self) -> None:
        """Detach and free: the kernel does it when the last descriptor is gone. May be called twice."""
        if self._rings:
            for ring in self._rings:
                ring.close()
            self._rings = None
        if self._loaded:
            close_all(self._loaded.held)
            self._loaded = None


def _attached(item: Mapping[str, Any]) -> Attached:
    return Attached(item["op"], item["symbol"], item["module"], item["decoder"], _KINDS[item["kind"]])


def _nothing_to_attach(chosen: Plan) -> UserError:
    detail = "\n".join(f"{item.op}: {item.symbol}: {item.reason}" for item in chosen.rejected)
    return UserError(
        Exit.NO_PROBE,
        "none of the ZFS functions zfstop knows is in this kernel",
        "report the version in /sys/module/zfs/version and the lines below",
        detail,
    )


def run_loader(
    python: str, request: Mapping[str, Any], stage: Callable[[str], None], stopping: Callable[[], bool]
) -> tuple[dict[str, Any], list[int]]:
    """Run the loader; returns its last message and the descriptors. Raises UserError.

    What clang, libbcc or the verifier print goes into a temporary file and becomes part of the error.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, tempfile.TemporaryFile() as output:
        with theirs:
            process = _start(python, theirs.fileno(), output.fileno())
        try:
            ours.send(json.dumps(request).encode())
            return _listen(ours, process, stage, stopping)
        except (_LoaderError, ConnectionError) as failure:
            output.seek(0)
            raise _explain(failure, output.read(1 << 16).decode("utf-8", "replace"), python) from None
        finally:
            _end(process)


def _start(python: str, channel: int, output: int) -> subprocess.Popen[bytes]:
    """The loader in a session of its own: a Ctrl+C at the terminal is for the screen to handle."""
    try:
        return subprocess.Popen(
            [python, "-I", "-B", _LOADER, str(channel)],
            pass_fds=[channel],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    except OSError as failure:
        raise UserError(
            Exit.NO_BCC, f"{visible(python)} cannot be run ({failure.strerror})", host.bcc_command()
        ) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


class _LoaderError(Exception):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _listen(
    channel: socket.socket,
    process: subprocess.Popen[bytes],
    stage: Callable[[str], None],
    stopping: Callable[[], bool],
) -> tuple[dict[str, Any], list[int]]:
    deadline = time.monotonic() + _LOAD_TIMEOUT
    channel.settimeout(0.1)
    while True:
        if stopping():
            process.kill()
            raise _LoaderError("stopped", "stopped")
        if time.monotonic() > deadline:
            raise _LoaderError("timeout", f"no answer within {_LOAD_TIMEOUT:.0f} s")
        try:
            data, ancillary, _, _ = channel.recvmsg(
                1 << 20, socket.CMSG_SPACE(253 * 4), socket.MSG_CMSG_CLOEXEC
            )
        except TimeoutError:
            continue
        if not data:
            process.wait()
            raise _LoaderError("died", f"it ended with status {process.returncode}")
        message = json.loads(data)
        if "stage" in message:
            stage(message["stage"])
        elif "error" in message:
            raise _LoaderError(message["error"]["kind"], message["error"]["text"])
        else:
            return message["done"], _descriptors(ancillary)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _explain(failure: _LoaderError | ConnectionError, output: str, python: str) -> UserError:
    if isinstance(failure, ConnectionError):
        failure = _LoaderError("died", f"{python} ended before it began")
    text = visible_lines(f"{failure}\n{output}")
    if failure.kind == "no-bcc":
        return UserError(Exit.NO_BCC, f"{visible(python)} cannot load bcc", host.bcc_command(), text)
    if failure.kind == "wrong-bcc":
        return UserError(
            Exit.NO_BCC,
            f"the package 'bcc' of {visible(python)} is not the BPF Compiler Collection",
            f"{visible(python)} -m pip uninstall bcc; {host.bcc_command()}",
            text,
        )
    if failure.kind == "no-probe":
        return UserError(Exit.NO_PROBE, "no ZFS function could be attached", "see the reasons below", text)
    if failure.kind == "no-btf":
        return UserError(
            Exit.NO_BTF, f"kernel types cannot be read: {visible(str(failure))}", host.bcc_command(), text
        )
    if failure.kind == "compile":
        return UserError(
            Exit.LOAD_FAILED,
            "the probes could not be compiled",
            "report the lines below as a bug of zfstop",
            text,
        )
    return UserError(
        Exit.LOAD_FAILED, "the probes could not be loaded", "report the lines below as a bug", text
    )


def visible_lines(text: str) -> str:
    """What a compiler printed, line by line, safe to show."""
    return "\n".join(visible(line) for line in text.strip().splitlines())
