"""The Textual app: keys to actions, one frame a refresh. What is shown is decided in lens.py, how in main.py."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter, NoColor
from textual.screen import Screen
from textual.theme import Theme
from textual.timer import Timer

from zfstop.config.settings import DEFAULTS, Settings
from zfstop.errors import Exit, UserError
from zfstop.export.formats import FORMATS, default_name, without_fonts
from zfstop.feed import Feed
from zfstop.model.advice import Advice
from zfstop.model.completion import values_of
from zfstop.model.costs import Watch
from zfstop.model.drill import Call
from zfstop.model.moments import clock_text
from zfstop.model.query import Query, Term
from zfstop.model.state import Controls, Phase
from zfstop.recorder import Recorder
from zfstop.recorder import default_name as recording_name
from zfstop.text import fit
from zfstop.ui.actions import actions
from zfstop.ui.ascii import Ascii
from zfstop.ui.classes import Classes
from zfstop.ui.clipboard import hint, sequences
from zfstop.ui.columns import COLUMNS
from zfstop.ui.dialogs import Ask, AskThreshold, Choose, parse_pids, sentence_of
from zfstop.ui.drill import OneCall, label_of, told_of
from zfstop.ui.export import Taken
from zfstop.ui.exporting import Export
from zfstop.ui.heat import HeatMap
from zfstop.ui.keymap import keys_of, remapped
from zfstop.ui.lens import Frame, Lens, Sort
from zfstop.ui.main import MainScreen
from zfstop.ui.panels import Help, Ledger, Panel, Symbols, ZfsPanel
from zfstop.ui.query import Only, QueryBar, first_of, terms_of
from zfstop.ui.table import SlowTable
from zfstop.ui.tables import as_line
from zfstop.ui.terminal import TerminalDriver, colours, terminal_gone
from zfstop.ui.theme import NONE, SIXTEEN, THEMES
from zfstop.ui.why import Why
from zfstop.units import parse_time, step_threshold
from zfstop.zfs.operations import DEFAULT_CLASSES

#: How often the feed is looked at (s). Drawn is only when there is something new: once a second.
LOOK_EVERY_S = 0.25
#: When a frame that was not enough is followed by the next.
_SOON_S = 0.01
_NEVER = 1 << 30
_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
#: So many objects more, and the young ones are looked through, so often, and those a little older: by Python's own
#: numbers that was a tenth of a refresh. With larger ones the older are so many that it is felt under a key.
_YOUNG, _OLDER = 5_000, 3
#: How often what refers to itself is looked for everywhere (s), and how long nothing was typed before.
_TIDY_EVERY_S, _CALM_S = 120, 20
_WITHOUT_COLOUR = NoColor()
_IN_ASCII = Ascii()

#: Writes settings into the file, and says which; raises UserError.
Save = Callable[[Settings], str]


class ZfstopApp(App[None]):
    """Shows a feed. Whoever runs it starts the feed before and stops it after."""

    CSS_PATH = "app.tcss"
    TITLE = "zfstop"
    #: Those that work whatever is open; the others may have other keys. Ctrl+P is Textual's own.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(action.keys, action.name, action.title, show=False, priority=True)
        for action in actions()
        if action.always
    ]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        feed: Feed,
        look_every_s: float = LOOK_EVERY_S,
        settings: Settings = DEFAULTS,
        save: Save | None = None,
        theme_asked: bool = False,
    ) -> None:
        """``look_every_s`` may be raised on a slow line: then frames are skipped, never events.

        ``settings`` are those to begin with, ``save`` keeps those of later. ``theme_asked``: the theme was asked for
        just now, so that neither NO_COLOR nor what the terminal can do is a reason for another one.
        """
        super().__init__(driver_class=TerminalDriver)
        for theme in THEMES.values():
            self.register_theme(theme)
        begun = settings.over(DEFAULTS)
        self._save = save
        self._no_colours_asked = self.no_color
        self._theme_asked = theme_asked
        #: Chosen for the terminal, not by the operator.
        self._theme_forced: str | None = None
        self.theme = begun.theme or "dark"
        self.ascii = bool(begun.ascii)
        self.mouse = bool(begun.mouse)
        self.sections = remapped(begun.keys)
        for action in (action for _, section in self.sections for action in section):
            if action.keys and not action.always and action.name != "command_palette":
                self.bind(",".join(keys_of(action)), action.name, description=action.title, show=False)
        self.feed = feed
        self.lens = Lens(feed)
        self.lens.begin(begun)
        self.main = MainScreen(self.lens.other_path, self.draw, self.sections)
        self.recorder: Recorder | None = None
        self._look_every_s = look_every_s
        self._meter = bool(begun.meter)
        self._suspended = False
        self._drawn: object = None
        self._last_input = 0.0
        self._collect_after = gc.get_threshold()
        #: The next frame, when one was not enough.
        self._filling: Timer | None = None

    @property
    def available_themes(self) -> dict[str, Theme]:
        """Ours only: the others' shades were never held against this screen."""
        return THEMES if self._registered_themes.keys() >= THEMES.keys() else super().available_themes

    def get_default_screen(self) -> Screen[None]:
        """The main screen is the one at the bottom of the stack."""
        return self.main

    def get_line_filters(self) -> Sequence[LineFilter]:
        """No colours means none: Textual's own choice of greys would make what matters most the faintest."""
        filters = [_WITHOUT_COLOUR] if self.theme == NONE.name else super().get_line_filters()
        return [*filters, _IN_ASCII] if self.ascii else filters

    def on_mount(self) -> None:
        """Begin to look; end when told to, or when the terminal is gone."""
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)
        self._set_ascii(self.ascii or self._only_ascii)
        if not self._theme_asked:
            self._suit_terminal()
        self.app_suspend_signal.subscribe(self, lambda _: self._suspend(True), immediate=True)
        self.app_resume_signal.subscribe(self, lambda _: self._suspend(False))
        self._watch_costs()
        self._set_mouse(self.mouse)
        self.set_interval(self._look_every_s, self.look)
        # With 100,000 groups it takes half a second, and would begin whenever many objects were made: under any key.
        gc.set_threshold(_YOUNG, _OLDER, _NEVER)
        self.set_interval(_TIDY_EVERY_S, self._tidy)

    def _tidy(self) -> None:
        """Let go of what refers to itself, while nobody types."""
        if time.monotonic() - self._last_input >= _CALM_S:
            gc.collect()

    async def on_event(self, event: events.Event) -> None:
        """Remember when somebody last typed or clicked."""
        if isinstance(event, events.InputEvent):
            self._last_input = time.monotonic()
        await super().on_event(event)

    def _suit_terminal(self) -> None:
        """Another theme where NO_COLOR or the terminal asks for it."""
        there = 256 if self.is_headless else colours(os.environ.get("TERM", ""))
        if self._no_colours_asked or there < 8:
            self.theme = self._theme_forced = NONE.name
        elif not self.is_headless and self.console.color_system == "standard":
            self.theme = self._theme_forced = SIXTEEN.name

    def on_unmount(self) -> None:
        """Signals are no longer ours, nor is the memory."""
        gc.set_threshold(*self._collect_after)
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def on_resize(self, event: events.Resize) -> None:
        """Share the new size out; the first one is drawn already."""
        self.call_after_refresh(self._draw_anew)

    def look(self) -> None:
        """Draw if anything is new since the last time."""
        if not self.is_headless and terminal_gone(sys.__stdin__.fileno() if sys.__stdin__ else 0):
            self.exit(return_code=128 + signal.SIGHUP)
            return
        self._end_of_recording()
        self._draw_anew()

    def _draw_anew(self) -> None:
        if self._stamp() != self._drawn:
            self.draw()

    def draw(self) -> None:
        """Draw what the lens shows now."""
        self._drawn = self._stamp()
        frame = self._now()
        self.main.show(frame)
        if isinstance(self.screen, (Panel, Classes)):
            self.screen.show(frame)
        if frame.filling is not None or frame.ordering is not None:
            self._go_on()

    def _go_on(self) -> None:
        """More of the window with the next frame, once keys that were pressed meanwhile have been heard."""
        if self._filling is not None:
            self._filling.stop()
        self._filling = self.set_timer(_SOON_S, self.draw)

    def _stamp(self) -> object:
        feed = self.feed
        said = feed.status(), feed.controls(), feed.probes(), feed.host(), feed.costs()
        recorded = self.recorder and self.recorder.state
        return self.size, feed.history.end, self.lens.end, self.lens.paused, recorded, said

    def action_toggle_pause(self) -> None:
        """Freeze the screen, or go on."""
        self.lens.toggle_pause()
        self.draw()

    def action_step(self, by_s: int) -> None:
        """So many seconds back or on."""
        self.lens.step(by_s)
        self.draw()

    def action_go_live(self) -> None:
        """The newest second, and whatever comes."""
        self.lens.go_live()
        self.draw()

    def action_ask_time(self) -> None:
        """Type a time to go to."""
        playback, history = self.feed.playback, self.feed.history
        zone = playback.zone if playback else None
        ends = [clock for clock, _ in history.clocks(history.start, history.end)]
        span = f"from {clock_text(ends[0], zone)} to {clock_text(ends[-1], zone)}" if ends else "nothing yet"
        way = "-5m and +5m from here" if playback else "-5m for 5 min ago"
        self.push_screen(Ask("Go to a time", "", f"19:03:12, {way}, or @epoch; there is {span}", self._go_to))

    def _go_to(self, text: str) -> None:
        self.lens.go_to(text)
        self.draw()

    def action_record(self) -> None:
        """Begin to record, asking for the file; or end it."""
        if self.feed.playback is not None:
            self.notify("this is a recording already; cp copies it", severity="warning", markup=False)
        elif self.recorder is not None and not self.recorder.state.ended:
            self.recorder.stop()
        else:
            name = recording_name(self.feed.host().name, datetime.now())
            hint = "A new file, readable by you only. It will hold names of files and programs"
            self.push_screen(Ask("Record into", name, hint, self._record))

    def _record(self, path: str) -> None:
        if not path.strip():
            raise UserError(Exit.USAGE, "the file needs a name")
        self.recorder = Recorder(self.feed, os.path.expanduser(path.strip()))
        self.draw()

    def _end_of_recording(self) -> None:
        """Say once that a file is complete; why one stopped by itself stays on the screen until the next is begun."""
        if self.recorder is None or not self.recorder.state.ended or self.recorder.state.error is not None:
            return
        self.notify(self.recorder.told(), markup=False)
        self.recorder = None

    def action_export(self) -> None:
        """Write what is shown into a file, as it is now, however long the dialog is open."""
        frame = self._now()
        picture = without_fonts(self.export_screenshot(title="zfstop", simplify=True))
        before = self.lens.look_at(self.lens.before) if self.lens.before and self.lens.after else None
        taken = Taken(frame, self.lens.look(), picture, before)
        name = default_name(frame.host.name, datetime.now(), next(iter(FORMATS)))
        self.push_screen(Export(name, taken))

    def action_mark_before(self) -> None:
        """What is shown is what was before; while comparing: no more of that."""
        if self.lens.after is not None:
            self.lens.unmark()
        elif self._can_mark():
            self.lens.mark_before()
        self.draw()

    def action_mark_after(self) -> None:
        """Compare what is shown with what was before."""
        if self.lens.before is None:
            self.notify("A marks what was before; then B compares", severity="warning", markup=False)
        elif self._can_mark():
            self.lens.mark_after()
            self.draw()

    def _can_mark(self) -> bool:
        if self.lens.single:
            self.notify(
                "single calls cannot be compared; Backspace goes up", severity="warning", markup=False
            )
        return not self.lens.single

    def action_copy_row(self) -> None:
        """The selected row as one line; of a single call everything that is known."""
        row, frame = self.main.table.selected, self._now()
        if isinstance(row, Call):
            self.copy("; ".join(told_of(row, frame.zone)))
        elif row is not None:
            self.copy(as_line(row, frame.grouping, frame.scope.single, frame.view))

    def copy(self, text: str) -> None:
        """Copy, and say so."""
        self.copy_to_clipboard(text)
        told = filter(None, (f"copied: {fit(text, 60).rstrip()}", hint(os.environ)))
        self.notify("; ".join(told), markup=False)

    def copy_to_clipboard(self, text: str) -> None:
        """Textual's own does not reach through tmux."""
        self._clipboard = text
        if self._driver is not None:
            self._driver.write(sequences(text, os.environ))

    def action_next_grouping(self) -> None:
        """Group by the next thing; the selection goes along."""
        self.lens.next_grouping()
        self.main.table.regroup(self.lens.grouping)
        self.draw()

    def action_toggle_map(self) -> None:
        """Bars instead of the map, or the map instead of bars."""
        had = self.main.has_map
        if had:
            self.main.map.action_drop()
        self.main.ask_map(not had)
        self.draw()
        if not had and not self.main.has_map:
            self.clear_notifications()
            self.notify("the map needs a higher terminal", severity="warning", markup=False)

    def action_step_span(self, step: int) -> None:
        """Fewer or more seconds in a column of the map."""
        self.lens.step_span(step)
        self.draw()

    def action_stretch(self, where: str) -> None:
        """Begin a box on the map, or stretch it."""
        if not self.main.has_map:
            self.action_toggle_map()
        if self.main.has_map:
            self.main.map.stretch(where)

    def action_drop_box(self) -> None:
        """The table shows the window again; without a box, up from the row that was entered."""
        if self.lens.box or self.lens.drawn:
            self.main.map.action_drop()
        elif self.lens.before is not None:
            self.lens.unmark()
            self.draw()
        else:
            self.action_leave()

    def on_heat_map_drawn(self, message: HeatMap.Drawn) -> None:
        """A box is drawn, kept or dropped."""
        if message.kept:
            self.lens.select(message.box)
        else:
            self.lens.drawn = message.box
        self.draw()

    def action_next_window(self) -> None:
        """The next window length."""
        self.lens.next_window()
        self.draw()

    def action_sort_left(self) -> None:
        """Sort by the column to the left."""
        self.lens.move_sort(-1, self.main.table.columns)
        self.draw()

    def action_sort_right(self) -> None:
        """Sort by the column to the right."""
        self.lens.move_sort(1, self.main.table.columns)
        self.draw()

    def action_reverse(self) -> None:
        """The other way round."""
        self.lens.sort_by(self.lens.sort.column)
        self.draw()

    def on_slow_table_sort_clicked(self, message: SlowTable.SortClicked) -> None:
        """A header was clicked."""
        self.lens.sort_by(message.column)
        self.draw()

    def on_slow_table_selected(self) -> None:
        """Another row is selected: from now on the order holds, or no longer."""
        if self.main.table.holding != self.lens.holding:
            self.draw()
        self.main.show_details()

    def action_move(self, where: str) -> None:
        """Move the selection."""
        self.main.table.move(where)

    def action_filter(self) -> None:
        """Type a filter; it is in force while it is typed, and kept by Enter."""
        values = values_of(self.lens.rows_there())
        self.push_screen(QueryBar(self.lens.query, values, self._seek, self._keep_query))

    def action_only(self, exclude: bool) -> None:
        """Only what the selected row has, or only what has it not."""
        if row := self.main.table.selected:
            terms = terms_of(row, exclude)
            first = first_of(terms, self.lens.sort.column.key, self.lens.grouping)
            self.push_screen(Only(terms, first, exclude, self._add_term))

    def _add_term(self, term: Term) -> None:
        self._keep_query(self.lens.query.plus(term))

    def _seek(self, query: Query) -> None:
        if query != self.lens.query:
            self.lens.seek(query)
            self.draw()

    def _keep_query(self, query: Query) -> None:
        """Show it, and let the kernel do what it can of it."""
        self.lens.seek(query)
        self._try()

    def action_enter(self) -> None:
        """Into the selected row."""
        row = self.main.table.selected
        if isinstance(row, Call):
            playback = self.feed.playback
            self._open(OneCall(row, playback.zone if playback else None, self.copy))
        elif row is not None and self.lens.after is not None and self.lens.single_within(row):
            self.notify("single calls cannot be compared; Esc leaves the comparison", markup=False)
        elif row is not None:
            self.lens.enter(row, label_of(row, self.lens.grouping))
            self.main.table.choose(None)
            self.draw()

    def action_leave(self) -> None:
        """Up again, to the row that was entered."""
        identity = self.lens.leave()
        if identity is not None:
            self.main.table.choose(identity)
            self.draw()

    def on_slow_table_opened(self) -> None:
        """A double click."""
        self.action_enter()

    def _suspend(self, suspended: bool) -> None:
        """Nobody looks at a suspended screen: what costs is ended before, and begun again after."""
        self._suspended = suspended
        self._watch_costs()
        if not suspended:
            self.action_redraw()

    def action_redraw(self) -> None:
        """Paint everything anew: after another program wrote on the terminal, or after being suspended."""
        self.refresh(layout=True)

    @property
    def _only_ascii(self) -> bool:
        """Whether the terminal's character set has no more: the driver writes through standard error."""
        stream = None if self.is_headless else sys.__stderr__
        return stream is not None and not stream.encoding.lower().startswith("utf")

    def action_next_theme(self) -> None:
        """The next colours."""
        names = list(THEMES)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        self.notify(f"colours: {self.theme}", timeout=2, markup=False)

    def watch_theme(self) -> None:
        """What is drawn for a terminal without colours goes by this."""
        self.no_color = self.theme == NONE.name

    def action_toggle_ascii(self) -> None:
        """ASCII only, or all glyphs."""
        if self._only_ascii:
            self.notify("the terminal's character set is not UTF-8", severity="warning", markup=False)
            return
        self._set_ascii(not self.ascii)

    def _set_ascii(self, on: bool) -> None:
        self.ascii = on
        # Changing a class draws everything anew, through the filters.
        self.set_class(on, "-ascii")

    def action_toggle_mouse(self) -> None:
        """Take the mouse, or leave it to the terminal."""
        self._set_mouse(not self.mouse)
        words = (
            "the mouse is zfstop's again" if self.mouse else "the mouse is the terminal's: it selects text"
        )
        self.notify(words, timeout=2, markup=False)
        self.draw()

    def _set_mouse(self, on: bool) -> None:
        self.mouse = on
        if isinstance(self._driver, TerminalDriver):
            self._driver.set_mouse(on)

    def action_save_settings(self) -> None:
        """Begin so the next time."""
        if self._save is None:
            self.notify("started without a file for settings", severity="warning", markup=False)
            return
        try:
            self.notify(f"saved in {self._save(self._choices())}", markup=False)
        except UserError as error:
            self.notify(sentence_of(error), severity="warning", markup=False)

    def _choices(self) -> Settings:
        """What is chosen now: not what a recording was made with, nor what the terminal asked for."""
        lens, controls = self.lens, self.lens.asked
        live = self.feed.status().phase in (Phase.LIVE, Phase.WAITING, Phase.STARTING)
        ours = lens.sort if lens.sort.column in COLUMNS else Sort()
        return Settings(
            threshold_ns=controls.threshold_ns if live else None,
            classes=controls.classes if live else None,
            window=lens.window,
            sort=ours.column.key,
            descending=ours.descending,
            group=lens.grouping,
            theme=None if self.theme == self._theme_forced else self.theme,
            ascii=None if self._only_ascii else self.ascii,
            mouse=self.mouse,
            meter=self._meter,
        )

    def action_help(self) -> None:
        """Every key."""
        self.push_screen(Help(self.sections))

    def action_symbols(self) -> None:
        """What is measured where."""
        self._open(Symbols(self._now()))

    def action_why(self) -> None:
        """Where the time went."""
        self._open(Why(self._now(), self.main.table.selected, self._show_evidence))

    def _show_evidence(self, advice: Advice) -> None:
        """The calls that a sentence is about; filters in force stay, as far as they are of other fields."""
        query = self.lens.query
        for term in advice.query.terms:
            query = query.plus(term) if isinstance(term, Term) else query
        self._keep_query(query)

    def action_zfs(self) -> None:
        """What ZFS says of itself."""
        self.feed.ask_zfs()
        self._open(ZfsPanel(self._now()))

    def action_books(self) -> None:
        """Where every call went."""
        self._open(Ledger(self._now()))

    def action_classes(self) -> None:
        """Switch classes of operations."""
        self._open(Classes(self._now(), self._switch_class))

    def _now(self) -> Frame:
        self.lens.holding = self.main.table.holding
        frame = self.lens.frame(self.main.chart_columns())
        return replace(frame, mouse=self.mouse, recording=self.recorder.state if self.recorder else None)

    def _open(self, screen: Panel | Classes) -> None:
        """Open what shows costs or may do so: they are counted as long as one such screen is there."""
        self.push_screen(screen, self._watch_costs_later)
        self._watch_costs()

    def _watch_costs_later(self, _: object) -> None:
        """When the screen that is being closed is gone."""
        self.call_later(self._watch_costs)

    def _watch_costs(self) -> None:
        how = Watch.GLANCE if self._meter else Watch.NOT
        if any(isinstance(screen, (Symbols, Classes)) for screen in self.screen_stack):
            how = Watch.CLOSELY
        self.feed.watch_costs(Watch.NOT if self._suspended else how)

    def action_toggle_meter(self) -> None:
        """Show what measuring costs, or spare the counting."""
        self._meter = not self._meter
        self._watch_costs()
        self.draw()
        told = f"costs are counted {Watch.GLANCE.value}" if self._meter else "costs are not counted any more"
        self.notify(
            told if self.feed.status().phase is Phase.LIVE else "no costs are known here", markup=False
        )

    def _switch_class(self, name: str) -> None:
        controls = self.lens.asked
        self._control(replace(controls, classes=controls.classes ^ {name}))

    def action_quit_now(self) -> None:
        """Quit whatever is open."""
        self.exit()

    def action_threshold(self, direction: str) -> None:
        """One step of the 1-2-5 series."""
        self._try(threshold_ns=step_threshold(self.lens.asked.threshold_ns, direction == "up"))

    def action_clear_filters(self) -> None:
        """No filter and no box any more, and the classes as at the start; the threshold stays."""
        self.lens.select(None)
        self.lens.seek(Query())
        self._try(pids=frozenset(), datasets=frozenset(), ops=frozenset(), classes=DEFAULT_CLASSES)

    def action_ask_threshold(self) -> None:
        """Type a threshold."""
        self.push_screen(AskThreshold(self.lens.asked, self._now().bill, self._take_threshold))

    def action_ask_pids(self) -> None:
        """Type PIDs."""
        now = ",".join(map(str, sorted(self.lens.asked.pids)))
        hint = "One PID or several: 1234 or 12,34; empty shows all processes"
        self.push_screen(Ask("Only these processes", now, hint, self._take_pids))

    def action_ask_datasets(self) -> None:
        """Choose pools or datasets."""
        self.push_screen(Choose(self.feed.datasets(), self.lens.asked.datasets, self._take_datasets))

    def _take_threshold(self, text: str) -> None:
        self._control(replace(self.lens.asked, threshold_ns=parse_time(text, "ms")))

    def _take_pids(self, text: str) -> None:
        pids = parse_pids(text)
        self._control(replace(self.lens.asked, pids=pids))
        if self.feed.status().phase is not Phase.LIVE:
            return
        for pid in sorted(pids):
            if not os.path.exists(f"/proc/{pid}"):
                self.notify(f"no process {pid} now; waiting for it", severity="warning", markup=False)

    def _take_datasets(self, names: frozenset[str]) -> None:
        self._control(replace(self.lens.asked, datasets=names))

    def _control(self, controls: Controls) -> None:
        """Ask the feed; raises UserError when it cannot be had."""
        self.lens.control(controls)
        self.draw()

    def _try(self, **changes: object) -> None:
        """Ask the feed; what it refuses is said in passing."""
        try:
            self._control(replace(self.lens.asked, **changes))  # type: ignore[arg-type]
        except UserError as error:
            self.notify(sentence_of(error), severity="warning", markup=False)
            self.draw()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette offers the same actions, by name, and Textual's themes."""
        yield SystemCommand("Theme", "Choose the colours from a list", self.action_change_theme)
        for action in actions():
            if action.name != "command_palette":
                yield SystemCommand(action.title, action.text, lambda name=action.name: self._run(name))

    async def _run(self, name: str) -> None:
        await self.run_action(name)
