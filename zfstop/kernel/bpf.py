"""bpf(2), perf_event_open(2) and their structures, by ctypes: what both the loader and the screen's process call.

Nothing here imports bcc or anything else of zfstop's, because the loader runs under another Python.
Every call raises OSError with the errno of the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Iterator, Sequence

MAP_CREATE, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, MAP_GET_NEXT_KEY, PROG_LOAD = 0, 1, 2, 3, 4, 5
OBJ_GET_INFO_BY_FD, RAW_TRACEPOINT_OPEN, BTF_GET_FD_BY_ID, BTF_GET_NEXT_ID, LINK_CREATE = 15, 17, 19, 23, 28
PROG_TEST_RUN, MAP_LOOKUP_BATCH, ENABLE_STATS = 10, 24, 32
PROG_TYPE_KPROBE, PROG_TYPE_RAW_TRACEPOINT, PROG_TYPE_TRACING = 2, 17, 26
TRACE_FENTRY, TRACE_FEXIT, PERF_EVENT = 24, 25, 41

_NUMBERS = {"x86_64": (321, 298), "aarch64": (280, 241)}
_PERF_FLAG_FD_CLOEXEC, _PERF_TYPE_TRACEPOINT = 8, 2
_STATS_RUN_TIME = 0
#: run_time_ns and run_cnt within struct bpf_prog_info, which is cut after them.
_INFO_RUN = struct.Struct("=192xQQ")
#: recursion_misses after them (Linux 5.12; 0 where it is not told).
_INFO_MISSES = struct.Struct("=208xQ")
#: Map calls that are made without letting anybody else have the CPU.
_AT_ONCE = 64
_IOC_ENABLE, _IOC_SET_BPF = 0x2400, 0x40042408
_libc = ctypes.CDLL(None, use_errno=True)


def syscall_numbers() -> tuple[int, int]:
    """Numbers of bpf and perf_event_open here; OSError(ENOSYS) on another architecture."""
    machine = os.uname().machine
    try:
        return _NUMBERS[machine]
    except KeyError:
        raise OSError(errno.ENOSYS, f"zfstop does not know {machine}") from None


def bpf(command: int, attributes: bytes) -> int:
    """bpf(command, attributes); returns its non-negative result."""
    return bpf_in_place(command, ctypes.create_string_buffer(attributes, len(attributes)))


def bpf_in_place(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
    """The same for commands that write into their attributes."""
    return _checked(_libc.syscall(syscall_numbers()[0], command, attributes, len(attributes)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Where a buffer lies, for a pointer member of an attribute struct."""
    return ctypes.addressof(buffer)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keep this thread on its CPU, as far as we may: around map calls, one or a short run of them.

    While the kernel works on a map for user space it runs no BPF program of a kprobe on that CPU
    (bpf_disable_instrumentation). If it may then be preempted, everybody's calls on that CPU are missed until this
    thread's turn comes again (measured on Linux 7.2). No ordinary thread preempts a FIFO one.
    """
    ordinary = os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE
    before = os.sched_getscheduler(0)
    raised = False
    if before in ordinary:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
            raised = True
    try:
        yield
    finally:
        if raised:
            os.sched_setscheduler(0, before, os.sched_param(0))


def map_create(name: str, kind: int, key: int, value: int, entries: int, flags: int) -> int:
    """A new map; returns its descriptor."""
    attributes = struct.pack(
        "=IIIIIII16sII", kind, key, value, entries, flags, 0, 0, name.encode()[:15], 0, 0
    )
    return bpf(MAP_CREATE, attributes)


def map_shape(fd: int) -> tuple[int, int, int, int, int]:
    """(type, key size, value size, entries, flags) of a map."""
    info = ctypes.create_string_buffer(40)
    bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, len(info), address(info)))
    kind, _, *shape = struct.unpack_from("=6I", info.raw)
    return kind, shape[0], shape[1], shape[2], shape[3]


def map_lookup(fd: int, key: bytes, size: int) -> bytes | None:
    """The value of ``size`` bytes at ``key``, or None when the key is not there."""
    key_buffer, value = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(size)
    try:
        with undisturbed():
            bpf(MAP_LOOKUP_ELEM, struct.pack("=I4xQQQ", fd, address(key_buffer), address(value), 0))
    except FileNotFoundError:
        return None
    return value.raw


def map_lookups(fd: int, places: Sequence[int], size: int) -> Iterator[bytes]:
    """The values of ``size`` bytes at these places of an array."""
    key, value = ctypes.c_uint(), ctypes.create_string_buffer(size)
    attributes = struct.pack("=I4xQQQ", fd, ctypes.addressof(key), address(value), 0)
    for at in range(0, len(places), _AT_ONCE):
        found = []
        with undisturbed():
            for key.value in places[at : at + _AT_ONCE]:
                bpf(MAP_LOOKUP_ELEM, attributes)
                found.append(value.raw)
        yield from found


def map_update(fd: int, key: bytes, value: bytes) -> None:
    """Store ``value`` at ``key``."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    value_buffer = ctypes.create_string_buffer(value, len(value))
    with undisturbed():
        bpf(MAP_UPDATE_ELEM, struct.pack("=I4xQQQ", fd, address(key_buffer), address(value_buffer), 0))


def map_delete(fd: int, key: bytes) -> None:
    """Remove ``key``; nothing happens when it is not there."""
    key_buffer = ctypes.create_string_buffer(key, len(key))
    try:
        with undisturbed():
            bpf(MAP_DELETE_ELEM, struct.pack("=I4xQQQ", fd, address(key_buffer), 0, 0))
    except FileNotFoundError:
        return


def map_keys(fd: int, size: int, limit: int) -> list[bytes]:
    """At most ``limit`` keys of ``size`` bytes. Keys that come or go meanwhile may be missed or seen."""
    keys: list[bytes] = []
    current = ctypes.create_string_buffer(size)
    following = ctypes.create_string_buffer(size)
    pointer = 0
    while len(keys) < limit:
        try:
            bpf(MAP_GET_NEXT_KEY, struct.pack("=I4xQQ", fd, pointer, address(following)))
        except FileNotFoundError:
            break
        keys.append(following.raw)
        current.raw = following.raw
        pointer = address(current)
    return keys


def load_program(
    code: bytes, kind: int, name: str, attach_type: int = 0, btf_id: int = 0, btf_fd: int = 0, *, log: int = 0
) -> tuple[int, str]:
    """Load a program; returns (descriptor, "") or, with ``log`` bytes of verifier log, (-errno, log)."""
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"Dual MIT/GPL")
    text = ctypes.create_string_buffer(max(log, 1))
    attributes = struct.pack(
        "=IIQQIIQII16sIIIIQIIQIII4x",
        *(kind, len(code) // 8, address(instructions), address(licence)),
        *(1 if log else 0, log, address(text) if log else 0, 0, 0, name.encode()[:15], 0, attach_type),
        *(0, 0, 0, 0, 0, 0, 0, btf_id, btf_fd),
    )
    try:
        return bpf(PROG_LOAD, attributes), ""
    except OSError as failure:
        return -(failure.errno or errno.EINVAL), text.value.decode("utf-8", "replace")


def run_raw_tracepoint(program: int, *arguments: int) -> int:
    """Run a raw tracepoint program once, here and now, with these u64 arguments; returns what it returned."""
    context = ctypes.create_string_buffer(struct.pack(f"={len(arguments)}Q", *arguments))
    packed = struct.pack(
        "=IIIIQQIIIIQQIII4x",
        program,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        len(arguments) * 8,
        0,
        address(context),
        0,
        0,
        0,
        0,
    )
    attributes = ctypes.create_string_buffer(packed, len(packed))
    bpf_in_place(PROG_TEST_RUN, attributes)
    return int(struct.unpack_from("=I", attributes.raw, 4)[0])


def enable_stats() -> int:
    """A descriptor; while it is open the kernel times the runs of all BPF programs (Linux 5.8)."""
    return bpf(ENABLE_STATS, struct.pack("=I", _STATS_RUN_TIME))


def program_run(program: int) -> tuple[int, int]:
    """(nanoseconds spent, runs) of a program, counted since it was loaded while statistics were enabled."""
    info = ctypes.create_string_buffer(_INFO_RUN.size)
    bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program, _INFO_RUN.size, address(info)))
    time_ns, runs = _INFO_RUN.unpack(info.raw)
    return int(time_ns), int(runs)


def program_misses(program: int) -> int:
    """How often the kernel did not run a program, because it was in the middle of it (or of another) on that CPU."""
    info = ctypes.create_string_buffer(_INFO_MISSES.size)
    bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program, _INFO_MISSES.size, address(info)))
    return int(_INFO_MISSES.unpack(info.raw)[0])


def attach_tracing(program: int) -> int:
    """Attach a loaded fentry or fexit (or raw tracepoint without name) program; returns the link."""
    return bpf(RAW_TRACEPOINT_OPEN, struct.pack("=QI4x", 0, program))


def attach_raw_tracepoint(program: int, name: str) -> int:
    """Attach a raw tracepoint program; returns the link."""
    text = ctypes.create_string_buffer(name.encode())
    return bpf(RAW_TRACEPOINT_OPEN, struct.pack("=QI4x", address(text), program))


def attach_kprobe(program: int, symbol: str, returns: bool) -> list[int]:
    """Attach to the entry or return of ``symbol`` by the kprobe PMU: gone with its descriptors, also by SIGKILL.

    Returns the descriptors that keep it: the perf event and, from Linux 5.15, a link.
    """
    with open("/sys/bus/event_source/devices/kprobe/type") as file:
        kind = int(file.read())
    name = ctypes.create_string_buffer(symbol.encode())
    # Bit 0 of config is "retprobe", config1 points to the name.
    return _attach_event(program, kind, int(returns), address(name))


def attach_tracepoint(program: int, number: int) -> list[int]:
    """Attach to the event with this ``id`` in tracefs; returns the descriptors that keep it."""
    return _attach_event(program, _PERF_TYPE_TRACEPOINT, number, 0)


def _attach_event(program: int, kind: int, config: int, config1: int) -> list[int]:
    attributes = struct.pack("=IIQQQQQIIQQ40x", kind, 112, config, 0, 0, 0, 0, 0, 0, config1, 0)
    buffer = ctypes.create_string_buffer(attributes, 112)
    event = _checked(_libc.syscall(syscall_numbers()[1], buffer, -1, 0, -1, _PERF_FLAG_FD_CLOEXEC))
    try:
        return [event, *_bind(event, program)]
    except OSError:
        os.close(event)
        raise


def _bind(event: int, program: int) -> list[int]:
    links = []
    try:
        links.append(bpf(LINK_CREATE, struct.pack("=IIII", program, event, PERF_EVENT, 0)))
    except OSError as failure:
        if failure.errno != errno.EINVAL:
            raise
        _checked(_libc.ioctl(event, _IOC_SET_BPF, program))
    _checked(_libc.ioctl(event, _IOC_ENABLE, 0))
    return links


def map_batches(fd: int, key_size: int, value_size: int, batch: int) -> Iterator[tuple[bytes, bytes]]:
    """All (key, value) of a hash map, read ``batch`` at a time. What comes or goes meanwhile may be missed."""
    keys = ctypes.create_string_buffer(batch * key_size)
    values = ctypes.create_string_buffer(batch * value_size)
    place = ctypes.create_string_buffer(8)
    begin, more = 0, True
    while more:
        packed = (begin, address(place), address(keys), address(values), batch, fd, 0, 0)
        attributes = ctypes.create_string_buffer(struct.pack("=QQQQIIQQ", *packed), 56)
        try:
            with undisturbed():
                bpf_in_place(MAP_LOOKUP_BATCH, attributes)
        except FileNotFoundError:
            more = False
        raw_keys, raw_values = keys.raw, values.raw
        for i in range(struct.unpack_from("=I", attributes.raw, 32)[0]):
            yield (
                raw_keys[i * key_size : (i + 1) * key_size],
                raw_values[i * value_size : (i + 1) * value_size],
            )
        begin = address(place)


def btf_object(name: str) -> int:
    """A descriptor of the BTF object of a module (or "vmlinux"); FileNotFoundError when there is none."""
    current = 0
    while True:
        attributes = ctypes.create_string_buffer(struct.pack("=III4x", current, 0, 0), 16)
        bpf_in_place(BTF_GET_NEXT_ID, attributes)
        current = struct.unpack_from("=I", attributes.raw, 4)[0]
        fd = bpf(BTF_GET_FD_BY_ID, struct.pack("=III4x", current, 0, 0))
        if _btf_name(fd) == name:
            return fd
        os.close(fd)


def _btf_name(fd: int) -> str:
    name = ctypes.create_string_buffer(64)
    info = ctypes.create_string_buffer(struct.pack("=QIIQII", 0, 0, 0, address(name), 64, 1), 32)
    bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, 32, ctypes.addressof(info)))
    return name.value.decode()
