"""How many slow operations a second go from the kernel's ring into the history, and what that costs.

    python tests/bench/ring_throughput.py [SECONDS] [KEYS]        (as root, where bcc is; 5 s a rate, 500 keys)

Another process writes records of the real layout, from a BPF program, into a ring of the real size
(ring_generator.py). This one reads it as the collector does: every 50 ms, Ring -> Accumulator, and once a second
Second -> History. CPU is this process's own CPU time as a share of one core. "lost" is what the program could not
write because the ring was full, and "longest" is the longest turn of the loop in wall time: on a busy machine both
come from this process not being scheduled, while CPU and ns a record stay what they are.
Beside it, same generator: one Python callback a record, as bcc's tools do it (open_ring_buffer, nine fields).
"""

from __future__ import annotations

import array
import json
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import zfstop.kernel
from zfstop.callers import Callers
from zfstop.collector import _POLL_SECONDS as POLL
from zfstop.kernel import bpf, host
from zfstop.kernel.accumulate import Accumulator
from zfstop.kernel.names import Names
from zfstop.kernel.paths import Paths
from zfstop.kernel.ring import Ring
from zfstop.kernel.source import EVENT_BYTES
from zfstop.model.events import PATH_STRUCT, RECORD_BYTES, c_structs
from zfstop.model.history import History, Second
from zfstop.model.state import Attached, Controls, Counts
from zfstop.mounts import Mounts

RATES = (100_000, 200_000, 300_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000)
CALLBACK_RATES = (100_000, 200_000, 300_000, 500_000, 750_000)
BURST = 150_000
PROBE = Attached("read", "zpl_iter_read", "zfs", "kiocb_iter", "kprobe pair")


class Remote:
    """The generator's process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = Path(__file__).with_name("ring_generator.py")
        with theirs:
            self._process = subprocess.Popen(
                [host.bcc_pythons()[0], "-B", str(script), str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self.channel = ours
        kernel = str(Path(zfstop.kernel.__file__).parent)
        self.send({"kernel": kernel, "structs": c_structs(), "ring_bytes": EVENT_BYTES})
        fds = array.array("i")
        data, ancillary, _, _ = ours.recvmsg(100, socket.CMSG_SPACE(8))
        if not data:
            raise SystemExit("the generator could not be loaded")
        fds.frombytes(ancillary[0][2])
        self.ring, self._counters = fds

    def send(self, order: dict[str, Any]) -> None:
        self.channel.send(json.dumps(order).encode())

    def answer(self, timeout: float) -> dict[str, Any] | None:
        """What the order came to, or None until it is done."""
        self.channel.settimeout(timeout)
        try:
            found: dict[str, Any] = json.loads(self.channel.recv(1 << 16))
        except (TimeoutError, BlockingIOError):
            return None
        return found

    def counters(self) -> tuple[int, int]:
        """(written, lost) so far."""
        values = (
            bpf.map_lookup(self._counters, place.to_bytes(4, sys.byteorder), 8) or b"" for place in (0, 1)
        )
        written, lost = (int.from_bytes(value, sys.byteorder) for value in values)
        return written, lost

    def close(self) -> None:
        self.channel.close()
        self._process.wait()


class Reader:
    """What the collector's thread does with the ring, and no more."""

    def __init__(self, ring: Ring, keys: int, keep: int = 0) -> None:
        self.ring, self.history, self.received = ring, History(), 0
        self._mounts = Mounts()
        paths = Paths(lambda ids: None, 1_000_000)
        for number in range(1, keys + 1):
            text = b"file%d\0dir%d\0" % (number, number % 20)
            paths.add(PATH_STRUCT.pack(number, len(text), 0) + text)
        self._names = Names({0: PROBE}, paths, self._mounts, Callers())
        self._second = Accumulator(keep)
        self._begun = time.monotonic_ns()

    @property
    def count(self) -> int:
        """Records of the second that has not ended."""
        return self._second.count

    def look(self, last: bool = False) -> None:
        """One turn of the loop."""
        for chunk in self.ring.fixed(RECORD_BYTES):
            self._second.add(chunk)
            self._second.name_new(self._names)
        now = time.monotonic_ns()
        if not last and now - self._begun < 1_000_000_000:
            return
        self.received += self._second.count
        count = self._second.count
        groups, events, thinned = self._second.close(self._names)
        self._names.end_second()
        slots = (Counts(entered=count, returned=count, seen=count),)
        self.history.append(
            Second(time.time(), now, now - self._begun, Controls(), groups, events, thinned, slots)
        )
        self._begun = now


def measure(remote: Remote, reader: Reader, order: dict[str, Any]) -> dict[str, float]:
    """Read while the generator obeys."""
    reader.look(last=True)
    written, lost = remote.counters()
    received = reader.received
    begun, cpu, longest = time.monotonic(), time.process_time(), 0.0
    remote.send(order)
    while (answer := remote.answer(0)) is None:
        turn = time.monotonic()
        reader.look()
        longest = max(longest, time.monotonic() - turn)
        time.sleep(POLL)
    wall = time.monotonic() - begun
    cpu = time.process_time() - cpu
    reader.look(last=True)
    now = remote.counters()
    found = {"written": now[0] - written, "lost": now[1] - lost, "received": reader.received - received}
    return found | {"wall": wall, "cpu": cpu, "took": answer["took"], "longest": longest}


def row(name: str, *cells: str) -> None:
    print(f"{name:>22}" + "".join(f"{cell:>14}" for cell in cells))


def show(name: str, found: dict[str, float]) -> None:
    """A line of the table."""
    row(
        name,
        f"{found['received'] / found['took']:,.0f}",
        f"{found['lost']:,.0f}",
        f"{found['cpu'] / found['took']:.1%}",
        f"{found['cpu'] / max(found['received'], 1) * 1e9:.0f}",
        f"{found['longest'] * 1000:.0f}",
    )
    if found["received"] != found["written"]:
        print(f"  !! {found['written']:,.0f} were written and {found['received']:,.0f} received")


def sustained(remote: Remote, ring: Ring, seconds: float, keys: int) -> None:
    """One line a rate."""
    row("commanded a second", "received/s", "lost", "CPU of a core", "ns a record", "longest ms")
    best = 0.0
    for rate in RATES:
        found = measure(remote, Reader(ring, keys), {"rate": rate, "seconds": seconds, "keys": keys})
        show(f"{rate:,}", found)
        if found["lost"]:
            break
        best = max(best, found["received"] / found["took"])
    print(f"largest rate without loss: {best:,.0f}/s")


def bursts(remote: Remote, ring: Ring, keys: int) -> None:
    """At once, into an empty ring, while the reader looks every 50 ms."""
    print(f"\nburst of {BURST:,} into an empty ring that holds {(EVENT_BYTES - 1) // RECORD_BYTES:,}")
    row("", "written in ms", "lost", "received", "longest ms")
    for turn in range(5):
        found = measure(remote, Reader(ring, keys), {"burst": BURST, "keys": keys})
        row(
            f"run {turn + 1}",
            f"{found['took'] * 1000:.1f}",
            f"{found['lost']:,.0f}",
            f"{found['received']:,.0f}",
            f"{found['longest'] * 1000:.0f}",
        )


def callbacks(remote: Remote, seconds: float, keys: int) -> None:
    """The same generator, read by bcc calling a Python function for each record."""
    print("\na callback a record (bcc's open_ring_buffer, nine fields)")
    row("commanded a second", "received/s", "lost", "CPU of a core", "ns a record")
    for rate in CALLBACK_RATES:
        lost = remote.counters()[1]
        remote.send({"callback": {"rate": rate, "seconds": seconds, "keys": keys, "poll": POLL}})
        found = remote.answer(600) or {}
        lost = remote.counters()[1] - lost
        row(
            f"{rate:,}",
            f"{found['received'] / found['wall']:,.0f}",
            f"{lost:,}",
            f"{found['cpu'] / found['wall']:.1%}",
            f"{found['cpu'] / found['received'] * 1e9:.0f}",
        )
        if lost:
            break


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    keys = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    print(
        f"{platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}; records of {RECORD_BYTES} bytes, {keys} keys, {seconds:g} s a rate\n"
    )
    remote = Remote()
    ring = Ring(remote.ring, EVENT_BYTES)
    try:
        sustained(remote, ring, seconds, keys)
        bursts(remote, ring, keys)
        callbacks(remote, seconds, keys)
    finally:
        ring.close()
        remote.close()
    print(f"\nrepeat: {Path(sys.executable).name} tests/bench/{Path(__file__).name} {seconds:g} {keys}")


if __name__ == "__main__":
    main()
