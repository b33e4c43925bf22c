"""Keys as people write them (``Ctrl+S``, ``F5``, ``é``) -> as Textual calls them, and other keys for actions. Pure."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from zfstop.config.toml import written
from zfstop.text import visible
from zfstop.ui.actions import SECTIONS, Action, actions

if TYPE_CHECKING:
    from zfstop.ui.draw import Line

#: Every action, in sections, in the order of help.
Sections = tuple[tuple[str, tuple[Action, ...]], ...]
#: Keys that were asked for, by the word for the action.
Keymap = Mapping[str, tuple[str, ...]]

_NAMED = {
    "space": "Space", "enter": "Enter", "tab": "Tab", "backspace": "Bksp", "escape": "Esc", "insert": "Ins",
    "delete": "Del", "up": "Up", "down": "Down", "left": "Left", "right": "Right", "home": "Home", "end": "End",
    "pageup": "PgUp", "pagedown": "PgDn", **{f"f{n}": f"F{n}" for n in range(1, 25)},
}  # fmt: skip
_SHORT = {shown.lower(): name for name, shown in _NAMED.items()} | {"return": "enter", "del": "delete"}
_MODIFIERS = {"ctrl": "Ctrl", "alt": "Alt", "shift": "Shift"}
#: What Textual calls otherwise than Unicode does.
_OTHERWISE = {
    "solidus": "slash", "reverse_solidus": "backslash", "commercial_at": "at", "hyphen_minus": "minus",
    "plus_sign": "plus", "low_line": "underscore",
}  # fmt: skip
#: No action can do without these: they work whatever is open, and whatever the file says.
FIXED = ("quit_now", "suspend_process", "command_palette")


def parse_key(text: str) -> str:
    """``"Ctrl+S"`` -> ``"ctrl+s"``, ``"!"`` -> ``"exclamation_mark"``. Raises ValueError for what is not one key."""
    *modifiers, key = (
        text.strip().split("+") if len(text.strip()) > 1 else [text if text == " " else text.strip()]
    )
    modifiers = sorted(modifier.strip().lower() for modifier in modifiers)
    low = key.strip().lower()
    name = "space" if key == " " else (_NAMED.get(low) and low) or _SHORT.get(low) or _character(key.strip())
    if not name or not set(modifiers) <= set(_MODIFIERS) or len(set(modifiers)) < len(modifiers):
        raise ValueError("is not a key")
    if "ctrl" in modifiers and len(name) == 1:
        name = name.lower()
    if modifiers == ["shift"] and len(name) == 1:
        return name.upper()
    return "+".join([*modifiers, name])


def _character(key: str) -> str:
    """Textual's name of a character; nothing for what is none that can be typed and seen."""
    if len(key) != 1 or not key.isprintable():
        return ""
    if key.isalnum():
        return key
    name = re.sub("[- ]", "_", unicodedata.name(key, "").lower())
    return _OTHERWISE.get(name, name)


_SIGNS = {_character(char): char for char in string.punctuation}


def shown_key(name: str) -> str:
    """``"ctrl+s"`` -> ``"Ctrl+S"``, ``"exclamation_mark"`` -> ``"!"``."""
    *modifiers, key = name.split("+")
    shown = _NAMED.get(key) or _SIGNS.get(key) or (key.upper() if modifiers else key)
    return "+".join([*(_MODIFIERS[modifier] for modifier in modifiers), shown])


def keys_of(action: Action) -> tuple[str, ...]:
    """The keys of an action, by one name each."""
    return tuple(_character(key) if len(key) == 1 else key for key in action.keys.split(",") if key)


def remapped(keys: Keymap) -> Sections:
    """The actions with these keys, which :func:`check` has nothing against, instead of their own."""
    return tuple(
        (title, tuple(_with(action, keys.get(action.word)) for action in section))
        for title, section in SECTIONS
    )


def check(keys: Keymap) -> list[tuple[str, str]]:
    """(word, sentence) for every action that is unknown or fixed, or has a key of another one."""
    known = {action.word: action for action in actions()}
    wrong = []
    for word, names in keys.items():
        if word not in known:
            near = get_close_matches(word, known, 1, 0.0)[0]
            wrong.append((word, f"{visible(word)} is no action; the nearest is {near}"))
        elif known[word].name in FIXED:
            wrong.append((word, f"{word} stays at {known[word].shown}, so that it always works"))
        else:
            wrong += [(word, told) for name in names for told in _clash(word, name, keys, known)]
    return wrong


def _clash(word: str, name: str, keys: Keymap, known: Mapping[str, Action]) -> list[str]:
    shown = shown_key(name)
    owners = [
        other for other, action in known.items() if other != word and name in keys.get(other, keys_of(action))
    ]
    return [
        f'{word} = "{shown}" is the key of {other}'
        + (", and stays it" if known[other].name in FIXED else f"; give {other} another key")
        for other in owners[:1]
    ]


def _with(action: Action, names: tuple[str, ...] | None) -> Action:
    if names is None:
        return action
    return replace(action, keys=",".join(names), shown=" ".join(map(shown_key, names)))


#: ``[P]`` behind what a key changes; ``x  clears the filters``; ``4 min ago; L is live``.
_HINT = re.compile(r"(?<=\[)[^\[\]]{1,12}(?=\])|^\S+(?=  \w)|(?<=; )\S+(?= is live\b)")
#: Parts that quote what somebody typed.
_QUOTED = ("/ ", " RECORDING")


def moved(sections: Sections) -> dict[str, str]:
    """Keys as they are shown at first -> as they are shown now, of the actions that have others; "-" for none."""
    pairs = zip((action for _, section in SECTIONS for action in section),
                (action for _, section in sections for action in section), strict=True)  # fmt: skip
    changed = [(then.shown.split(), now.shown.split()) for then, now in pairs if then != now]
    return {key: (now or ["-"])[0] for then, now in changed for key in then}


def hinted(line: Line, keys: Mapping[str, str]) -> Line:
    """The line with those keys named in its hints. With none moved, it is the line itself."""
    return tuple((_hint(text, keys), style) for text, style in line) if keys else line


def _hint(text: str, keys: Mapping[str, str]) -> str:
    if text.startswith(_QUOTED):
        return text
    return _HINT.sub(lambda found: " ".join(keys.get(key, key) for key in found[0].split(" ")), text)


def keys_toml(keys: Keymap) -> str:
    """Every action with the keys it has, as a table of ``config.toml``; those that stay are comments."""
    lines = ["[keys]"]
    for title, section in remapped(keys):
        lines.append(f"# {title}")
        for action in section:
            names = [written(shown_key(name)) for name in keys_of(action)]
            value = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
            fixed = "# " if action.name in FIXED else ""
            lines.append(f"{fixed}{f'{action.word} = {value}':<36} # {action.text}")
    return "\n".join(lines) + "\n"
