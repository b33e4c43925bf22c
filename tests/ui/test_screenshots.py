"""The pictures in screenshots/ show this version of the program, and what the README says of them."""

from __future__ import annotations

import gzip
import hashlib
import html
import importlib.util
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "screenshots"
README = (ROOT / "README.md").read_text()
ANEW = "make them anew: python screenshots/make.py"
#: What a page shows at once; and a repository is no place for films.
MOST_BYTES = 1_500_000
MOST_RECORDED = 300_000


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pictures", PICTURES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


maker = _maker()
SHAPES = {name: picture for name, picture in maker.PICTURES.items() if picture.recording}


def words_in(svg: str) -> str:
    """The text of a picture, a line of the screen a line; what a row has in several colours is put together."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in re.findall(r'<text [^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', svg):
        rows.setdefault(float(y), []).append((float(x), html.unescape(text).replace("\xa0", " ")))
    return "\n".join(" ".join(text for _, text in sorted(row)) for _, row in sorted(rows.items()))


@pytest.mark.parametrize("name", maker.PICTURES)
def test_a_screenshot_is_what_the_screen_draws_today(name: str) -> None:
    stored = (PICTURES / f"{name}.svg").read_text()
    assert maker.draw(name) == stored, ANEW


@pytest.mark.parametrize("name", maker.PICTURES)
def test_a_png_was_made_from_its_svg(name: str) -> None:
    svg, png = (PICTURES / f"{name}.{kind}" for kind in ("svg", "png"))
    assert hashlib.sha256(svg.read_bytes()).hexdigest().encode() in png.read_bytes()[:200], ANEW


def test_the_tour_is_what_the_screen_draws_today() -> None:
    stored = (PICTURES / f"{maker.ANIMATION}.svg").read_text()
    assert len(stored.encode()) < MOST_BYTES
    assert maker.animate() == stored, ANEW


def test_the_tour_shows_one_frame_after_the_other_and_never_none() -> None:
    svg = (PICTURES / f"{maker.ANIMATION}.svg").read_text()
    moves = re.findall(
        r"@keyframes k(\d+) \{ (?:0% \{ visibility: hidden \} )?([\d.]+)% \{ visibility: visible \} "
        r"([\d.]+)% \{ visibility: hidden \} \} #f(\d+) \{ animation-name: k(\d+) \}",
        svg,
    )
    frames = re.findall(r'<g class="f" id="f(\d+)">', svg)
    assert len(frames) > 20
    assert [(name, name) for name, *_, of, by in moves if name == of == by] == [
        (name, name) for name in frames
    ]
    assert (moves[0][1], moves[-1][2]) == ("0.000", "100.000")
    assert all(before[2] == after[1] != after[2] for before, after in pairwise(moves))
    assert re.search(r"\.f \{ animation: (\d+\.\d+)s step-end infinite \}", svg)
    whole = float(re.search(r"animation: ([\d.]+)s", svg)[1])  # type: ignore[index]
    assert 10 <= whole <= 20


def test_the_tour_has_no_script_and_fetches_nothing() -> None:
    svg = (PICTURES / f"{maker.ANIMATION}.svg").read_text()
    assert not re.search(r"<script|\bon\w+=|@import|url\(|src=", svg)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', svg))


def test_every_picture_of_the_readme_is_made_here() -> None:
    shown = set(re.findall(r"screenshots/([\w-]+)\.(?:png|svg)", README))
    assert shown <= {*maker.PICTURES, maker.ANIMATION}
    assert {*SHAPES, maker.ANIMATION} <= shown


@pytest.mark.parametrize("name", SHAPES)
def test_what_the_readme_quotes_of_a_shape_is_in_its_picture(name: str) -> None:
    (section,) = (part for part in re.split(r"\n##+ ", README) if f"screenshots/{name}.png" in part)
    quoted = re.findall(r"^> (.+)$", section, re.MULTILINE)
    assert quoted
    words = " ".join(words_in((PICTURES / f"{name}.svg").read_text()).split())
    for quote in quoted:
        assert " ".join(quote.split()) in words


@pytest.mark.parametrize("name", SHAPES)
def test_a_recorded_shape_is_small(name: str) -> None:
    packed = (maker.stage.SHAPES / f"{SHAPES[name].recording}.zfstop.gz").read_bytes()
    assert len(packed) < MOST_RECORDED
    assert gzip.decompress(packed).startswith(b"SQLite format 3\0")
