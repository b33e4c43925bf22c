"""THE table of operations: letter, class, and the kernel functions that can stand for each, in order of preference.

A candidate is an exact symbol with the decoder of its arguments (a name in kernel/program.c). Of an operation the
first tier of which anything exists is attached, and in it everything that exists: some releases of OpenZFS pass
read(2) through one function and readv(2) through another. Sources: module/os/linux/zfs/zpl_file.c and
zfs_vnops_os.c of OpenZFS 0.6.5 to 2.4. Argument lists of the zpl_* functions are dictated by the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """One kernel function and how to read its arguments."""

    symbol: str
    decoder: str


Tier = tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call. ``bit`` is its place in the kernel's mask of wanted operations."""

    name: str
    letter: str
    group: str
    tiers: tuple[Tier, ...]

    @property
    def bit(self) -> int:
        """1, 2, 4 ... in the order of OPERATIONS."""
        return 1 << OPERATIONS.index(self)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "read",
        "R",
        "data",
        (
            (
                Candidate("zpl_iter_read", "kiocb_iter"),
                Candidate("zpl_aio_read", "kiocb_iovec"),
                Candidate("zpl_read", "file_buf"),
            ),
            (Candidate("zfs_read", "znode_uio"),),
        ),
    ),
    Operation(
        "write",
        "W",
        "data",
        (
            (
                Candidate("zpl_iter_write", "kiocb_iter"),
                Candidate("zpl_aio_write", "kiocb_iovec"),
                Candidate("zpl_write", "file_buf"),
            ),
            (Candidate("zfs_write", "znode_uio"),),
        ),
    ),
    Operation(
        "open",
        "O",
        "open",
        ((Candidate("zpl_open", "inode_file"),), (Candidate("zfs_open", "inode_only"),)),
    ),
    Operation(
        "fsync",
        "S",
        "data",
        ((Candidate("zpl_fsync", "file_range"),), (Candidate("zfs_fsync", "znode_sync"),)),
    ),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}


def parse_operations(text: str) -> frozenset[str]:
    """``"read,fsync"`` -> their names; letters (``R,S``) are taken too. ValueError with a sentence otherwise."""
    names = set()
    for word in (part.strip() for part in text.split(",")):
        match = [op.name for op in OPERATIONS if word.lower() == op.name or word == op.letter]
        if not match:
            known = ", ".join(BY_NAME)
            raise ValueError(f"'{word}' is not an operation; there are {known}")
        names.add(match[0])
    return frozenset(names)


def mask_of(names: frozenset[str]) -> int:
    """The kernel's mask for these operations; all of them for an empty set."""
    return sum(operation.bit for operation in OPERATIONS if not names or operation.name in names)
