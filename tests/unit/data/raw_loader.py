"""Stands in for zfstop/kernel/loader.py on a kernel without kprobes and ZFS, under the Python that has bcc.

The loader itself, with two things changed. Where it would attach a pair of programs it loads the kprobe pair, to show
that the verifier takes it, and a pair made of the text for fentry/fexit: loaded as raw tracepoints, which find their
arguments in the same places and can be run by BPF_PROG_TEST_RUN. Direct loads are calls there, for a raw tracepoint's
arguments have no types; those are tested in the lab. And the structs of the zfs module are laid out as MODULE says.
Beside the program lies a piece of kernel memory, in which the test builds files, inodes and dentries.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from typing import Any

PLACE = os.environ["ZFSTOP_TEST_LOADER"]
EVERY = bool(os.environ.get("ZFSTOP_TEST_ALL"))
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
macros: dict[str, int] = {}
programs: list[int] = []
real_text, real_send = loader._program_text, loader.Channel.send


class Loaded(loader.Attacher):  # type: ignore[misc]
    def attach(self, probe: dict[str, Any]) -> tuple[str, list[int]]:
        slot, bpf = probe["slot"], loader.bpf
        if "kprobe" in probe["kinds"]:
            for side in ("entry", "return"):
                os.close(self._load(f"kprobe_{side}_{slot}", "test", bpf.PROG_TYPE_KPROBE))
        names = (f"rawentry_{slot}", f"rawexit_{slot}")
        return "fentry", [self._load(name, "test", bpf.PROG_TYPE_RAW_TRACEPOINT) for name in names]


def types(headers: bool) -> Any:
    macros.update(loader.offsets.resolve(loader.offsets.Btf(), loader.offsets.KERNEL_OFFSETS) | MODULE)
    return loader.Types(dict(macros))


def program_text(request: dict[str, Any], macros: dict[str, int], probes: list[dict[str, Any]]) -> str:
    text = str(real_text(request, macros, probes))
    (macro,) = re.findall(r"^#define PROBE_fentry\(.*?[^\\]\n", text, re.MULTILINE | re.DOTALL)
    raw = (
        macro.replace("PROBE_fentry", "PROBE_raw")
        .replace("fentry_", "rawentry_")
        .replace("fexit_", "rawexit_")
    )
    raw = re.sub(r"(_BODY|DECODER)\(1,", r"\1(0,", raw)
    lines = [f"PROBE_raw({p['slot']}, {p['bit']}ULL, {p['decoder']})" for p in probes]
    return "\n".join([text, raw, *lines, HEAP])


def send(channel: Any, message: dict[str, Any], fds: list[int] | None = None) -> None:
    if "done" in message:
        message["done"]["macros"] = macros
        message["done"]["programs"] = len(programs)
    real_send(channel, message, fds)


def attach_all(attacher: Any, probes: list[dict[str, Any]]) -> Any:
    result = real_attach_all(attacher, probes)
    for name in ("tell_where", "tell_bucket"):
        result.fds.append(attacher._load(name, "test", loader.bpf.PROG_TYPE_RAW_TRACEPOINT))
    programs[:] = result.fds
    return result


real_attach_all = loader._attach_all
loader.Attacher, loader._types, loader._program_text = Loaded, types, program_text
loader.Channel.send, loader._attach_all = send, attach_all
loader.MAPS = (*loader.MAPS, "heap", "where", "buckets")
if EVERY:
    loader._preferred = lambda probes: probes
    loader.Result.served = lambda result, probe: False
loader.main()
