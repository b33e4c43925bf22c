"""Colours, ASCII, the mouse and the keys: as one likes them, changed live, and there again the next time."""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest
from driving import Screen, shown
from fake_feed import MS, FakeFeed, busy_feed, key, second, stats
from hypothesis import given
from hypothesis import strategies as st
from textual.color import Color
from textual.keys import _character_to_key

from zfstop.config.settings import Settings, parse
from zfstop.errors import Exit, UserError
from zfstop.model.rows import Grouping
from zfstop.model.state import Phase, Status
from zfstop.text import cell_width, visible
from zfstop.ui.actions import actions
from zfstop.ui.ascii import ascii_text
from zfstop.ui.keymap import hinted, keys_of, keys_toml, parse_key, remapped, shown_key
from zfstop.ui.theme import SIXTEEN, THEMES

#: Names that have nearly nothing in ASCII: narrow, wide, and such as look like the screen's own glyphs.
NAMES = ("Größe/Übung.txt", "文書/日本語ファイル", "данные/журнал", "█▓▒░/┌─┐│▁▂▃…", "🎉/🇩🇪")


def named_feed() -> FakeFeed:
    feed = busy_feed()
    groups = [
        (key("fsync", pid=9000 + i, comm=visible(name[:8]), path=visible(name)), stats(*[900 * MS] * 20))
        for i, name in enumerate(NAMES)
    ]
    feed.history.append(second(groups, 90))
    return feed


def settled(settings: Settings, width: int = 120, height: int = 40) -> AbstractAsyncContextManager[Screen]:
    return shown(named_feed(), width, height, settings=settings)


@given(st.text())
def test_in_ascii_every_text_takes_as_many_cells_as_before(text: str) -> None:
    shown = visible(text)
    told = ascii_text(shown)
    assert told.isascii()
    assert told.isprintable()
    assert len(told) == cell_width(shown)


@given(st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20)))
def test_what_is_ascii_is_left_alone(text: str) -> None:
    assert ascii_text(text) == text


def above_ascii(screen: Screen) -> set[str]:
    return {char for char in screen.text if not " " <= char <= "~" and char != "\n"}


#: Keys that lead to a screen, then those that lead back.
PLACES = [
    ((), ()),
    (("H",), ("H",)),
    (("shift+up", "shift+left"), ("escape",)),
    (("g", "g"), ()),
    (("enter", "enter"), ("backspace", "backspace")),
    (("question_mark",), ("escape",)),
    (("S",), ("escape",)),
    (("b",), ("escape",)),
    (("z",), ("escape",)),
    (("W",), ("escape",)),
    (("C",), ("escape",)),
    (("t",), ("escape",)),
    (("O",), ("escape",)),
    (("f",), ("escape",)),
    (("slash", "p", "a", "t", "h", ":", "tab"), ("escape",)),
    (("ctrl+p", "a"), ("escape", "escape")),
    (("m",), ("m",)),
    (("space",), ("space",)),
    (("[", "["), ("L",)),
]


async def test_in_ascii_no_frame_has_anything_else_wherever_one_goes() -> None:
    async with settled(Settings(ascii=True)) as screen:
        for there, back in PLACES:
            await screen.press(*there)
            assert above_ascii(screen) == set(), there
            await screen.press(*back)
        assert "Gr??e/?bung.txt" in screen.text


async def test_a_switches_ascii_on_and_off_at_once() -> None:
    async with settled(Settings()) as screen:
        assert "日本語" in screen.text
        assert "▼" in screen.text
        before = screen.lines
        await screen.press("a")
        assert above_ascii(screen) == set()
        assert "WAITv" in screen.text
        assert [cell_width(line) for line in screen.lines] == [cell_width(line) for line in before]
        await screen.press("a")
        assert screen.lines == before


def colours_of(screen: Screen) -> set[object]:
    """The kinds of colours that are painted."""
    strips = screen.app.screen._compositor.render_strips()
    styles = [segment.style for strip in strips for segment in strip if segment.style]
    found = {colour for style in styles for colour in (style.color, style.bgcolor) if colour}
    return {colour.type.name for colour in found}


async def test_c_goes_through_the_themes_and_each_paints_what_it_promises() -> None:
    async with settled(Settings(theme="dark")) as screen:
        seen = {}
        text = screen.table
        for _ in THEMES:
            seen[screen.app.theme] = colours_of(screen)
            # Colour carries nothing alone: the words are the same.
            assert screen.table == text
            await screen.press("c")
        assert screen.app.theme == "dark"
        assert list(seen) == ["dark", "light", "high-contrast", "16-colours", "no-colours"]
        assert seen["dark"] == seen["light"] == seen["high-contrast"] == {"TRUECOLOR"}
        assert seen["16-colours"] <= {"STANDARD", "DEFAULT"}
        assert seen["no-colours"] <= {"DEFAULT"}


@pytest.mark.parametrize(("asked", "theme"), [(False, "no-colours"), (True, "light")])
async def test_no_color_wins_over_the_file_but_not_over_the_command_line(
    asked: bool, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with shown(settings=Settings(theme="light"), theme_asked=asked) as screen:
        assert screen.app.theme == theme
        assert (colours_of(screen) <= {"DEFAULT"}) is not asked


async def test_without_colours_slow_and_very_slow_still_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    async with settled(Settings(theme="no-colours")) as screen:
        table = screen.app.main.table
        looks = {
            name: table.style_of(name)
            for name in ("cool", "warm", "hot", "strong", "selected", "alarm", "dim")
        }
        bare = {name: (style.dim, style.bold, style.reverse) for name, style in looks.items()}
        assert len({bare[name] for name in ("cool", "warm", "hot")}) == 3
        assert len({bare[name] for name in ("hot", "alarm")}) == 2


def contrast(one: Color, other: Color) -> float:
    """WCAG 2.2's contrast ratio."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: Color) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(value) for value in colour.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


#: Theme -> least contrast of faint words, of others, of those in the selected row.
LEAST = {"dark": (4.5, 7, 3), "light": (6, 7, 4), "high-contrast": (10, 9, 4.5)}
FAINT = ("dim", "cool")
CHOSEN = ("selected", "selected dim", "selected warm", "selected hot")
LOUD = ("", "warm", "hot", "strong", "head", "sorted", "filter", "note", "alarm", "banner", "good")


async def test_every_word_can_be_read_in_every_theme() -> None:
    async with shown() as screen:
        for name, least in LEAST.items():
            screen.app.theme = name
            await screen.pilot.pause()
            for styles, limit in zip((FAINT, LOUD, CHOSEN), least, strict=True):
                looks = {style: screen.app.main.table.style_of(style) for style in styles}
                ratios = {
                    style: contrast(Color.from_rich_color(look.color), Color.from_rich_color(look.bgcolor))
                    for style, look in looks.items()
                }
                assert min(ratios.values()) >= limit, (name, ratios)


async def test_the_palette_offers_our_themes_and_no_others() -> None:
    async with shown() as screen:
        assert list(screen.app.available_themes) == list(THEMES)
        assert SIXTEEN.ansi


async def test_m_leaves_the_mouse_to_the_terminal_and_says_so() -> None:
    async with settled(Settings()) as screen:
        assert "mouse off" not in screen.text
        await screen.press("m")
        assert "mouse off [m]" in screen.text
        assert "the mouse is the terminal's" in await screen.toast()
        await screen.press("m")
        assert "mouse off" not in screen.text


async def test_the_screen_begins_as_it_was_told() -> None:
    told = Settings(window=300, sort="max", descending=False, group=Grouping.POOL, mouse=False)
    async with settled(told) as screen:
        assert "by pool [g]  300 s [w]" in screen.text
        assert "MAX▲" in screen.text
        assert "mouse off [m]" in screen.text


class Kept:
    """Where settings go."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []

    def __call__(self, settings: Settings) -> str:
        self.settings.append(settings)
        return "/home/ann/.config/zfstop/config.toml"


async def test_ctrl_s_saves_what_is_chosen() -> None:
    kept = Kept()
    async with shown(settings=Settings(), save=kept) as screen:
        await screen.press("w", "r", "g", "c", "a", "m", "-", "ctrl+s")
        assert "saved in /home/ann/.config/zfstop/config.toml" in await screen.toast()
        [told] = kept.settings
        assert told == Settings(
            threshold_ns=5 * MS,
            classes=screen.app.feed.controls().classes,
            window=300,
            sort="wait",
            descending=False,
            group=Grouping.PROCESS,
            theme="light",
            ascii=True,
            mouse=False,
            meter=True,
        )


async def test_of_a_recording_threshold_and_classes_are_not_saved_nor_what_the_terminal_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    kept = Kept()
    feed = busy_feed()
    feed.now_status = Status(Phase.DEMO, "recorded")
    async with shown(feed, save=kept) as screen:
        await screen.press("ctrl+s")
        assert (kept.settings[0].threshold_ns, kept.settings[0].classes, kept.settings[0].theme) == (
            None,
            None,
            None,
        )


async def test_what_cannot_be_saved_is_said() -> None:
    def refuse(settings: Settings) -> str:
        raise UserError(Exit.USAGE, "config.toml can be written by others", "chmod go-w config.toml")

    async with shown(save=refuse) as screen:
        await screen.press("ctrl+s")
        assert "can be written by others. chmod go-w config.toml" in await screen.toast()


async def test_other_keys_do_the_same_and_are_told_everywhere() -> None:
    keys = {
        "toggle-pause": ("f5",),
        "next-window": ("p",),
        "books": (),
        "go-live": ("l",),
        "ask-pids": ("f7",),
    }
    async with settled(Settings(keys=keys), 160, 100) as screen:
        assert "pid all [F7]" in screen.text
        assert "60 s [p]" in screen.text
        assert "pool all [O]" in screen.text
        await screen.press("[")
        assert "1 s ago; l is live" in screen.text
        await screen.press("l", "f5")
        assert screen.app.lens.paused
        await screen.press("space")
        assert screen.app.lens.paused
        await screen.press("p")
        assert screen.app.lens.window == 300
        await screen.press("b")
        assert len(screen.app.screen_stack) == 1
        assert "F5 pause" in screen.lines[-1]
        assert "books" not in screen.lines[-1]
        await screen.press("question_mark")
        assert re.search(r"  F5 +Pause, resume", screen.text)
        assert re.search(r"  p +Window", screen.text)


def test_a_hint_is_changed_and_what_somebody_typed_is_not() -> None:
    keys = {"P": "F7", "x": "-", "(": "PgUp"}
    line = (
        ("pid 12 [P]", ""),
        ("/ a [P]", ""),
        (" RECORDING [P] ", ""),
        ("x  clears the filters", ""),
        ("[H ( )]", ""),
    )
    assert [text for text, _ in hinted(line, keys)] == [
        "pid 12 [F7]",
        "/ a [P]",
        " RECORDING [P] ",
        "-  clears the filters",
        "[H PgUp )]",
    ]
    assert hinted(line, {}) is line


def test_every_action_has_a_word_of_its_own() -> None:
    words = [action.word for action in actions()]
    assert len(set(words)) == len(words)
    assert all(word.replace("-", "").isalnum() for word in words)


@pytest.mark.parametrize(
    ("typed", "name", "shown"),
    [
        ("Ctrl+S", "ctrl+s", "Ctrl+S"), ("F5", "f5", "F5"), ("!", "exclamation_mark", "!"), ("+", "plus", "+"),
        ("S", "S", "S"), ("é", "é", "é"), ("shift+LEFT", "shift+left", "Shift+Left"), ("Space", "space", "Space"),
        (" ", "space", "Space"), ("/", "slash", "/"), ("pgup", "pageup", "PgUp"), ("Esc", "escape", "Esc"),
        ("alt + x", "alt+x", "Alt+X"), ("shift+a", "A", "A"), (",", "comma", ","),
    ],
)  # fmt: skip
def test_keys_are_written_as_people_write_them(typed: str, name: str, shown: str) -> None:
    assert parse_key(typed) == name
    assert shown_key(name) == shown


@pytest.mark.parametrize("typed", ["", "ab", "Ctrl+", "hyper+x", "ctrl+ctrl+x", "\x07", "f99", "ctrl++x"])
def test_what_is_not_a_key_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        parse_key(typed)


def test_signs_are_called_as_textual_calls_them() -> None:
    for code in range(0x21, 0x7F):
        assert parse_key(chr(code)) == _character_to_key(chr(code))


def test_what_is_printed_for_the_file_is_a_file_that_changes_nothing() -> None:
    keys = parse(keys_toml({})).keys
    fixed = {"quit-now", "suspend-process", "command-palette"}
    assert set(keys) == {action.word for action in actions()} - fixed
    for action in actions():
        if action.word in keys:
            assert keys[action.word] == keys_of(action)
    assert [
        replace(action, shown="")
        for _, section in remapped(keys)
        for action in section
        if action.word in keys
    ] == [
        replace(action, keys=",".join(keys_of(action)), shown="")
        for action in actions()
        if action.word in keys
    ]
