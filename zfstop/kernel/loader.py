"""Compile, load, attach, hand over, exit: a process of its own (loading.py); zfstop imports nothing of it.

It runs under the Python that has bcc and needs nothing else. It reads two JSON requests from the socket, reports
its stages as JSON messages, and sends the descriptors of maps, programs and links before the last one. When it
exits, the receiver's copies keep everything alive; when the receiver dies, the kernel drops all of it.

Requests: {"structs": C text, "sizes": {MACRO: int}, "headers": bool, "owner": [tracefs, group] or null}, then
          {"probes": [{"slot", "op", "bit", "tier", "symbol", "decoder", "hook", "kinds", "attach"}],
           "waits": [{"symbol", "module", "cause", "kinds"}]}, which takes the other side longer to find out
Messages: {"stage": text}, {"descriptors": count} with so many, then {"done": {...}} or {"error": {"kind", "text"}}.
"""

from __future__ import annotations

import array
import contextlib
import errno
import importlib.util
import json
import os
import socket
import sys
from types import ModuleType
from typing import Any, NamedTuple

_HERE = os.path.dirname(os.path.abspath(__file__))
MAPS = (
    "settings",
    "counters",
    "pids",
    "devs",
    "seats",
    "seats_taken",
    "ranges",
    "looked",
    "found",
    "tallies",
    "tally_names",
    "tallies_taken",
    "sent_paths",
    "events",
    "paths",
)
PROGRAMS = (
    "entry",
    "leave",
    "look",
    "sleep_in",
    "sleep_out",
    "region_in",
    "region_out",
    "moved",
    "ended",
    "switched",
)
_LOG_BYTES = 1 << 20
_BETTER = "not needed: a better one is attached"
#: A program that ran before its return was attached would count calls that never end: attach returns first.
_PAIR = (("leave", True), ("entry", False))
#: The kernel runs what was attached last first: an entry attached after its return still finds the caller.
_SLEEP = (("sleep_out", True), ("sleep_in", False))
_REGION = (("region_out", True), ("region_in", False))
#: Descriptors in one message; the kernel allows 253.
_MOST_DESCRIPTORS = 200


class Failed(Exception):
    """The loading cannot go on. ``kind`` is a word that source.py turns into an error for the user."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _sibling(name: str) -> ModuleType:
    """A module of this directory, by file: the path of the screen's Python must not leak into this one."""
    spec = importlib.util.spec_from_file_location("zfstop_" + name, os.path.join(_HERE, name + ".py"))
    if spec is None or spec.loader is None:
        raise Failed("internal", f"{name}.py is missing beside the loader")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ahead = _sibling("ahead")
bpf = _sibling("bpf")
compiled = _sibling("compiled")
decoders = _sibling("decoders")
kretprobes = _sibling("kretprobes")
offsets = _sibling("offsets")


class Channel:
    """The socket to the screen's process."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        #: Kept for as long as this process lives: an owner's pipe, which comes with the first request.
        self._kept: list[int] = []

    def request(self) -> dict[str, Any]:
        """The next request."""
        # Not recv_fds: a distribution's Python may be older than 3.9.
        text, ancillary, _, _ = self._socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if not text:
            # Nobody waits any more.
            os._exit(0)
        for _, _, rights in ancillary:
            self._kept += array.array("i", rights)
        result: dict[str, Any] = json.loads(text)
        return result

    def stage(self, text: str) -> None:
        """What is going on, for the screen."""
        self.send({"stage": text})

    def send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        """One message with at most 253 descriptors (the kernel's limit for one)."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._socket.sendmsg([json.dumps(message).encode()], ancillary)

    def hand_over(self, fds: list[int]) -> None:
        """Any number of descriptors."""
        for at in range(0, len(fds), _MOST_DESCRIPTORS):
            part = fds[at : at + _MOST_DESCRIPTORS]
            self.send({"descriptors": len(part)}, part)


class Types:
    """What is known of structs: macro -> offset (none with headers), and the BTF of kernel and module, if readable."""

    def __init__(self, macros: dict[str, int], kernel: Any = None, zfs: Any = None) -> None:
        self.macros = macros
        self.kernel = kernel
        self.zfs = zfs
        self.modules: dict[str, tuple[Any, int]] = {}

    def module(self, name: str) -> tuple[Any, int]:
        """Types of a module and a descriptor of them; Missing if it has none."""
        if name not in self.modules:
            if self.kernel is None:
                raise offsets.Missing(f"module {name} has no BTF")
            types = self.zfs if name == "zfs" and self.zfs else self.kernel.of_module(name)
            self.modules[name] = types, bpf.btf_object(name)
        return self.modules[name]

    def arguments(self, symbol: str, hook: str) -> list[str] | None:
        """What the arguments of a function point to; None when nothing tells."""
        for types, name in ((self.zfs, symbol), (self.kernel, hook)):
            try:
                if types is not None and name:
                    return list(types.hook_arguments(name) if name is hook else types.arguments(name))
            except offsets.Missing:
                continue
        return None


def _types(headers: bool) -> Types:
    if headers:
        return Types(dict.fromkeys([*offsets.KERNEL_OFFSETS, *offsets.SCHEDULER_OFFSETS], 0))
    kernel = offsets.Btf()
    macros = offsets.resolve(kernel, offsets.KERNEL_OFFSETS)
    optional = offsets.OPTIONAL_OFFSETS | offsets.SCHEDULER_OFFSETS
    optional |= offsets.TASK_OFFSETS | offsets.DELAYED_OFFSETS
    types = Types(macros | offsets.resolve_known(kernel, optional), kernel)
    try:
        types.zfs = kernel.of_module("zfs")
    except offsets.Missing:
        return types
    types.macros |= offsets.resolve_known(types.zfs, offsets.MODULE_OFFSETS)
    return types


#: Newer headers assert the size of a struct (fs.h, struct filename) that comes out otherwise under bcc's clang.
_HEADER_TEXT = """
#define _Static_assert(...)
#include <uapi/linux/ptrace.h>
#include <linux/fs.h>
#include <linux/dcache.h>
#include <linux/uio.h>
#include <linux/sched.h>
"""
_OWN_TEXT = "#include <linux/types.h>\n#include <uapi/linux/ptrace.h>\n"


def _renamed() -> bool:
    """Whether the installed headers name members of a dentry as newer kernels do; a compile would take too long to ask.

    Headers that are nowhere to be read (kheaders.tar.xz) are of older kernels.
    """
    for tree in ("source", "build"):
        try:
            with open(f"/lib/modules/{os.uname().release}/{tree}/include/linux/dcache.h", "rb") as file:
                return b" d_u;" not in file.read()
        except OSError:
            continue
    return False


def _offset_macros(types: Types, headers: bool) -> list[str]:
    """Numbers, or offsetof where headers know them; 0 for what no decoder in use will ask for."""
    every = (
        offsets.KERNEL_OFFSETS
        | offsets.OPTIONAL_OFFSETS
        | offsets.MODULE_OFFSETS
        | offsets.SCHEDULER_OFFSETS
        | offsets.TASK_OFFSETS
        | offsets.DELAYED_OFFSETS
    )
    texts = {macro: str(types.macros.get(macro, 0)) for macro in every}
    if headers:
        renamed = _renamed()
        for macro, place in (offsets.KERNEL_OFFSETS | offsets.SCHEDULER_OFFSETS).items():
            type_name, path = offsets.RENAMED.get(place, place) if renamed else place
            texts[macro] = f"__builtin_offsetof(struct {type_name}, {path})"
    return [f"#define {macro} {text}" for macro, text in texts.items()]


def _program_text(request: dict[str, Any], types: Types) -> str:
    with open(os.path.join(_HERE, "program.c"), encoding="utf-8") as file:
        body = file.read()
    head = [_HEADER_TEXT if request["headers"] else _OWN_TEXT, request["structs"], decoders.c_text()]
    head += [f"#define {macro} {int(value)}" for macro, value in request["sizes"].items()]
    head += _offset_macros(types, request["headers"])
    return "\n".join([*head, body])


class Side(NamedTuple):
    """One program of a pair: which text, for a return or an entry, how it is attached, its name, its parameters."""

    text: str
    returns: bool
    kind: str
    name: str
    values: dict[str, int]


class Attacher:
    """Loads and attaches the pair of programs for one function after the other."""

    def __init__(self, programs: dict[str, bytes], types: Types, owner: Any = None) -> None:
        self._programs = programs
        self._owner = owner
        self._types = types
        known = all(macro in types.macros for macro in offsets.SCHEDULER_OFFSETS)
        #: How the scheduler's figures are read here; the next is tried where the verifier refuses one.
        self._clocks = ["direct", "call", "none"] if known else ["none"]
        self._ahead: Any = None

    @property
    def tells_waits(self) -> bool:
        """Whether where the time goes can be told at all, as far as it is known by now."""
        return self._clocks[0] != "none"

    def attach(self, probe: dict[str, Any]) -> dict[str, Any] | str:
        """What works, with its descriptors, or why nothing did."""
        return self._attach_first_kind(probe, self._pair)

    def attach_wait(self, probe: dict[str, Any]) -> dict[str, Any] | str:
        """The programs around a function in which threads sleep, as ``attach``."""
        return self._attach_first_kind(probe, self._around)

    def load_ahead(self, probes: list[dict[str, Any]], waits: list[dict[str, Any]]) -> None:
        """Begin to load what comes next if nothing is refused: after the first, which shows how clocks are read."""
        tiers = {probe["op"]: probe["tier"] for probe in reversed(probes)}
        best = [(probe, self._pair) for probe in probes if probe["tier"] == tiers[probe["op"]]]
        orders = []
        for probe, sides in [*best, *((wait, self._around) for wait in waits if self.tells_waits)]:
            with contextlib.suppress(offsets.Missing, OSError):
                made = {**probe, "kind": probe["kinds"][0]}
                orders += [self._order(made, side, self._clocks[0]) for side in sides(made)]
        self._ahead = ahead.Ahead(_tried, orders)

    def _attach_first_kind(self, probe: dict[str, Any], sides: Any) -> dict[str, Any] | str:
        reasons: list[str] = []
        for kind in probe["kinds"]:
            made: dict[str, Any] = {
                **probe,
                "kind": kind,
                "programs": [],
                "links": [],
                "refused": "; ".join(reasons),
            }
            try:
                self._attach_sides(made, sides(made))
                return made
            except (OSError, offsets.Missing) as failure:
                reasons.append(f"{kind}: {_reason(failure)}")
                for fd in [*made["programs"], *made["links"]]:
                    os.close(fd)
        return "; ".join(reasons)

    def _attach_sides(self, made: dict[str, Any], sides: list[Side]) -> None:
        for side in sides:
            program = self._load(made, side)
            made["programs"].append(program)
            if made.get("attach", True):
                made["links"] += self._bind(made, program, side.kind, side.returns)

    def _pair(self, made: dict[str, Any]) -> list[Side]:
        values = self._parameters(made)
        op = made["op"][:6].replace("-", "_")
        return [
            Side(text, returns, made["kind"], f"zfstop_{op}_{text[0]}", values) for text, returns in _PAIR
        ]

    def _around(self, made: dict[str, Any]) -> list[Side]:
        values = decoders.wait_parameters(made["cause"])
        # At entry the caller is looked for where a breakpoint finds it.
        return [
            Side(text, returns, made["kind"] if returns else "kprobe", f"zfstop_{text}", values)
            for text, returns in (_REGION if made["cause"] else _SLEEP)
        ]

    def _bind(self, probe: dict[str, Any], program: int, kind: str, returns: bool) -> list[int]:
        if kind == "kprobe":
            links: list[int] = kretprobes.attach(bpf, program, probe["symbol"], returns, self._owner)
            return links
        return [bpf.attach_tracing(program)]

    def attach_ended(self) -> list[int]:
        """Free the seats of threads as they end, where that can be: descriptors to keep."""
        if "TASK_TID" not in self._types.macros:
            return []
        return self._attach_to("sched_process_free", "ended")

    def attach_moved(self) -> list[int]:
        """Watch what makes the run queue clock wrong, where that can be: descriptors to keep."""
        if not self.tells_waits or not all(
            macro in self._types.macros for macro in offsets.TASK_OFFSETS | offsets.DELAYED_OFFSETS
        ):
            return []
        return self._attach_to("sched_migrate_task", "moved")

    def _attach_to(self, tracepoint: str, name: str) -> list[int]:
        with contextlib.suppress(OSError):
            program = _loaded(self._programs[name], bpf.PROG_TYPE_RAW_TRACEPOINT, f"zfstop_{name}")
            try:
                return [program, bpf.attach_raw_tracepoint(program, tracepoint)]
            except OSError:
                os.close(program)
        return []

    def load_switched(self) -> list[int]:
        """The program that names sleeps of no known cause, if it can be had."""
        if not self.tells_waits or not all(macro in self._types.macros for macro in offsets.TASK_OFFSETS):
            return []
        with contextlib.suppress(OSError):
            return [_loaded(self._programs["switched"], bpf.PROG_TYPE_RAW_TRACEPOINT, "zfstop_switched")]
        return []

    def _parameters(self, probe: dict[str, Any]) -> dict[str, int]:
        decoder = decoders.DECODERS[probe["decoder"]]
        arguments = self._types.arguments(probe["symbol"], probe["hook"])
        values: dict[str, int] = decoders.parameters(
            decoder,
            slot=probe["slot"],
            bit=probe["bit"],
            direct=probe["kind"] == "fentry",
            arguments=len(arguments or ()),
            arg=_position(decoder.arg, arguments),
            sought="ZNODE_INODE" not in self._types.macros,
        )
        return values

    def _order(self, probe: dict[str, Any], side: Side, clocks: str) -> tuple[Any, ...]:
        """What the kernel is given to load."""
        values = {**side.values, "clocks": decoders.CLOCKS.index(clocks)}
        code = decoders.specialise(self._programs[side.text], values)
        if side.kind == "kprobe":
            return code, bpf.PROG_TYPE_KPROBE, side.name
        types, fd = self._types.module(probe["module"])
        attach_type = bpf.TRACE_FEXIT if side.returns else bpf.TRACE_FENTRY
        return code, bpf.PROG_TYPE_TRACING, side.name, attach_type, types.function(probe["symbol"]), fd

    def _load(self, probe: dict[str, Any], side: Side) -> int:
        """One program; where the verifier refuses it, with the scheduler's figures read in a more modest way."""
        refused: OSError | None = None
        for place, clocks in enumerate(self._clocks):
            order = self._order(probe, side, clocks)
            try:
                program = self._ahead.take(order) if self._ahead else -1
                program = program if program >= 0 else _loaded(*order)
            except OSError as failure:
                refused = refused or failure
                continue
            # A function that cannot be had in any way says nothing of the clocks of the others.
            self._clocks = self._clocks[place:]
            return program
        raise refused or OSError(errno.EINVAL, "no way to read clocks")


#: Types that lead to the object of a decoder, where the position depends on the kernel.
_POINTEES = {"dentry": ("dentry",), "path": ("path",), "tmpfile": ("file", "dentry")}


def _position(arg: int | str, arguments: list[str] | None) -> int:
    """Where the object is; SEEK_ARG lets the program find out."""
    if isinstance(arg, int):
        return arg
    if arguments is None:
        return int(decoders.SEEK_ARG)
    for place, pointee in enumerate(arguments):
        if pointee in _POINTEES[arg]:
            return place
    raise offsets.Missing(f"none of its arguments is a {arg}")


def _tried(code: bytes, kind: int, name: str, *target: int) -> int:
    program, _ = bpf.load_program(code, kind, name, *target)
    return int(program)


def _loaded(code: bytes, kind: int, name: str, *target: int) -> int:
    program = _tried(code, kind, name, *target)
    if program < 0:
        _, log = bpf.load_program(code, kind, name, *target, log=_LOG_BYTES)
        sys.stderr.write(log[-4000:])
        raise OSError(-program, os.strerror(-program) + _last_line(log))
    return program


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line and not line.startswith("processed ")]
    return f" ({lines[-1][:120]})" if lines else ""


_MEANINGS = {
    errno.ENOENT: "not in the kernel under this name",
    errno.EADDRNOTAVAIL: "the name occurs more than once",
    errno.EOPNOTSUPP: "not traceable",
    errno.EINVAL: "not traceable",
    errno.EILSEQ: "not traceable",
    errno.EBUSY: "not traceable",
}


def _reason(failure: Exception) -> str:
    if isinstance(failure, OSError) and failure.errno in _MEANINGS:
        return f"{_MEANINGS[failure.errno]} ({failure.strerror})"
    return str(failure)


class Result:
    """What was attached, and what was not and why; ``waits`` are those around sleeps."""

    def __init__(self) -> None:
        self.attached: list[Any] = []
        self.rejected: list[Any] = []
        self.waits: list[Any] = []
        self.waits_rejected: list[Any] = []
        #: Descriptors that only have to be kept.
        self.spare: list[int] = []
        #: Whether the last of them is the program that names sleeps of no known cause, which is not attached.
        self.switched = False

    def served(self, probe: dict[str, Any]) -> bool:
        """Whether a better tier of the operation is attached already."""
        return any(item["op"] == probe["op"] and item["tier"] < probe["tier"] for item in self.attached)

    def refuse(self, probe: dict[str, Any], reason: str) -> None:
        """Note why a candidate is not taken."""
        self.rejected.append({**probe, "reason": reason})


def _attach_all(attacher: Attacher, probes: list[Any], waits: list[Any], result: Result) -> None:
    """Of each operation the first tier in which anything attaches."""
    probes = sorted(probes, key=lambda item: (item["op"], item["tier"]))
    for place, probe in enumerate(probes, 1):
        if result.served(probe):
            result.refuse(probe, _BETTER)
            continue
        outcome = attacher.attach(probe)
        if isinstance(outcome, str):
            result.refuse(probe, outcome)
        else:
            result.attached.append(outcome)
            if len(result.attached) == 1:
                attacher.load_ahead([rest for rest in probes[place:] if not result.served(rest)], waits)


def _attach_waits(attacher: Attacher, waits: list[dict[str, Any]], result: Result) -> None:
    """Around every sleep; what cannot be attached costs a cause, nothing else."""
    result.spare += attacher.attach_ended()
    result.spare += attacher.attach_moved()
    switched = attacher.load_switched()
    result.spare += switched
    result.switched = bool(switched)
    for probe in waits:
        outcome = attacher.attach_wait(probe) if attacher.tells_waits else "no figures of the scheduler"
        if isinstance(outcome, str):
            result.waits_rejected.append({**probe, "reason": outcome})
        else:
            result.waits.append(outcome)


def _knowable(probes: list[dict[str, Any]], types: Types, result: Result) -> list[dict[str, Any]]:
    """The probes whose structs are known; the others are refused."""
    fit = []
    for probe in probes:
        unknown = decoders.missing(decoders.DECODERS[probe["decoder"]], types.macros)
        if unknown:
            result.refuse(probe, f"unknown layout: {unknown} is not in any BTF here")
        else:
            fit.append(probe)
    return fit


def _nothing(result: Result) -> Failed:
    return Failed("no-probe", "; ".join(f"{item['symbol']}: {item['reason']}" for item in result.rejected))


def _attach(channel: Channel, attacher: Attacher, types: Types) -> Result:
    request, result = channel.request(), Result()
    probes = _knowable(request["probes"], types, result)
    if not probes:
        raise _nothing(result)
    channel.stage("attaching the probes")
    _attach_all(attacher, probes, request["waits"], result)
    if not result.attached:
        raise _nothing(result)
    _attach_waits(attacher, request["waits"], result)
    return result


def serve(channel: Channel) -> None:
    """Answer the requests."""
    request = channel.request()
    channel.stage("reading kernel types")
    try:
        types = _types(request["headers"])
    except offsets.Missing as missing:
        raise Failed("no-btf", str(missing)) from None
    channel.stage("compiling the probes")
    try:
        made = compiled.obtain(
            bpf, _program_text(request, types), None if request["headers"] else _HERE, MAPS, PROGRAMS
        )
    except compiled.Unusable as failure:
        raise Failed(failure.kind, str(failure)) from None
    owner = kretprobes.Owner(*request["owner"], -1, 0) if request["owner"] else None
    result = _attach(channel, Attacher(made.programs, types, owner), types)
    _hand_over(channel, made, result)


def _hand_over(channel: Channel, made: Any, result: Result) -> None:
    look, _ = bpf.load_program(made.programs["look"], bpf.PROG_TYPE_RAW_TRACEPOINT, "zfstop_look")
    fds = [made.maps[name] for name in MAPS] + ([look] if look >= 0 else [])
    for item in [*result.attached, *result.waits]:
        fds += item["programs"] + item["links"]
        item["programs"], item["links"] = len(item["programs"]), len(item["links"])
    channel.hand_over(fds + result.spare)
    spare = {"spare": len(result.spare), "switched": result.switched}
    # Without `look` calls in flight are counted, but have no names: kernels before 5.10 cannot run it on demand.
    done = {"maps": MAPS, "attached": result.attached, "rejected": result.rejected, "look": look >= 0}
    waits = {"waits": result.waits, "waits_rejected": result.waits_rejected}
    channel.send({"done": {**done, **waits, **spare, "cached": made.cached}})


def main(channel_fd: int) -> None:
    """Serve, and turn every failure into one message."""
    channel = Channel(channel_fd)
    try:
        serve(channel)
    except Failed as failure:
        channel.send({"error": {"kind": failure.kind, "text": str(failure)}})
    except (
        Exception
    ) as failure:  # anything else is a bug of ours, and still must reach the screen as a message
        channel.send({"error": {"kind": "internal", "text": f"{type(failure).__name__}: {failure}"}})
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: bcc's own clean-up would take time and has nothing to clean up.
    os._exit(0)
