"""What of the history is looked at, and how: no widget, no clock, one :class:`Frame` a refresh.

Live and paused differ only in the position looked at, which is also all that stepping back in time needs.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from zfstop.feed import Feed
from zfstop.model.filters import within
from zfstop.model.history import Second
from zfstop.model.latency import Point, by_operation, point
from zfstop.model.percentiles import Summary, summaries
from zfstop.model.rows import Grouping, Rolling, Row, sort_rows
from zfstop.model.state import Controls, Counts, Host, ProbeReport, Status
from zfstop.ui.columns import COLUMNS, DEFAULT_SORT, Column

#: The windows that ``w`` goes through, in seconds.
WINDOWS = (10, 60, 300)
#: Seconds kept when paused, however long the pause: enough for the longest window and the widest chart.
_HELD = 600


@dataclass(frozen=True, slots=True)
class Sort:
    """The column sorted by, and in which direction."""

    column: Column = DEFAULT_SORT
    descending: bool = DEFAULT_SORT.descending


@dataclass(frozen=True, slots=True)
class Pause:
    """Since the screen was frozen: how long (ns), and how many slow operations came."""

    elapsed_ns: int
    slow: int


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything one refresh shows. ``end`` is the position looked at; ``rows`` are sorted; ``ops`` are the
    operations' sums of slow calls over the same window, ``calls`` of all calls; ``points`` the chart's seconds,
    oldest first; ``newest`` the last second before ``end``. ``losses`` and ``slots`` are totals since the start
    and never frozen.
    """

    status: Status
    host: Host
    controls: Controls
    probes: ProbeReport
    grouping: Grouping
    sort: Sort
    window: int
    window_ns: int
    end: int
    rows: tuple[Row, ...]
    ops: tuple[Row, ...]
    calls: tuple[Summary, ...]
    points: tuple[Point, ...]
    newest: Second | None
    losses: Counts
    slots: tuple[Counts, ...]
    pause: Pause | None


class Lens:
    """Looks at a feed's history through a grouping, a window and a sort order."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.grouping = Grouping.PROCESS_FILE
        self.window = WINDOWS[1]
        self.sort = Sort()
        self._held: tuple[Second, ...] = ()
        self._held_end: int | None = None
        self._pause = Pause(0, 0)
        self._pause_counted = 0
        self._rolling = Rolling(self.grouping, self.window)
        self._ops = Rolling(Grouping.OPERATION, self.window)
        self._controls = feed.controls()
        self._small: OrderedDict[int, tuple[Second, Point]] = OrderedDict()

    @property
    def paused(self) -> bool:
        """Whether the position looked at stands still."""
        return self._held_end is not None

    def toggle_pause(self) -> None:
        """Freeze at the newest second, or go on with the newest."""
        if self.paused:
            self._held, self._held_end = (), None
            return
        self._held_end = self._pause_counted = self.feed.history.end
        self._held = self.feed.history.last(_HELD, self._held_end)
        self._pause = Pause(0, 0)

    def next_grouping(self) -> None:
        """The next grouping; the window stays."""
        self.grouping = self.grouping.next
        self._rolling = Rolling(self.grouping, self.window)

    def next_window(self) -> None:
        """The next window length; the grouping stays."""
        self.window = WINDOWS[(WINDOWS.index(self.window) + 1) % len(WINDOWS)]
        self._rolling = Rolling(self.grouping, self.window)
        self._ops = Rolling(Grouping.OPERATION, self.window)

    def sort_by(self, column: Column) -> None:
        """Sort by ``column``; by the same one again: the other way round."""
        if column is self.sort.column:
            self.sort = replace(self.sort, descending=not self.sort.descending)
        else:
            self.sort = Sort(column, column.descending)

    def move_sort(self, step: int, shown: tuple[Column, ...]) -> None:
        """Sort by the column ``step`` places beside the present one, among those on the screen."""
        among = shown or COLUMNS
        now = among.index(self.sort.column) if self.sort.column in among else 0
        column = among[(now + step) % len(among)]
        self.sort = Sort(column, column.descending)

    def frame(self, chart_columns: int) -> Frame:
        """What is to be seen now. ``chart_columns`` is how many seconds the chart has room for."""
        feed = self.feed
        self._follow(feed.controls())
        end = feed.history.end if self._held_end is None else self._held_end
        self._rolling.move_to(end, self._between)
        self._ops.move_to(end, self._small_between)
        newest = self._between(end - 1, end) if end else ()
        losses, slots = feed.history.totals()
        return Frame(
            status=feed.status(),
            host=feed.host(),
            controls=self._controls,
            probes=feed.probes(),
            grouping=self.grouping,
            sort=self.sort,
            window=self.window,
            window_ns=self._rolling.length_ns,
            end=end,
            rows=tuple(sort_rows(self._rolling.rows(), self.sort.column.order, self.sort.descending)),
            ops=tuple(sorted(self._ops.rows(), key=lambda row: -row.total_ns)),
            calls=summaries(self._small_between(max(0, end - self.window), end)),
            points=self._points(max(0, end - chart_columns), end),
            newest=newest[-1] if newest else None,
            losses=losses,
            slots=slots,
            pause=self._count_pause(feed.history.end) if self.paused else None,
        )

    def _follow(self, controls: Controls) -> None:
        """Look at everything anew after a change of threshold or filters: what does not pass them is hidden."""
        if controls != self._controls:
            self._controls = controls
            self._rolling = Rolling(self.grouping, self.window)
            self._ops = Rolling(Grouping.OPERATION, self.window)
            self._small.clear()

    def _count_pause(self, end: int) -> Pause:
        for second in self.feed.history.between(self._pause_counted, end):
            slow = sum(stats.count for _, stats in second.groups)
            self._pause = Pause(self._pause.elapsed_ns + second.length_ns, self._pause.slow + slow)
        self._pause_counted = end
        return self._pause

    def _between(self, start: int, end: int) -> tuple[Second, ...]:
        return tuple(within(second, self._controls) for second in self._recorded(start, end))

    def _recorded(self, start: int, end: int) -> tuple[Second, ...]:
        if self._held_end is None:
            return self.feed.history.between(start, end)
        first = self._held_end - len(self._held)
        return self._held[max(0, start - first) : max(0, end - first)]

    def _small_between(self, start: int, end: int) -> tuple[Second, ...]:
        return tuple(small for small, _ in self._reduced(start, end))

    def _points(self, start: int, end: int) -> tuple[Point, ...]:
        return tuple(found for _, found in self._reduced(start, end))

    def _reduced(self, start: int, end: int) -> list[tuple[Second, Point]]:
        """The seconds with one group an operation, and their points; each is worked out once."""
        missing = [position for position in range(start, end) if position not in self._small]
        if missing:
            fresh = self._between(missing[0], end)
            for position, second in enumerate(fresh, end - len(fresh)):
                small = by_operation(second)
                self._small[position] = (small, point(small))
        while len(self._small) > _HELD:
            self._small.popitem(last=False)
        return [self._small[position] for position in range(start, end) if position in self._small]
