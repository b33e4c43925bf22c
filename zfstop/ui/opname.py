"""Names of operations in little room: shortened so that no two look the same, and a failed call keeps its mark."""

from __future__ import annotations

from zfstop.text import fit

FAILED = "!"
#: What does not fit into seven cells, the width of the column on a terminal of 80.
SHORT = {
    "truncate": "trunc",
    "readlink": "rdlink",
    "xattr-get": "xaget",
    "xattr-set": "xaset",
    "xattr-list": "xalist",
    "fallocate": "falloc",
    "page-read": "pgread",
    "readahead": "rdahead",
    "page-write": "pgwrite",
    "page-mkwrite": "mkwrite",
    "automount": "automnt",
    "zvol-read": "zvread",
    "zvol-write": "zvwrite",
}


def fit_op(text: str, width: int) -> str:
    """``page-mkwrite!`` in 8 cells -> ``mkwrite!``; in fewer the name is cut, never the mark of failed calls."""
    name = text.removesuffix(FAILED)
    mark = text[len(name) :]
    room = width - len(mark)
    if len(name) > room:
        name = SHORT.get(name, name)
    return fit(fit(name, room).rstrip() + mark, width)
