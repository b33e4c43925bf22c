"""Everything the operator can do, in one registry: it makes the key bindings, the help, the palette and the key bar."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


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
    def title(self) -> str:
        """How the command palette calls it."""
        return self.text.split(":", 1)[0].split(";", 1)[0]


#: In the order of help. The bar shows those with a word, as many as fit.
SECTIONS: tuple[tuple[str, tuple[Action, ...]], ...] = (
    (
        "Look",
        (
            Action("toggle_pause", "space,p", "Space p",
                   "Pause, resume; the screen stands still, collection goes on", "pause"),
            Action("next_grouping", "g", "g",
                   "Group: process/file, process, file, dataset, operation", "group"),
            Action("next_window", "w", "w", "Window of the next length: 10 s, 60 s, 5 min"),
            Action("sort_left", "<", "<", "Sort by the column to the left; or click a header"),
            Action("sort_right", ">", ">", "Sort by the column to the right"),
            Action("reverse", "r", "r", "Reverse the order; or click the header again"),
            Action("symbols", "S", "S",
                   "Symbols: the kernel functions measured, and why others are not", "symbols"),
        ),
    ),
    (
        "Measure",
        (
            Action("threshold('up')", "+,=", "+ =", "Raise the threshold: 1-2-5 steps", "threshold"),
            Action("threshold('down')", "-", "-", "Lower the threshold: 1-2-5 steps"),
            Action("ask_threshold", "t", "t", "Type a threshold: 250us, 10ms, 1s, 0 for all operations"),
            Action("ask_pids", "P", "P", "Only these processes: one PID or several", "pid"),
            Action("ask_datasets", "O", "O", "Only these pools or datasets; chosen from a list", "pool"),
            Action("clear_filters", "x", "x", "Clear all filters: PID, pool, dataset, operation"),
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
        "Program",
        (
            Action("help", "?,f1", "? F1", "Help: every key", "help"),
            Action("command_palette", "ctrl+p", "Ctrl+P", "Command palette: find an action by its name"),
            Action("redraw", "ctrl+l", "Ctrl+L", "Redraw the screen"),
            Action("suspend_process", "ctrl+z", "Ctrl+Z", "Suspend; fg brings zfstop back", always=True),
            Action("quit", "q", "q", "Quit", "quit"),
            Action("quit_now", "ctrl+c", "Ctrl+C", "Quit, from anywhere", always=True),
        ),
    ),
)  # fmt: skip

#: Bottom line, most important first.
BAR = (
    "help",
    "toggle_pause",
    "threshold('up')",
    "ask_pids",
    "ask_datasets",
    "next_grouping",
    "symbols",
    "quit",
)


def actions() -> list[Action]:
    """All of them, in the order of help."""
    return [action for _, section in SECTIONS for action in section]


def bindings() -> list[BindingType]:
    """The keys of the app. Ctrl+P is Textual's own binding."""
    return [
        Binding(action.keys, action.name, action.title, show=False, priority=action.always)
        for action in actions()
        if action.name != "command_palette"
    ]


def bar_items() -> list[tuple[str, str]]:
    """(key, word) of the bottom line."""
    by_name = {action.name: action for action in actions()}
    keys = {"toggle_pause": "Space", "threshold('up')": "+/-", "help": "?"}
    return [(keys.get(name, by_name[name].shown), by_name[name].bar) for name in BAR]
