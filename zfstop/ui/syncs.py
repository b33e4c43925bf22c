"""The line beneath chart and map: in which columns a pool was syncing. Pure."""

from __future__ import annotations

from bisect import bisect_right

from zfstop.model.syncing import Share
from zfstop.model.zfs_state import PoolState, ZfsState
from zfstop.text import fit
from zfstop.ui.draw import Cell, Line, fit_cells
from zfstop.ui.lens import Frame
from zfstop.units import format_time

#: From this share of a column on, each glyph but the first; below the least it is still not nothing.
STEPS = (0.000_001, 0.1, 0.3, 0.6, 0.95)
GLYPHS = " ·░▒▓█"
#: What they stand for.
SYNC_LEGEND: Cell = (
    3, (f"txg {GLYPHS[2:]} syncing part, most, all of the time", f"txg {GLYPHS[2:]} syncing", ""), "dim"
)  # fmt: skip
_SCALE_WIDTH = 7


def sync_line(frame: Frame, shares: tuple[Share, ...], room: int, width: int) -> Line:
    """Under a chart of ``room`` cells, newest column at the right; the rest of ``width`` says it in words."""
    columns = max(0, room - _SCALE_WIDTH)
    shown = shares[max(0, len(shares) - columns) :]
    cells = "".join(" " if share is None else GLYPHS[bisect_right(STEPS, share)] for share in shown)
    state = frame.newest.zfs if frame.newest else None
    told = fit_cells(_words(state), width - room - 1) if state and width > room else ()
    return (
        (fit("txg", _SCALE_WIDTH - 2, right=True) + " ▕", "dim"),
        (cells.rjust(columns), "sync"),
        (" ", ""),
        *told,
    )


def _words(state: ZfsState) -> list[Cell]:
    """The pool that syncs, or did so last."""
    syncing = [(pool, pool.syncing) for pool in state.pools if pool.syncing]
    if syncing:
        pool, txg = syncing[0]
        number = f"{pool.name} txg {txg.number if txg else ''}"
        return [
            (1, (f"{number} is syncing [z]", f"{number} syncing", "syncing [z]", "syncing", ""), "strong")
        ]
    done = [found for pool in state.pools if (found := _last(pool))]
    if not done:
        return [(1, ("[z]", ""), "dim")]
    name, took = max(done, key=lambda found: found[1])
    words = f"last sync {format_time(took)}"
    return [(1, (f"{name}: {words} [z]", f"{words} [z]", words, ""), "dim")]


def _last(pool: PoolState) -> tuple[str, int] | None:
    return (pool.name, pool.committed.sync_ns) if pool.committed else None
