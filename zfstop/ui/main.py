"""The main screen: the parts, shared out over the terminal, each shown the same frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen

from zfstop.model.rows import Row
from zfstop.model.state import Phase
from zfstop.ui.actions import SECTIONS, bar_items
from zfstop.ui.arrange import Arrangement, arrange
from zfstop.ui.chart import chart_lines
from zfstop.ui.comparing import compare_line, compared_ops_lines, compared_title
from zfstop.ui.details import details_lines
from zfstop.ui.draw import STYLES, Line, Lines, Palette
from zfstop.ui.drill import scope_line
from zfstop.ui.heat import HeatMap, legend
from zfstop.ui.keymap import Sections, hinted, moved
from zfstop.ui.lens import Frame
from zfstop.ui.ops import ops_columns, ops_lines, ops_title, ops_width
from zfstop.ui.status import banner_line, box_line, notice_line, status_lines, waiting_text
from zfstop.ui.stuck import stuck_lines
from zfstop.ui.syncs import sync_line
from zfstop.ui.table import SlowTable
from zfstop.ui.why import advice_line


class MainScreen(Screen[None], Palette):
    """Status, chart, table, details, keys."""

    COMPONENT_CLASSES: ClassVar[set[str]] = STYLES

    def __init__(
        self,
        other_path: Callable[[Row | None], str],
        ready: Callable[[], None],
        sections: Sections = SECTIONS,
    ) -> None:
        """``other_path`` tells where a row's rename, link or copy led. ``ready`` is called when :meth:`show` may be,
        before anything is painted. ``sections`` are the actions with their keys.
        """
        super().__init__()
        self._other_path = other_path
        self._ready = ready
        self._moved = moved(sections)
        self._bar = bar_items(action for _, section in sections for action in section)
        self.table = SlowTable(id="table")
        self._status = Lines(id="status")
        self._notice = Lines(id="notice")
        self._banner = Lines(id="banner")
        self._chart = Lines(id="chart")
        self.map = HeatMap(id="map")
        self.map.display = False
        self._map_asked: bool | None = None
        self._syncs = Lines(id="syncs")
        self._box = Lines(id="box")
        self._ops = Lines(id="ops")
        self._scope = Lines(id="scope")
        self._advice = Lines(id="advice")
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
            yield self.map
            yield self._ops
        yield self._syncs
        yield self._box
        yield self._scope
        yield self._advice
        yield self.table
        yield self._stuck
        yield self._details
        yield self._keys

    def on_mount(self) -> None:
        """The first thing that is painted has content."""
        self._ready()

    def show(self, frame: Frame) -> None:
        """Show this. Parts whose lines did not change are not drawn."""
        width, height = self.app.size
        told = (
            frame.rows
            or frame.relief
            or frame.status.phase in (Phase.DEMO, Phase.REPLAY)
            or frame.recording is not None
        )
        notice = notice_line(frame, width) if told else None
        stuck = frame.newest.stuck if frame.newest else ()
        plan = arrange(
            width,
            height,
            paused=frame.pause is not None,
            notice=notice is not None,
            stuck=len(stuck),
            scope=bool(frame.scope),
            map_asked=self._map_asked,
            box=bool(frame.drawn or frame.boxed or frame.before),
            why=frame.why,
            advice=bool(frame.advice),
            syncs=bool(frame.syncing),
        )
        self._apply(plan)
        self._status.show([hinted(line, self._moved) for line in status_lines(frame, width, plan.status)])
        self._notice.show([notice] if notice else [])
        figures = ops_columns(width) if plan.ops else ()
        title = ops_title(frame.window, figures) if figures else ""
        if figures and frame.after is not None:
            title = compared_title(len(figures))
        words = legend(frame.heat) if plan.map else None
        banner = banner_line(frame, width, title, words, bool(plan.syncs))
        self._banner.show([hinted(banner, self._moved)])
        boxed = frame.drawn or frame.boxed
        self._box.show([box_line(frame, width) if boxed else compare_line(frame, width)] if plan.box else [])
        self._stuck.show(stuck_lines(stuck, width, plan.stuck))
        self._show_charts(frame, plan, width)
        self._scope.show([scope_line(frame, width)] if plan.scope else [])
        self._advice.show([hinted(advice_line(frame.advice[0], width), self._moved)] if plan.advice else [])
        self.table.show(frame, list(hinted(tuple(waiting_text(frame)), self._moved)))
        self.show_details()
        self._keys.show([keys_line(width, self._bar)])

    def show_details(self) -> None:
        """Show the selected row in full."""
        row, height = self.table.selected, self._arrangement.details if self._arrangement else 0
        other = self._other_path(row) if height else ""
        self._details.show(details_lines(row, self.app.size.width, height, other))

    @property
    def has_map(self) -> bool:
        """Whether the chart is the map."""
        return self._arrangement is not None and self._arrangement.map

    def ask_map(self, on: bool) -> None:
        """The map, or the bars, from the next frame on, if there is room for it."""
        self._map_asked = on

    def chart_columns(self) -> int:
        """Columns that the chart has room for, at most."""
        return self.app.size.width

    def _show_charts(self, frame: Frame, plan: Arrangement, width: int) -> None:
        if not plan.chart:
            return
        limit = frame.threshold_ns
        figures = ops_columns(width) if plan.ops else ()
        room = width - (ops_width(figures) if figures else 0)
        if plan.map:
            box = frame.boxed.box if frame.boxed else None
            self.map.show_map(frame.heat, room, plan.chart, limit, box, frame.zone)
        else:
            self._chart.show(chart_lines(frame.points, room, plan.chart, limit))
        shares = frame.map_syncing if plan.map else frame.syncing
        self._syncs.show([sync_line(frame, shares, room, width)] if plan.syncs else [])
        if frame.after is not None and figures:
            told = frame.pause is not None
            self._ops.show(compared_ops_lines(frame.op_pairs, len(figures), plan.chart, titled=told))
        else:
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
            (self._syncs, plan.syncs),
            (self._box, plan.box),
            (self._scope, plan.scope),
            (self._advice, plan.advice),
            (self._stuck, plan.stuck),
            (self._details, plan.details),
            (self._keys, plan.keys),
        )
        for widget, height in heights:
            widget.display = height > 0
            widget.styles.height = height
        self._ops.display = plan.ops
        self._chart.display = not plan.map
        self.map.display = plan.map


def keys_line(width: int, bar: Iterable[tuple[str, str]]) -> Line:
    """As many (key, word) as there is room for; help and quit always."""
    items = list(bar)
    while len(items) > 2 and sum(len(key) + len(word) + 3 for key, word in items) > width + 1:
        del items[-2]
    parts: list[tuple[str, str]] = []
    for key, word in items:
        parts += [(key, "key"), (f" {word}  ", "dim")]
    return tuple(parts)
