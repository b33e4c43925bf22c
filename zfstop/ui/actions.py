"""Everything the operator can do, in one registry: it makes the key bindings, the help, the palette and the key bar."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """``name`` is the method (``action_<name>``) with its parameters, ``keys`` Textual's names for the keys, ``shown``
    how they are printed, ``bar`` the word on the bottom line (empty: not there), ``text`` the sentence in help.
    """

    name: str
    keys: str
    shown: str
    text: str
    bar: str = ""
    #: Works whatever is open, an input field included.
    always: bool = False

    @property
    def word(self) -> str:
        """What the configuration calls it: ``next-window``, ``threshold-up``."""
        return _WORDS.get(self.name) or re.sub("[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def title(self) -> str:
        """How the command palette calls it."""
        return self.text.split(":", 1)[0].split(";", 1)[0]


#: In the order of help, by what the operator wants. The bar shows those with a word, as many as fit.
SECTIONS: tuple[tuple[str, tuple[Action, ...]], ...] = (
    (
        "Look at it otherwise",
        (
            Action("toggle_pause", "space,p", "Space p",
                   "Pause, resume; the screen stands still, collection goes on", "pause"),
            Action("next_grouping", "g", "g",
                   "Group: process/file, process, file, directory, dataset, pool, where, operation, class, cause",
                   "group"),
            Action("next_window", "w", "w", "Window of the next length: 10 s, 60 s, 5 min"),
            Action("sort_left", "<", "<", "Sort by the column to the left; or click a header"),
            Action("sort_right", ">", ">", "Sort by the column to the right"),
            Action("reverse", "r", "r", "Reverse the order; or click the header again"),
        ),
    ),
    (
        "Find who it is, and why",
        (
            Action("filter", "slash", "/",
                   "Filter: pid: comm: pool: ds: op: class: where: path: lat> lat< err: why: uid: or any text",
                   "filter"),
            Action("only(False)", "f", "f", "Only this: filter by a value of the selected row"),
            Action("only(True)", "exclamation_mark", "!", "Not this: hide a value of the selected row"),
            Action("enter", "enter", "Enter",
                   "Go into the row: process > file > operation > single calls > one call", "into"),
            Action("leave", "backspace", "Bksp", "Go up again, to where Enter was pressed"),
            Action("why", "W", "W", "Why: where the time of the row, of the calls in flight and of all went", "why"),
            Action("ask_pids", "P", "P", "Only these processes: one PID or several", "pid"),
            Action("ask_datasets", "O", "O", "Only these pools or datasets; chosen from a list", "pool"),
            Action("clear_filters", "x", "x",
                   "Clear all filters: / PID, pool, dataset, operation, box; classes as at the start"),
        ),
    ),
    (
        "See all calls: the map",
        (
            Action("toggle_map", "H", "H", "Heat map or bars; the map shows all calls, slow or not", "map"),
            Action("step_span(-1)", "(", "(", "Look closer: fewer seconds in a column of the map"),
            Action("step_span(1)", ")", ")", "Look farther: more seconds in a column of the map"),
            Action("stretch('left')", "shift+left", "Shift+Left",
                   "Box: only these seconds and latencies; arrows move it, Enter keeps it; or drag on the map"),
            Action("stretch('right')", "shift+right", "Shift+Right", "Stretch the box to the right"),
            Action("stretch('up')", "shift+up", "Shift+Up", "Stretch the box upward: slower calls"),
            Action("stretch('down')", "shift+down", "Shift+Down", "Stretch the box downward: faster calls"),
            Action("drop_box", "escape", "Esc",
                   "Drop the box: the table shows the window again; without a box go up, as Bksp does"),
        ),
    ),
    (
        "Go back in time, and keep it",
        (
            Action("step(-1)", "[", "[", "A second back: everything as it was then", "back"),
            Action("step(1)", "]", "]", "A second on; the newest one is live again"),
            Action("step(-60)", "{", "{", "A minute back"),
            Action("step(60)", "}", "}", "A minute on"),
            Action("ask_time", "T", "T", "Go to a time: 19:03:12, -5m, @1768399200", "time"),
            Action("go_live", "L", "L", "Live again; in a replay: to the end"),
            Action("record", "R", "R", "Record into a file; again: end it", "record"),
            Action("export", "e", "e",
                   "Export what is shown: HTML or Markdown report, CSV, JSON, SVG", "export"),
            Action("mark_before", "A", "A", "Mark A: what is shown is before a change; while comparing: leave that"),
            Action("mark_after", "B", "B", "Mark B: compare what is shown with A, row by row"),
            Action("copy_row", "y", "y", "Copy the selected row, of a single call all fields; through SSH and tmux"),
        ),
    ),
    (
        "Measure more, or less",
        (
            Action("threshold('up')", "+,=", "+ =", "Raise the threshold: 1-2-5 steps", "threshold"),
            Action("threshold('down')", "-", "-", "Lower the threshold: 1-2-5 steps"),
            Action("ask_threshold", "t", "t", "Type a threshold: 250us, 10ms, 1s, 0 for all operations"),
            Action("classes", "C", "C",
                   "Classes of operations: switch them on and off, and see what each costs", "class"),
        ),
    ),
    (
        "Know what is measured, and how ZFS is",
        (
            Action("books", "b", "b", "Books: where every call went, and the figures of every operation", "books"),
            Action("zfs", "z", "z",
                   "ZFS itself: pools, transaction groups, dirty data, intent log, ARC, scrub, properties"),
            Action("symbols", "S", "S",
                   "Symbols: the kernel functions measured, and why others are not", "symbols"),
            Action("toggle_meter", "M", "M",
                   "Meter: show what measuring costs, or spare that too (counted one second of every ten)"),
        ),
    ),
    (
        "Move",
        (
            Action("move('up')", "up,k", "Up k", "Select the row above; or click a row"),
            Action("move('down')", "down,j", "Down j", "Select the row below"),
            Action("move('page_up')", "pageup", "PgUp", "One page up"),
            Action("move('page_down')", "pagedown", "PgDn", "One page down"),
            Action("move('home')", "home", "Home", "To the top row; and stay with whatever is at the top"),
            Action("move('end')", "end", "End", "To the last row"),
        ),
    ),
    (
        "The program",
        (
            Action("next_theme", "c", "c",
                   "Colours: dark, light, high-contrast, 16 colours, none"),
            Action("toggle_ascii", "a", "a", "ASCII only, or not: for serial consoles and poor fonts"),
            Action("toggle_mouse", "m", "m",
                   "Mouse off, on; while it is off the terminal selects and copies text itself"),
            Action("save_settings", "ctrl+s", "Ctrl+S",
                   "Save settings: threshold, classes, window, order, group, colours, ASCII and mouse, as they are"),
            Action("help", "?,f1", "? F1", "Help: every key", "help"),
            Action("command_palette", "ctrl+p", "Ctrl+P", "Command palette: find an action by its name"),
            Action("redraw", "ctrl+l", "Ctrl+L", "Redraw the screen"),
            Action("suspend_process", "ctrl+z", "Ctrl+Z", "Suspend; fg brings zfstop back", always=True),
            Action("quit", "q", "q", "Quit", "quit"),
            Action("quit_now", "ctrl+c", "Ctrl+C", "Quit, from anywhere", always=True),
        ),
    ),
)  # fmt: skip

#: What the configuration calls an action whose ``name`` does not say it plainly.
_WORDS = {
    "step_span(-1)": "closer",
    "step_span(1)": "farther",
    "only(False)": "only-this",
    "only(True)": "not-this",
    "step(-1)": "second-back",
    "step(1)": "second-on",
    "step(-60)": "minute-back",
    "step(60)": "minute-on",
}

#: Bottom line, most important first.
BAR = (
    "help",
    "toggle_pause",
    "threshold('up')",
    "filter",
    "enter",
    "ask_pids",
    "ask_datasets",
    "classes",
    "next_grouping",
    "toggle_map",
    "symbols",
    "books",
    "why",
    "step(-1)",
    "ask_time",
    "record",
    "export",
    "quit",
)


def actions() -> list[Action]:
    """All of them, in the order of help."""
    return [action for _, section in SECTIONS for action in section]


def bar_items(among: Iterable[Action] | None = None) -> list[tuple[str, str]]:
    """(key, word) of the bottom line; of these actions, which may have other keys than at first."""
    first = {action.name: action for action in actions()}
    now = {action.name: action for action in among or first.values()}
    keys = {"toggle_pause": "Space", "step(-1)": "[ {", "threshold('up')": "+/-", "help": "?"}
    return [
        (keys.get(name, now[name].shown) if now[name] == first[name] else now[name].shown, now[name].bar)
        for name in BAR
        if now[name].shown
    ]
