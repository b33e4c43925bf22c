"""The Textual app: keys to actions, one frame a refresh. What is shown is decided in lens.py, how in main.py."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.filter import LineFilter, NoColor
from textual.screen import Screen

from zfstop.errors import UserError
from zfstop.feed import Feed
from zfstop.model.state import Controls, Phase
from zfstop.ui.actions import actions, bindings
from zfstop.ui.dialogs import Ask, Choose, parse_pids, sentence_of
from zfstop.ui.lens import Lens
from zfstop.ui.main import MainScreen
from zfstop.ui.panels import Help, Symbols, symbols_text
from zfstop.ui.table import SlowTable
from zfstop.ui.terminal import TerminalDriver, terminal_gone
from zfstop.ui.theme import DARK
from zfstop.units import format_threshold, parse_time, step_threshold

#: How often the feed is looked at (s). Drawn is only when there is something new: once a second.
LOOK_EVERY_S = 0.25
_WITHOUT_COLOUR = NoColor()


class ZfstopApp(App[None]):
    """Shows a feed. Whoever runs it starts the feed before and stops it after."""

    CSS_PATH = "app.tcss"
    TITLE = "zfstop"
    BINDINGS: ClassVar[list[BindingType]] = bindings()
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, feed: Feed, look_every_s: float = LOOK_EVERY_S) -> None:
        """``look_every_s`` may be raised on a slow line: then frames are skipped, never events."""
        super().__init__(driver_class=TerminalDriver)
        self.register_theme(DARK)
        self.theme = DARK.name
        self.feed = feed
        self.lens = Lens(feed)
        self.main = MainScreen()
        self._look_every_s = look_every_s
        self._drawn: object = None

    def get_default_screen(self) -> Screen[None]:
        """The main screen is the one at the bottom of the stack."""
        return self.main

    def get_line_filters(self) -> Sequence[LineFilter]:
        """NO_COLOR means none: Textual's own choice of greys would make what matters most the faintest."""
        return [_WITHOUT_COLOUR] if self.no_color else super().get_line_filters()

    def on_mount(self) -> None:
        """Begin to look; end when told to, or when the terminal is gone."""
        for number in (signal.SIGHUP, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)
        if self.no_color or (not self.is_headless and self.console.color_system == "standard"):
            self.theme = "ansi-dark"
        self.app_resume_signal.subscribe(self, lambda _: self.action_redraw())
        self.set_interval(self._look_every_s, self.look)
        self.call_after_refresh(self.draw)

    def on_unmount(self) -> None:
        """Signals are no longer ours."""
        for number in (signal.SIGHUP, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)

    def on_resize(self, event: events.Resize) -> None:
        """Share the new size out."""
        self.call_after_refresh(self.draw)

    def look(self) -> None:
        """Draw if anything is new since the last time."""
        if not self.is_headless and terminal_gone(sys.__stdin__.fileno() if sys.__stdin__ else 0):
            self.exit(return_code=128 + signal.SIGHUP)
        elif self._stamp() != self._drawn:
            self.draw()

    def draw(self) -> None:
        """Draw what the lens shows now."""
        self._drawn = self._stamp()
        frame = self.lens.frame(self.main.chart_columns())
        self.main.show(frame)
        if isinstance(self.screen, Symbols):
            self.screen.show(symbols_text(frame.probes, frame.slots))

    def _stamp(self) -> object:
        feed = self.feed
        return feed.history.end, feed.status(), feed.controls(), feed.probes(), feed.host()

    def action_toggle_pause(self) -> None:
        """Freeze the screen, or go on."""
        self.lens.toggle_pause()
        self.draw()

    def action_next_grouping(self) -> None:
        """Group by the next thing; the selection goes along."""
        self.lens.next_grouping()
        self.main.table.regroup(self.lens.grouping)
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
        """Another row is selected."""
        self.main.show_details()

    def action_move(self, where: str) -> None:
        """Move the selection."""
        self.main.table.move(where)

    def action_redraw(self) -> None:
        """Paint everything anew: after another program wrote on the terminal, or after being suspended."""
        self.refresh(layout=True)

    def action_help(self) -> None:
        """Every key."""
        self.push_screen(Help())

    def action_symbols(self) -> None:
        """What is measured where."""
        self.push_screen(Symbols(self.feed.probes(), self.feed.history.totals()[1]))

    def action_quit_now(self) -> None:
        """Quit whatever is open."""
        self.exit()

    def action_threshold(self, direction: str) -> None:
        """One step of the 1-2-5 series."""
        self._try(threshold_ns=step_threshold(self.feed.controls().threshold_ns, direction == "up"))

    def action_clear_filters(self) -> None:
        """No filter any more; the threshold stays."""
        self._try(pids=frozenset(), datasets=frozenset(), ops=frozenset())

    def action_ask_threshold(self) -> None:
        """Type a threshold."""
        now = format_threshold(self.feed.controls().threshold_ns)
        hint = "With a unit: 250us, 10ms, 1s; a bare number is ms; 0 shows every operation"
        self.push_screen(Ask("Show operations that take at least", now, hint, self._take_threshold))

    def action_ask_pids(self) -> None:
        """Type PIDs."""
        now = ",".join(map(str, sorted(self.feed.controls().pids)))
        hint = "One PID or several: 1234 or 12,34; empty shows all processes"
        self.push_screen(Ask("Only these processes", now, hint, self._take_pids))

    def action_ask_datasets(self) -> None:
        """Choose pools or datasets."""
        self.push_screen(Choose(self.feed.datasets(), self.feed.controls().datasets, self._take_datasets))

    def _take_threshold(self, text: str) -> None:
        self._control(replace(self.feed.controls(), threshold_ns=parse_time(text, "ms")))

    def _take_pids(self, text: str) -> None:
        pids = parse_pids(text)
        self._control(replace(self.feed.controls(), pids=pids))
        if self.feed.status().phase is not Phase.LIVE:
            return
        for pid in sorted(pids):
            if not os.path.exists(f"/proc/{pid}"):
                self.notify(f"no process {pid} now; waiting for it", severity="warning", markup=False)

    def _take_datasets(self, names: frozenset[str]) -> None:
        self._control(replace(self.feed.controls(), datasets=names))

    def _control(self, controls: Controls) -> None:
        """Ask the feed; raises UserError when it cannot be had."""
        self.feed.control(controls)
        self.draw()

    def _try(self, **changes: object) -> None:
        """Ask the feed; what it refuses is said in passing."""
        try:
            self._control(replace(self.feed.controls(), **changes))  # type: ignore[arg-type]
        except UserError as error:
            self.notify(sentence_of(error), severity="warning", markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette offers the same actions, by name, and Textual's themes."""
        yield SystemCommand("Theme", "Change the colours", self.action_change_theme)
        for action in actions():
            if action.name != "command_palette":
                yield SystemCommand(action.title, action.text, lambda name=action.name: self._run(name))

    async def _run(self, name: str) -> None:
        await self.run_action(name)
