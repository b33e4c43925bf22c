"""The books: every call that was issued is in exactly one place. Pure.

    issued = seen + below + filtered + lost + full + missed + rejected + queued + in flight

The kernel counts a call in this order (program.c): its entry; ``filtered`` or ``full`` if it ends there; its return;
then one verdict (seen, below, filtered by dataset, lost, rejected, queued), or ``unmatched`` for a return whose entry
was not recorded. A slot's counters are read one after another, on one CPU after another, while calls go on. So the
figures as read may differ by the calls that moved meanwhile, and two rules say what may never be:

* A slot that reads the same twice stood still, and must balance to the call.
* Of two reads, the second holds the verdict of every return that the first holds, the return of every verdict and the
  entry of everything. What breaks this was not moving: it is :attr:`Books.wrong`. (A BPF program ends long before
  the next second.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from zfstop.model.state import Counts


@dataclass(frozen=True, slots=True)
class Books:
    """Where the calls of one probe, or of several, are. ``filtered`` is by PID, operation and dataset.

    ``wrong`` is how many calls, at least, are in no place (above 0) or in more than one (below 0).
    """

    issued: int = 0
    seen: int = 0
    below: int = 0
    filtered: int = 0
    lost: int = 0
    full: int = 0
    missed: int = 0
    rejected: int = 0
    queued: int = 0
    in_flight: int = 0
    wrong: int = 0

    @property
    def difference(self) -> int:
        """Issued calls less those in a place, as read: calls that moved during the reading are in it."""
        return self.issued - int(sum(getattr(self, place) for place in PLACES))


PLACES = tuple(field.name for field in fields(Books) if field.name not in ("issued", "wrong"))


def books(before: Counts, now: Counts) -> Books:
    """The books of one probe at ``now``; both are counts since it was attached, ``before`` from the last read."""
    return Books(
        issued=now.entered,
        seen=now.seen,
        below=now.below,
        filtered=now.filtered + now.filtered_dev,
        lost=now.lost,
        full=now.full,
        missed=now.missed,
        rejected=now.rejected,
        queued=now.queued,
        in_flight=max(0, now.in_flight),
        wrong=_wrong(before, now),
    )


def together(parts: Iterable[Books]) -> Books:
    """All in one. Too many calls here do not make good too few there: the larger trouble stays."""
    found = tuple(parts)
    sums = {name: sum(getattr(part, name) for part in found) for name in ("issued", *PLACES)}
    return Books(**sums, wrong=max((part.wrong for part in found), key=abs, default=0))


def by_operation(ops: Iterable[str], parts: Iterable[Books]) -> dict[str, Books]:
    """The books of each operation, from those of its probes; ``ops`` names the operation of each probe."""
    found: dict[str, list[Books]] = {}
    for op, part in zip(ops, parts, strict=False):
        found.setdefault(op, []).append(part)
    return {op: together(items) for op, items in found.items()}


def trouble(wrong: int) -> str:
    """``3 calls in no place``; empty when nothing is wrong."""
    calls = "1 call" if abs(wrong) == 1 else f"{abs(wrong):,} calls"
    return "" if not wrong else f"{calls} in no place" if wrong > 0 else f"{calls} in two places"


def sentence(whole: Books) -> str:
    """``issued 2,341 = seen 12 + below 2,329``, and what is wrong."""
    places = [(place.replace("_", " "), getattr(whole, place)) for place in PLACES]
    sums = " + ".join(f"{name} {count:,}" for name, count in places if count) or "0"
    off = f" {whole.difference:+,} counted meanwhile" if whole.difference and not whole.wrong else ""
    wrong = f"; WRONG: {trouble(whole.wrong)}" if whole.wrong else ""
    return f"issued {whole.issued:,} = {sums}{off}{wrong}"


def _wrong(before: Counts, now: Counts) -> int:
    missing = before.returned - now.unmatched - _verdicts(now)
    if missing > 0:
        return missing
    returned_late = _verdicts(before) + before.unmatched - now.returned
    entered_late = (
        before.filtered + before.full + before.missed + before.returned - now.unmatched - now.entered
    )
    return -max(0, returned_late, entered_late)


def _verdicts(counts: Counts) -> int:
    return counts.seen + counts.below + counts.filtered_dev + counts.lost + counts.rejected + counts.queued
