"""The second disk: the project as its user would install it, the tests, and what to do with them, as one tar.

Dependencies are wheels for the target's Python, installed by this machine's pip into the layout of a virtual
environment whose interpreter the guest adds: pip inside an emulated machine would need minutes for the same files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

from .errors import LabError
from .images import Image, cache

CHECKOUT = Path(__file__).resolve().parents[3]
# Where the guest unpacks the payload, and the environment in it.
GUEST = "/run/lab"
VENV = f"{GUEST}/venv"


def pack(image: Image, command: list[str], to: Path) -> None:
    """Write the payload for `image` that makes the guest run `command`."""
    python = image.python()
    with tempfile.TemporaryDirectory() as temporary, tarfile.open(to, "w") as tar:
        project = Path(temporary)
        _install(project, python, ["--no-deps", str(_wheel(project))])
        for site in (dependencies(python), project / "site"):
            _add_site(tar, site, python)
        tar.add(CHECKOUT / "tests", "tests", filter=_source)
        tar.add(CHECKOUT / "tests/lab/guest", "guest", filter=_source)
        script = project / "command.sh"
        script.write_text(f"exec {shlex.join(command)}\n")
        tar.add(script, "command.sh")


def dependencies(python: str) -> Path:
    """A directory with the project's dependencies and pytest for that Python, installed once and kept."""
    wanted, limits = _requirements()
    digest = hashlib.sha256(json.dumps([python, wanted, limits]).encode()).hexdigest()[:12]
    kept = cache() / f"site-{python}-{digest}"
    if not kept.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".site-", dir=cache()) as temporary:
            constraints = Path(temporary, "constraints.txt")
            constraints.write_text("\n".join(limits))
            _install(Path(temporary), python, ["--constraint", str(constraints), *wanted])
            os.rename(Path(temporary, "site"), kept)
    return kept


def _requirements() -> tuple[list[str], list[str]]:
    """What to install, and the narrower versions the project's own tests are bound to."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    limits: list[str] = project["optional-dependencies"]["test"]
    pytest = [line for line in limits if re.match(r"pytest\b(?!-)", line)]
    return [*project["dependencies"], *pytest], limits


def _wheel(into: Path) -> Path:
    """Build the project's wheel from the checkout."""
    _pip("wheel", "--no-deps", "--wheel-dir", str(into), str(CHECKOUT))
    return next(into.glob("zfstop-*.whl"))


def _install(into: Path, python: str, what: list[str]) -> None:
    """Install wheels for another Python into `into`/site."""
    target = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    _pip("install", "--no-compile", *target, "--target", str(into / "site"), *what)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    if done.returncode != 0:
        raise LabError(f"pip {arguments[0]} failed:\n{done.stderr.strip()[-3000:]}")


def _add_site(tar: tarfile.TarFile, site: Path, python: str) -> None:
    """Packages to site-packages; commands to bin, made to start with the environment's interpreter."""
    for entry in sorted(site.iterdir()):
        if entry.name != "bin":
            tar.add(entry, f"venv/lib/python{python}/site-packages/{entry.name}", filter=_owned_by_root)
    for script in sorted(site.glob("bin/*")):
        with tempfile.NamedTemporaryFile("w") as file:
            body = script.read_text().split("\n", 1)[1]
            file.write(f"#!{VENV}/bin/python\n{body}")
            file.flush()
            Path(file.name).chmod(0o755)
            tar.add(file.name, f"venv/bin/{script.name}", filter=_owned_by_root)


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _source(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name.endswith(("__pycache__", ".pyc")) else _owned_by_root(entry)
