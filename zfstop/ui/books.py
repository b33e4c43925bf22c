"""The books and the figures of every operation, as a panel and as a cell of the status line. Pure."""

from __future__ import annotations

from textual.content import Content

from zfstop.model.books import PLACES, Books, by_operation, together, trouble
from zfstop.model.percentiles import Summary
from zfstop.ui.columns import NONE, format_wait
from zfstop.ui.lens import Frame
from zfstop.ui.ops import FIGURES
from zfstop.ui.tabular import Piece, listed, table, without

_HOW = """
Every call that was issued is in exactly one place. The counters are read
while calls go on, so "off" may show some that moved meanwhile. A probe at
rest is exact to the call; what no moving explains is said in red.
"""


def books_text(frame: Frame) -> Content:
    """Figures of all calls, then the books."""
    found = by_operation((probe.op for probe in frame.probes.attached), frame.books)
    parts: list[Piece] = [
        (f"{op}: {trouble(item.wrong)}\n", "bold $error") for op, item in found.items() if item.wrong
    ]
    parts += [(f"All calls of the last {frame.seconds} s, slow or not\n", "bold")]
    parts += table(
        ("op", "WAIT", *(figure.head for figure in FIGURES)),
        [_figures(s) for s in frame.calls],
        1,
        "none yet",
    )
    parts += [("\nThe books since the probes were attached\n", "bold")]
    parts += _books(found)
    return Content.assemble(*parts, (_HOW, "dim"))


def _figures(summary: Summary) -> list[str]:
    values = ((figure, figure.value(summary)) for figure in FIGURES)
    cells = (NONE if value is None else figure.text(value) for figure, value in values)
    return [summary.op, format_wait(summary.waited), *cells]


def _books(found: dict[str, Books]) -> list[Piece]:
    whole = together(found.values())
    quiet = [op for op, item in found.items() if not item.issued]
    names = [name.replace("_", " ") for name in PLACES]
    shown = {op: item for op, item in found.items() if item.issued} | {"all": whole}
    rows = [
        [op, *(f"{number:,}" for number in (item.issued, *(getattr(item, place) for place in PLACES))), _off(item)]
        for op, item in shown.items()
    ]  # fmt: skip
    head, rows, zero = without(("op", "issued", *names, "off"), rows, names, "0")
    parts = table(head, rows)
    parts += [f"  {', '.join(name for name, _ in zero)}: 0\n"] if zero else []
    return [*parts, *listed("not called", quiet)]


def _off(item: Books) -> str:
    return f"{item.difference:+,}" if item.difference else "0"
