"""The text of help: every key by what the operator wants, then how to read the figures, in as many columns as fit."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, combinations, pairwise, zip_longest
from textwrap import wrap

from zfstop.ui.actions import SECTIONS
from zfstop.ui.keymap import Sections
from zfstop.ui.tabular import Piece
from zfstop.zfs.operations import CLASSES

#: Lines with their styles: a title, and what is told below it.
_Block = list[tuple[str, str]]

_READING = (
    ("WAIT", "seconds waited per second: the mean number of threads that were blocked"),
    ("P50 P99", 'of the SLOW operations in the window; "-" with too few of them (P99 needs 100); MAX is exact'),
    ("TREND", "WAIT over the window, each step half a decade, from 0.003 to 3"),
    ("/", "all terms must hold; a comma means or, ! excludes, * is any text, quotes are for blanks; ds: and path: "
          "go down"),
    ("WHY", 'where most of the time of these calls went; "-" where nobody looked'),
    ("SHARES", "a letter for each 10 % waiting for ZFS: D disk, T throttle (too much dirty data), X transaction group, "
               "Z intent log, L lock, M memory; r waiting for a CPU, c running on one, ? waiting for none of these"),
    ("OP", "an operation with ! has failed calls among them"),
    ("SIZE", "mean of the sizes asked for"),
    ("colour", "faint: below the threshold in force, plain: up to 10 times it, red and bold: above"),
    ("chart", "p99 of each second is solid, its maximum a dash above; a blank second had no slow operation"),
    ("txg", "when a pool was syncing a transaction group: the fuller, the more of the column"),
    ("quiet", "the operations with the least time waited, together; b lists each"),
    ("(summed)", "of a second long ago, when memory was short: what is left of its rows, by operation and dataset"),
    ("held", "while a row is selected, no other comes under the cursor: Home lets go, sorting orders anew"),
    ("lost", "operations that should be here and are not: ring full, map full, rejected, return missed"),
    ("books", "ok: every call is in one place: seen, below, filtered, lost, full, missed, rejected, queued or in "
              "flight"),
)  # fmt: skip

#: Cells from which a column is worth having, of its keys, and between two columns.
_COLUMN = 52
_MOST_COLUMNS = 3
_KEYS = 14
_GAP = 2


def columns_at(width: int) -> int:
    """How many columns ``width`` cells are divided into."""
    return max(1, min(_MOST_COLUMNS, (width + _GAP) // (_COLUMN + _GAP)))


def help_pieces(width: int, sections: Sections = SECTIONS) -> list[Piece]:
    """Help in lines of at most ``width`` cells; ``sections`` are the actions with their keys."""
    count = columns_at(width)
    room = (width + _GAP) // count - _GAP
    blocks = [
        _block(title, ((action.shown, action.text) for action in actions), room)
        for title, actions in sections
    ]
    blocks += [
        _block("Classes of operations", CLASSES.items(), room),
        _block("How to read it", _READING, room),
    ]
    pieces: list[Piece] = []
    for line in zip_longest(*_columns(blocks, count), fillvalue=("", "")):
        for place, (text, style) in enumerate(line, 1):
            pieces.append((text + " " * (room - len(text) + _GAP) * (place < count), style))
        pieces.append("\n")
    return pieces


def _block(title: str, entries: Iterable[tuple[str, str]], room: int) -> _Block:
    """Title and entries, the texts beside their keys; below them where it is narrow."""
    keys = _KEYS if room >= 3 * _KEYS else 4
    lines = [(title[:room], "bold")]
    for key, text in entries:
        first, *more = wrap(text, max(8, room - keys)) or [""]
        if len(key) + 3 <= keys:
            lines.append((f"  {key}".ljust(keys) + first, ""))
        else:
            lines += [(f"  {key}", ""), (" " * keys + first, "")]
        lines += [(" " * keys + line, "") for line in more]
    return [*lines, ("", "")]


def _columns(blocks: list[_Block], count: int) -> list[_Block]:
    """The blocks in order, from top to bottom and from left to right, so that the highest column is low."""
    cuts = min(combinations(range(1, len(blocks)), count - 1), key=lambda cuts: _height(blocks, cuts))
    return [[*chain(*blocks[start:end])] for start, end in pairwise((0, *cuts, len(blocks)))]


def _height(blocks: list[_Block], cuts: tuple[int, ...]) -> int:
    return max(sum(map(len, blocks[start:end])) for start, end in pairwise((0, *cuts, len(blocks))))
