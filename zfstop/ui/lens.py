"""What of the history is looked at, and how: no widget, no clock, one :class:`Frame` a refresh.

Live, paused, back in time and replayed differ only in the position looked at.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from itertools import chain
from typing import TYPE_CHECKING

from zfstop.errors import UserError
from zfstop.feed import Feed
from zfstop.model.advice import Advice, Places, advise
from zfstop.model.bill import LOOK_BACK, Bill, telling
from zfstop.model.books import Books
from zfstop.model.causes import by_cause
from zfstop.model.compare import Mark, OpPair, compared, pairs
from zfstop.model.costs import Costs
from zfstop.model.drill import MOST_CALLS, Call, Crumb, Trail, calls_of
from zfstop.model.events import Event
from zfstop.model.filters import within
from zfstop.model.heat import SPANS, Box, Columns, Heat, Recorded, inside
from zfstop.model.history import Second, Totals
from zfstop.model.latency import Point, by_operation, by_place, point
from zfstop.model.look import Look, seen
from zfstop.model.moments import distance_s, find, parse_moment, step
from zfstop.model.percentiles import RollingCalls, Summary
from zfstop.model.query import Query
from zfstop.model.ranking import Ordered, Ranking
from zfstop.model.relief import relief_in
from zfstop.model.rows import Grouping, Identity, Rolling, Row, rows
from zfstop.model.sieve import Sieve, covers, narrowed
from zfstop.model.state import Controls, Counts, Host, Phase, ProbeReport, Status
from zfstop.model.syncing import Share, Syncing, committed, pools_of
from zfstop.model.zfs_state import Txg
from zfstop.recorder import RecorderState
from zfstop.ui.columns import CALL_COLUMNS, COLUMNS, COMPARED_COLUMNS, DEFAULT_SORT, Column, View
from zfstop.units import NS_PER_S

if TYPE_CHECKING:
    from zfstop.config.settings import Settings

#: The windows that ``w`` goes through, in seconds.
WINDOWS = (10, 60, 300)
#: Seconds kept when paused, however long the pause: enough for the longest window and the widest chart.
_HELD = 600
#: Groups added up in one frame: what is more waits for the next, which comes at once.
_MOST_NOW = 3_000
#: Groups of which the rows are put in order in one frame, likewise.
_ORDERED_NOW = 12_000
#: Seconds whose passing calls are remembered.
_FEW = 4
#: Seconds of which is remembered how many slow calls there were: all that a history holds.
_COUNTED = 1800
#: Rows whose names are offered for a filter: those that waited the most.
_MOST_VALUES = 2000
#: How many changes of a feed's own condition are remembered.
_KNOWN = 1000
#: Operations whose events name another path.
TWO_PATHS = frozenset({"rename", "link", "copy", "clone", "dedupe"})
_PLACES = Places()
#: Where there is a kernel that filters; a recording would only lose by it.
_MEASURING = frozenset({Phase.STARTING, Phase.WAITING, Phase.LIVE})


@dataclass(frozen=True, slots=True)
class Sort:
    """The column sorted by, and in which direction."""

    column: Column = DEFAULT_SORT
    descending: bool = DEFAULT_SORT.descending


@dataclass(frozen=True, slots=True)
class Pause:
    """The screen stands still: for how long by the seconds that came since (ns), and how many slow operations and
    losses came in them. ``back``: at a place that was gone to; else where Space stopped it.
    """

    elapsed_ns: int
    slow: int
    lost: int = 0
    back: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What a feed says of itself beside the seconds."""

    status: Status
    host: Host
    probes: ProbeReport


@dataclass(frozen=True, slots=True)
class Scope:
    """What of the window, or of the box, is shown: ``query`` is the ``/`` filter, ``trail`` tells what the rows entered
    are and how they are called.

    ``single``: the rows are single calls, ``kept`` of ``calls`` that were slow. ``of`` rows there would be without
    the query. ``in_kernel`` are the keys of the query that the kernel filters too. In ``narrow`` of the seconds it let
    less through than is shown now.
    """

    query: Query
    trail: tuple[tuple[str, str], ...]
    single: bool
    kept: int
    calls: int
    of: int
    in_kernel: tuple[str, ...]
    narrow: int

    def __bool__(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.query or self.trail or self.single or self.narrow)


@dataclass(frozen=True, slots=True)
class Boxed:
    """What is in a box of the map. ``began`` and ``ended`` are clock times (s), ``length_ns`` how much of it is held.

    ``calls`` are all, ``slow`` those of the table: every one that was recorded, of which ``estimates`` only in sums.
    ``blind``: the filters ask for what is not known of all calls, so that ``calls`` holds such as they hide.
    """

    box: Box
    began: float
    ended: float
    length_ns: int
    calls: int
    slow: int = 0
    estimates: int = 0
    blind: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows, not sorted yet; ``kept``, ``calls`` and ``of`` as in :class:`Scope`; of the box, when there is one."""

    rows: tuple[Row, ...] | Rolling
    kept: int
    calls: int
    of: int
    boxed: Boxed | None = None
    places: tuple[Row, ...] = ()
    op_pairs: tuple[OpPair, ...] = ()
    ops: tuple[Row, ...] | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything one refresh shows. ``end`` is the position looked at; ``rows`` are sorted; ``ops`` are the
    operations' sums of slow calls over the same window, ``calls`` of all calls; ``points`` the chart's seconds,
    oldest first, ``heat`` the map's columns; ``newest`` the last second before ``end``. ``losses`` are totals since the
    start, ``books`` those of each probe since it was attached, all as they were then. ``summed``: of some of the
    seconds only sums are left. ``zone`` is where clocks are (None: here), ``of`` the length of a replay in seconds.
    ``advice`` is what the waits of the rows say, the weightiest first.
    With ``boxed``, the rows are of its seconds, not of the window; ``drawn`` is the box that is being drawn.
    ``syncing`` is how much of each second a pool was syncing, and ``map_syncing`` of each of the map's columns, oldest
    first, empty where ZFS was not asked; ``txgs`` are (pool, transaction group) committed in the window.
    ``mouse``: it is ours, not the terminal's.
    With ``after``, the rows compare its seconds with those of ``before``, ``op_pairs`` the operations.
    ``filling``: (seconds of the window added up so far, of how many), until that is done. ``held``: the order of rows
    stands still, and how many that would rank among the first are kept back by that. ``ordering``: (rows put in order
    so far, of how many), until that is done. ``why``: waits are known.
    ``ops_shown`` are as ``ops``, but of the box where there is one.
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
    rows: Sequence[Row]
    ops: tuple[Row, ...]
    calls: tuple[Summary, ...]
    points: tuple[Point, ...]
    heat: Heat
    bill: Bill
    boxed: Boxed | None
    drawn: Boxed | None
    newest: Second | None
    losses: Counts
    books: tuple[Books, ...]
    costs: Costs
    pause: Pause | None
    scope: Scope
    summed: bool = False
    zone: tzinfo | None = None
    of: int | None = None
    recording: RecorderState | None = None
    advice: tuple[Advice, ...] = ()
    syncing: tuple[Share, ...] = ()
    map_syncing: tuple[Share, ...] = ()
    txgs: tuple[tuple[str, Txg], ...] = ()
    mouse: bool = True
    before: Mark | None = None
    after: Mark | None = None
    op_pairs: tuple[OpPair, ...] = ()
    filling: tuple[int, int] | None = None
    held: int | None = None
    ordering: tuple[int, int] | None = None
    why: bool = False
    ops_shown: tuple[Row, ...] = ()

    @property
    def seconds(self) -> int:
        """How many seconds of the window there are; one that was recorded late counts as one."""
        return min(self.window, self.end) if self.filling is None else self.filling[0]

    @property
    def relief(self) -> tuple[str, ...]:
        """What was measured less than asked for in the second looked at, in words."""
        return relief_in(self.newest.notes) if self.newest else ()

    @property
    def threshold_ns(self) -> int:
        """The threshold in force: higher than the one asked for while a flood or a budget raised it."""
        asked = self.controls.threshold_ns
        return max(asked, self.newest.controls.threshold_ns) if self.newest and self.relief else asked

    @property
    def view(self) -> View:
        """The seconds that the rows are of."""
        if self.after is not None:
            end = self.after.start + len(self.after.seconds)
            return View(self.after.length_ns, len(self.after.seconds), end, self.zone)
        if self.boxed is None:
            return View(self.window_ns, self.window, self.end, self.zone)
        box = self.boxed.box
        return View(self.boxed.length_ns, box.end - box.start, box.end, self.zone)


@dataclass(slots=True)
class _Held:
    """A place that is stood at: the seconds before it, whatever becomes of the history, and what came since.

    ``counted`` is the position up to which :attr:`pause` has counted, ``newest`` the last second before that.
    """

    end: int
    seconds: tuple[Second, ...]
    totals: Totals
    pause: Pause
    counted: int
    newest: tuple[Second, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.newest = self.seconds[-1:]


def _by_time(found: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(sorted(found, key=lambda row: -row.total_ns))


class _Order:
    """How the rows of one table are ordered: by a column, or as they once were."""

    def __init__(self, found: tuple[Row, ...] | Rolling, sort: Sort) -> None:
        self._of = found if isinstance(found, Rolling) else None
        self._sort = sort
        self._ranking = Ranking(sort.column.order, sort.descending)
        self._shown: Ordered | None = None
        #: The rows whose order stands still, the others behind them; and those that are behind these.
        self._held: dict[Identity, None] | None = None
        self._held_last: dict[Identity, None] = {}

    def is_for(self, found: tuple[Row, ...] | Rolling, sort: Sort) -> bool:
        """Whether it is of these rows and this column."""
        return sort == self._sort and self._of is (found if isinstance(found, Rolling) else None)

    def ranked(self, found: tuple[Row, ...] | Rolling) -> Ordered:
        """By the column."""
        self._held = None
        self._shown = self._by_column(found)
        return self._shown

    @property
    def looked_at(self) -> tuple[int, int] | None:
        """(rows, of how many) that the order is of so far; None when that is all."""
        return self._ranking.looked_at

    def held(self, found: tuple[Row, ...] | Rolling) -> tuple[Ordered, int]:
        """As they were shown last; and how many that came or rose since stand behind rows that they would outrank."""
        fresh = self._by_column(found)
        rows = found.by_identity if isinstance(found, Rolling) else {row.identity: row for row in found}
        if not self._held and isinstance(found, Rolling) and (self.looked_at or not found.whole):
            return fresh, 0  # an order of a part of the rows is none to hold
        if self._held is None or len(self._held) > 2 * len(rows) + _MOST_VALUES:
            self._held = {identity: None for identity in self._held or () if identity in rows}
            self._held_last = {}
        held, shown = self._held, self._shown or fresh
        if not held or shown.known is not shown.head:
            held.update(dict.fromkeys([row.identity for row in shown.known]))
        if shown.tail and not self._held_last:
            self._held_last = dict.fromkeys([row.identity for row in shown.tail])
        first = [row for row in map(rows.get, held) if row is not None]
        last = [row for row in map(rows.get, self._held_last) if row and row.identity not in held]
        self._shown = self._standing(first, last, rows)
        return self._shown, sum(row.identity not in held for row in fresh.head[: len(first)])

    def _standing(self, first: list[Row], last: list[Row], rows: Mapping[Identity, Row]) -> Ordered:
        """The rows with these first and last, and what is between them by the column."""
        held = {row.identity for row in chain(first, last)}

        def whole() -> list[Row]:
            return [
                *first,
                *(row for row in self._ranking.sort(rows.values()) if row.identity not in held),
                *last,
            ]

        def the_last() -> list[Row]:
            return last or [row for row in self._ranking.last(rows) if row.identity not in held]

        standing = Ordered(first, len(rows), rows, whole, the_last)
        standing.tail = last
        return standing

    def _by_column(self, found: tuple[Row, ...] | Rolling) -> Ordered:
        if isinstance(found, Rolling):
            rows = found.by_identity
            most = _ORDERED_NOW * len(rows) // max(1, len(rows), found.groups)
            return self._ranking.ranked(rows, found.touched(), max(1, most))
        ordered = self._ranking.sort(found)
        there = {row.identity: row for row in ordered}
        return Ordered(ordered, len(ordered), there, lambda: ordered, lambda: ordered)


class Lens:
    """Looks at a feed's history through a grouping, a window and a sort order."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.grouping = Grouping.PROCESS_FILE
        self.window = WINDOWS[1]
        self.sort = Sort()
        self.query = Query()
        self.trail = Trail()
        self.single = False
        self._above: list[tuple[Grouping, Sort, bool]] = []
        #: (what the operator asked for, what the feed was asked for instead, because of which keys of the query).
        self._told: tuple[Controls, Controls, tuple[str, ...]] | None = None
        self._held: _Held | None = None
        self._known: list[tuple[int, Known]] = []
        self._controls = feed.controls()
        self.span = SPANS[0]
        self.box: Box | None = None
        self.drawn: Box | None = None
        self._box_held: tuple[Second, ...] = ()
        self._box_seen: _Found | None
        #: The marks A and B, and what they look like beside each other.
        self.before: Mark | None = None
        self.after: Mark | None = None
        self._compared: _Found | None
        #: What the prices of thresholds are for: PIDs, datasets and operations that the kernel lets through.
        self._priced: object = None
        self._minute: RollingCalls
        #: What the map counts: see _map_anew.
        self._mapped: object = None
        self._columns: Columns
        self._syncing: Syncing
        #: Whether the order of rows is to stand still, the order that does, and how rows rank else.
        self.holding = False
        self._order: _Order | None = None
        #: Those whose rows nobody looks at any more: 100,000 of them are not freed within one frame.
        self._gone: list[Rolling] = []
        #: Position -> how many slow calls there were, whatever of them is shown.
        self._slow: dict[int, int] = {}
        #: The rows shown, and those that there are without the query; without one they are the same.
        self._rolling = self._all = Rolling(self.grouping, self.window)
        self._look_anew()
        self._map_anew()
        self._small: OrderedDict[int, tuple[Second, Point, Second]] = OrderedDict()
        self._passed: deque[tuple[Controls, Sieve, Second, Second]] = deque(maxlen=_FEW)

    def begin(self, settings: Settings) -> None:
        """Look with this window, grouping and order, as far as something is said of them."""
        self.window = settings.window or self.window
        self.grouping = settings.group or self.grouping
        if settings.sort is not None:
            column = next(column for column in COLUMNS if column.key == settings.sort)
            self.sort = Sort(
                column, column.descending if settings.descending is None else settings.descending
            )
        self._look_anew()

    @property
    def end(self) -> int:
        """The position looked at."""
        if self.feed.playback is not None:
            return self.feed.playback.position
        return self.feed.history.end if self._held is None else self._held.end

    @property
    def paused(self) -> bool:
        """Whether the position looked at stands still."""
        return not self.feed.playback.playing if self.feed.playback is not None else self._held is not None

    def toggle_pause(self) -> None:
        """Stand still; or go on, with the newest second, or from here in a replay."""
        playback = self.feed.playback
        if playback is not None:
            if playback.playing:
                playback.hold(playback.position)
            else:
                if playback.position >= self.feed.history.end:
                    playback.hold(1)
                playback.play()
        elif self._held is not None:
            self._held = None
        else:
            self._stand(self.feed.history.end, back=False)

    def step(self, by_s: int) -> None:
        """Go so many seconds back (below 0) or on, and stand there; the end is live again."""
        self._go(step(self.feed.history, self.end, by_s))

    def go_to(self, text: str) -> None:
        """Go to a time as it was typed. Raises ValueError with a sentence."""
        playback, history = self.feed.playback, self.feed.history
        moment = parse_moment(text)
        counted_from = history.end if playback is None and text.strip().startswith("-") else self.end
        self._go(
            find(moment, history, self.end, counted_from, playback.zone if playback is not None else None)
        )

    def go_live(self) -> None:
        """The newest second; the end of a replay."""
        if self.feed.playback is not None:
            self.feed.playback.hold(self.feed.history.end)
        self._held = None

    def _go(self, position: int) -> None:
        history = self.feed.history
        if self.feed.playback is not None:
            self.feed.playback.hold(position)
        elif position >= history.end:
            self._held = None
        else:
            self._stand(max(position, history.start + 1), back=True)

    def _stand(self, position: int, back: bool) -> None:
        history = self.feed.history
        held = history.between(max(0, position - _HELD), position)
        self._held = _Held(position, held, history.totals_at(position), Pause(0, 0, back=back), position)

    def next_grouping(self) -> None:
        """The next grouping; the window stays. Single calls become rows again."""
        if self.single:
            self.single, self.sort = False, Sort()
        else:
            self.grouping = self.grouping.next
        self._group_anew()

    def seek(self, query: Query) -> None:
        """Show only what passes ``query`` from now on. What there is without it need not be looked at anew."""
        there = self._all
        self.query = query
        self._narrow()
        self._all = there
        if not query:
            self._rolling = there

    def enter(self, row: Row, label: str) -> None:
        """Show what is in the row, which is called ``label``."""
        self._above.append((self.grouping, self.sort, self.single))
        self.trail = self.trail.into(Crumb(self.grouping, row.identity, label))
        self.single = self.trail.next is None
        if self.trail.next is None:
            self.sort = Sort(CALL_COLUMNS[0])
        else:
            self.grouping = self.trail.next
        self._narrow()

    def _first_sort(self) -> Sort:
        """What a table is sorted by until somebody chooses."""
        if self.after is not None:
            return Sort(COMPARED_COLUMNS[1])
        return Sort(CALL_COLUMNS[0]) if self.single else Sort()

    def single_within(self, row: Row) -> bool:
        """Whether what is in the row are single calls."""
        return self.trail.into(Crumb(self.grouping, row.identity, "")).next is None

    def leave(self) -> Identity | None:
        """Go up again, to the row whose identity is returned; None at the top."""
        if not self._above:
            return None
        self.grouping, sort, self.single = self._above.pop()
        columns = COMPARED_COLUMNS if self.after else CALL_COLUMNS if self.single else COLUMNS
        self.sort = sort if sort.column in columns else self._first_sort()
        *crumbs, last = self.trail.crumbs
        self.trail = Trail(tuple(crumbs))
        self._narrow()
        return last.identity

    @property
    def asked(self) -> Controls:
        """What the operator asked the feed for, without what the kernel filters because of the query."""
        now = self.feed.controls()
        return self._told[0] if self._told and self._told[1] == now else now

    def control(self, asked: Controls) -> None:
        """Ask the feed for ``asked``, and of the query for what the kernel can do. Raises UserError when refused."""
        told, words = asked, tuple[str, ...]()
        if self.feed.status().phase in _MEASURING:
            told, words = narrowed(asked, self.query)
        try:
            self.feed.control(told)
        except UserError:
            if told == asked:
                raise
            told, words = asked, ()
            self.feed.control(asked)
        self._told = (asked, told, words) if words else None

    def rows_there(self) -> tuple[Row, ...]:
        """The rows of the window or the box, the query aside: what there is to filter by."""
        if self.box:
            return self._rows_inside(self.box, self._unsought_sieve)
        self._all.move_to(self.end, self._unsought_bare)
        most = heapq.nlargest(_MOST_VALUES, self._all.by_identity.values(), key=lambda row: row.total_ns)
        return tuple(most)

    def next_window(self) -> None:
        """The next window length; the grouping stays."""
        self.window = WINDOWS[(WINDOWS.index(self.window) + 1) % len(WINDOWS)]
        self._look_anew()

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

    def step_span(self, step: int) -> None:
        """More seconds in a column of the map, or fewer."""
        place = SPANS.index(self.span) + step
        self.span = SPANS[max(0, min(place, len(SPANS) - 1))]

    def select(self, box: Box | None) -> None:
        """Only the calls in this box of the map from now on; its seconds are kept as long as it is."""
        self.drawn = None
        if box is None and self.box is None:
            return
        self.box = box
        self._box_held = self._recorded(box.start, box.end) if box else ()
        self._box_seen = self._order = None
        if box is not None and self.after is not None:
            self.unmark()

    def mark(self) -> Mark:
        """The seconds that the table is of; a box counts with all their latencies."""
        look = self._look_now()
        return Mark(tuple(look.seconds), look.start)

    def mark_before(self) -> None:
        """What is seen now is what was before."""
        self.before, self.after = self.mark(), None

    def mark_after(self) -> None:
        """Compare what is seen now with what was before; or with what is marked already, once more."""
        began = self.after is None
        self.after, self._compared, self._order = self.mark(), None, None
        self.box = self.drawn = None
        if began:
            self.sort = self._first_sort()

    def unmark(self) -> None:
        """Nothing is compared any more."""
        comparing, self.before, self.after = self.after is not None, None, None
        self._order = None
        if comparing:
            self.sort = self._first_sort()

    def look(self) -> Look:
        """What the table is of, for who adds it up elsewhere; of a comparison what is after."""
        return self.look_at(self.after) if self.after is not None else self._look_now()

    def _look_now(self) -> Look:
        box, end = self.box, self.end
        start = box.start if box else max(0, end - self.window)
        seconds = self._box_held if box else self._recorded(start, end)
        stop = box.end if box else end
        return Look(
            seconds,
            stop - len(seconds),
            stop - start,
            self._controls,
            self.grouping,
            self.query,
            self.trail,
            self.single,
            box,
        )

    def frame(self, chart_columns: int) -> Frame:
        """What is to be seen now. ``chart_columns`` is how many seconds the chart has room for."""
        feed = self.feed
        self._follow(self.asked)
        self._let_go()
        end = self.end
        # What a key leads to is seen at once: its first frame has less in it.
        begun = max(self._rolling.start, end - self.window) < min(self._rolling.end, end)
        most = _MOST_NOW if begun else _MOST_NOW // 2
        self._rolling.move_to(end, self._without_events, most, weigh=self._weight, recorded=self._recorded)
        reduced_from = self._reduce(end, max(self.window, chart_columns), most)
        self._ops.move_to(end, self._small_between, floor=reduced_from)
        self._places.move_to(end, self._placed_between, floor=reduced_from)
        self._calls.move_to(end, self._small_between, floor=reduced_from)
        if self.before is not None and self.after is not None:
            found = self._between_marks(self.before, self.after)
        else:
            found = self._in_box(self.box) if self.box else self._in_window(end, most)
        shown, held = self._in_order(found.rows)
        ops = self._ops.rows()
        drawn = self.drawn
        newest = self._between(end - 1, end) if end else ()
        totals = feed.history.totals_at(end) if self._held is None else self._held.totals
        pause = self._count_pause()
        known = self._known_at(end)
        shares = self._shares(end, chart_columns, 1)
        return Frame(
            status=known.status,
            host=known.host,
            controls=self._controls,
            probes=known.probes,
            grouping=self.grouping,
            sort=self.sort,
            window=self.window,
            window_ns=self._rolling.length_ns,
            end=end,
            rows=shown,
            ops=_by_time(ops),
            calls=self._calls.summaries(),
            points=self._points(max(0, end - chart_columns), end, reduced_from),
            heat=self._columns.heat(end, chart_columns, self.span, self._recorded),
            bill=self._bill(),
            boxed=found.boxed,
            drawn=self._about(drawn, self._recorded(drawn.start, drawn.end), self._recorded)
            if drawn
            else None,
            newest=newest[-1] if newest else None,
            losses=totals.counts,
            books=totals.books,
            costs=Costs(note="not kept of the past") if pause is not None and pause.back else feed.costs(),
            pause=pause,
            scope=self._scope(found, end),
            summed=any(second.summed for second in self._recorded(max(0, end - self.window), end)),
            zone=feed.playback.zone if feed.playback is not None else None,
            of=feed.history.end if feed.playback is not None else None,
            advice=self._advise(found, end),
            syncing=shares,
            map_syncing=shares if self.span == 1 else self._shares(end, chart_columns, self.span),
            txgs=committed(self._recorded(max(0, end - self.window), end)),
            before=self.before,
            after=self.after,
            op_pairs=found.op_pairs,
            filling=self._filling(end, reduced_from, chart_columns),
            held=held,
            ordering=self._order.looked_at if self._order else None,
            why=any(row.waits is not None for row in found.places or shown.head),
            ops_shown=_by_time(ops if found.ops is None else found.ops),
        )

    def _let_go(self) -> None:
        """Free some of what is not looked at any more."""
        self._gone = [old for old in self._gone if old is not self._rolling and old is not self._all]
        for old in self._gone:
            old.drop()
        if self._gone and not self._gone[-1].let_go(_MOST_NOW):
            self._gone.pop()
        for old in {self._rolling, self._all}:
            old.let_go(_MOST_NOW)

    def _advise(self, found: _Found, end: int) -> tuple[Advice, ...]:
        """Sentences about what the table is of."""
        start, end = (self.box.start, self.box.end) if self.box else (max(0, end - self.window), end)
        seconds = self._box_held if self.box else self._recorded(start, end)
        return advise(found.places, seconds, end - len(seconds))

    def _filling(self, end: int, reduced_from: int, chart_columns: int) -> tuple[int, int] | None:
        """How far it is with what was too much for one frame."""
        wanted = min(self.window, end)
        reduced = reduced_from <= max(0, end - max(self.window, chart_columns))
        singles = not self.single or self.box is not None or len(self._singles) == wanted
        if self._rolling.whole and self._all.whole and reduced and singles:
            return None
        return min(wanted, end - max(self._rolling.start, reduced_from)), wanted

    def _in_order(self, found: tuple[Row, ...] | Rolling) -> tuple[Ordered, int | None]:
        """The rows as they are to be shown; and how many are kept back by an order that stands still."""
        if self._order is None or not self._order.is_for(found, self.sort):
            self._order = _Order(found, self.sort)
        if not self.holding:
            return self._order.ranked(found), None
        return self._order.held(found)

    def _between_marks(self, before: Mark, after: Mark) -> _Found:
        """Both pieces looked through once for each grouping and each change of what passes the filters."""
        if self._compared is None:
            old, new = seen(self.look_at(before)), seen(self.look_at(after))
            there = compared(old.rows, new.rows, (old.length_ns, new.length_ns))
            of = len(there)
            if self.query:
                looks = (replace(self.look_at(mark), query=Query()) for mark in (before, after))
                of = len({row.identity for look in looks for row in seen(look).rows})
            self._compared = _Found(there, 0, 0, of, op_pairs=pairs(old.calls, new.calls))
        return self._compared

    def look_at(self, mark: Mark) -> Look:
        """A mark through the filters and the grouping of now."""
        count = len(mark.seconds)
        return Look(
            mark.seconds,
            mark.start,
            count,
            self._controls,
            self.grouping,
            self.query,
            self.trail,
            False,
            None,
        )

    def _shares(self, end: int, columns: int, span: int) -> tuple[Share, ...]:
        """How much of each column a pool was syncing; nothing when ZFS was asked in none of them."""
        found = self._syncing.shares(max(0, end - columns * span), end, span, self._recorded)
        return found if any(share is not None for share in found) else ()

    def _in_window(self, end: int, most: int) -> _Found:
        if self.single:
            calls, kept, there = self._calls_kept(end, most)
            calls_there = sum(row.count for row in self._rolling.by_identity.values())
            return _Found(tuple(calls), kept, calls_there, there, places=self._places.rows())
        if self.query:
            self._all.move_to(end, self._unsought_bare, most, weigh=self._weight, recorded=self._recorded)
        return _Found(self._rolling, 0, 0, len(self._all.by_identity), places=self._places.rows())

    def _in_box(self, box: Box) -> _Found:
        """The kept box, looked through once for each grouping and each change of what passes the filters."""
        if self._box_seen is None:
            parts = self._inside(box, self._sieve)
            there = self._inside(box, self._unsought_sieve) if self.query else parts
            seconds = tuple(second for second, _ in parts)
            slow = sum(stats.count for second in seconds for _, stats in second.groups)
            about = self._about(box, self._box_held, self._box_between)
            about = replace(about, slow=slow, estimates=sum(count for _, count in parts), blind=self._blind)
            found = self._rows_of(box, seconds)
            kept, of = 0, len(found)
            if self.single:
                kept = sum(len(second.events) for second in seconds)
                of = sum(len(second.events) for second, _ in there)
            elif self.query:
                of = len(self._rows_of(box, tuple(second for second, _ in there)))
            places = rows(seconds, _PLACES, box.end - len(seconds), box.end - box.start)
            ops = rows(seconds, Grouping.OPERATION, box.end - len(seconds), box.end - box.start)
            self._box_seen = _Found(found, kept, slow, of, about, places, ops=ops)
        return self._box_seen

    def _rows_inside(self, box: Box, sieve: Sieve) -> tuple[Row, ...]:
        return self._rows_of(box, tuple(second for second, _ in self._inside(box, sieve)))

    def _rows_of(self, box: Box, seconds: tuple[Second, ...]) -> tuple[Row, ...]:
        start = box.end - len(seconds)
        if not self.single:
            if self.grouping is Grouping.CAUSE:
                seconds = tuple(map(by_cause, seconds))
            return rows(seconds, self.grouping, start, box.end - box.start)
        newest: list[Call] = []
        for position in range(box.end - 1, start - 1, -1):
            newest += calls_of(position, seconds[position - start])
        return tuple(newest[:MOST_CALLS])

    def _inside(self, box: Box, sieve: Sieve) -> list[tuple[Second, int]]:
        return [inside(sieve.second(within(second, self._controls)), box) for second in self._box_held]

    @property
    def _blind(self) -> bool:
        """Whether the filters ask for what all-calls statistics do not know."""
        return self._sieve.blind or not self.trail.of_tallies

    def _calls_kept(self, end: int, most: int) -> tuple[list[Call], int, int]:
        """The newest single calls of the window, how many were kept, and how many without the query; for now those of
        the seconds that fit into a frame.
        """
        start, left = max(0, end - self.window), most
        for position in [position for position in self._singles if not start <= position < end]:
            del self._singles[position]
        for position in range(end - 1, start - 1, -1):
            if position not in self._singles:
                if left <= 0:
                    break
                left -= self._weight(position)
                shown = self._between(position, position + 1)
                there = self._unsought(position, position + 1) if self.query else shown
                calls = [call for one in shown for call in calls_of(position, one)]
                kept, of = (sum(len(second.events) for second in seconds) for seconds in (shown, there))
                self._singles[position] = (tuple(calls), kept, of)
        newest: list[Call] = []
        for position in sorted(self._singles, reverse=True):
            newest += self._singles[position][0]
        kept = sum(count for _, count, _ in self._singles.values())
        return newest[:MOST_CALLS], kept, sum(count for _, _, count in self._singles.values())

    def _scope(self, found: _Found, end: int) -> Scope:
        held = self._box_held if self.box else self._recorded(max(0, end - self.window), end)
        wanted, _ = narrowed(self._controls, self.query)
        fit = {controls: covers(controls, wanted) for controls in {second.controls for second in held}}
        return Scope(
            query=self.query,
            trail=self.trail.words,
            single=self.single,
            kept=found.kept,
            calls=found.calls,
            of=found.of,
            in_kernel=self._told[2] if self._told and self._told[1] == self.feed.controls() else (),
            narrow=sum(not fit[second.controls] for second in held),
        )

    def other_path(self, row: Row | None) -> str:
        """Where the newest call of the row that has two paths (rename, link, copy ...) led, as far as it was kept."""
        if isinstance(row, Call):
            return row.event.to
        if row is None or not TWO_PATHS & set(row.who.ops):
            return ""
        start = max(0, self.end - self.window)
        held = self._box_held if self.box else self._recorded(start, self.end)
        keys = {key._replace(cause="") for key in row.keys}
        for second in reversed(held):
            for event in reversed(second.events):
                if event.to and event.key in keys and self._shows(event):
                    return event.to
        return ""

    def _shows(self, event: Event) -> bool:
        """Whether a call of a row that is shown is itself among those shown."""
        return self._within.passes_call(event) and (self.box is None or self.box.holds(event.bucket))

    def _follow(self, controls: Controls) -> None:
        """Look at everything anew after a change of threshold or filters: what does not pass them is hidden."""
        if controls != self._controls:
            self._controls = controls
            self._narrow()

    def _narrow(self) -> None:
        """Look at everything anew after a change of what is shown."""
        self._look_anew()
        self._map_anew()
        self._small.clear()

    def _map_anew(self) -> None:
        """Count the map's columns anew if other calls are to be in them."""
        mapped = self._controls.wanted_ops, self._controls.datasets, self._sieve.tally_terms, self.trail
        if mapped != self._mapped:
            self._mapped = mapped
            self._columns = Columns(self._controls, self._sieve.passes_tally)
            self._syncing = Syncing(pools_of(self._controls))

    def _look_anew(self) -> None:
        self._group_anew()
        self._ops = Rolling(Grouping.OPERATION, self.window)
        self._places = Rolling(_PLACES, self.window)
        self._calls = RollingCalls(self.window)
        holds, holds_tally = (self.trail.holds, self.trail.holds_tally) if self.trail else (None, None)
        self._within = Query((*self.trail.terms, *self.query.terms))
        self._sieve = Sieve(self._within, holds, holds_tally)
        self._unsought_sieve = Sieve(Query(self.trail.terms), holds, holds_tally)
        self._singles: dict[int, tuple[tuple[Call, ...], int, int]] = {}

    def _group_anew(self) -> None:
        self._gone += {self._rolling, self._all}
        self._rolling = Rolling(self.grouping, self.window)
        self._all = Rolling(self.grouping, self.window) if self.query else self._rolling
        self._box_seen = self._compared = self._order = None

    def _count_pause(self) -> Pause | None:
        """What came since the place that is stood at."""
        held, history = self._held, self.feed.history
        if held is None:
            playback = self.feed.playback
            if playback is not None:
                return None if playback.playing else Pause(0, 0, back=True)
            end = history.end
            self._slow_in(history.between(end - 1, end), end)
            return None
        end = history.end
        if end > held.counted:
            fresh = history.between(held.counted, end)
            clocks = [(second.clock, second.length_ns) for second in (*held.newest, *fresh)]
            held.newest, held.counted = fresh[-1:], end
            was = held.pause
            held.pause = replace(
                was,
                elapsed_ns=was.elapsed_ns + round(distance_s(clocks) * NS_PER_S),
                slow=was.slow + self._slow_in(fresh, end),
                lost=was.lost + sum(second.counts.losses for second in fresh),
            )
        return held.pause

    def _slow_in(self, seconds: tuple[Second, ...], end: int) -> int:
        """How many slow calls there were in these, which end at position ``end``; counted while they come, for a
        minute of them would take long.
        """
        start = end - len(seconds)
        for position, second in enumerate(seconds, start):
            if position not in self._slow:
                self._slow[position] = sum(stats.count for _, stats in second.groups)
        if len(self._slow) > 2 * _COUNTED:
            self._slow = {at: count for at, count in self._slow.items() if at >= end - _COUNTED}
        return sum(self._slow[position] for position in range(start, end))

    def _known_at(self, end: int) -> Known:
        """What the feed said of itself when ``end`` was the end, as far as somebody looked then."""
        feed = self.feed
        now, position = Known(feed.status(), feed.host(), feed.probes()), feed.history.end
        if not self._known or self._known[-1][1] != now:
            self._known.append((position, now))
            del self._known[:-_KNOWN]
        if self._held is None or not self._held.pause.back:
            return now
        before = [known for since, known in self._known if since < end]
        then = before[-1] if before else self._known[0][1]
        # What is wrong now is told wherever one looks.
        return replace(then, status=replace(then.status, problem=now.status.problem))

    def _between(self, start: int, end: int) -> tuple[Second, ...]:
        return self._sifted(self._sieve, start, end)

    def _unsought(self, start: int, end: int) -> tuple[Second, ...]:
        """What there would be without the query."""
        return self._sifted(self._unsought_sieve, start, end)

    def _unsought_bare(self, start: int, end: int) -> tuple[Second, ...]:
        return self._bare(self._unsought(start, end))

    def _sifted(self, sieve: Sieve, start: int, end: int) -> tuple[Second, ...]:
        return tuple(self._passing(sieve, second) for second in self._recorded(start, end))

    def _passing(self, sieve: Sieve, second: Second) -> Second:
        """What of it is to be seen; a frame asks several times for the same few."""
        for controls, by, recorded, found in self._passed:
            if recorded is second and by is sieve and controls is self._controls:
                return found
        found = sieve.second(within(second, self._controls))
        self._passed.append((self._controls, sieve, second, found))
        return found

    def _without_events(self, start: int, end: int) -> tuple[Second, ...]:
        """For who keeps them a whole window long, and adds up groups only."""
        return self._bare(self._between(start, end))

    def _bare(self, seconds: tuple[Second, ...]) -> tuple[Second, ...]:
        """Without events, and split as the grouping needs it."""
        if self.grouping is Grouping.CAUSE:
            seconds = tuple(map(by_cause, seconds))
        return tuple(replace(second, events=()) if second.events else second for second in seconds)

    def _recorded(self, start: int, end: int) -> tuple[Second, ...]:
        if self._held is None:
            return self.feed.history.between(start, end)
        first = self._held.end - len(self._held.seconds)
        return self._held.seconds[max(0, start - first) : max(0, end - first)]

    def _weight(self, position: int) -> int:
        """How many groups are sifted for a second."""
        return sum(len(second.groups) for second in self._recorded(position, position + 1))

    def _about(self, box: Box, held: tuple[Second, ...], recorded: Recorded) -> Boxed:
        began = held[0].clock - held[0].length_ns / NS_PER_S if held else 0.0
        return Boxed(
            box,
            began,
            ended=held[-1].clock if held else 0.0,
            length_ns=sum(second.length_ns for second in held),
            calls=self._columns.calls(box, recorded),
        )

    def _box_between(self, start: int, end: int) -> tuple[Second, ...]:
        if self.box is None:
            return ()
        first = self.box.end - len(self._box_held)
        return self._box_held[max(0, start - first) : max(0, end - first)]

    def _bill(self) -> Bill:
        """What a threshold would bring, by the last minute whatever is looked at: what the kernel filters, because of
        ``/`` too, does not come.
        """
        controls = self.feed.controls()
        priced = controls.pids, controls.datasets, controls.wanted_ops
        if priced != self._priced:
            self._priced, self._minute = priced, RollingCalls(LOOK_BACK)

        def told(start: int, end: int) -> tuple[Second, ...]:
            return tuple(telling(second, controls) for second in self.feed.history.between(start, end))

        # In a replay what comes next is on file, but nobody has seen it yet.
        end = self.feed.history.end if self.feed.playback is None else self.end
        self._minute.move_to(end, told)
        return self._minute.bill()

    def _small_between(self, start: int, end: int) -> tuple[Second, ...]:
        return tuple(small for small, _, _ in self._reduced(start, end))

    def _placed_between(self, start: int, end: int) -> tuple[Second, ...]:
        return tuple(placed for _, _, placed in self._reduced(start, end))

    def _points(self, start: int, end: int, known_from: int) -> tuple[Point, ...]:
        """Of seconds that are not worked out yet nothing is shown."""
        before = (Point(),) * max(0, min(known_from, end) - max(start, self.feed.history.start))
        return (*before, *(found for _, found, _ in self._reduced(max(start, known_from), end)))

    def _reduce(self, end: int, wanted: int, most: int) -> int:
        """Work out more of the ``wanted`` seconds before ``end``, of about ``most`` groups; returns the position from
        which on all are.
        """
        left, position = most, end
        while position > max(0, end - wanted):
            if position - 1 not in self._small:
                if left <= 0:
                    return position
                recorded = self._recorded(position - 1, position)
                if not recorded:  # the history holds no more
                    return 0
                self._reduced(position - 1, position)
                left -= len(recorded[0].groups)
            position -= 1
        return 0

    def _reduced(self, start: int, end: int) -> list[tuple[Second, Point, Second]]:
        """The seconds with one group an operation, their points, and with one a dataset too; each worked out once."""
        missing = [position for position in range(start, end) if position not in self._small]
        if missing:
            fresh = self._between(missing[0], end)
            for position, second in enumerate(fresh, end - len(fresh)):
                placed = by_place(second)
                small = by_operation(placed)
                self._small[position] = (small, point(small), placed)
        for position in range(start, end):
            if position in self._small:
                self._small.move_to_end(position)
        while len(self._small) > _HELD:
            self._small.popitem(last=False)
        return [self._small[position] for position in range(start, end) if position in self._small]
