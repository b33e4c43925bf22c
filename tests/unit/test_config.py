"""``config.toml``: wrong lines are named, comments outlive a change, and root trusts nobody's file but the caller's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.config.place import Person, Place, load, place_of, save, whoever
from zfstop.config.settings import DEFAULTS, THEMES, Settings, SettingsError, parse, updated, values_of
from zfstop.config.toml import replaced, statements
from zfstop.errors import UserError
from zfstop.model.rows import Grouping
from zfstop.ui import theme
from zfstop.ui.columns import COLUMNS
from zfstop.ui.lens import WINDOWS
from zfstop.units import format_threshold, parse_time
from zfstop.zfs.operations import CLASSES

EVERYTHING = """\
# of the storage team
threshold = "5ms"          # the SLO
classes = ["data", "zvol"]
window = "5min"
sort = "-p99"
group = "process"
theme = "light"
ascii = true
mouse = false

[keys]
toggle-pause = ["Space", "F5"]   # not p
next-window = "Ctrl+W"
books = ""
"""


def wrong(text: str) -> list[tuple[int, str]]:
    with pytest.raises(SettingsError) as told:
        parse(text)
    return told.value.wrong


def test_everything_can_be_said() -> None:
    assert parse(EVERYTHING) == Settings(
        threshold_ns=5_000_000,
        classes=frozenset({"data", "zvol"}),
        window=300,
        sort="p99",
        descending=False,
        group=Grouping.PROCESS,
        theme="light",
        ascii=True,
        mouse=False,
        keys={"toggle-pause": ("space", "f5"), "next-window": ("ctrl+w",), "books": ()},
    )


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "[keys]", "keys = {}", "threshold = 10\r\n"])
def test_little_can_be_said(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("\n" * 6 + 'threshold = "10 parsecs"', 7, 'threshold = "10 parsecs" is not a time; try threshold = "10ms"'),
        ("threshold = true", 1, 'threshold = true is not a time; try threshold = "10ms"'),
        ('theme = """\\\nlight"""\ntreshold = "1ms"', 3, "treshold is no setting; the nearest is threshold"),
        ('# x\ntreshold = "1ms"', 2, "treshold is no setting; the nearest is threshold"),
        ('theme = "drak"', 1, 'theme = "drak" is not a theme; did you mean "dark"?'),
        ("mouse = 0", 1, "mouse = 0 is neither true nor false; try mouse = false"),
        ("window = 7", 1, 'window = 7 is not one of 10s, 60s, 300s; try window = "60s"'),
        ("window = nan", 1, 'window = nan is not a window; try window = "60s"'),
        ("[keys]\ntogle-pause = 'x'", 2, "togle-pause is no action; the nearest is toggle-pause"),
        ("[keys]\nfilter = 'Ctrl+Nose'", 2, 'filter = "Ctrl+Nose" is not a key; try filter = "f5" or "Ctrl+S"'),
        ("[keys]\nfilter = 'q'", 2, 'filter = "q" is the key of quit; give quit another key'),
        ("[keys]\nfilter = '^C'", 2, 'filter = "^C" is not a key; try filter = "f5" or "Ctrl+S"'),
        ("[keys]\nfilter = 'ctrl+c'", 2, 'filter = "Ctrl+C" is the key of quit-now, and stays it'),
        ("[keys]\nquit-now = 'x'", 2, "quit-now stays at Ctrl+C, so that it always works"),
        ("keys = { filter = 7 }", 1, 'filter = 7 is not a key; try filter = "f5" or "Ctrl+S"'),
        ("classes = ['data',\n  'dtaa']", 1,
         'classes = ["data", "dtaa"] is not a class of operations; there are data, open, metadata, space, lifetime, '
         'mapped, zvol and all; try classes = ["data", "open"]'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, sentence: str) -> None:
    if "classes" in text:
        sentence = sentence.replace("data, open, metadata, space, lifetime, mapped, zvol", ", ".join(CLASSES))
    assert wrong(text) == [(line, sentence)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("theme = 'dark'\n# x\ntheme = 'light'", 3),
        ("theme = 'dark'\ntheme = 'light'\n\n[keys]\n", 2),
        ("theme = 'dark'\n\ntheme is light", 3),
        ("theme = 'dark'\nclasses = [\n'data',\n", 2),
        ("theme = 'dark'\n[keys\n", 2),
        ("theme = 'dark'\n\ntheme = 'li\x07ght'", 3),
    ],
)
def test_what_is_not_toml_is_said_with_its_line(text: str, line: int) -> None:
    [(told, sentence)] = wrong(text)
    assert told == line
    assert sentence.startswith("this is not TOML: ")


def test_everything_that_is_wrong_is_said_at_once_and_in_order() -> None:
    told = wrong('mouse = 1\ntheme = "x"\n[keys]\nbooks = "S"\nfoo = "z"\n')
    assert [line for line, _ in told] == [1, 2, 4, 5]


def test_keys_may_change_places() -> None:
    assert parse("[keys]\nquit = 'p'\ntoggle-pause = 'q'\n").keys == {"quit": ("p",), "toggle-pause": ("q",)}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_line_that_is_there(text: str) -> None:
    told: list[tuple[int, str]] = []
    try:
        parse(text)
    except SettingsError as error:
        told = error.wrong
    assert all(1 <= line <= text.count("\n") + 1 for line, _ in told)
    assert all(sentence.isprintable() for _, sentence in told)


choices = st.builds(
    Settings,
    threshold_ns=st.one_of(st.none(), st.integers(0, 10**11)),
    classes=st.one_of(st.none(), st.frozensets(st.sampled_from(list(CLASSES)))),
    window=st.sampled_from([None, *WINDOWS]),
    sort=st.sampled_from([column.key for column in COLUMNS]),
    group=st.sampled_from([None, *Grouping]),
    theme=st.sampled_from([None, *THEMES]),
    ascii=st.sampled_from([None, True, False]),
    mouse=st.sampled_from([None, True, False]),
)
#: What people put around and between settings.
clutter = st.lists(
    st.sampled_from(["", "# a comment", "  # threshold = 3", "\t", '# "quotes', "#", "# \u00e9 \u2588"]),
    max_size=4,
)
tails = st.sampled_from(["", "  # because", "\t#=", ' # "x'])
KEYS = ["[keys]", '"toggle-pause" = ["F5", "F6"] # mine', "", "# end"]


@st.composite
def files(draw: st.DrawFn) -> str:
    """A sound file with clutter, in any order of settings."""
    lines = draw(clutter)
    said = values_of(draw(choices))
    for name in draw(st.permutations(sorted(said))):
        quoted = draw(st.sampled_from([name, f'"{name}"', f"  {name}"]))
        [line] = [line for line in replaced("", {name: said[name]}).splitlines() if line]
        lines += [line.replace(name, quoted, 1) + draw(tails), *draw(clutter)]
    if draw(st.booleans()):
        lines += KEYS
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    return ending.join(lines) + draw(st.sampled_from(["", ending]))


@given(files(), choices)
def test_what_is_written_is_read_again_and_nothing_else_changes(text: str, now: Settings) -> None:
    before = parse(text)
    fresh = updated(text, now)
    after = parse(fresh)
    assert values_of(after.over(DEFAULTS)) == values_of(now.over(before).over(DEFAULTS))
    assert after.keys == before.keys
    assert [line for line in fresh.splitlines() if line.lstrip().startswith("#")] == [
        line for line in text.splitlines() if line.lstrip().startswith("#")
    ]
    # A second time there is nothing left to do, and a comment behind a value is where it was.
    assert updated(fresh, now) == fresh
    assert [tail in fresh for tail in ("# because", "#=")] == [tail in text for tail in ("# because", "#=")]


@given(st.integers(0, 10**11))
def test_a_threshold_as_it_is_shown_is_the_same_threshold(ns: int) -> None:
    assert parse_time(format_threshold(ns), "ms") == ns


def test_a_new_setting_goes_before_the_first_table_and_its_comment() -> None:
    assert updated("# my keys\n[keys]\nquit = 'Q'\n", Settings(theme="light")) == (
        "theme = \"light\"\n\n# my keys\n[keys]\nquit = 'Q'\n"
    )


def test_a_value_of_several_lines_is_replaced_as_a_whole() -> None:
    text = 'classes = [\n  "data", # read and write\n  "open",\n]\nmouse = false\n'
    assert updated(text, Settings(classes=frozenset({"zvol"}))) == 'classes = ["zvol"]\nmouse = false\n'


def test_the_command_line_wins_over_the_file() -> None:
    file = parse(EVERYTHING)
    both = Settings(theme="dark", sort="max", mouse=True).over(file)
    assert (both.theme, both.sort, both.descending, both.mouse) == ("dark", "max", None, True)
    assert (both.threshold_ns, both.window, both.ascii) == (5_000_000, 300, True)
    assert both.keys == file.keys


def test_the_names_of_themes_are_those_there_are() -> None:
    assert tuple(theme.THEMES) == THEMES


def test_statements_know_where_they_stand() -> None:
    found = statements("# 1\na = [\n1]\n[t.u]\nb.c = 2\n")
    assert [(item.first, item.last, item.table, item.names) for item in found] == [
        (1, 3, (), ("a",)),
        (3, 4, ("t", "u"), ()),
        (4, 5, ("t", "u"), ("b", "c")),
    ]


def me(home: Path, root: bool = True) -> Person:
    """The one who runs the tests; ``root``: as if root ran zfstop for that user."""
    return Person(os.getuid(), os.getgid(), home, root)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o755)
    return path


def settings_of(home: Path, text: str = 'theme = "light"\n', mode: int = 0o644) -> Path:
    file = home / ".config" / "zfstop" / "config.toml"
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("root", [True, False])
def test_what_is_saved_is_loaded_and_nobody_else_can_read_it(home: Path, root: bool) -> None:
    place = place_of(me(home, root), {})
    assert load(place) == Settings()
    save(place, Settings(theme="light", mouse=False))
    assert load(place) == Settings(theme="light", mouse=False)
    file = home / ".config/zfstop/config.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert os.listdir(file.parent) == ["config.toml"]


def test_errors_name_file_and_line(home: Path) -> None:
    file = settings_of(home, '\n\ntheme = "lite"\nmouse = 3\n')
    with pytest.raises(UserError) as told:
        load(place_of(me(home), {}))
    assert told.value.lines() == [
        f'zfstop: {file}:3: theme = "lite" is not a theme; did you mean "light"?.',
        "  to mend it: zfstop --no-config does without",
        f"  | {file}:4: mouse = 3 is neither true nor false; try mouse = false",
    ]
    with pytest.raises(UserError, match=":3: "):
        save(place_of(me(home), {}), Settings(theme="dark"))
    assert file.read_text() == '\n\ntheme = "lite"\nmouse = 3\n'


def test_a_file_that_others_can_write_is_not_trusted_as_root(home: Path) -> None:
    file = settings_of(home, mode=0o664)
    with pytest.raises(UserError, match=r"config\.toml can be written by others, and as root") as told:
        load(place_of(me(home), {}))
    assert told.value.remedy == f"chmod go-w {file}"
    assert load(place_of(me(home, root=False), {})).theme == "light"


def test_a_directory_that_others_can_write_is_not_trusted_as_root_when_there_is_a_file(home: Path) -> None:
    (home / ".config").mkdir()
    (home / ".config").chmod(0o777)
    assert load(place_of(me(home), {})) == Settings()
    with pytest.raises(UserError, match="can be written by others"):
        save(place_of(me(home), {}), Settings(theme="light"))
    (home / ".config/zfstop").mkdir()
    (home / ".config/zfstop/config.toml").write_text("")
    with pytest.raises(UserError, match="can be written by others"):
        load(place_of(me(home), {}))


def test_a_file_of_somebody_else_is_not_trusted_as_root(home: Path) -> None:
    file = settings_of(home)
    stranger = me(home)
    if os.geteuid() == 0:
        os.chown(file, 4321, 4321)
    else:
        stranger = Person(os.getuid() + 1, os.getgid(), home, root=True)
    with pytest.raises(UserError, match="is owned by uid"):
        load(place_of(stranger, {}))


@pytest.mark.parametrize("link", [".config", ".config/zfstop", ".config/zfstop/config.toml"])
def test_root_follows_no_link_of_a_user(home: Path, tmp_path: Path, link: str) -> None:
    file = settings_of(home)
    moved = tmp_path / "elsewhere"
    (home / link).rename(moved)
    (home / link).symlink_to(moved)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.toml")}
    for act in (load, lambda place: save(place, Settings(theme="dark"))):
        with pytest.raises(UserError, match="symbolic link"):
            act(place_of(me(home), {}))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.toml")} == before
    # Who runs zfstop as themselves may have their files wherever they like, and the link stays one.
    save(place_of(me(home, root=False), {}), Settings(theme="dark"))
    assert file.read_text() == 'theme = "dark"\n'
    assert (home / link).is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_what_is_made_belongs_to_the_user_who_called(home: Path) -> None:
    os.chown(home, 4321, 4321)
    save(place_of(Person(4321, 4322, home, root=True), {}), Settings(theme="light"))
    for path in (home / ".config", home / ".config/zfstop", home / ".config/zfstop/config.toml"):
        assert (path.stat().st_uid, path.stat().st_gid) == (4321, 4322)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has such files")
def test_under_sudo_nobody_has_a_file_of_roots_read_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password = 1\n")
    secret.chmod(0o600)
    with pytest.raises(UserError, match="is readable by root only") as told:
        load(place_of(Person(4321, 4321, tmp_path, root=True), {}, str(secret)))
    assert "password" not in str(told.value.lines())


def test_what_is_no_file_is_refused_and_does_not_hold_the_start_up(home: Path) -> None:
    file = settings_of(home)
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(UserError, match="is no file"):
        load(place_of(me(home), {}))


@pytest.mark.parametrize(
    ("data", "why"), [(b"\n\xff\n", ":2: this is not UTF-8"), (b"#" * 70_000, "is larger")]
)
def test_what_cannot_be_settings_is_refused(home: Path, data: bytes, why: str) -> None:
    settings_of(home).write_bytes(data)
    with pytest.raises(UserError, match=why):
        load(place_of(me(home), {}))


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*nowhere"):
        load(place_of(me(tmp_path), {}, str(tmp_path / "nowhere")))


def test_where_the_file_is(tmp_path: Path) -> None:
    person = me(tmp_path)
    assert place_of(person, {}).path == tmp_path / ".config/zfstop/config.toml"
    assert place_of(person, {"XDG_CONFIG_HOME": "/etc/xdg"}).path == Path("/etc/xdg/zfstop/config.toml")
    assert place_of(person, {"XDG_CONFIG_HOME": "relative"}).path == tmp_path / ".config/zfstop/config.toml"
    assert place_of(person, {}, "/a/b.toml") == Place(person, Path("/a"), name="b.toml", asked=True)


def test_whose_settings_they_are() -> None:
    assert whoever({"HOME": "/home/ann", "SUDO_UID": "1"}, euid=1000).home == Path("/home/ann")
    assert not whoever({"HOME": "/home/ann"}, euid=1000).root
    assert whoever({"HOME": "/root", "SUDO_UID": "0"}, euid=0) == Person(0, os.getegid(), Path("/root"), True)
    assert whoever({"HOME": "/root", "SUDO_UID": "4000000001"}, euid=0).home == Path("/root")
    daemon = whoever({"HOME": "/root", "SUDO_UID": "1"}, euid=0)
    assert (daemon.uid, daemon.root) == (1, True)
    assert daemon.home != Path("/root")
