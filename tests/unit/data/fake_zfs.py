"""The BPF program of zfstop running on this very kernel, on files that are made up in kernel memory.

:func:`open_source` gives a LiveSource whose programs are loaded (see raw_loader.py) but not attached; :class:`Kernel`
builds the structs the program reads and runs entry and return as the traced functions would.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from zfstop.callers import Callers
from zfstop.kernel import bpf, host, loading, source
from zfstop.kernel.maps import _SETTINGS
from zfstop.kernel.names import Names
from zfstop.kernel.resolver import Facts, wanted_symbols
from zfstop.kernel.source import LiveSource
from zfstop.kernel.waits import wanted_waits
from zfstop.model.events import Event
from zfstop.model.history import InFlight
from zfstop.model.state import Counts
from zfstop.mounts import Mounts
from zfstop.zfs.causes import CALLERS

HERE = Path(__file__).parent
REAL_LOADER = loading.LOADER
BPF_PROG_TEST_RUN = 10
ZFS_MAGIC = 0x2FC12FC1
HEAP_BYTES = 65536
#: As in raw_loader.py.
ARGUMENTS = 6
#: 0:57, for which no mount table of the test host has a name.
DEV = 57
#: Members of 32 bits, and what stands behind them.
HALVES = frozenset({"ATTRIBUTES_VALID", "READAHEAD_PAGES", "BIO_SIZE", "DEVICE_NUMBER"})
NOISE = 0xDEADBEEF


def why_not() -> str:
    """Why the program cannot run here, or empty."""
    if os.geteuid() != 0:
        return "loading BPF programs needs root"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "this kernel has no BTF"
    try:
        host.bcc_pythons()
    except Exception as error:
        return str(error)
    return ""


def _scheduler() -> bytes:
    """The lines of this kernel that tell where its scheduler lies."""
    return b"".join(line for line in host.kallsyms().splitlines(keepends=True) if b" __sched_text_" in line)


def open_source(
    monkeypatch: pytest.MonkeyPatch,
    *,
    symbols: Iterable[str] | bytes = (),
    every: bool = False,
    sizes: dict[str, int] | None = None,
    stages: list[str] | None = None,
    cache: str = "",
    **options: int,
) -> tuple[LiveSource, Kernel]:
    """An open LiveSource and the kernel under it.

    ``symbols`` default to all known ones; ``every`` takes all tiers; ``cache`` is where compiled programs are kept.
    """
    names = symbols if isinstance(symbols, bytes) else "".join(
        f"{0xFFFFFFFFC0000000 + 4096 * place:x} t {name}\t[zfs]\n"
        for place, name in enumerate((*(tuple(symbols) or wanted_symbols()), *wanted_waits(), *CALLERS))
    ).encode() + _scheduler()  # fmt: skip
    answers: list[dict[str, Any]] = []

    class Remembered(loading.Loading):
        def answer(self, *arguments: Any) -> tuple[dict[str, Any], list[int]]:
            answer = super().answer(*arguments)
            answers.append(answer[0])
            return answer

    with monkeypatch.context() as patch:
        patch.setenv("ZFSTOP_CACHE", cache)
        patch.setenv("ZFSTOP_TEST_LOADER", REAL_LOADER)
        patch.setenv("ZFSTOP_TEST_ALL", "1" if every else "")
        patch.setattr(loading, "LOADER", str(HERE / "raw_loader.py"))
        patch.setattr(source, "Loading", Remembered)
        patch.setattr(source, "_SIZES", source._SIZES | (sizes or {}))
        patch.setattr(host, "require_kernel", lambda: None)
        patch.setattr(host, "kallsyms", lambda: names)
        patch.setattr(host, "facts", lambda: (Facts(module_btf=True), ()))
        opened = LiveSource(**options)
        opened.open((stages if stages is not None else []).append)
    return opened, Kernel(opened, answers[-1])


def run(program: int, *arguments: int) -> None:
    """One run of a raw tracepoint program with these arguments, in this thread."""
    words = (*arguments, *[0] * (12 - len(arguments)))
    context = ctypes.create_string_buffer(struct.pack("=12Q", *(word & (2**64 - 1) for word in words)), 96)
    given = (program, 0, 0, 0, 0, 0, 0, 0, 96, 0, bpf.address(context), 0, 0, 0, 0)
    attributes = struct.pack("=IIIIQQIIIIQQIII4x", *given)
    bpf.bpf(BPF_PROG_TEST_RUN, attributes)


class Kernel:
    """Structs in kernel memory, with this kernel's own offsets, and calls of traced functions."""

    def __init__(self, opened: LiveSource, done: dict[str, Any]) -> None:
        self.source = opened
        self.at: dict[str, int] = done["macros"]
        self.maps = dict(opened.loaded.maps)
        self.programs: dict[str, tuple[int, int]] = {}
        self.slots: dict[str, int] = {}
        for slot, pair in opened.loaded.pairs.items():
            # By symbol alone, and with operation or decoder where a symbol stands for several.
            for name in (
                pair.attached.symbol,
                f"{pair.attached.op} {pair.attached.symbol}",
                f"{pair.attached.symbol} {pair.attached.decoder}",
            ):
                self.programs.setdefault(name, (pair.entry, pair.leave))
                self.slots.setdefault(name, slot)
        self._tell_bucket, self._tell_where = self.programs["tell"]
        run(self._tell_where)
        zero = bytes(4)
        self.base = int.from_bytes(bpf.map_lookup(self.maps["where"], zero, 8) or b"", "little")
        self.clear()
        self.settings()

    def clear(self) -> None:
        """An empty memory, of which the program has learned nothing."""
        bpf.map_update(self.maps["found"], bytes(4), bytes(8))
        self.source.take_paths()
        self.source.paths.volumes()
        self.source.paths.tidy()
        self._volumes: dict[int, str] = {}
        self._memory = bytearray(HEAP_BYTES)
        self._used = 64

    def settings(
        self,
        threshold: int = 0,
        ops: int = 2**64 - 1,
        by_pid: int = 0,
        by_dev: int = 0,
        own: int = 0,
        blind: int = 0,
    ) -> None:
        """As maps.Settings, but this process is not left out."""
        bpf.map_update(
            self.maps["settings"], bytes(4), _SETTINGS.pack(threshold, ops, by_pid, by_dev, own, blind)
        )

    def bucket(self, ns: int) -> int:
        """bucket_of of the C program."""
        run(self._tell_bucket, ns, 0)
        return int.from_bytes(bpf.map_lookup(self.maps["buckets"], bytes(4), 4) or b"", "little")

    # Building.

    def new(self, size: int, **words: int) -> int:
        """A struct of ``size`` bytes; ``words`` are 64-bit members by the macro of their offset."""
        address = self.base + self._used
        self._used += (size + 15) // 16 * 16
        assert self._used <= HEAP_BYTES, "the test's kernel memory is too small"
        for macro, value in words.items():
            # What stands behind a 32-bit member must not be taken for its upper half.
            value |= NOISE << 32 if macro in HALVES else 0
            self.poke(address + self.at[macro], struct.pack("=Q", value & (2**64 - 1)))
        return address

    def made(self, **words: int) -> int:
        """The same, as large as these members need it."""
        return self.new(max(self.at[macro] for macro in words) + 8, **words)

    def noise(self) -> int:
        """A struct that leads nowhere."""
        address = self.new(512)
        self.poke(address, struct.pack("=Q", NOISE) * 64)
        return address

    def poke(self, address: int, data: bytes) -> None:
        """Write into the memory; the kernel sees it with the next call."""
        self._memory[address - self.base : address - self.base + len(data)] = data

    def replace(self, old: bytes, new: bytes) -> None:
        """Change it everywhere in the memory."""
        self._memory = self._memory.replace(old, new)

    def super_block(self, dev: int = DEV, magic: int = ZFS_MAGIC) -> int:
        block = self.new(2048, SUPER_MAGIC=magic)
        self.poke(block + self.at["SUPER_DEV"], struct.pack("=I", dev))
        return block

    def mount(self, dev: int = DEV) -> int:
        """The super block of a mounted dataset: it has a root."""
        block = self.super_block(dev)
        self.poke(block + self.at["SUPER_ROOT"], struct.pack("=Q", self.dentries(block=block)))
        return block

    def named(self, *names: bytes, ino: int = 4711, block: int | None = None) -> int:
        """The dentry of a file or directory; ``ino`` 0: it is negative, as that of what is to be created."""
        block = self.super_block() if block is None else block
        entry = self.dentries(*names, block=block)
        inode = self.inode(block, ino, entry) if ino else 0
        self.poke(entry + self.at["DENTRY_INODE"], struct.pack("=Q", inode))
        return entry

    def dentries(self, *names: bytes, hashed: bool = True, block: int = 0) -> int:
        """The leaf of a chain of dentries below a root."""
        entry = self.dentry(0, b"/", block=block)
        self.poke(entry + self.at["DENTRY_PARENT"], struct.pack("=Q", entry))
        for number, name in enumerate(names):
            entry = self.dentry(entry, name, hashed=hashed or number < len(names) - 1, block=block)
        return entry

    def dentry(self, parent: int, name: bytes, *, hashed: bool = True, block: int = 0) -> int:
        text = self.new(len(name) + 1)
        self.poke(text, name + b"\0")
        hashes = 0xFFFF if hashed else 0
        entry = self.new(320, DENTRY_PARENT=parent, DENTRY_HASHED=hashes, DENTRY_SUPER=block)
        qstr = entry + self.at["DENTRY_NAME"]
        number = int.from_bytes(name[:4].ljust(4, b"\0"), "little") ^ len(name)
        self.poke(qstr + self.at["QSTR_HASH_LEN"], struct.pack("=Q", len(name) << 32 | number & 0xFFFFFFFF))
        self.poke(qstr + self.at["QSTR_NAME"], struct.pack("=Q", text))
        return entry

    def inode(self, block: int, ino: int = 4711, dentry: int = 0, at: int | None = None) -> int:
        """``dentry``, if given, becomes an alias; ``at`` places the inode inside something larger."""
        words = {"INODE_NUMBER": ino, "INODE_SUPER": block}
        words["INODE_ALIASES"] = dentry + self.at["DENTRY_ALIAS"] if dentry else 0
        place = self.new(1024) if at is None else at
        for macro, value in words.items():
            self.poke(place + self.at[macro], struct.pack("=Q", value))
        return place

    def file(self, *names: bytes, ino: int = 4711, block: int | None = None, hashed: bool = True) -> int:
        """A struct file on a path of these names."""
        block = self.super_block() if block is None else block
        dentry = self.dentries(*names, hashed=hashed, block=block)
        return self.new(512, FILE_INODE=self.inode(block, ino), FILE_DENTRY=dentry)

    def kiocb(self, file: int, position: int) -> int:
        return self.new(64, KIOCB_FILE=file, KIOCB_POS=position)

    def iter(self, count: int) -> int:
        return self.new(64, ITER_COUNT=count)

    def znode(self, *names: bytes, ino: int = 4711) -> int:
        """A znode whose inode has a dentry (or none, without names)."""
        znode = self.new(self.at["ZNODE_INODE"] + 1024)
        dentry = self.dentries(*names) if names else 0
        self.poke(znode, struct.pack("=Q", ino))  # z_id, by which an unknown layout is found out
        self.inode(self.super_block(), ino, dentry, znode + self.at["ZNODE_INODE"])
        return znode

    def uio(self, offset: int, resid: int) -> int:
        return self.new(128, UIO_OFFSET=offset, UIO_RESID=resid)

    def path(self, dentry: int) -> int:
        return self.made(PATH_DENTRY=dentry)

    def attributes(self, valid: int, size: int = 0) -> int:
        """A struct iattr."""
        return self.made(ATTRIBUTES_VALID=valid, ATTRIBUTES_SIZE=size)

    def mapping(self, *names: bytes, ino: int = 4711) -> int:
        """The page cache of a file."""
        inode = self.inode(self.super_block(), ino, self.dentries(*names))
        return self.made(MAPPING_HOST=inode)

    def folio(self, mapping: int, page: int) -> int:
        return self.made(FOLIO_MAPPING=mapping, FOLIO_INDEX=page)

    def readahead(self, file: int, mapping: int, page: int, pages: int) -> int:
        """A struct readahead_control."""
        words = {"READAHEAD_FILE": file, "READAHEAD_MAPPING": mapping}
        return self.made(**words, READAHEAD_INDEX=page, READAHEAD_PAGES=pages)

    def fault(self, file: int, page: int) -> int:
        """A struct vm_fault in an area that maps ``file``."""
        return self.made(FAULT_AREA=self.made(AREA_FILE=file), FAULT_OFFSET=page)

    def request(self, volume: bytes, dev: int, offset: int = 0, size: int = 0) -> int:
        """A zv_request: the volume, whose name comes first, and the bio."""
        state = self.new(256 + 8)
        self.poke(state, volume + b"\0")
        device = self.made(DEVICE_NUMBER=dev)
        bio = self.made(BIO_DEVICE=device, BIO_SECTOR=offset >> 9, BIO_SIZE=size)
        request = self.new(16)
        self.poke(request, struct.pack("=QQ", state, bio))
        return request

    # Calling.

    def enter(self, symbol: str, *arguments: int) -> None:
        """The traced function begins."""
        bpf.map_update(self.maps["heap"], bytes(4), bytes(self._memory))
        run(self.programs[symbol][0], *arguments)

    def leave(self, symbol: str, *arguments: int, result: int) -> None:
        """It returns."""
        bpf.map_update(self.maps["heap"], bytes(4), bytes(self._memory))
        words = (*arguments, *[0] * (ARGUMENTS - len(arguments)))
        run(self.programs[symbol][1], *words, result)

    def call(
        self,
        symbol: str,
        arguments: Sequence[int],
        result: int,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """A whole call. fexit sees the return value after the arguments."""
        self.enter(symbol, *arguments)
        meanwhile()
        self.leave(symbol, *arguments, result=result)

    @contextlib.contextmanager
    def region(self, cause: str) -> Iterator[None]:
        """The thread is in a function in which every sleep has this cause."""
        run(self.programs[cause][0])
        yield
        run(self.programs[cause][1])

    def run_all(self, symbols: Sequence[str], arguments: Sequence[int], result: int) -> None:
        """A call of a function to which several pairs of programs are attached."""
        for symbol in symbols:
            self.enter(symbol, *arguments)
        for symbol in symbols:
            self.leave(symbol, *arguments, result=result)

    def read(self, file: int, offset: int = 0, size: int = 512, result: int | None = None) -> None:
        """zpl_iter_read of ``file``; the position moves as the kernel moves it."""
        arguments = self.kiocb(file, offset), self.iter(size)
        moved = size if result is None else result

        def move() -> None:
            self.poke(arguments[0] + self.at["KIOCB_POS"], struct.pack("=Q", offset + max(moved, 0)))

        self.call("zpl_iter_read", arguments, moved, move)

    # What came of it.

    def events(self) -> list[Event]:
        """Everything that waits in the rings."""
        mounts, callers = Mounts(), Callers()
        slots, paths = self.source.loaded.slots, self.source.paths
        names = Names(slots, paths, mounts, callers, self.source.function_at)
        found = []
        for chunk in self.source.drain():
            mounts.learn(self._named_volumes())
            found += names.events(chunk)
        mounts.close()
        callers.close()
        return found

    def _named_volumes(self) -> dict[int, str]:
        self._volumes |= self.source.paths.volumes()
        return self._volumes

    def in_flight(self) -> tuple[InFlight, ...]:
        """The calls that have not returned, the oldest first."""
        return self._look()[0]

    def missed_returns(self) -> int:
        """How many calls turned out now to be those of threads that are not in them any more."""
        return sum(self._look()[1].values())

    def _look(self) -> tuple[tuple[InFlight, ...], dict[int, int]]:
        with contextlib.closing(Mounts()) as mounts, contextlib.closing(Callers()) as callers:
            calls = self.source.in_flight(mounts, callers)
            self.source.take_paths()
            mounts.learn(self._named_volumes())
            return calls.older_than(time.monotonic_ns(), 0)

    def counts(self, symbol: str) -> Counts:
        """Counters of one probe since the beginning."""
        order = list(self.source.loaded.slots)
        return self.source.counts()[order.index(self.slots[symbol])]
