"""How a comparison looks beside the table: what is compared, and the operations. Pure."""

from __future__ import annotations

from datetime import tzinfo

from zfstop.model.compare import Mark, OpPair, delta
from zfstop.model.moments import clock_text
from zfstop.model.percentiles import Summary
from zfstop.text import fit
from zfstop.ui.columns import NONE
from zfstop.ui.draw import Cell, Line, Part, fit_cells
from zfstop.ui.lens import Frame
from zfstop.units import format_rate, format_time

_NAME_WIDTH = 13
_CELL = 7
_NARROW = ("ΔN/s", "ΔP50", "ΔP99")
_WIDE = ("N/s", "ΔN/s", "P50", "ΔP50", "P99", "ΔP99", "ΔWAIT")


def compare_line(frame: Frame, width: int) -> Line:
    """What is compared, or that a mark waits for the other one."""
    before, after = frame.before, frame.after
    if before is None:
        return ()
    old = _span(before, frame.zone)
    if after is None:
        cells: list[Cell] = [
            (0, (f" A {old} is before ", f" A {old} ", " A "), "banner"),
            (1, ("make the change, then B compares", "B compares", ""), ""),
            (2, ("Esc drops the mark", "Esc drops", ""), "dim"),
        ]
        return fit_cells(cells, width)
    new = _span(after, frame.zone)
    told = (f" COMPARE: A {old} before, B {new} after ", f" COMPARE {old} > {new} ", " COMPARE A > B ")
    cells = [
        (1, told, "banner"),
        (3, ("Δ from A to B; figures are those of B", "figures are B's", ""), ""),
        (2, ("B compares with now, Esc or A leaves", "Esc leaves"), "dim"),
    ]
    return fit_cells(cells, width)


def _span(mark: Mark, zone: tzinfo | None) -> str:
    if not mark.seconds:
        return "nothing"
    return f"{clock_text(mark.began, zone)}-{clock_text(mark.ended, zone)}"


def compared_title(figures: int) -> str:
    """The heading above :func:`compared_ops_lines`; ``figures`` columns are there."""
    return fit("all, A to B", _NAME_WIDTH) + "".join(fit(head, _CELL, right=True) for head in _heads(figures))


def compared_ops_lines(
    ops: tuple[OpPair, ...], figures: int, height: int, titled: bool = False
) -> list[Line]:
    """One line an operation, as many as there is room for; ``titled``: below the heading, which has no other place."""
    if titled:
        head: Line = ((compared_title(figures), "dim"),)
        return [head, *compared_ops_lines(ops, figures, max(1, height - 1))]
    shown = ops if len(ops) <= height else ops[: height - 1]
    lines = [_line(pair, figures) for pair in shown]
    if len(shown) < len(ops):
        lines.append(((f" +{len(ops) - len(shown)} more", "dim"),))
    return lines


def _heads(figures: int) -> tuple[str, ...]:
    return _WIDE if figures >= len(_WIDE) else _NARROW


def _line(pair: OpPair, figures: int) -> Line:
    op, before, after = pair
    parts: list[Part] = [(" " + fit(op, _NAME_WIDTH - 1), "strong")]
    for head in _heads(figures):
        name, text = head.removeprefix("Δ"), NONE
        old, new = _value(before, name), _value(after, name)
        if head.startswith("Δ"):
            text = delta(old, new)
        elif new is not None:
            text = format_rate(new) if name == "N/s" else format_time(new)
        style = "dim" if name == "N/s" or head == name else _style(text)
        parts.append((fit(text, _CELL, right=True), style))
    return tuple(parts)


def _value(summary: Summary | None, name: str) -> float | None:
    """An operation that was not called has a rate, and no percentiles."""
    if name == "N/s":
        return summary.per_second if summary else 0.0
    if name == "WAIT":
        return summary.waited if summary else 0.0
    if summary is None:
        return None
    return summary.percentiles[0 if name == "P50" else 2]


def _style(text: str) -> str:
    """Colour repeats what the arrow says."""
    return "hot" if text.startswith("↑") else "strong" if text.startswith("↓") else "dim"
