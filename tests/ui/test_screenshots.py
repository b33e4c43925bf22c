"""The pictures in screenshots/ show this version of the program."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PICTURES = Path(__file__).parents[2] / "screenshots"


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pictures", PICTURES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


maker = _maker()


@pytest.mark.parametrize("name", maker.PICTURES)
def test_a_screenshot_is_what_the_screen_draws_today(name: str) -> None:
    stored = (PICTURES / f"{name}.svg").read_text()
    assert maker.draw(name) == stored, "make them anew: python screenshots/make.py"


@pytest.mark.parametrize("name", maker.PICTURES)
def test_a_png_was_made_from_its_svg(name: str) -> None:
    svg, png = (PICTURES / f"{name}.{kind}" for kind in ("svg", "png"))
    assert hashlib.sha256(svg.read_bytes()).hexdigest().encode() in png.read_bytes()[:200]
