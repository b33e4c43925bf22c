"""Writes records of the real layout into a ring of the real size, from a BPF program, at a commanded rate.

Run by ring_throughput.py, under the Python that has bcc:  PYTHON ring_generator.py SOCKET_FD

It reads one JSON request (kernel directory, structs, record and ring sizes), answers with the descriptors of the ring
and of its counters, and then obeys: {"rate", "seconds", "keys"}, {"burst", "keys"}, {"callback": {...}}, or the end.
The program is a raw tracepoint program run by BPF_PROG_TEST_RUN: nothing else on the machine pays for it.
"""

from __future__ import annotations

import array
import ctypes
import importlib.util
import json
import mmap
import os
import socket
import struct
import sys
import time
from typing import Any

MOST = 1000
TICK = 0.001
PROG_TEST_RUN = 10
TEXT = """
BPF_RINGBUF_OUTPUT(events, EVENT_PAGES);
BPF_ARRAY(written, u64, 2);

int generate(u64 *ctx)
{
  u64 wanted = ctx[0], from = ctx[1], keys = ctx[2], number;
  u32 zero = 0, one = 1, done = 0, lost = 0;
  struct event *event;
  u64 now = bpf_ktime_get_ns();
  u64 *sum;
  for (u32 i = 0; i < MOST; i++) {
    if (i >= wanted)
      break;
    event = events.ringbuf_reserve(sizeof(struct event));
    if (!event) {
      lost++;
      continue;
    }
    __builtin_memset(event, 0, sizeof(*event)); /* whatever else a record has */
    number = from + i;
    event->ts_ns = now;
    event->latency_ns = 10000000 + (number & 1023) * 70001;
    event->offset = number << 12;
    event->size = 4096;
    event->result = (number & 255) ? 4096 : -5;
    event->path_id = number % keys + 1;
    event->cgroup = 26;
    event->comm[0] = 'f', event->comm[1] = 'i', event->comm[2] = 'o';
    event->pid = 1000 + number % keys % 50;
    event->dev = 57;
    event->uid = 0;
    event->slot = 0;
    event->flags = 0;
    event->tid = 1000;
    event->bucket = 300 + (number & 63);
    event->known = 1;
    ((unsigned short *)event->waits)[number & 7] = 50000; /* most of it for one cause */
    events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
    done++;
  }
  sum = written.lookup(&zero);
  if (sum)
    *sum += done;
  sum = written.lookup(&one);
  if (sum)
    *sum += lost;
  return 0;
}
"""


class Event(ctypes.Structure):
    """The record as zfsslower and its like declare theirs."""

    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("ts_ns", "latency_ns", "offset", "size")),
        ("result", ctypes.c_int64),
        *((name, ctypes.c_uint64) for name in ("target", "path_id", "cgroup")),
        ("comm", ctypes.c_char * 16),
        *((name, ctypes.c_uint32) for name in ("pid", "dev", "uid")),
        *((name, ctypes.c_uint16) for name in ("slot", "flags")),
        ("tid", ctypes.c_uint32),
        *((name, ctypes.c_uint16) for name in ("bucket", "known")),
        ("waits", ctypes.c_char * 16),
        ("slept_in", ctypes.c_uint64),
    ]


class Generator:
    """The loaded program and its ring."""

    def __init__(self, request: dict[str, Any]) -> None:
        spec = importlib.util.spec_from_file_location("bpf", os.path.join(request["kernel"], "bpf.py"))
        assert spec is not None
        assert spec.loader is not None
        self.bpf: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.bpf)
        os.environ["BCC_KERNEL_SOURCE"] = request["kernel"]
        import bcc

        sizes = {"EVENT_PAGES": request["ring_bytes"] // mmap.PAGESIZE, "MOST": MOST}
        head = [f"#define {name} {value}" for name, value in sizes.items()]
        text = "\n".join(
            ["#include <linux/types.h>", "#include <uapi/linux/ptrace.h>", request["structs"], *head, TEXT]
        )
        self.module = bcc.BPF(text=text.encode(), cflags=["-w", f"-DZFSTOP_PAGE_SIZE={mmap.PAGESIZE}"])
        code = self.module.dump_func(b"generate")
        self._program, log = self.bpf.load_program(
            code, self.bpf.PROG_TYPE_RAW_TRACEPOINT, "generate", log=1 << 20
        )
        if self._program < 0:
            raise SystemExit(log[-2000:])
        self._number = 0

    def fds(self) -> list[int]:
        """Ring and counters."""
        return [self.module[name].map_fd for name in (b"events", b"written")]

    def emit(self, count: int, keys: int) -> None:
        """So many records now."""
        while count > 0:
            part = min(count, MOST)
            context = ctypes.create_string_buffer(struct.pack("=3Q", part, self._number, keys), 24)
            given = (self._program, 0, 0, 0, 0, 0, 0, 0, 24, 0, ctypes.addressof(context), 0, 0, 0, 0)
            self.bpf.bpf(PROG_TEST_RUN, struct.pack("=IIIIQQIIIIQQIII4x", *given))
            self._number += part
            count -= part

    def keep(self, rate: int, seconds: float, keys: int) -> float:
        """``rate`` records a second; returns the seconds it took. What a late tick owes is made up."""
        begun = time.monotonic()
        made = 0
        while (now := time.monotonic() - begun) < seconds:
            owed = int(now * rate) - made
            self.emit(owed, keys)
            made += owed
            time.sleep(TICK)
        return time.monotonic() - begun


class Callback:
    """A reader in the style of zfsslower: a Python function for each record, which takes nine fields of a struct."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._groups: dict[Any, int] = {}
        self._count = 0
        generator.module[b"events"].open_ring_buffer(self._handle)

    def _handle(self, context: Any, data: int, size: int) -> int:
        event = ctypes.cast(data, ctypes.POINTER(Event)).contents
        row = (event.ts_ns, event.comm.decode("utf-8", "replace"), event.pid, event.slot, event.size, event.offset,
               event.latency_ns, event.path_id, event.result)  # fmt: skip
        self._groups[row[2], row[7]] = self._groups.get((row[2], row[7]), 0) + 1
        self._count += 1
        return 0

    def read(self, order: dict[str, Any]) -> dict[str, Any]:
        """Read while a child generates."""
        before = self._count
        child = os.fork()
        if child == 0:
            self._generator.keep(order["rate"], order["seconds"], order["keys"])
            os._exit(0)
        begun, cpu = time.monotonic(), time.process_time()
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(order["poll"])
            self._generator.module.ring_buffer_consume()
        wall, cpu = time.monotonic() - begun, time.process_time() - cpu
        self._generator.module.ring_buffer_consume()
        return {"received": self._count - before, "wall": wall, "cpu": cpu}


def main() -> None:
    """Obey until the socket closes."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    generator = Generator(json.loads(channel.recv(1 << 20)))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", generator.fds()))]
    channel.sendmsg([b'{"ready": true}'], rights)
    callback: Callback | None = None
    while data := channel.recv(1 << 16):
        order = json.loads(data)
        begun = time.monotonic()
        answer: dict[str, Any] = {}
        if "callback" in order:
            callback = callback or Callback(generator)
            answer = callback.read(order["callback"])
        elif "burst" in order:
            generator.emit(order["burst"], order["keys"])
        else:
            generator.keep(order["rate"], order["seconds"], order["keys"])
        channel.send(json.dumps(answer | {"took": time.monotonic() - begun}).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
