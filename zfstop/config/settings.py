"""What the screen begins with: the words of the command line and of ``config.toml``, checked alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

from zfstop.config.toml import Statement, TomlError, Value, replaced, statements
from zfstop.model.rows import Grouping
from zfstop.model.state import Controls
from zfstop.text import visible
from zfstop.ui.columns import COLUMNS, DEFAULT_SORT
from zfstop.ui.keymap import check, parse_key
from zfstop.ui.lens import WINDOWS
from zfstop.units import NS_PER_S, format_threshold, parse_share, parse_time
from zfstop.zfs.operations import CLASSES, DEFAULT_CLASSES, parse_classes

#: The names of ui/theme.py, which takes long to import.
THEMES = ("dark", "light", "high-contrast", "16-colours", "no-colours")


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for; None: nothing. ``threshold_ns``: ns, ``window`` in seconds, ``sort`` is the key of a column,
    ``descending`` its direction (None: the column's own), ``budget`` a share of one CPU, ``keys`` are Textual's names
    by the word for the action.
    """

    threshold_ns: int | None = None
    classes: frozenset[str] | None = None
    window: int | None = None
    sort: str | None = None
    descending: bool | None = None
    group: Grouping | None = None
    theme: str | None = None
    ascii: bool | None = None
    mouse: bool | None = None
    meter: bool | None = None
    auto_threshold: bool | None = None
    budget: float | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def over(self, other: Settings) -> Settings:
        """These; where they say nothing, the other ones."""
        own = {item.name: value for item in fields(self) if (value := getattr(self, item.name)) is not None}
        if self.sort is not None:
            own["descending"] = self.descending
        return replace(other, **{**own, "keys": {**other.keys, **self.keys}})


#: Without a word.
DEFAULTS = Settings(
    threshold_ns=Controls().threshold_ns,
    classes=DEFAULT_CLASSES,
    window=WINDOWS[1],
    sort=DEFAULT_SORT.key,
    group=Grouping.PROCESS_FILE,
    theme="dark",
    ascii=False,
    mouse=True,
    meter=True,
    auto_threshold=True,
)


class SettingsError(ValueError):
    """What is wrong with a file: (line from 1, sentence), in order; never empty."""

    def __init__(self, wrong: list[tuple[int, str]]) -> None:
        super().__init__(wrong[0][1])
        self.wrong = wrong


def parse_threshold(value: object) -> int:
    """``"10ms"``, or a number of ms."""
    return parse_time(value if isinstance(value, str) else _number(value, "a time"), "ms")


def parse_words_of_classes(value: object) -> frozenset[str]:
    """``["data", "open"]`` or ``"data,open"``."""
    words = value if isinstance(value, list) else [value]
    if not all(isinstance(word, str) for word in words):
        raise ValueError("is no list of classes")
    return frozenset().union(*map(parse_classes, words))


def parse_window(value: object) -> int:
    """``"60s"``, ``"5min"``, or a number of seconds."""
    seconds = parse_time(value if isinstance(value, str) else _number(value, "a window"), "s") / NS_PER_S
    if seconds not in WINDOWS:
        raise ValueError(f"is not one of {', '.join(f'{window}s' for window in WINDOWS)}")
    return int(seconds)


def parse_sort(value: object) -> tuple[str, bool | None]:
    """``"p99"`` -> ("p99", None); ``"-p99"`` is the other way round."""
    word = value if isinstance(value, str) else ""
    column = next((column for column in COLUMNS if column.key == word.removeprefix("-")), None)
    if column is None:
        raise ValueError(_near(word.removeprefix("-"), "a column", [column.key for column in COLUMNS]))
    return column.key, not column.descending if word.startswith("-") else None


def parse_group(value: object) -> Grouping:
    """A grouping by what the screen calls it."""
    try:
        return Grouping(value)
    except ValueError:
        raise ValueError(_near(value, "a grouping", [grouping.value for grouping in Grouping])) from None


def parse_theme(value: object) -> str:
    """One of :data:`THEMES`."""
    if value not in THEMES:
        raise ValueError(_near(value, "a theme", THEMES))
    return str(value)


def parse_budget(value: object) -> float:
    """``"2%"``, or a number of percent."""
    return parse_share(value if isinstance(value, str) else _number(value, "a share of a CPU"))


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def _number(value: object, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e11:
        raise ValueError(f"is not {what}")
    return f"{value:f}"[:30] if isinstance(value, float) else str(value)


def _near(value: object, what: str, known: list[str] | tuple[str, ...]) -> str:
    """``is not a theme; did you mean "light"?``, or which there are."""
    close = get_close_matches(value, known, 1) if isinstance(value, str) else []
    return (
        f'is not {what}; did you mean "{close[0]}"?'
        if close
        else f"is not {what}; there are {', '.join(known)}"
    )


def _sort(value: object) -> dict[str, Any]:
    return dict(zip(("sort", "descending"), parse_sort(value), strict=True))


#: name -> (what it sets, an example).
_KEYS: dict[str, tuple[Callable[[object], dict[str, Any]], str]] = {
    "threshold": (lambda value: {"threshold_ns": parse_threshold(value)}, '"10ms"'),
    "classes": (lambda value: {"classes": parse_words_of_classes(value)}, '["data", "open"]'),
    "window": (lambda value: {"window": parse_window(value)}, '"60s"'),
    "sort": (_sort, '"wait"'),
    "group": (lambda value: {"group": parse_group(value)}, '"process"'),
    "theme": (lambda value: {"theme": parse_theme(value)}, '"light"'),
    "ascii": (lambda value: {"ascii": _switch(value)}, "true"),
    "mouse": (lambda value: {"mouse": _switch(value)}, "false"),
    "meter": (lambda value: {"meter": _switch(value)}, "false"),
    "auto_threshold": (lambda value: {"auto_threshold": _switch(value)}, "false"),
    "budget": (lambda value: {"budget": parse_budget(value)}, '"2%"'),
}


def parse(text: str) -> Settings:
    """The settings of a file. Raises SettingsError."""
    try:
        said = [item for statement in statements(text) for item in _leaves(statement)]
    except TomlError as error:
        raise SettingsError([(error.line, error.sentence)]) from None
    found: dict[str, Any] = {}
    keys: dict[str, tuple[str, ...]] = {}
    lines: dict[str, int] = {}
    wrong: list[tuple[int, str]] = []
    for line, path, value in said:
        try:
            if path[0] == "keys" and len(path) == 2:
                keys[path[1]] = _names(path[1], value)
                lines[path[1]] = line
            elif path != ("keys",) or value:
                found |= _setting(path, value)
        except ValueError as error:
            wrong.append((line, str(error)))
    wrong += [(lines[word], sentence) for word, sentence in check(keys)]
    if wrong:
        raise SettingsError(sorted(wrong))
    return Settings(**found, keys=keys)


def _leaves(statement: Statement) -> list[tuple[int, tuple[str, ...], Any]]:
    """(line, path, value) of everything it sets; of a header, its table with nothing in it."""
    path = (*statement.table, *statement.names)
    if isinstance(statement.value, dict) and statement.value:
        return [(statement.first + 1, (*path, name), value) for name, value in statement.value.items()]
    return [(statement.first + 1, path, None if statement.header else statement.value)]


def _setting(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    name = visible(".".join(path))
    if len(path) != 1 or path[0] not in _KEYS:
        close = get_close_matches(name, [*_KEYS, "keys"], 1, 0.0)[0]
        raise ValueError(f"{name} is no setting; the nearest is {close}")
    take, example = _KEYS[path[0]]
    try:
        return take(value)
    except ValueError as error:
        reason = _reason(error)
        remedy = "" if reason.endswith("?") else f"; try {name} = {example}"
        raise ValueError(f"{name} = {_told(value)} {reason}{remedy}") from None


def _reason(error: ValueError) -> str:
    """The words after what was quoted, without a second piece of advice."""
    words = str(error)
    if words.startswith("'"):
        words = words.rpartition("' ")[2]
    return words.partition("; write")[0].partition("; choose")[0]


def _told(value: object) -> str:
    """The value, shortened, as it was meant."""
    if isinstance(value, list):
        text = f"[{', '.join(map(_told, value))}]"
    else:
        text = visible(f'"{value}"' if isinstance(value, str) else str(value))
    text = text.lower() if isinstance(value, bool) else text
    return text if len(text) <= 40 else text[:39] + "…"


def _names(word: str, value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value] if value != "" else []
    try:
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("is not a key")
        return tuple(map(parse_key, texts))
    except ValueError as error:
        shown = visible(word)
        raise ValueError(f'{shown} = {_told(value)} {error}; try {shown} = "f5" or "Ctrl+S"') from None


def values_of(settings: Settings) -> dict[str, Value]:
    """What is said, as it stands in a file; the keys aside, which are never written."""
    told: dict[str, Value | None] = {
        "threshold": None if settings.threshold_ns is None else format_threshold(settings.threshold_ns),
        "classes": None
        if settings.classes is None
        else [name for name in CLASSES if name in settings.classes],
        "window": None if settings.window is None else f"{settings.window}s",
        "sort": _sort_word(settings),
        "group": None if settings.group is None else settings.group.value,
        "theme": settings.theme,
        "ascii": settings.ascii,
        "mouse": settings.mouse,
        "meter": settings.meter,
        "auto_threshold": settings.auto_threshold,
        "budget": None if settings.budget is None else f"{settings.budget * 100:.10g}%",
    }
    return {name: value for name, value in told.items() if value is not None}


def _sort_word(settings: Settings) -> str | None:
    if settings.sort is None or settings.descending is None:
        return settings.sort
    column = next(column for column in COLUMNS if column.key == settings.sort)
    return ("-" if settings.descending != column.descending else "") + settings.sort


def updated(text: str, now: Settings) -> str:
    """The file with what ``now`` says, where it says otherwise; what is as by default is not put in anew.

    Raises SettingsError when the file is not sound.
    """
    there, default = values_of(parse(text)), values_of(DEFAULTS)
    fresh = {
        name: value for name, value in values_of(now).items() if value != there.get(name, default.get(name))
    }
    return replaced(text, fresh)
