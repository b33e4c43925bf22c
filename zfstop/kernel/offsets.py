"""Offsets of kernel structure members from BTF, read with libbpf (which libbcc depends on), by ctypes.

Used by the loader only, under the distribution's Python. Parsing 5 MB of BTF in Python would take a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import struct
from collections.abc import Iterator

_POINTER, _STRUCT, _UNION, _FORWARD, _FUNC, _FUNC_PROTO = 2, 4, 5, 7, 12, 13
_KINDS_WITH_MEMBERS = (_STRUCT, _UNION)
_MODIFIERS = frozenset({8, 9, 10, 11, 18})  # typedef, volatile, const, restrict, type tag

_PLACE = "/sys/kernel/btf"
#: magic, version, flags, length of this, and offset and length of types and of names (struct btf_header).
_HEADER = struct.Struct("=HBBIIIII")
#: name, info, size or type (struct btf_type).
_TYPE = struct.Struct("=III")
#: What follows it, by kind (BTF_KIND_*): so many bytes, and so many for each member.
_SIZES = (
    (0, 0), (4, 0), (0, 0), (12, 0), (0, 12), (0, 12), (0, 8), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 8),
    (4, 0), (0, 12), (0, 0), (4, 0), (0, 0), (0, 12),
)  # fmt: skip

#: Macro of program.c -> struct and member path.
KERNEL_OFFSETS = {
    "KIOCB_FILE": ("kiocb", "ki_filp"),
    "KIOCB_POS": ("kiocb", "ki_pos"),
    "ITER_COUNT": ("iov_iter", "count"),
    "FILE_INODE": ("file", "f_inode"),
    "FILE_DENTRY": ("file", "f_path.dentry"),
    "DENTRY_PARENT": ("dentry", "d_parent"),
    "DENTRY_NAME": ("dentry", "d_name"),
    "DENTRY_HASHED": ("dentry", "d_hash.pprev"),
    "DENTRY_ALIAS": ("dentry", "d_u.d_alias"),
    "DENTRY_INODE": ("dentry", "d_inode"),
    "DENTRY_SUPER": ("dentry", "d_sb"),
    "PATH_DENTRY": ("path", "dentry"),
    "ATTRIBUTES_VALID": ("iattr", "ia_valid"),
    "ATTRIBUTES_SIZE": ("iattr", "ia_size"),
    "SUPER_ROOT": ("super_block", "s_root"),
    "QSTR_HASH_LEN": ("qstr", "hash_len"),
    "QSTR_NAME": ("qstr", "name"),
    "INODE_NUMBER": ("inode", "i_ino"),
    "INODE_SUPER": ("inode", "i_sb"),
    "INODE_ALIASES": ("inode", "i_dentry.first"),
    "SUPER_MAGIC": ("super_block", "s_magic"),
    "SUPER_DEV": ("super_block", "s_dev"),
}
#: What only some kernels have; without it some operations cannot be decoded, and only those.
OPTIONAL_OFFSETS = {
    "FOLIO_MAPPING": ("folio", "mapping"),
    "FOLIO_INDEX": ("folio", "index"),
    "MAPPING_HOST": ("address_space", "host"),
    "READAHEAD_FILE": ("readahead_control", "file"),
    "READAHEAD_MAPPING": ("readahead_control", "mapping"),
    "READAHEAD_INDEX": ("readahead_control", "_index"),
    "READAHEAD_PAGES": ("readahead_control", "_nr_pages"),
    "FAULT_AREA": ("vm_fault", "vma"),
    "FAULT_OFFSET": ("vm_fault", "pgoff"),
    "AREA_FILE": ("vm_area_struct", "vm_file"),
    "BIO_DEVICE": ("bio", "bi_bdev"),
    "BIO_SECTOR": ("bio", "bi_iter.bi_sector"),
    "BIO_SIZE": ("bio", "bi_iter.bi_size"),
    "DEVICE_NUMBER": ("block_device", "bd_dev"),
}
#: What the scheduler keeps of a thread; all of it, or no waits are told.
SCHEDULER_OFFSETS = {
    "TASK_POLICY": ("task_struct", "policy"),
    "TASK_QUEUED": ("task_struct", "sched_info.run_delay"),
    "TASK_ARRIVED": ("task_struct", "sched_info.last_arrival"),
    "TASK_RAN_BEFORE": ("task_struct", "se.prev_sum_exec_runtime"),
    "TASK_ACCOUNTED": ("task_struct", "se.exec_start"),
    "TASK_RAN": ("task_struct", "se.sum_exec_runtime"),
}
#: Of other threads than the one that runs.
TASK_OFFSETS = {
    "TASK_STATE": ("task_struct", "__state"),
    "TASK_TID": ("task_struct", "pid"),
}
#: Only where it exists threads that sleep may still be in a run queue, and be moved.
DELAYED_OFFSETS = {
    "TASK_DELAYED": ("task_struct", "se.sched_delayed"),
}
#: Members that other kernels call otherwise.
RENAMED = {
    ("folio", "mapping"): ("page", "mapping"),
    ("folio", "index"): ("page", "index"),
    ("dentry", "d_u.d_alias"): ("dentry", "d_alias"),
    ("file", "f_path.dentry"): ("file", "__f_path.dentry"),
}
MODULE_OFFSETS = {
    "ZNODE_INODE": ("znode", "z_inode"),
    "UIO_OFFSET": ("zfs_uio", "uio_loffset"),
    "UIO_RESID": ("zfs_uio", "uio_resid"),
}


class Missing(Exception):
    """BTF, or a type or member in it, is not there."""


class Btf:
    """The kernel's BTF, or a module's on top of it."""

    def __init__(self) -> None:
        self._lib = _libbpf()
        self._btf = self._checked(self._lib.btf__load_vmlinux_btf(), "the kernel's BTF")
        #: What was looked for before: libbpf compares one type after the other.
        self._ids: dict[tuple[str, int], int] = {}
        self._functions: dict[bytes, int] = {}

    def of_module(self, module: str) -> Btf:
        """The same with a module's types; the kernel's, which take a while to read, are shared."""
        split = self._lib.btf__load_module_btf(module.encode(), self._btf)
        both = Btf.__new__(Btf)
        both._lib, both._btf = self._lib, self._checked(split, f"BTF of module {module}")
        both._ids, both._functions = {}, self._functions_of(module)
        return both

    def _functions_of(self, module: str) -> dict[bytes, int]:
        """Name -> type id of a module's functions; empty where they have to be looked for one by one."""
        if not hasattr(self._lib, "btf__type_cnt"):
            return {}
        try:
            with open(f"{_PLACE}/vmlinux", "rb") as kernel, open(f"{_PLACE}/{module}", "rb") as own:
                strings = _HEADER.unpack(kernel.read(_HEADER.size))[-1]
                return functions_in(own.read(), self._lib.btf__type_cnt(self._btf), strings)
        except (OSError, struct.error, IndexError, ValueError):
            return {}

    def _checked(self, pointer: int | None, what: str) -> int:
        # libbpf 0.x returns an errno as pointer, 1.x returns NULL.
        if not pointer or pointer > 2**64 - 4096:
            raise Missing(f"{what} cannot be read")
        return pointer

    def function(self, name: str) -> int:
        """The type id of a function, for attach_btf_id."""
        known = self._functions.get(name.encode())
        return known if known and self._is_function(known, name) else self._find(name, _FUNC)

    def _is_function(self, type_id: int, name: str) -> bool:
        address, info, _ = self._type(type_id)
        at = struct.unpack("=I", ctypes.string_at(address, 4))[0]
        own: bytes = self._lib.btf__name_by_offset(self._btf, at)
        return info >> 24 & 0x1F == _FUNC and own == name.encode()

    def arguments(self, function: str) -> list[str]:
        """For each argument of a function the name of the struct it points to, "" for anything else."""
        _, _, prototype = self._type(self.function(function))
        return self._pointees(prototype)

    def hook_arguments(self, hook: str) -> list[str]:
        """The same for the functions that fill a member of a kernel's table: ``inode_operations.create``."""
        table, member = hook.split(".")
        found = self._member(self._find(table, _STRUCT), member)
        if found is None:
            raise Missing(f"struct {table} has no member {member}")
        _, info, prototype = self._plain(found[0])
        if info >> 24 & 0x1F != _POINTER:
            raise Missing(f"{hook} is not a function")
        return self._pointees(prototype)

    def _pointees(self, prototype: int) -> list[str]:
        address, info, _ = self._plain(prototype)
        if info >> 24 & 0x1F != _FUNC_PROTO:
            raise Missing("the types of a function are not known")
        count = info & 0xFFFF
        types = struct.iter_unpack("=II", ctypes.string_at(address + 12, count * 8))
        return [self._pointee(type_id) for _, type_id in types]

    def _pointee(self, type_id: int) -> str:
        if not type_id:
            return ""
        _, info, target = self._plain(type_id)
        if info >> 24 & 0x1F != _POINTER or not target:
            return ""
        address, info, _ = self._plain(target)
        if info >> 24 & 0x1F not in (_STRUCT, _FORWARD):
            return ""
        name = struct.unpack("=I", ctypes.string_at(address, 4))[0]
        return str(self._lib.btf__name_by_offset(self._btf, name).decode())

    def _plain(self, type_id: int) -> tuple[int, int, int]:
        """A type behind its typedefs and qualifiers."""
        found = self._type(type_id)
        while found[1] >> 24 & 0x1F in _MODIFIERS and found[2]:
            found = self._type(found[2])
        return found

    def offset(self, type_name: str, path: str) -> int:
        """Byte offset of ``path`` ("f_path.dentry") in a struct, looking through anonymous members."""
        type_id, offset = self._find(type_name, _STRUCT), 0
        for name in path.split("."):
            found = self._member(type_id, name)
            if found is None:
                raise Missing(f"struct {type_name} has no member {path}")
            type_id, offset = found[0], offset + found[1]
        return offset

    def _find(self, name: str, kind: int) -> int:
        if (name, kind) not in self._ids:
            self._ids[name, kind] = int(self._lib.btf__find_by_name_kind(self._btf, name.encode(), kind))
        type_id = self._ids[name, kind]
        if type_id <= 0:
            raise Missing(f"BTF does not know {name}")
        return type_id

    def _member(self, type_id: int, wanted: str) -> tuple[int, int] | None:
        for name, member_type, offset in self._members(type_id):
            if name == wanted:
                return member_type, offset
            inner = None if name else self._member(member_type, wanted)
            if inner is not None:
                return inner[0], offset + inner[1]
        return None

    def _members(self, type_id: int) -> Iterator[tuple[str, int, int]]:
        """(name, type id, byte offset) of each member of a struct or union."""
        address, info, _ = self._plain(type_id)
        if info >> 24 & 0x1F not in _KINDS_WITH_MEMBERS:
            return
        count, bitfields = info & 0xFFFF, info >> 31
        for name, member_type, bits in struct.iter_unpack("=III", ctypes.string_at(address + 12, count * 12)):
            text = self._lib.btf__name_by_offset(self._btf, name).decode()
            yield text, member_type, (bits & 0xFFFFFF if bitfields else bits) // 8

    def _type(self, type_id: int) -> tuple[int, int, int]:
        address = self._checked(self._lib.btf__type_by_id(self._btf, type_id), f"BTF type {type_id}")
        _, info, following = struct.unpack("=III", ctypes.string_at(address, 12))
        return address, info, following


def _libbpf() -> ctypes.CDLL:
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            lib = ctypes.CDLL(name)
        except OSError:
            continue
        if hasattr(lib, "btf__load_module_btf"):
            return _typed(lib)
    raise Missing("libbpf with a BTF reader is not installed")


def _typed(lib: ctypes.CDLL) -> ctypes.CDLL:
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "libbpf_set_print": (pointer, [pointer]),
        "btf__load_vmlinux_btf": (pointer, []),
        "btf__load_module_btf": (pointer, [text, pointer]),
        "btf__find_by_name_kind": (ctypes.c_int, [pointer, text, number]),
        "btf__type_by_id": (pointer, [pointer, number]),
        "btf__name_by_offset": (text, [pointer, number]),
    }
    if hasattr(lib, "btf__type_cnt"):
        signatures["btf__type_cnt"] = number, [pointer]
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    lib.libbpf_set_print(None)
    return lib


def functions_in(data: bytes, first: int, strings: int) -> dict[bytes, int]:
    """Name -> type id of the functions in the BTF of a module.

    The kernel's own types have the ids below ``first``, and its ``strings`` bytes of names come before the module's.
    Raises struct.error, IndexError or ValueError for what is no whole BTF.
    """
    _, _, _, head, type_at, type_bytes, name_at, name_bytes = _HEADER.unpack_from(data)
    names = data[head + name_at : head + name_at + name_bytes]
    found: dict[bytes, int] = {}
    at, end, type_id = head + type_at, head + type_at + type_bytes, first
    while at < end:
        name, info, _ = _TYPE.unpack_from(data, at)
        kind = info >> 24 & 0x1F
        if kind == _FUNC and name >= strings:
            found.setdefault(names[name - strings : names.index(b"\0", name - strings)], type_id)
        fixed, member = _SIZES[kind]
        at += _TYPE.size + fixed + member * (info & 0xFFFF)
        type_id += 1
    return found


def resolve_known(btf: Btf, wanted: dict[str, tuple[str, str]]) -> dict[str, int]:
    """The same for as many as there are."""
    found = {}
    for macro, place in wanted.items():
        with contextlib.suppress(Missing):
            found[macro] = _offset(btf, *place)
    return found


def resolve(btf: Btf, wanted: dict[str, tuple[str, str]]) -> dict[str, int]:
    """Macro -> offset for all of ``wanted``; Missing names the first member that is not there."""
    return {macro: _offset(btf, *place) for macro, place in wanted.items()}


def _offset(btf: Btf, type_name: str, path: str) -> int:
    try:
        return btf.offset(type_name, path)
    except Missing:
        other = RENAMED.get((type_name, path))
        if other is None:
            raise
        return btf.offset(*other)
