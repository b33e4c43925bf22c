"""The main screen: the parts, shared out over the terminal, each shown the same frame."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen

from zfstop.model.state import Phase
from zfstop.ui.actions import bar_items
from zfstop.ui.arrange import Arrangement, arrange
from zfstop.ui.chart import chart_lines
from zfstop.ui.details import details_lines
from zfstop.ui.draw import Line, Lines
from zfstop.ui.lens import Frame
from zfstop.ui.ops import ops_columns, ops_lines, ops_title, ops_width
from zfstop.ui.status import banner_line, notice_line, status_lines, waiting_text
from zfstop.ui.stuck import stuck_lines
from zfstop.ui.table import SlowTable


class MainScreen(Screen[None]):
    """Status, chart, table, details, keys."""

    def __init__(self) -> None:
        super().__init__()
        self.table = SlowTable(id="table")
        self._status = Lines(id="status")
        self._notice = Lines(id="notice")
        self._banner = Lines(id="banner")
        self._chart = Lines(id="chart")
        self._ops = Lines(id="ops")
        self._stuck = Lines(id="stuck")
        self._details = Lines(id="details")
        self._keys = Lines(id="keys")
        self._arrangement: Arrangement | None = None

    def compose(self) -> ComposeResult:
        """From top to bottom; only the table has a height of its own choice."""
        yield self._status
        yield self._notice
        yield self._banner
        with Horizontal(id="charts"):
            yield self._chart
            yield self._ops
        yield self.table
        yield self._stuck
        yield self._details
        yield self._keys

    def show(self, frame: Frame) -> None:
        """Show this. Parts whose lines did not change are not drawn."""
        width, height = self.app.size
        notice = notice_line(frame, width) if frame.rows or frame.status.phase is Phase.DEMO else None
        stuck = frame.newest.stuck if frame.newest else ()
        plan = arrange(
            width, height, paused=frame.pause is not None, notice=notice is not None, stuck=len(stuck)
        )
        self._apply(plan)
        self._status.show(status_lines(frame, width, plan.status))
        self._notice.show([notice] if notice else [])
        figures = ops_columns(width) if plan.ops else ()
        self._banner.show([banner_line(frame, width, ops_title(frame.window, figures) if figures else "")])
        self._stuck.show(stuck_lines(stuck, width, plan.stuck))
        self._show_charts(frame, plan, width)
        self.table.show(frame, waiting_text(frame))
        self.show_details()
        self._keys.show([keys_line(width)])

    def show_details(self) -> None:
        """Show the selected row in full."""
        height = self._arrangement.details if self._arrangement else 0
        self._details.show(details_lines(self.table.selected, self.app.size.width, height))

    def chart_columns(self) -> int:
        """Seconds that the chart has room for, at most."""
        return self.app.size.width

    def _show_charts(self, frame: Frame, plan: Arrangement, width: int) -> None:
        if not plan.chart:
            return
        limit = frame.controls.threshold_ns
        figures = ops_columns(width) if plan.ops else ()
        room = width - (ops_width(figures) if figures else 0)
        self._chart.show(chart_lines(frame.points, room, plan.chart, limit))
        self._ops.show(ops_lines(frame.calls, figures, plan.chart, limit) if figures else [])
        self._ops.styles.width = ops_width(figures)

    def _apply(self, plan: Arrangement) -> None:
        """Set the heights, only when they differ: it costs a layout."""
        if plan == self._arrangement:
            return
        self._arrangement = plan
        heights = (
            (self._status, plan.status),
            (self._notice, plan.notice),
            (self._banner, plan.banner),
            (self.query_one("#charts"), plan.chart),
            (self._stuck, plan.stuck),
            (self._details, plan.details),
            (self._keys, plan.keys),
        )
        for widget, height in heights:
            widget.display = height > 0
            widget.styles.height = height
        self._ops.display = plan.ops


def keys_line(width: int) -> Line:
    """As many keys as there is room for; help and quit always."""
    items = bar_items()
    while len(items) > 2 and sum(len(key) + len(word) + 3 for key, word in items) > width + 1:
        del items[-2]
    parts: list[tuple[str, str]] = []
    for key, word in items:
        parts += [(key, "key"), (f" {word}  ", "dim")]
    return tuple(parts)
