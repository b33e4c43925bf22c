"""The default colours: every text at least 7:1 on the background, red and amber of different lightness."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="zfstop-dark",
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
