"""Stands in for zfstop/kernel/loader.py on a kernel without kprobes and ZFS, under the Python that has bcc.

The loader itself, with two things changed. Where it would attach a pair of programs it loads the kprobe pair, to show
that the verifier takes it, and a pair that finds its arguments where fentry and fexit do: loaded as raw tracepoints,
which can be run by BPF_PROG_TEST_RUN. Direct loads are calls there, for a raw tracepoint's arguments have no types;
those are tested in the lab. No BTF tells positions of arguments, so the programs find them. And the structs of the zfs
module are laid out as MODULE says. Beside the program lies a piece of kernel memory, in which the test builds files,
inodes and dentries.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

PLACE = os.environ["ZFSTOP_TEST_LOADER"]
EVERY = bool(os.environ.get("ZFSTOP_TEST_ALL"))
#: The return value comes after so many arguments, of every function.
ARGUMENTS = 6
MODULE = {"ZNODE_INODE": 512, "UIO_OFFSET": 24, "UIO_RESID": 40}
HEAP = """
struct heap { char bytes[65536]; };
BPF_ARRAY(heap, struct heap, 1);
BPF_ARRAY(where, u64, 1);
BPF_ARRAY(buckets, u32, 4096);
int tell_where(u64 *ctx)
{
  u32 zero = 0;
  struct heap *memory = heap.lookup(&zero);
  u64 *answer = where.lookup(&zero);
  if (memory && answer)
    *answer = (u64)memory;
  return 0;
}
int tell_bucket(u64 *ctx)
{
  u32 at = ctx[1];
  u32 *answer = buckets.lookup(&at);
  if (answer)
    *answer = bucket_of(ctx[0]);
  return 0;
}
"""

spec = importlib.util.spec_from_file_location("loader", PLACE)
assert spec is not None
assert spec.loader is not None
loader: Any = importlib.util.module_from_spec(spec)
sys.modules["loader"] = loader  # dataclasses look there
spec.loader.exec_module(loader)
decoders = loader.decoders
real_text, real_send, real_hand_over = loader._program_text, loader.Channel.send, loader._hand_over
macros: dict[str, int] = {}


class Loaded(loader.Attacher):  # type: ignore[misc]
    def _attach_sides(self, made: dict[str, Any], sides: Any) -> None:
        if "decoder" not in made:
            super()._attach_sides(made, sides)
            return
        bpf, decoders = loader.bpf, loader.decoders
        for side in self._pair({**made, "kind": "kprobe"}):
            os.close(self._load(made, side))
            clocks = decoders.CLOCKS.index(self._clocks[0])
            values = side.values | {"direct": 1, "arguments": ARGUMENTS, "clocks": clocks}
            if values["source"] == decoders.SOURCES.index("znode") and made["decoder"] == "znode_only":
                values["source"] = decoders.SOURCES.index("sought")
            code = decoders.specialise(self._programs[side.text], values)
            made["programs"].append(loader._loaded(code, bpf.PROG_TYPE_RAW_TRACEPOINT, "test"))

    def _bind(self, probe: dict[str, Any], program: int, kind: str, returns: bool) -> list[int]:
        return []

    def attach_wait(self, probe: dict[str, Any]) -> Any:
        return super().attach_wait({**probe, "kinds": ["kprobe"]})


def types(headers: bool) -> Any:
    kernel, offsets = loader.offsets.Btf(), loader.offsets
    macros.update(offsets.resolve(kernel, offsets.KERNEL_OFFSETS))
    optional = offsets.OPTIONAL_OFFSETS | offsets.SCHEDULER_OFFSETS
    optional |= offsets.TASK_OFFSETS | offsets.DELAYED_OFFSETS
    macros.update(offsets.resolve_known(kernel, optional) | MODULE)
    return loader.Types(dict(macros))


def program_text(request: dict[str, Any], types: Any) -> str:
    return str(real_text(request, types)) + HEAP


def send(channel: Any, message: dict[str, Any], fds: list[int] | None = None) -> None:
    if "done" in message:
        message["done"]["macros"] = macros
    real_send(channel, message, fds)


def hand_over(channel: Any, made: Any, result: Any) -> None:
    """The programs of this file come as the first pair of a probe that no slot is counted for."""
    tell = [
        loader._loaded(made.programs[name], loader.bpf.PROG_TYPE_RAW_TRACEPOINT, "test")
        for name in ("tell_where", "tell_bucket")
    ]
    spare = {**result.attached[0], "slot": 95, "op": "read", "symbol": "tell", "programs": tell, "links": []}
    result.attached.append(spare)
    clocks = decoders.CLOCKS.index("direct")
    for number, cause in enumerate(("zil", "throttle")):
        values = decoders.wait_parameters(cause) | {"clocks": clocks}
        region = [
            loader._loaded(
                decoders.specialise(made.programs[name], values), loader.bpf.PROG_TYPE_RAW_TRACEPOINT, "test"
            )
            for name in ("region_out", "region_in")
        ]
        result.attached.append({**spare, "slot": 94 - number, "symbol": cause, "programs": region})
    real_hand_over(channel, made, result)


loader.Attacher, loader._types, loader._program_text = Loaded, types, program_text
loader.Channel.send, loader._hand_over = send, hand_over
loader.MAPS = (*loader.MAPS, "heap", "where", "buckets")
loader.PROGRAMS = (*loader.PROGRAMS, "tell_where", "tell_bucket")
if EVERY:
    loader.Result.served = lambda result, probe: False
main = loader.main
