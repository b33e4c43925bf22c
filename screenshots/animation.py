"""The tour: an SVG that plays by itself, of the demo with real keys typed on the real app.

Every frame is a whole screen; a line of the terminal that is the same in several frames is in the file once. Only CSS
makes it move. Who draws no CSS animations, or wants none, sees the first frame.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import stage
from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

ANIMATION = "tour"
_COLUMNS, _ROWS = 120, 40
#: Seconds of the demo that are over when the tour begins.
_BEGIN = 78
_LINE = 24.4
_INK, _PAPER = "#e4e6eb", "#101318"
_BLANK = "&#160;"


@dataclass(frozen=True, slots=True)
class Step:
    """Keys typed one by one, each shown for ``each_s``, the last for ``hold_s``.

    ``seconds`` of the demo go by first; ``shown`` is how the keys are told.
    """

    keys: tuple[str, ...]
    caption: str
    hold_s: float
    each_s: float = 0.15
    seconds: int = 0
    shown: str = ""


TOUR = (
    *(Step((), "What hurts us now?", 0.5, seconds=1) for _ in range(4)),
    Step((), "What hurts us now?", 1.2, seconds=1),
    Step(
        ("shift+up", "shift+right", *("shift+left",) * 6, *("shift+down",) * 2),
        "What is that spike? Draw a box on it",
        0.4,
        shown="Shift+arrows",
    ),
    Step(("enter",), "What is that spike? These calls", 1.8, shown="Enter"),
    Step(("escape", "W"), "Why: where the time of all calls went", 2.0, 0.1, shown="W"),
    Step(("escape", *"gggggg"), "Who: by container, service, user", 1.8, 0.15, shown="g"),
    Step(("slash", *"op:fsync", "enter"), "Only fsync", 1.6, 0.12, shown="/op:fsync Enter"),
    Step(("x", "left_curly_bracket"), "It was slow a minute ago: everything as it was", 1.8, 0.3, shown="{"),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What is on the terminal, line by line as SVG, for how long, and what is said of it."""

    lines: tuple[str, ...]
    caption: str
    lasts_s: float


def animate() -> str:
    """The text of the SVG; the same every time."""
    styles: dict[str, str] = {}
    return _document(asyncio.run(_frames(styles)), styles)


async def _frames(styles: dict[str, str]) -> list[Frame]:
    frames: list[Frame] = []
    with stage.demo(_BEGIN) as player:
        async with stage.shown(player, _COLUMNS, _ROWS) as app:
            for step in TOUR:
                player.advance(step.seconds)
                await app.look()
                for key in step.keys or ("",):
                    await app.press((key,) if key else ())
                    lines = tuple(_line(strip, styles) for strip in app.strips)
                    frames.append(Frame(lines, _caption(step), step.each_s))
                frames[-1] = Frame(frames[-1].lines, frames[-1].caption, step.hold_s)
    return frames


def _caption(step: Step) -> str:
    key = f'<tspan class="key">{html.escape(step.shown)}</tspan>&#160;&#160;&#160;' if step.shown else ""
    return key + html.escape(step.caption)


def _line(strip: Strip, styles: dict[str, str]) -> str:
    """A line of the terminal as SVG; ``styles`` gets those that are new, with names that are the same in all frames."""
    boxes, texts, cell = [], [], 0
    for text, style, _ in Strip(strip).simplify():
        width, words = cell_len(text), text.strip()
        ink, paper = _colours(style or Style())
        if paper != _PAPER:
            boxes.append(f'<path fill="{paper}" d="M{_at(cell)} 0H{_at(cell + width)}v25H{_at(cell)}z"/>')
        if words:
            face = f"fill: {ink}{'; font-weight: bold' if style and style.bold else ''}"
            face += "; text-decoration: underline" if style and style.underline else ""
            name = styles.setdefault(face, f"s{len(styles)}")
            left = cell + cell_len(text[: len(text) - len(text.lstrip())])
            texts.append(
                f'<text class="{name}" x="{_at(left)}" y="18.5" textLength="{_at(cell_len(words))}">'
                f"{html.escape(words, quote=False).replace(' ', _BLANK)}</text>"
            )
        cell += width
    return "".join([*boxes, *texts])


def _colours(style: Style) -> tuple[str, str]:
    """Of the text, and of what is behind it."""
    ink, paper = (
        color.triplet.hex if color and color.triplet else otherwise
        for color, otherwise in ((style.color, _INK), (style.bgcolor, _PAPER))
    )
    return (paper, ink) if style.reverse else (ink, paper)


def _at(cell: int) -> str:
    return f"{cell * stage.CELL:.1f}".removesuffix(".0")


def _document(frames: Sequence[Frame], styles: dict[str, str]) -> str:
    names: dict[str, str] = {}
    for frame in frames:
        for line in frame.lines:
            if line:
                names.setdefault(line, f"l{len(names)}")
    width, height = _COLUMNS * stage.CELL + 18, _ROWS * _LINE + 50
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">',
            "<style>",
            "text { font: 20.265px DejaVu Sans Mono, Menlo, Consolas, monospace; white-space: pre }",
            ".title { font: bold 20px arial, sans-serif; fill: #c5c8c6; text-anchor: middle }",
            ".key { fill: #66d9e8 }",
            *(f".{name} {{ {face} }}" for face, name in styles.items()),
            ".f { visibility: hidden }",
            "#f0 { visibility: visible }",
            *_moves(frames),
            "</style>",
            "<defs>",
            *(f'<g id="{name}">{line}</g>' for line, name in names.items()),
            "</defs>",
            f'<rect x="1" y="1" width="{width - 2:.0f}" height="{height - 2:.0f}" rx="8" fill="#292929"/>',
            f'<rect x="9" y="41" width="{_COLUMNS * stage.CELL:.1f}" height="{_ROWS * _LINE:.1f}" fill="{_PAPER}"/>',
            *(_group(number, frame, names, width / 2) for number, frame in enumerate(frames)),
            "</svg>\n",
        ]
    )


def _group(number: int, frame: Frame, names: dict[str, str], middle: float) -> str:
    lines = "".join(
        f'<use href="#{names[line]}" y="{row * _LINE:.1f}"/>' for row, line in enumerate(frame.lines) if line
    )
    title = f'<text class="title" x="{middle:.0f}" y="28">{frame.caption}</text>'
    return f'<g class="f" id="f{number}">{title}<g transform="translate(9 41)">{lines}</g></g>'


def _moves(frames: Sequence[Frame]) -> Iterator[str]:
    """Each frame is hidden but for its own part of the whole time; nothing is in between."""
    whole = sum(frame.lasts_s for frame in frames)
    yield f".f {{ animation: {whole:.2f}s step-end infinite }}"
    begins = 0.0
    for number, frame in enumerate(frames):
        ends = begins + frame.lasts_s
        hidden = "0% { visibility: hidden } " if number else ""
        yield (
            f"@keyframes k{number} {{ {hidden}{100 * begins / whole:.3f}% {{ visibility: visible }} "
            f"{100 * ends / whole:.3f}% {{ visibility: hidden }} }} #f{number} {{ animation-name: k{number} }}"
        )
        begins = ends
    yield "@media (prefers-reduced-motion: reduce) { .f { animation: none } }"
