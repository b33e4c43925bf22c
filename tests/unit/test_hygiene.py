"""The house keeps its walls: who imports what, and what is in the wheel."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import zfstop.model

ROOT = Path(__file__).parents[2]
MODEL = [f"zfstop.model.{module.name}" for module in pkgutil.iter_modules(zfstop.model.__path__)]


def loaded_by(*modules: str) -> set[str]:
    """What a fresh interpreter has imported after these."""
    code = f"import {', '.join(modules)}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    return set(done.stdout.split())


def test_data_and_player_need_neither_screen_nor_bcc() -> None:
    modules = loaded_by("zfstop", "zfstop.feed", "zfstop.player", "zfstop.recording", *MODEL)
    assert not modules & {"textual", "rich.console", "rich.text", "bcc", "zfstop.collector", "zfstop.cli"}


def test_the_command_line_answers_without_loading_the_screen() -> None:
    if importlib.util.find_spec("zfstop.cli") is None:
        pytest.skip("there is no zfstop.cli yet")
    assert not loaded_by("zfstop.cli") & {"textual", "bcc", "sqlite3"}


def test_the_import_contracts_hold() -> None:
    command = shutil.which(
        "lint-imports", path=os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    )
    assert command, "lint-imports is not installed: pip install -e '.[test]'"
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_the_wheel_holds_what_is_needed_to_run_and_no_tests(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip("no package index within reach to fetch hatchling from")
    assert done.returncode == 0, done.stderr[-3000:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "zfstop").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in packed if name.startswith("zfstop/")} >= sources
    assert any(name.endswith(".c") for name in sources)
    assert "zfstop/py.typed" in packed
    assert not [name for name in packed if "test" in name or not name.startswith(("zfstop/", "zfstop-"))]
