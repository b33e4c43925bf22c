"""Compile, load, attach, hand over, exit. Run as ``PYTHON -I loader.py SOCKET_FD``; nothing imports it.

It runs under the Python that has bcc and needs nothing else. It reads one JSON request from the socket, reports
its stages as JSON messages, and sends the descriptors of maps, programs and links with the last one. When it
exits, the receiver's copies keep everything alive; when the receiver dies, the kernel drops all of it.

Request: {"probes": [{"slot", "op", "bit", "tier", "symbol", "decoder", "kinds"}], "sizes": {MACRO: int},
          "headers": bool}
Messages: {"stage": text}, then {"done": {...}} with descriptors, or {"error": {"kind", "text"}}.
"""

from __future__ import annotations

import array
import dataclasses
import errno
import importlib.util
import json
import mmap
import os
import socket
import sys
from types import ModuleType
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
MAPS = (
    "settings",
    "counters",
    "pids",
    "devs",
    "in_flight",
    "looked",
    "tallies",
    "sent_paths",
    "events",
    "paths",
)
_MODULE_DECODERS = frozenset({"znode_uio", "znode_sync"})
_LOG_BYTES = 1 << 20
_BETTER = "not needed: a better one is attached"
#: A program that ran before its return was attached would count calls that never end: attach returns first.
_PAIR = (("return", True), ("entry", False))


class Failed(Exception):
    """The loading cannot go on. ``kind`` is a word that source.py turns into an error for the user."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _sibling(name: str) -> ModuleType:
    """A module of this directory, by file: the path of the screen's Python must not leak into this one."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(_HERE, name + ".py"))
    if spec is None or spec.loader is None:
        raise Failed("internal", f"{name}.py is missing beside the loader")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bpf = _sibling("bpf")
offsets = _sibling("offsets")


class Channel:
    """The socket to the screen's process."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def request(self) -> dict[str, Any]:
        """The one request."""
        result: dict[str, Any] = json.loads(self._socket.recv(1 << 20))
        return result

    def stage(self, text: str) -> None:
        """What is going on, for the screen."""
        self.send({"stage": text})

    def send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        """One message with at most 253 descriptors (the kernel's limit for one)."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._socket.sendmsg([json.dumps(message).encode()], ancillary)


@dataclasses.dataclass
class Types:
    """What is known of structs: macro -> offset, the module's BTF, and why its structs are unknown (None: known)."""

    macros: dict[str, int]
    zfs: Any = None
    unknown: str | None = None


def _types(headers: bool) -> Types:
    if headers:
        return Types({}, unknown="the kernel's BTF is not used")
    kernel = offsets.Btf()
    types = Types(offsets.resolve(kernel, offsets.KERNEL_OFFSETS))
    try:
        types.zfs = kernel.of_module("zfs")
        types.macros |= offsets.resolve(types.zfs, offsets.MODULE_OFFSETS)
    except offsets.Missing as missing:
        types.unknown = str(missing)
    return types


_HEADER_TEXT = """
#include <uapi/linux/ptrace.h>
#include <linux/fs.h>
#include <linux/dcache.h>
#include <linux/uio.h>
"""
_OWN_TEXT = "#include <linux/types.h>\n#include <uapi/linux/ptrace.h>\n"


def _header_macros() -> list[str]:
    lines = []
    for macro, (type_name, path) in offsets.KERNEL_OFFSETS.items():
        lines.append(f"#define {macro} __builtin_offsetof(struct {type_name}, {path})")
    return lines


def _program_text(request: dict[str, Any], macros: dict[str, int], probes: list[dict[str, Any]]) -> str:
    with open(os.path.join(_HERE, "program.c"), encoding="utf-8") as file:
        body = file.read()
    head = [_HEADER_TEXT if request["headers"] else _OWN_TEXT, request["structs"]]
    numbers = macros | request["sizes"] | {"SLOTS": 1 + max(probe["slot"] for probe in probes)}
    head += [f"#define {macro} {int(value)}" for macro, value in numbers.items()]
    head += _header_macros() if request["headers"] else []
    tail = [
        f"PROBE_{_word(kind)}({int(p['slot'])}, {int(p['bit'])}ULL, {_word(p['decoder'])})"
        for p in probes
        for kind in p["kinds"]
    ]
    return "\n".join([*head, body, *tail, ""])


def _word(text: str) -> str:
    """The name of a decoder or kind: letters and underscores only, whatever the request says."""
    if not text.replace("_", "").isalpha() or not text.isascii():
        raise Failed("internal", f"'{text}' is not a word of program.c")
    return text


def _compile(text: str, own_headers: bool) -> Any:
    if own_headers:
        os.environ["BCC_KERNEL_SOURCE"] = _HERE
    try:
        import bcc
    except (ImportError, OSError) as failure:
        raise Failed("no-bcc", str(failure)) from None
    if not hasattr(bcc, "BPF"):
        raise Failed("wrong-bcc", f"{getattr(bcc, '__file__', 'bcc')} is not the BPF Compiler Collection")
    # A warning of clang would be printed for every compile, and means nothing for text that is tested; debug
    # information takes a fifth of the time.
    flags = ["-w", "-g0", "-fms-extensions", f"-DZFSTOP_PAGE_SIZE={mmap.PAGESIZE}"]
    try:
        return bcc.BPF(text=text.encode(), cflags=flags)
    except Exception as failure:  # bcc raises bare Exception for everything
        raise Failed("compile", str(failure)) from None


class Attacher:
    """Loads and attaches the programs of a compiled module, pair by pair."""

    def __init__(self, module: Any, zfs_types: Any) -> None:
        self.module = module
        self._types = zfs_types
        self._types_fd = -1

    def attach(self, probe: dict[str, Any]) -> tuple[str, list[int]] | str:
        """(kind, descriptors) of the first kind that works, or why none did."""
        reasons = []
        for kind in probe["kinds"]:
            kept: list[int] = []
            try:
                for side, returns in _PAIR:
                    kept += self._attach_side(probe, kind, side, returns)
                return kind, kept
            except (OSError, offsets.Missing) as failure:
                reasons.append(f"{kind}: {_reason(failure)}")
                for fd in kept:
                    os.close(fd)
        return "; ".join(reasons)

    def _attach_side(self, probe: dict[str, Any], kind: str, side: str, returns: bool) -> list[int]:
        name = f"zfstop_{probe['op'][:6]}_{side[0]}"
        if kind == "kprobe":
            program = self._load(f"kprobe_{side}_{probe['slot']}", name, bpf.PROG_TYPE_KPROBE)
            return [program, *bpf.attach_kprobe(program, probe["symbol"], returns)]
        btf_id, btf_fd = self._target(probe["symbol"])
        function = f"{'fexit' if returns else 'fentry'}_{probe['slot']}"
        attach_type = bpf.TRACE_FEXIT if returns else bpf.TRACE_FENTRY
        program = self._load(function, name, bpf.PROG_TYPE_TRACING, attach_type, btf_id, btf_fd)
        return [program, bpf.attach_tracing(program)]

    def _target(self, symbol: str) -> tuple[int, int]:
        if self._types is None:
            raise offsets.Missing("module zfs has no BTF")
        if self._types_fd < 0:
            self._types_fd = bpf.btf_object("zfs")
        return self._types.function(symbol), self._types_fd

    def _load(self, function: str, *arguments: Any) -> int:
        code = self.module.dump_func(function.encode())
        program, _ = bpf.load_program(code, arguments[1], arguments[0], *arguments[2:])
        if program < 0:
            error = -program
            _, log = bpf.load_program(code, arguments[1], arguments[0], *arguments[2:], log=_LOG_BYTES)
            sys.stderr.write(log[-4000:])
            raise OSError(error, os.strerror(error) + _last_line(log))
        return int(program)


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


@dataclasses.dataclass
class Result:
    """What a round attached, what it could not, and the descriptors that keep it."""

    attached: list[Any] = dataclasses.field(default_factory=list)
    rejected: list[Any] = dataclasses.field(default_factory=list)
    fds: list[int] = dataclasses.field(default_factory=list)

    def served(self, probe: dict[str, Any]) -> bool:
        """Whether a better tier of the operation is attached already."""
        return any(item["op"] == probe["op"] and item["tier"] < probe["tier"] for item in self.attached)

    def refuse(self, probe: dict[str, Any], reason: str) -> None:
        """Note why a candidate is not taken."""
        self.rejected.append({**probe, "reason": reason})


def _attach_all(attacher: Attacher, probes: list[dict[str, Any]]) -> Result:
    """Of each operation the first tier in which anything attaches."""
    result = Result()
    for probe in sorted(probes, key=lambda item: (item["op"], item["tier"])):
        if result.served(probe):
            result.refuse(probe, _BETTER)
            continue
        outcome = attacher.attach(probe)
        if isinstance(outcome, str):
            result.refuse(probe, outcome)
            continue
        result.attached.append({**probe, "kind": outcome[0]})
        result.fds += outcome[1]
    return result


def _preferred(probes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best tier of every operation, by the best kind: compiling what is hardly ever needed costs as much again."""
    best = {op: min(p["tier"] for p in probes if p["op"] == op) for op in {p["op"] for p in probes}}
    return [{**p, "kinds": p["kinds"][:1]} for p in probes if p["tier"] == best[p["op"]]]


def _attempt(channel: Channel, request: dict[str, Any], types: Types, probes: list[dict[str, Any]]) -> Any:
    """(compiled module, result) of one round."""
    channel.stage("compiling the probes")
    text = _program_text(request, types.macros, probes)
    attacher = Attacher(_compile(text, not request["headers"]), types.zfs)
    channel.stage("attaching the probes")
    return attacher.module, _attach_all(attacher, probes)


def _rounds(channel: Channel, request: dict[str, Any], types: Types, probes: list[dict[str, Any]]) -> Any:
    """First what is preferred; everything, from the beginning, only if some operation got no probe."""
    first = _preferred(probes)
    module, result = _attempt(channel, request, types, first)
    if len(result.attached) < len(first) and first != probes:
        for fd in result.fds:
            os.close(fd)
        return _attempt(channel, request, types, probes)
    chosen = {item["slot"] for item in first}
    for probe in probes:
        if probe["slot"] not in chosen:
            result.refuse(probe, _BETTER)
    return module, result


def _knowable(probes: list[dict[str, Any]], unknown: str | None) -> tuple[list[Any], list[Any]]:
    """Probes whose structs are known, and those that are not."""
    fit = [p for p in probes if unknown is None or p["decoder"] not in _MODULE_DECODERS]
    return fit, [{**p, "reason": f"unknown layout: {unknown}"} for p in probes if p not in fit]


def serve(channel: Channel) -> None:
    """Answer the one request."""
    request = channel.request()
    channel.stage("reading kernel types")
    try:
        types = _types(request["headers"])
    except offsets.Missing as missing:
        raise Failed("no-btf", str(missing)) from None
    probes, rejected = _knowable(request["probes"], types.unknown)
    if not probes:
        raise Failed("no-probe", "; ".join(f"{item['symbol']}: {item['reason']}" for item in rejected))
    module, result = _rounds(channel, request, types, probes)
    if not result.attached:
        raise Failed("no-probe", "; ".join(f"{item['symbol']}: {item['reason']}" for item in result.rejected))
    map_fds = [module[name.encode()].map_fd for name in MAPS]
    done = {"maps": MAPS, "attached": result.attached, "rejected": rejected + result.rejected}
    look, _ = bpf.load_program(module.dump_func(b"look"), bpf.PROG_TYPE_RAW_TRACEPOINT, "zfstop_look")
    # Without it calls in flight are counted, but have no names: kernels before 5.10 cannot run it on demand.
    done["look"] = look >= 0
    channel.send({"done": done}, map_fds + ([look] if look >= 0 else []) + result.fds)


def main() -> None:
    """Serve, and turn every failure into one message."""
    channel = Channel(int(sys.argv[1]))
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


if __name__ == "__main__":
    main()
