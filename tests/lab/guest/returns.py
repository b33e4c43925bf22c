"""Counts entries and returns of one function for one process, by the return probes of zfstop/kernel.

    python3 -I returns.py KERNEL_DIRECTORY pool|pmu SYMBOL PID

Run by the Python that has bcc. Prints {"group", "guardian"} when it is attached, and {"entered", "returned"} for
each line on stdin.
"""

import importlib.util
import json
import os
import struct
import sys

TEXT = """
BPF_ARRAY(counts, u64, 2);
static __always_inline void count(u32 which)
{
  u64 *value = counts.lookup(&which);
  if (value && bpf_get_current_pid_tgid() >> 32 == OF_PID)
    __sync_fetch_and_add(value, 1);
}
int entry(struct pt_regs *ctx) { count(0); return 0; }
int leave(struct pt_regs *ctx) { count(1); return 0; }
"""


def sibling(name):
    spec = importlib.util.spec_from_file_location(name, os.path.join(sys.argv[1], name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    directory, how, symbol, pid = sys.argv[1:]
    bpf, kretprobes = sibling("bpf"), sibling("kretprobes")
    os.environ["BCC_KERNEL_SOURCE"] = directory
    import bcc

    text = "#include <linux/types.h>\n#include <uapi/linux/ptrace.h>\n" + TEXT
    module = bcc.BPF(text=text.encode(), cflags=["-w", f"-DOF_PID={int(pid)}"])

    def program(name):
        fd, _ = bpf.load_program(module.dump_func(name.encode()), bpf.PROG_TYPE_KPROBE, name)
        return fd

    kretprobes.sweep()
    owner = None
    if how == "pool":
        owner = kretprobes.guard()
        held = kretprobes.attach_return(program("leave"), symbol, owner, bpf.attach_tracepoint)
    else:
        held = bpf.attach_kprobe(program("leave"), symbol, True)
    held += bpf.attach_kprobe(program("entry"), symbol, False)
    ready = {"group": owner and owner.group, "guardian": owner and owner.guardian}
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        counts = [bpf.map_lookup(module[b"counts"].map_fd, struct.pack("=I", i), 8) for i in range(2)]
        entered, returned = (struct.unpack("=Q", value)[0] for value in counts)
        print(json.dumps({"entered": entered, "returned": returned}), flush=True)


main()
