"""What an emitted event costs the traced thread on this host's kernel, beside a perf buffer in zfsslower's style.

    python tests/bench/emitted_host.py [ROUNDS]        (as root, where bcc is; 40 rounds)

emitted.sh counts instructions. What it cannot see is that zfsslower wakes its reader with every event (perf_submit,
one event a wake-up), an interrupt the processor sends itself: cheap to count, dear to take, most of all in a virtual
machine. So here time counts. zfstop's own programs for open, entry and return, run on a made-up file four directories
deep (tests/unit/data/fake_zfs.py), with a threshold nothing exceeds and with 0; the ring is emptied between rounds.
Beside it a program that fills what zfsslower fills and hands it to perf_submit or not, while another process polls.
The two take turns. "CPU" is of the calling thread, "wall" what it took; medians a call, the difference is the event.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from data.fake_zfs import open_source, run

import zfstop.kernel
from zfstop.kernel import bpf, host

CALLS = 2000
NEVER = 1 << 60
#: Under the Python that has bcc: hands over the program, and polls until the socket closes.
READER = r"""
import array, os, select, socket, sys
os.environ["BCC_KERNEL_SOURCE"] = sys.argv[2]  # no kernel headers are needed
import bcc
TEXT = '''
struct data { u64 ts_us, type, size, offset, delta_us, pid; char task[16], file[32]; };
struct name { char text[32]; };
BPF_PERF_OUTPUT(events);
BPF_ARRAY(names, struct name, 1);
BPF_ARRAY(handed, u64, 1);
int emit(u64 *ctx)
{
  u32 zero = 0;
  struct name *name = names.lookup(&zero);
  u64 *count = handed.lookup(&zero);
  struct data data = {};
  if (!name || !count)
    return 0;
  data.ts_us = bpf_ktime_get_ns() / 1000;
  data.type = 2;
  data.size = ctx[1];
  data.offset = ctx[2];
  data.delta_us = data.ts_us - ctx[3];
  data.pid = bpf_get_current_pid_tgid() >> 32;
  bpf_get_current_comm(&data.task, sizeof(data.task));
  bpf_probe_read_kernel(&data.file, sizeof(data.file), name);
  if (!ctx[0])
    return 0;
  if (!events.perf_submit(ctx, &data, sizeof(data)))
    (*count)++;
  return 0;
}
'''
b = bcc.BPF(text="#include <linux/types.h>\n#include <uapi/linux/ptrace.h>\n" + TEXT, cflags=["-w"])
program = b.load_func("emit", bcc.BPF.RAW_TRACEPOINT)
got = 0
def handle(cpu, data, size):
    global got
    event = b["events"].event(data)
    row = (event.ts_us, event.task.decode("utf-8", "replace"), event.pid, event.size, event.offset, event.delta_us)
    got += 1
b["events"].open_perf_buffer(handle, page_cnt=64)
channel = socket.socket(fileno=int(sys.argv[1]))
fds = array.array("i", [program.fd, b["handed"].map_fd])
channel.sendmsg([b"ready"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
while not select.select([channel], [], [], 0)[0]:
    b.perf_buffer_poll(timeout=100)
b.perf_buffer_poll(timeout=100)
channel.send(str(got).encode())
"""


def cost(once: Callable[[], None]) -> tuple[float, float]:
    """Nanoseconds of CPU and of wall time of a call."""
    cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
    for _ in range(CALLS):
        once()
    return (time.thread_time_ns() - cpu) / CALLS, (time.perf_counter_ns() - wall) / CALLS


class Ours:
    """zfstop's programs for open."""

    def __init__(self) -> None:
        self._source, self._kernel = open_source(pytest.MonkeyPatch(), symbols=["zpl_open"])
        self._file = self._kernel.file(b"srv", b"app", b"log", b"today", b"file")
        self._kernel.call("zpl_open", (0, self._file), 0)
        self._programs = self._kernel.programs["zpl_open"]

    def _call(self) -> None:
        run(self._programs[0], 0, self._file)
        run(self._programs[1], 0, self._file, 0, 0, 0, 0, 0)

    def measure(self, emitting: bool) -> tuple[float, float]:
        """With an event each, or without."""
        self._kernel.settings(threshold=0 if emitting else NEVER)
        spent = cost(self._call)
        for _ in self._source.drain():
            pass
        return spent

    def told(self) -> tuple[int, int]:
        """(events written, lost)."""
        counts = self._kernel.counts("zpl_open")
        self._source.close()
        return counts.seen, counts.lost


class Theirs:
    """A perf buffer in zfsslower's style, and its reader."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            kernel = str(Path(zfstop.kernel.__file__).parent)
            command = [host.bcc_pythons()[0], "-c", READER, str(theirs.fileno()), kernel]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        self._channel = ours
        _, fds, _, _ = socket.recv_fds(ours, 100, 2)
        self._program, self._handed = fds

    def measure(self, emitting: bool) -> tuple[float, float]:
        """With an event each, or without."""
        spent = cost(lambda: run(self._program, int(emitting), 4096, 0, 0))
        time.sleep(0.2)
        return spent

    def told(self) -> tuple[int, int]:
        """(events written, lost on the way to the reader or before)."""
        handed = int.from_bytes(bpf.map_lookup(self._handed, bytes(4), 8) or b"", sys.byteorder)
        self._channel.send(b"end")
        got = int(self._channel.recv(100))
        self._process.wait()
        return handed, handed - got


def main() -> None:
    """Take turns, print medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    sides: dict[str, Any] = {"zfstop": Ours(), "a perf buffer": Theirs()}
    spent: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for name, side in sides.items():
            for emitting in (False, True):
                spent.setdefault((name, emitting), []).append(side.measure(emitting))
    print(f"{platform.release()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    heads = f"{'CPU without':>14}{'with':>8}{'wall without':>14}{'with':>8}{'an event, CPU':>16}{'wall':>8}"
    print(f"{'ns a call':<16}{heads}")
    found = {}
    for name, side in sides.items():
        middle = [
            statistics.median(part)
            for emitting in (False, True)
            for part in zip(*spent[name, emitting], strict=True)
        ]
        found[name] = middle[2] - middle[0], middle[3] - middle[1]
        written, lost = side.told()
        print(f"{name:<16}{middle[0]:>14.0f}{middle[2]:>8.0f}{middle[1]:>14.0f}{middle[3]:>8.0f}"
              f"{found[name][0]:>16.0f}{found[name][1]:>8.0f}   {written} written, {lost} lost")  # fmt: skip
    ratios = [ours / theirs for ours, theirs in zip(*found.values(), strict=True)]
    print(json.dumps({"cpu": round(ratios[0], 3), "wall": round(ratios[1], 3)}))


if __name__ == "__main__":
    main()
