"""From the command to the first paint, and from the plan to compiled and attached, beside what bcc's zfsslower needs.

    python tests/bench/start_up.py [RUNS]        (9 runs; the loader's part needs root and bcc)

The least is what a quiet machine would give; "CPU" (median, of the processes started) is the same on a busy one.
On a host without kprobes attaching fails by design: what counts is "compiled", where attaching begins. What follows it
there, a second round with every fallback, does not happen where attaching works.
zfsslower's text is compiled only, with the host's kernel headers. In the lab: tests/bench/start_up_guest.sh.
"""

from __future__ import annotations

import fcntl
import os
import platform
import pty
import resource
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

from zfstop.errors import UserError
from zfstop.kernel import host
from zfstop.kernel.loading import Loading
from zfstop.kernel.resolver import Facts
from zfstop.kernel.source import LiveSource, Survey

ZFSSLOWER = Path("/usr/sbin/zfsslower-bpfcc")
SYMBOLS = Path(__file__).parents[1] / "unit" / "data" / "kallsyms-trixie.txt"
COMPILE = """
import re, sys, time
begun = time.monotonic()
text = re.search(r'bpf_text = \"\"\"(.*?)\"\"\"', open(sys.argv[1]).read(), re.DOTALL)[1]
text = text.replace("FILTER_US", "0").replace("FILTER_PID", "0")
from bcc import BPF
BPF(text=text)
print("compiled")
"""


def first_seen(command: list[str], marks: dict[str, bytes], limit: float = 30) -> dict[str, float]:
    """Seconds from start until each mark was written to a terminal; the command is ended then."""
    begun = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    found: dict[str, float] = {}
    written = b""
    try:
        while len(found) < len(marks) and time.monotonic() - begun < limit:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            written += os.read(terminal, 65536)
            for name, mark in marks.items():
                if name not in found and mark in written:
                    found[name] = time.monotonic() - begun
    except OSError:
        pass  # the command ended
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return found


def paint() -> dict[str, float]:
    """The screen, from its recording: everything but the loader."""
    return first_seen(
        [sys.executable, "-m", "zfstop", "--demo"],
        {"screen: first byte": b"\x1b", "screen: first paint": b"DEMO"},
    )


def version() -> dict[str, float]:
    """What every command pays before anything else."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "zfstop", "--version"], check=True, capture_output=True)
    return {"zfstop --version": time.monotonic() - begun}


def load(facts: Facts) -> Callable[[], dict[str, float]]:
    """The loader's stages for the functions of Debian 13."""

    def once() -> dict[str, float]:
        begun, stages = time.monotonic(), dict[str, float]()

        def stage(text: str) -> None:
            stages.setdefault(text, time.monotonic() - begun)  # a second round compiles everything anew

        source = LiveSource()
        how = "fentry" if facts.module_btf else "kprobe"
        try:
            Loading(host.bcc_pythons()[0]).answer(
                source._to_compile(False),
                lambda: source._to_attach(Survey(SYMBOLS.read_bytes(), facts)),
                stage,
                lambda: False,
            )
            ended = f"loader ({how}): attached"
        except UserError as error:
            ended = (
                f"loader ({how}): given up after both rounds"
                if "attached" in error.sentence
                else error.sentence
            )
        found = {f"loader ({how}): compiled": stages["attaching the probes"]} if len(stages) == 3 else {}
        return found | {ended: time.monotonic() - begun}

    return once


def headers() -> bool:
    """Whether zfsslower could be compiled at all."""
    places = (
        f"/lib/modules/{platform.release()}/{name}/include/linux/kconfig.h" for name in ("build", "source")
    )
    return any(map(os.path.exists, (*places, "/sys/kernel/kheaders.tar.xz")))


def zfsslower() -> dict[str, float]:
    """bcc's own tool, its text compiled in a fresh process."""
    begun = time.monotonic()
    done = subprocess.run(
        ["/usr/bin/python3", "-c", COMPILE, str(ZFSSLOWER)], capture_output=True, text=True, check=False
    )
    if "compiled" not in done.stdout:
        return {}
    return {"zfsslower: compiled": time.monotonic() - begun}


def children_cpu() -> float:
    """CPU seconds of all processes this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def repeat(runs: int, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Medians, printed with their spread. The CPU is that of the whole run and stands in its last line."""
    times: dict[str, list[float]] = {}
    spent = []
    for _ in range(runs):
        before = children_cpu()
        for name, value in measure().items():
            times.setdefault(name, []).append(value)
        spent.append(children_cpu() - before)
    for name, values in times.items():
        cpu = f"{statistics.median(spent) * 1000:.0f}" if name == list(times)[-1] else ""
        middle, least = statistics.median(values) * 1000, min(values) * 1000
        print(f"{name:>40} {middle:>9.0f} {least:>9.0f} {cpu:>9} {len(values):>6}")
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    print(f"{platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':>40} {'median ms':>9} {'least ms':>9} {'CPU ms':>9} {'runs':>6}")
    repeat(runs, version)
    repeat(runs, paint)
    found: dict[str, float] = {}
    if os.geteuid() == 0:
        for facts in (Facts(module_btf=False), Facts(module_btf=True)):
            found |= repeat(runs, load(facts))
    else:
        print("the loader's part needs root")
    if not ZFSSLOWER.exists():
        print("zfsslower-bpfcc is not installed: apt-get install bpfcc-tools")
    elif not headers():
        print(f"no headers of {platform.release()} here: zfsslower cannot be compiled (zfstop needs none)")
    else:
        other = repeat(max(3, runs // 3), zfsslower).get("zfsslower: compiled")
        ours = found.get("loader (kprobe): compiled")
        if other and ours:
            print(
                f"zfsslower's compile takes {other / ours:.1f} times as long as the loader's way to compiled"
            )
    print(f"\nrepeat: {Path(sys.executable).name} tests/bench/{Path(__file__).name} {runs}")


if __name__ == "__main__":
    main()
