"""The colours. Of those that name their own, every text is at least 7:1 on the background, and red and amber differ in
lightness; the last two leave them to the terminal, and do without.
"""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES, Theme

DARK = Theme(
    name="dark",
    dark=True,
    foreground="#e4e6eb",
    background="#101318",
    surface="#1a1f27",
    panel="#242b36",
    primary="#5aa9f0",
    secondary="#8ab4d8",
    accent="#66d9e8",
    success="#69db7c",
    warning="#ffc94d",
    error="#ff7b72",
)
LIGHT = Theme(
    name="light",
    dark=False,
    foreground="#16191f",
    background="#fbfbf9",
    surface="#f1f2f4",
    panel="#dfe3e9",
    primary="#0a4f9c",
    secondary="#1f5a8a",
    accent="#005668",
    success="#0b5a2a",
    warning="#6b4a00",
    error="#a30f14",
)
HIGH_CONTRAST = Theme(
    name="high-contrast",
    dark=True,
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1c1c1c",
    primary="#66b8ff",
    secondary="#7fd4ff",
    accent="#5cffff",
    success="#5cff8a",
    warning="#ffff33",
    error="#ff8f86",
)
SIXTEEN = Theme(**{**vars(BUILTIN_THEMES["ansi-dark"]), "name": "16-colours"})
NONE = Theme(**{**vars(BUILTIN_THEMES["ansi-dark"]), "name": "no-colours"})

THEMES = {theme.name: theme for theme in (DARK, LIGHT, HIGH_CONTRAST, SIXTEEN, NONE)}
