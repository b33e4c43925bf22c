"""Waits in words and letters: the largest share, and a bar of all of them that is read without colours. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from zfstop.model.waits import Waits
from zfstop.text import fit
from zfstop.units import format_time

#: What stands where nobody looked.
UNKNOWN = "-"
#: One letter a cause: capitals wait for ZFS, small ones for a CPU or on it, ? is none of these.
LETTERS: Mapping[str, str] = {
    "disk": "D",
    "throttle": "T",
    "txg": "X",
    "zil": "Z",
    "lock": "L",
    "memory": "M",
    "runqueue": "r",
    "other": "?",
    "cpu": "c",
}
#: Where a cause must do with five cells.
SHORT: Mapping[str, str] = {"throttle": "thrtl", "memory": "mem", "runqueue": "runq"}
BAR_CELLS = 10
#: Waits add up to the latency but for this share of it; more than that is told as not seen.
_UNSEEN = 0.01
_TINY = 0.005


def per_cent(share: float) -> int:
    """A share of 0 to 1 in whole per cent. All but everything is 99: only everything is 100, only nothing 0."""
    if 0 < share < 1:
        return min(99, max(1, round(share * 100)))
    return round(share * 100)


def why(waits: Waits | None) -> str:
    """``disk 88%``: the largest share, in at most 13 cells."""
    main = waits.main if waits is not None else None
    if main is None:
        return UNKNOWN
    cause, share = main
    return f"{cause} {per_cent(share)}%"


def fit_why(text: str, width: int) -> str:
    """``throttle 100%`` in 9 cells -> ``thrtl 100``: the name gives way first, the figure never."""
    name, _, figure = text.partition(" ")
    for form in (text, f"{SHORT.get(name, name)} {figure}", f"{SHORT.get(name, name)} {figure[:-1]}"):
        if len(form) <= width:
            return form.ljust(width)
    return fit(text, width)


def letters(waits: Waits | None, cells: int = BAR_CELLS) -> str:
    """``DDDDDDDZZr``: exactly ``cells`` letters, shared out so that none is more than a cell off."""
    total = waits.total if waits is not None else 0
    if waits is None or total <= 0:
        return UNKNOWN
    exact = [max(0, ns) * cells / total for ns in waits]
    counts = [int(part) for part in exact]
    by_rest = sorted(range(len(counts)), key=lambda i: counts[i] - exact[i])
    for place in by_rest[: cells - sum(counts)]:
        counts[place] += 1
    return "".join(LETTERS[cause] * count for cause, count in zip(Waits._fields, counts, strict=True))


def breakdown(waits: Waits, total_ns: int, cells: int = 20) -> list[tuple[str, str, str, str, str]]:
    """(letter, cause, time, per cent, bar) of each cause that took time, the largest first; of ``total_ns``, so that
    what nobody looked at has a line of its own.
    """
    spent = [(cause, ns) for cause, ns in waits._asdict().items() if ns > 0]
    if total_ns - waits.total > total_ns * _UNSEEN:
        spent.append(("", total_ns - waits.total))
    whole = max(sum(ns for _, ns in spent), 1)
    found = []
    for cause, ns in sorted(spent, key=lambda item: -item[1]):
        letter = LETTERS.get(cause, UNKNOWN)
        bar = letter * round(ns / whole * cells)
        share = f"{per_cent(ns / whole)}%" if ns / whole >= _TINY else "<1%"
        found.append((letter, cause or "not seen", format_time(ns), share, bar))
    return found
