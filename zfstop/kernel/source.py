"""LiveSource: from a plan to attached probes and open maps, and back to nothing on every way out.

All methods are called from one thread, the collector's.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from zfstop.callers import Callers
from zfstop.errors import Exit, UserError
from zfstop.kernel import bpf, host, kretprobes
from zfstop.kernel.head_start import HeadStart
from zfstop.kernel.in_flight import InFlightCalls
from zfstop.kernel.loading import Loading
from zfstop.kernel.maps import Counters, Numbers, SentPaths, Settings, close_all
from zfstop.kernel.paths import Paths
from zfstop.kernel.probes import Pair, SleepProbe
from zfstop.kernel.resolver import Facts, Plan, plan, wanted_symbols
from zfstop.kernel.ring import Ring
from zfstop.kernel.seats import Seats
from zfstop.kernel.sleeps import Sleeps
from zfstop.kernel.symbols import Code, nearest, parse, scheduler_code
from zfstop.kernel.tallies import Tallies, capacity
from zfstop.kernel.waits import plan_waits, ranges_of, unexplained, wanted_waits, write_ranges
from zfstop.model.events import RECORD_BYTES, TALLY_SLICES, c_structs
from zfstop.model.history import Tally
from zfstop.model.state import Attached, Counts, ProbeReport, Rejected
from zfstop.mounts import Mounts
from zfstop.text import visible

_SIZES = {
    "MAX_PIDS": 4096,
    "MAX_DEVS": 16384,
    # A power of two.
    "SEATS": 16384,
    "MAX_SENT_PATHS": 65536,
    "TALLY_SLICES": TALLY_SLICES,
    # One for each candidate of the table that a kernel has at the same time, and then some.
    "SLOTS": 96,
}
#: 32 MiB hold 246,723 events; 4 MiB hold about 5,000 new paths, drained 20 times a second.
EVENT_BYTES = 32 << 20
PATH_BYTES = 4 << 20
_MOST_EVENT_BYTES = 1 << 30
_PATHS_KEPT = 49152
_FUNCTIONS_KEPT = 1024
_KINDS = {"fentry": "fentry/fexit", "kprobe": "kprobe pair"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the loader handed over. ``pairs`` maps the program's slot to its probe, in report order.

    ``cached`` tells that nothing had to be compiled.
    """

    maps: Mapping[str, int]
    look: int | None
    pairs: Mapping[int, Pair]
    report: ProbeReport
    cached: bool

    @property
    def slots(self) -> Mapping[int, Attached]:
        """Slot -> probe."""
        return {slot: pair.attached for slot, pair in self.pairs.items()}

    @property
    def programs(self) -> Mapping[int, tuple[int, ...]]:
        """Slot -> descriptors of its programs."""
        return {slot: pair.programs for slot, pair in self.pairs.items()}


class Survey:
    """What this kernel has, by /proc/kallsyms. Raises UserError if nothing of it can be traced."""

    def __init__(self, text: bytes, facts: Facts) -> None:
        symbols = parse(text, (*wanted_symbols(), *wanted_waits()))
        self.chosen = plan(symbols, facts)
        if not self.chosen.probes:
            raise _nothing_to_attach(self.chosen)
        self.waits, self.lacking = plan_waits(symbols, facts)
        self.code = Code(text)
        self.ranges = ranges_of(self.code)
        self.scheduler = scheduler_code(text)


class LiveSource:
    """The probes of one instance. ``open`` first, ``close`` always."""

    def __init__(self, event_bytes: int | None = None, path_bytes: int = PATH_BYTES) -> None:
        """``event_bytes`` None means ZFSTOP_RING_BYTES, or 32 MiB."""
        self._event_bytes = ring_bytes() if event_bytes is None else event_bytes
        self._path_bytes = path_bytes
        self._loaded: Loaded | None = None
        self._rings: tuple[Ring, Ring] | None = None
        self._operations = -1
        self._room = pid_room(0)
        self._owner: kretprobes.Owner | None = None
        self._refused: tuple[Rejected, ...] = ()
        self._sleep_probes: list[SleepProbe] = []
        self._spare_fds: list[int] = []
        self._watching = True
        self._filters = 0, 0, False, False
        self._code = Code(b"")
        self._functions: dict[int, str] = {}
        self._sleeps = Sleeps(None)
        self._stopping: Callable[[], bool] = lambda: False

    def open(
        self,
        stage: Callable[[str], None],
        stopping: Callable[[], bool] = lambda: False,
        operations: int = -1,
        pids: int = 0,
        begun: HeadStart | None = None,
    ) -> None:
        """Resolve, compile and load; attach what stands for ``operations`` (a mask). Tells ``stage`` what it is doing.
        ``pids`` is how many the filter has to have room for. ``begun`` is closed in any case.

        Raises UserError. ``stopping`` is asked often; when it says True the loading is given up.
        """
        with contextlib.closing(begun) if begun else contextlib.nullcontext():
            self._open(stage, stopping, operations, pids, begun)

    def _open(
        self,
        stage: Callable[[str], None],
        stopping: Callable[[], bool],
        operations: int,
        pids: int,
        begun: HeadStart | None,
    ) -> None:
        self._stopping = stopping
        self._operations = operations
        self._room = pid_room(pids)
        host.require_privileges()
        host.require_kernel()
        headers = host.needs_headers()
        pythons = host.bcc_pythons()
        stage("reading kernel symbols")
        facts, notes = host.facts()
        kretprobes.sweep()
        if not (facts.module_btf and facts.kinds[:1] == ("fentry",)):
            with contextlib.suppress(OSError):
                self._owner = kretprobes.guard()
        kallsyms = begun.kallsyms if begun else host.kallsyms
        survey = functools.cache(lambda: Survey(kallsyms(), facts))
        loaded = self._load(pythons, headers, survey, stage, begun.loading if begun else None)
        found = survey()
        self._code = found.code
        self._take(loaded, found.chosen, notes)
        self._take_waits(loaded[0], found)

    def _load(
        self,
        pythons: list[str],
        headers: bool,
        survey: Callable[[], Survey],
        stage: Callable[[str], None],
        waiting: Loading | None = None,
    ) -> tuple[dict[str, Any], list[int]]:
        """The first Python that can import bcc decides."""
        failure = UserError(Exit.NO_BCC, "no Python with bcc", host.bcc_command())
        for python in pythons:
            try:
                asked = waiting if waiting and waiting.python == python else Loading(python)
                waiting = None
                return asked.answer(
                    self._to_compile(headers),
                    lambda: self._to_attach(survey()),
                    stage,
                    self._stopping,
                    self._owner.pipe if self._owner else None,
                )
            except UserError as error:
                if error.status != Exit.NO_BCC:
                    raise
                failure = error
        raise failure

    def _to_attach(self, survey: Survey) -> dict[str, Any]:
        probes = [
            {"slot": slot, "attach": bool(p.bit & self._operations), **asdict(p)}
            for slot, p in enumerate(survey.chosen.probes)
        ]
        return {"probes": probes, "waits": [asdict(wait) for wait in survey.waits]}

    def _to_compile(self, headers: bool) -> dict[str, Any]:
        """What the loader can begin with: it is the same whatever this kernel has."""
        page = os.sysconf("SC_PAGESIZE")
        sizes = _SIZES | {
            "EVENT_PAGES": self._event_bytes // page,
            "PATH_PAGES": self._path_bytes // page,
            "MAX_PIDS": self._room,
            "MAX_TALLIES": capacity(),
            "ZVOL_MAJOR": host.zvol_major(),
        }
        owner = self._owner
        return {
            "structs": c_structs(),
            "sizes": sizes,
            "headers": headers,
            "owner": [owner.tracefs, owner.group] if owner else None,
        }

    def _take(self, answer: tuple[dict[str, Any], list[int]], chosen: Plan, notes: tuple[str, ...]) -> None:
        done, fds = answer
        left = iter(fds)
        maps = dict(zip(done["maps"], left, strict=False))
        look = next(left) if done["look"] else None
        pairs: dict[int, Pair] = {}
        # In the order in which their descriptors were sent.
        for item in done["attached"]:
            leave, entry = (next(left) for _ in range(item["programs"]))
            links = [next(left) for _ in range(item["links"])]
            fentry = item["kind"] == "fentry"
            pairs[item["slot"]] = Pair(
                item["slot"], item["bit"], _attached(item), fentry, leave, entry, self._owner, links
            )
        self._sleep_probes = _sleep_probes(done, left, self._owner)
        self._spare_fds = list(itertools.islice(left, done["spare"]))
        self._sleeps = Sleeps(self._spare_fds[-1] if done["switched"] else None)
        pairs = dict(sorted(pairs.items()))
        rejected = chosen.rejected + tuple(
            Rejected(r["op"], r["symbol"], r["reason"]) for r in done["rejected"]
        )
        rejected += tuple(
            Rejected(r["op"], r["symbol"], f"{r['refused']}; attached as {_KINDS[r['kind']]}")
            for r in done["attached"]
            if r["refused"]
        )
        report = ProbeReport(tuple(pair.attached for pair in pairs.values()), rejected, notes)
        self._loaded = Loaded(maps, look, pairs, report, done["cached"])
        self._rings = Ring(maps["events"], self._event_bytes), Ring(maps["paths"], self._path_bytes)
        self.paths = Paths(SentPaths(maps["sent_paths"]).forget, _PATHS_KEPT)
        self._counters = Counters(maps["counters"])
        self._tallies = Tallies(maps["tally_names"], maps["tallies"])
        self._seats = Seats(maps["seats"], maps["seats_taken"])
        self._settings = Settings(maps["settings"])
        self._pids, self._devs = Numbers(maps["pids"]), Numbers(maps["devs"])

    def _take_waits(self, done: dict[str, Any], found: Survey) -> None:
        """Tell the program which code sleeps for which cause, and the report what serves the causes."""
        loaded = self.loaded
        write_ranges(loaded.maps["ranges"], found.ranges, found.scheduler)
        served = tuple(
            Attached(w["cause"] or "sleep", w["symbol"], w["module"], "", _KINDS[w["kind"]])
            for w in done["waits"]
        )
        refused = tuple(
            Rejected(w["cause"] or "sleep", w["symbol"], w["reason"]) for w in done["waits_rejected"]
        )
        rejected = loaded.report.rejected + found.lacking + unexplained(found.ranges) + refused
        self._loaded = replace(loaded, report=replace(loaded.report, waits=served, rejected=rejected))

    @property
    def wait_programs(self) -> tuple[int, ...]:
        """The programs around sleeps, and those that see the scheduler."""
        around = tuple(fd for probe in self._sleep_probes for fd in (probe.leave, probe.entry))
        # The second is what keeps the first attached.
        return around + tuple(self._spare_fds[::2])

    @property
    def watches_waits(self) -> bool:
        """Whether events tell where their time went."""
        return self._watching and bool(self._sleep_probes)

    def watch_waits(self, on: bool) -> None:
        """Watch sleeps or not; then events tell no waits. In force for the next operation."""
        self._watching = on
        if on:
            self._sleeps_on(True)
        self._settings.write(*self._filters, on)
        if not on:
            self._sleeps_on(False)

    def _sleeps_on(self, on: bool) -> None:
        for probe in self._sleep_probes:
            probe.switch(on)

    def function_at(self, address: int) -> str:
        """The kernel function a return address lies in, "" for none, or where nobody can tell."""
        if self._code.hides(address):
            return ""
        if address not in self._functions:
            if len(self._functions) >= _FUNCTIONS_KEPT:
                self._functions.clear()
            self._functions[address] = self._code.name_at(address) or nearest(host.kallsyms(), address)
        return self._functions[address]

    def name_sleeps(self, other_ns: int, total_ns: int, now_ns: int) -> None:
        """Find out where calls sleep for no known cause, while so much of a second's slow time does."""
        if self._sleeps.watch(other_ns, total_ns, now_ns):
            report = self.loaded.report
            waits = tuple(probe for probe in report.waits if probe.op != "other") + self._sleeps.served
            self._loaded = replace(self.loaded, report=replace(report, waits=waits))

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

        Sets grow before and shrink after the switch, so that no moment filters by half a set. Operations that
        are not wanted are detached.
        """
        self._pids.add(pids)
        self._devs.add(devs or frozenset())
        self._filters = threshold_ns, operations, bool(pids), devs is not None
        self._settings.write(*self._filters, self._watching)
        self._pids.keep_only(pids)
        self._devs.keep_only(devs or frozenset())
        self._switch(operations)

    def _switch(self, operations: int) -> None:
        failed = []
        for pair in self.loaded.pairs.values():
            try:
                pair.switch(bool(pair.bit & operations))
            except OSError as failure:
                reason = f"could not be attached again: {failure.strerror}"
                failed.append(Rejected(pair.attached.op, pair.attached.symbol, reason))
        if failed or self._refused:
            report = self.loaded.report
            known = tuple(item for item in report.rejected if item not in self._refused)
            self._loaded = replace(self.loaded, report=replace(report, rejected=known + tuple(failed)))
            self._refused = tuple(failed)

    def settle(self) -> None:
        """Let go of what was kept for calls in flight when their operation was detached."""
        settled = [pair.settle() for pair in self.loaded.pairs.values()]
        if self._owner and any(settled):
            kretprobes.remove(self._owner)

    def drain(self) -> Iterator[bytes]:
        """Chunks of whole event records. The paths of an event are always read before it is given out."""
        if self._rings is None:
            return
        for chunk in self._rings[0].fixed(RECORD_BYTES):
            self.take_paths()
            yield chunk

    def counts(self) -> tuple[Counts, ...]:
        """Counters since attach, in the order of the report.

        Where the kernel did not run the program of an entry, nothing is known of the call but that it was: missed.
        """
        pairs = self.loaded.pairs
        skipped = [bpf.program_misses(pair.entry) for pair in pairs.values()]
        return tuple(
            counts._replace(entered=counts.entered + calls, missed=counts.missed + calls)
            for counts, calls in zip(self._counters.read(pairs), skipped, strict=True)
        )

    def in_flight(self, mounts: Mounts, callers: Callers) -> InFlightCalls:
        """The calls in flight; made once, for the life of the probes."""
        return InFlightCalls(
            self._seats,
            self.loaded.maps["looked"],
            self.loaded.look,
            self.loaded.slots,
            self.paths,
            mounts,
            callers,
            self.take_paths,
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
            self._tallies.close()
            self._seats.close()
            for pair in self._loaded.pairs.values():
                pair.close()
            self._sleeps.close()
            for probe in self._sleep_probes:
                probe.close()
            self._sleep_probes = []
            close_all([*self._spare_fds, *self._loaded.maps.values(), *filter(None, (self._loaded.look,))])
            self._loaded = None
        if self._owner:
            kretprobes.remove(self._owner)
            os.close(self._owner.pipe)
            self._owner = None


def _sleep_probes(
    done: Mapping[str, Any], left: Iterator[int], owner: kretprobes.Owner | None
) -> list[SleepProbe]:
    """In the order in which their descriptors were sent."""
    probes = []
    for item in done["waits"]:
        leave, entry = (next(left) for _ in range(item["programs"]))
        links = [next(left) for _ in range(item["links"])]
        probes.append(SleepProbe(item["symbol"], leave, entry, item["kind"] == "fentry", owner, links))
    return probes


def pid_room(count: int) -> int:
    """For how many PIDs the filter has room that is to hold ``count``. Each place is taken from the kernel at once."""
    return max(_SIZES["MAX_PIDS"], 1 << max(0, count - 1).bit_length())


def ring_bytes() -> int:
    """Size of the ring of events: ZFSTOP_RING_BYTES, or 32 MiB. Raises UserError for what the kernel would refuse."""
    text = os.environ.get("ZFSTOP_RING_BYTES", str(EVENT_BYTES))
    page = os.sysconf("SC_PAGESIZE")
    size = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
    if not page <= size <= _MOST_EVENT_BYTES or size & (size - 1):
        raise UserError(
            Exit.USAGE,
            f"ZFSTOP_RING_BYTES={visible(text)} is not a power of two between {page} and {_MOST_EVENT_BYTES}",
            "unset ZFSTOP_RING_BYTES",
        )
    return size


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
