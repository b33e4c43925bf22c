"""How the arguments and the result of each kind of function are read: numbers that the loader puts into the program.

One pair of BPF programs is compiled, whatever is attached. Where functions differ the program asks a parameter, a
64-bit constant of its own; the loader writes the values of the function into a copy of the instructions, and the
verifier removes what can never run. So an operation is a row in zfs/operations.py and, if its arguments are of a
new kind, a row here. Standard library only: the loader runs under another Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

#: Upper half of the constant that stands for a parameter; its lower half is the place in PARAMETERS.
MARK = 0x7A667374

PARAMETERS = (
    "slot", "bit", "direct", "typed", "arguments", "source", "kind", "arg", "extent", "result", "second", "variant",
    "flags", "clocks", "cause",
)  # fmt: skip
#: How the scheduler's figures of a thread are read: not at all, directly, or by a call each.
CLOCKS = ("none", "direct", "call")
#: Why a thread sleeps, as far as the program is told, in the order of model/waits.py; numbered from 1.
CAUSES = ("disk", "throttle", "txg", "zil", "lock", "memory")
#: So much code can be told apart.
RANGES = 64
#: What the object is found in. "sought": a znode whose layout nobody tells.
SOURCES = (
    "kiocb", "file", "inode", "dentry", "path", "dentry_or_inode", "tmpfile", "page", "readahead", "mapping", "super",
    "fault", "znode", "sought", "zvol",
)  # fmt: skip
#: What the object is, in the two lowest bits of the stored pointer; "any": only known at run time.
KINDS = ("file", "inode", "dentry", "device", "any")
#: Where offset and size come from.
EXTENTS = (
    "none", "iter", "iovec", "buffer", "range", "extent", "seek", "copy", "third", "fourth", "length",
    "page", "readahead", "bio", "uio", "fault",
)  # fmt: skip
#: What the return value means; "pointer" also where some kernels return an int instead.
RESULTS = ("moved", "status", "errno", "pointer", "void", "position", "uio", "fault")
#: Whether another object, two arguments further, takes part.
SECONDS = ("no", "dentry", "file")
#: Which calls of the function are meant.
VARIANTS = ("all", "attributes", "length", "holes", "clone", "dedupe")
#: Instead of a position: the argument whose super block is of ZFS, tried one after the other.
SEEK_ARG = 7

NO_OFFSET, ALL_SIZE, IN_DIRECTORY = 1, 2, 16
_NEITHER = NO_OFFSET | ALL_SIZE
#: A pointer that BTF knows the type of may be loaded from directly in fentry and fexit.
_TYPED = frozenset({"kiocb", "file", "inode", "znode"})


class Decoder(NamedTuple):
    """One shape of arguments and result.

    ``arg`` is the position of the object, or the type it points to where the position depends on the kernel.
    ``needs`` are offsets without which nothing can be read.
    """

    source: str
    kind: str
    extent: str = "none"
    result: str = "status"
    arg: int | str = 0
    second: str = "no"
    variant: str = "all"
    flags: int = 0
    needs: tuple[str, ...] = ()


_PAGES = ("FOLIO_MAPPING", "FOLIO_INDEX", "MAPPING_HOST")
_READAHEAD = ("READAHEAD_FILE", "READAHEAD_MAPPING", "READAHEAD_INDEX", "READAHEAD_PAGES", "MAPPING_HOST")
_FAULT = ("FAULT_AREA", "FAULT_OFFSET", "AREA_FILE")
_BIO = ("BIO_DEVICE", "DEVICE_NUMBER", "BIO_SECTOR", "BIO_SIZE")
_UIO = ("ZNODE_INODE", "UIO_OFFSET", "UIO_RESID")

DECODERS: dict[str, Decoder] = {
    "kiocb_iter": Decoder("kiocb", "file", "iter", "moved"),
    "kiocb_iovec": Decoder("kiocb", "file", "iovec", "moved"),
    "file_buf": Decoder("file", "file", "buffer", "moved"),
    "inode_file": Decoder("file", "file", arg=1, flags=_NEITHER),
    "file_range": Decoder("file", "file", "range"),
    "file_status": Decoder("file", "file", flags=_NEITHER),
    "file_extent": Decoder("file", "file", "extent"),
    "file_seek": Decoder("file", "file", "seek", "position", variant="holes", flags=ALL_SIZE),
    "two_files": Decoder("file", "file", "copy", "moved", second="file"),
    "two_files_status": Decoder("file", "file", "copy", second="file"),
    "two_files_clone": Decoder("file", "file", "copy", "moved", second="file", variant="clone"),
    "two_files_dedupe": Decoder("file", "file", "copy", "moved", second="file", variant="dedupe"),
    "file_folio": Decoder("page", "any", "page", needs=_PAGES),
    "readahead": Decoder("readahead", "any", "readahead", "void", needs=_READAHEAD),
    "mapping": Decoder("mapping", "inode", flags=_NEITHER, needs=("MAPPING_HOST",)),
    "fault": Decoder("fault", "file", "fault", "fault", needs=_FAULT),
    "new_dentry": Decoder("dentry", "dentry", result="pointer", arg="dentry", flags=_NEITHER),
    "dentry_status": Decoder("dentry", "dentry", arg="dentry", flags=_NEITHER),
    "two_dentries": Decoder("dentry", "dentry", arg="dentry", second="dentry", flags=_NEITHER),
    "dentry_attr": Decoder("dentry", "dentry", arg="dentry", variant="attributes", flags=_NEITHER),
    "dentry_length": Decoder("dentry", "dentry", "length", arg="dentry", variant="length", flags=NO_OFFSET),
    "dentry_sized": Decoder("dentry", "dentry", "third", flags=NO_OFFSET),
    "dentry_or_inode": Decoder("dentry_or_inode", "any", result="pointer", flags=_NEITHER),
    "path_status": Decoder("path", "dentry", arg="path", flags=_NEITHER),
    "path_pointer": Decoder("path", "dentry", result="pointer", flags=_NEITHER),
    "tmpfile": Decoder("tmpfile", "dentry", arg="tmpfile", flags=_NEITHER),
    "inode_sized": Decoder("inode", "inode", "fourth", flags=NO_OFFSET),
    "inode_void": Decoder("inode", "inode", result="void", flags=_NEITHER),
    "inode_errno": Decoder("inode", "inode", result="errno", flags=_NEITHER),
    "super_status": Decoder("super", "dentry", flags=_NEITHER),
    "znode_uio": Decoder("znode", "inode", "uio", "uio", needs=_UIO),
    "znode_only": Decoder("znode", "inode", result="errno", flags=_NEITHER),
    "znode_name": Decoder("znode", "inode", result="errno", flags=_NEITHER | IN_DIRECTORY),
    "zvol": Decoder("zvol", "device", "bio", "void", needs=_BIO),
}


def missing(decoder: Decoder, offsets: dict[str, int]) -> str:
    """The first offset that is needed and not known, empty when all are."""
    return next((name for name in decoder.needs if name not in offsets), "")


def parameters(
    decoder: Decoder,
    *,
    slot: int,
    bit: int,
    direct: bool,
    arguments: int,
    arg: int,
    sought: bool,
) -> dict[str, int]:
    """Parameter -> value. ``arg`` is where the object is; ``sought`` that the layout of a znode is not known.

    "clocks" is left at "none": which way works is found out while loading.
    """
    source = "sought" if sought and decoder.source == "znode" else decoder.source
    return {
        "slot": slot,
        "bit": bit,
        "direct": int(direct),
        "typed": int(direct and source in _TYPED),
        "arguments": arguments,
        "source": SOURCES.index(source),
        "kind": KINDS.index(decoder.kind),
        "arg": arg,
        "extent": EXTENTS.index(decoder.extent),
        "result": RESULTS.index(decoder.result),
        "second": SECONDS.index(decoder.second),
        "variant": VARIANTS.index(decoder.variant),
        "flags": decoder.flags,
        "clocks": 0,
        "cause": 0,
    }


def wait_parameters(cause: str) -> dict[str, int]:
    """The same for the programs around a sleep; ``cause`` is empty where the caller's code tells."""
    values = dict.fromkeys(PARAMETERS, 0)
    return values | {"cause": CAUSES.index(cause) + 1 if cause else 0}


def c_text() -> str:
    """The enums of the program and the text of each parameter's constant."""
    lines = []
    for prefix, words in (
        ("SOURCE", SOURCES),
        ("OBJECT", KINDS),
        ("EXTENT", EXTENTS),
        ("RESULT", RESULTS),
        ("SECOND", SECONDS),
        ("VARIANT", VARIANTS),
    ):
        lines.append("enum { " + ", ".join(f"{prefix}_{word.upper()}" for word in words) + " };")
    for place, name in enumerate(PARAMETERS):
        lines.append(f'#define PARAMETER_{name.upper()} "{MARK << 32 | place:#x} ll"')
    causes = ", ".join(f"CAUSE_{cause.upper()}" for cause in CAUSES)
    lines.append(f"enum {{ CAUSE_NONE, {causes}, CAUSE_UNKNOWN }};")
    lines += [f"#define SEEK_ARG {SEEK_ARG}", f"#define CAUSES {len(CAUSES)}", f"#define RANGES {RANGES}"]
    return "\n".join([*lines, ""])


def specialise(code: bytes, values: dict[str, int]) -> bytes:
    """A copy of the instructions with the values of the parameters in place of their constants."""
    patched = bytearray(code)
    for at in _constants(code):
        value = values[PARAMETERS[int.from_bytes(code[at + 4 : at + 8], "little")]]
        patched[at + 4 : at + 8] = (value & 0xFFFFFFFF).to_bytes(4, "little")
        patched[at + 12 : at + 16] = (value >> 32).to_bytes(4, "little")
    return bytes(patched)


def _constants(code: bytes) -> Iterator[int]:
    """Where a parameter's constant is loaded: two instructions of eight bytes, the mark at the end of the second."""
    mark = MARK.to_bytes(4, "little")
    found = code.find(mark, 12)
    while found >= 0:
        at = found - 12
        if at % 8 == 0 and code[at] == 0x18 and code[at + 1] >> 4 == 0:
            yield at
        found = code.find(mark, found + 1)
