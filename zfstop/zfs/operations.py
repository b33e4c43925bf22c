"""THE table of operations: letter, class, and the kernel functions that can stand for each, in order of preference.

A candidate is an exact symbol with the decoder of its arguments (a name of kernel/decoders.py). Of an operation the
first tier of which anything exists is attached, and in it everything that exists: some releases of OpenZFS pass
read(2) through one function and readv(2) through another. Sources: module/os/linux/zfs/zpl_*.c, zfs_vnops_os.c and
zvol_os.c of OpenZFS 0.6.5 to 2.4. The argument lists of the zpl_* functions are dictated by the kernel: ``hook`` is
the member of its tables ("inode_operations.create") that such a function fills.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Candidate:
    """One kernel function and how to read its arguments."""

    symbol: str
    decoder: str
    hook: str = ""


Tier = tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call. ``bit`` is its place in the kernel's mask of wanted operations.

    ``letter`` is what zfsslower calls it, empty for what zfsslower does not know; ``group`` is its class.
    """

    name: str
    letter: str
    group: str
    tiers: tuple[Tier, ...]

    @property
    def bit(self) -> int:
        """1, 2, 4 ... in the order of OPERATIONS."""
        return 1 << OPERATIONS.index(self)

    @property
    def code(self) -> str:
        """For places that have a letter a type: the letter, or else the name."""
        return self.letter or self.name


#: Classes of operations: what belongs together, can be switched together, and costs together.
CLASSES: dict[str, str] = {
    "data": "read, write, fsync",
    "open": "open and close of files",
    "metadata": "names and attributes: lookup, create, unlink, rename, stat, readdir, xattr",
    "space": "fallocate, SEEK_HOLE/SEEK_DATA, copy, clone, dedupe",
    "mapped": "pages of mapped files, read and written",
    "lifetime": "inodes freed (big deletes), syncfs, snapshots mounted",
    "zvol": "I/O of volumes",
}
DEFAULT_CLASSES = frozenset({"data", "open", "metadata", "space", "lifetime"})


def _operation(name: str, letter: str, group: str, *tiers: Tier) -> Operation:
    """A row of the table whose functions are in no table of inode operations."""
    return Operation(name, letter, group, tiers)


def _inode(name: str, symbols: str, decoder: str, *lower: Candidate, hook: str = "") -> Operation:
    """A metadata operation: the function of inode_operations in its spellings, then the layer below it."""
    hook = f"inode_operations.{hook or name}"
    return Operation(
        name,
        "",
        "metadata",
        (tuple(Candidate(symbol, decoder, hook) for symbol in symbols.split()), *((c,) for c in lower)),
    )


OPERATIONS: tuple[Operation, ...] = (
    _operation(
        "read",
        "R",
        "data",
        (
            Candidate("zpl_iter_read", "kiocb_iter"),
            Candidate("zpl_aio_read", "kiocb_iovec"),
            Candidate("zpl_read", "file_buf"),
        ),
        (Candidate("zfs_read", "znode_uio"),),
        (Candidate("zfs_read", "znode_only"),),
    ),
    _operation(
        "write",
        "W",
        "data",
        (
            Candidate("zpl_iter_write", "kiocb_iter"),
            Candidate("zpl_aio_write", "kiocb_iovec"),
            Candidate("zpl_write", "file_buf"),
        ),
        (Candidate("zfs_write", "znode_uio"),),
        (Candidate("zfs_write", "znode_only"),),
    ),
    _operation(
        "open",
        "O",
        "open",
        (Candidate("zpl_open", "inode_file"),),
        (Candidate("zfs_open", "inode_errno"),),
    ),
    _operation(
        "fsync",
        "S",
        "data",
        (Candidate("zpl_fsync", "file_range"),),
        (Candidate("zfs_fsync", "znode_only"),),
    ),
    _operation(
        "release",
        "",
        "open",
        (Candidate("zpl_release", "inode_file"),),
        (Candidate("zfs_close", "inode_errno"),),
    ),
    _inode("lookup", "zpl_lookup", "new_dentry", Candidate("zfs_lookup", "znode_name")),
    _inode("create", "zpl_create", "dentry_status", Candidate("zfs_create", "znode_name")),
    _inode("mkdir", "zpl_mkdir", "new_dentry", Candidate("zfs_mkdir", "znode_name")),
    _inode("mknod", "zpl_mknod", "dentry_status"),
    _inode("symlink", "zpl_symlink", "dentry_status", Candidate("zfs_symlink", "znode_name")),
    _inode("link", "zpl_link", "two_dentries", Candidate("zfs_link", "znode_name")),
    _inode("unlink", "zpl_unlink", "dentry_status", Candidate("zfs_remove", "znode_name")),
    _inode("rmdir", "zpl_rmdir", "dentry_status", Candidate("zfs_rmdir", "znode_name")),
    _inode("rename", "zpl_rename2 zpl_rename", "two_dentries", Candidate("zfs_rename", "znode_name")),
    _inode("setattr", "zpl_setattr", "dentry_attr", Candidate("zfs_setattr", "znode_only")),
    _inode("truncate", "zpl_setattr", "dentry_length", hook="setattr"),
    _inode("getattr", "zpl_getattr", "path_status", hook="getattr"),
    _operation(
        "readdir",
        "",
        "metadata",
        (Candidate("zpl_iterate", "file_status"), Candidate("zpl_readdir", "file_status")),
        (Candidate("zfs_readdir", "inode_errno"),),
    ),
    _inode(
        "readlink",
        "zpl_get_link",
        "dentry_or_inode",
        Candidate("zfs_readlink", "inode_errno"),
        hook="get_link",
    ),
    _operation("xattr-get", "", "metadata", (Candidate("zpl_xattr_get", "inode_sized"),)),
    _operation("xattr-set", "", "metadata", (Candidate("zpl_xattr_set", "inode_sized"),)),
    _operation("xattr-list", "", "metadata", (Candidate("zpl_xattr_list", "dentry_sized"),)),
    _inode("tmpfile", "zpl_tmpfile", "tmpfile"),
    _operation(
        "fallocate",
        "",
        "space",
        (Candidate("zpl_fallocate", "file_extent"),),
        (Candidate("zfs_space", "znode_only"),),
    ),
    _operation(
        "seek",
        "",
        "space",
        (Candidate("zpl_llseek", "file_seek"),),
        (Candidate("zfs_holey", "znode_only"),),
    ),
    _operation(
        "copy",
        "",
        "space",
        (Candidate("zpl_copy_file_range", "two_files"),),
    ),
    _operation(
        "clone",
        "",
        "space",
        (
            Candidate("zpl_remap_file_range", "two_files_clone"),
            Candidate("zpl_clone_file_range", "two_files_status"),
        ),
    ),
    _operation(
        "dedupe",
        "",
        "space",
        (
            Candidate("zpl_remap_file_range", "two_files_dedupe"),
            Candidate("zpl_dedupe_file_range", "two_files_status"),
        ),
    ),
    _operation(
        "page-read",
        "",
        "mapped",
        (Candidate("zpl_read_folio", "file_folio"), Candidate("zpl_readpage", "file_folio")),
        (Candidate("zfs_getpage", "inode_errno"),),
    ),
    _operation("readahead", "", "mapped", (Candidate("zpl_readahead", "readahead"),)),
    _operation(
        "page-write",
        "",
        "mapped",
        (Candidate("zpl_writepages", "mapping"),),
        (Candidate("zfs_putpage", "inode_errno"),),
    ),
    _operation("page-mkwrite", "", "mapped", (Candidate("zpl_page_mkwrite", "fault"),)),
    _operation(
        "evict",
        "",
        "lifetime",
        (Candidate("zpl_evict_inode", "inode_void"),),
        (Candidate("zfs_inactive", "inode_void"),),
    ),
    _operation("syncfs", "", "lifetime", (Candidate("zpl_sync_fs", "super_status"),)),
    _operation("automount", "", "lifetime", (Candidate("zpl_snapdir_automount", "path_pointer"),)),
    _operation(
        "zvol-read",
        "",
        "zvol",
        (Candidate("zvol_read", "zvol"),),
        (Candidate("zvol_read_task", "zvol"),),
    ),
    _operation(
        "zvol-write",
        "",
        "zvol",
        (Candidate("zvol_write", "zvol"),),
        (Candidate("zvol_write_task", "zvol"),),
    ),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}


def parse_operations(text: str) -> frozenset[str]:
    """``"read,fsync"`` -> their names; letters (``R,S``) are taken too. ValueError with a sentence otherwise."""
    names = set()
    for word in (part.strip() for part in text.split(",")):
        match = [op.name for op in OPERATIONS if word.lower() == op.name or (word and word == op.letter)]
        if not match:
            known = ", ".join(BY_NAME)
            raise ValueError(f"'{word}' is not an operation; there are {known}")
        names.add(match[0])
    return frozenset(names)


def parse_classes(text: str) -> frozenset[str]:
    """``"data,zvol"`` or ``"all"`` -> names of classes. ValueError with a sentence otherwise."""
    names: set[str] = set()
    for word in (part.strip().lower() for part in text.split(",")):
        if word != "all" and word not in CLASSES:
            raise ValueError(f"'{word}' is not a class of operations; there are {', '.join(CLASSES)} and all")
        names |= set(CLASSES) if word == "all" else {word}
    return frozenset(names)


@lru_cache(64)
def wanted(ops: frozenset[str], classes: frozenset[str]) -> frozenset[str]:
    """Names of the operations to measure: those named, else all of these classes."""
    return frozenset(op.name for op in OPERATIONS if (op.name in ops if ops else op.group in classes))


def class_of(op: str) -> str:
    """The class of an operation; of one that is not in the table (an old recording) its own name."""
    return BY_NAME[op].group if op in BY_NAME else op


def mask_of(names: frozenset[str]) -> int:
    """The kernel's mask for exactly these operations."""
    return sum(operation.bit for operation in OPERATIONS if operation.name in names)
