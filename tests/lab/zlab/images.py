"""Images: built once, kept in a cache outside the checkout, never half there."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError, need
from .suites import IMAGE_SIZE, Suite

# What the machine's first steps need, from packages that another release may bring or not.
TOOLS = (
    "mount", "mountpoint", "tar", "modprobe", "ip", "hostname", "stty", "dmesg", "gcc", "strip", "zpool", "bpftool",
)  # fmt: skip
PLACES = ("usr/bin", "usr/sbin")
# For mmdebstrap to end when it is told to.
END_SECONDS = 30


def cache() -> Path:
    """Where the lab keeps what is slow to make."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ZFSTOP_LAB_CACHE") or Path(home) / "zfstop-lab")


@dataclass(frozen=True)
class Image:
    """A root file system with the kernel and initrd that boot it. Nothing ever writes to it."""

    suite: Suite
    path: Path

    @property
    def disk(self) -> Path:
        return self.path / "root.ext4"

    @property
    def kernel(self) -> Path:
        return self.path / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.path / "initrd"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.txt"

    def exists(self) -> bool:
        return self.path.is_dir()

    def version(self, package: str) -> str:
        """Version of an installed package, from the manifest."""
        found = re.search(rf"^{re.escape(package)} (\S+)$", self.manifest.read_text(), re.MULTILINE)
        if found is None:
            raise LabError(f"{package} is not in {self.manifest}")
        return found[1]

    def python(self) -> str:
        """The target's Python as major.minor."""
        return ".".join(self.version("python3").split(".")[:2])


def locate(suite: Suite) -> Image:
    """The image of a suite for today's recipe, be it there or not."""
    return Image(suite, cache() / suite.key())


def build(suite: Suite) -> Image:
    """Make the image if it is not there. Takes five to ten minutes and 4 GiB of disk."""
    image = locate(suite)
    if image.exists():
        return image
    need("mmdebstrap", "mkfs.ext4", "dpkg-query", "unshare")
    if os.geteuid() != 0:
        raise LabError("building an image needs root (mmdebstrap, file owners): run it with sudo")
    cache().mkdir(parents=True, exist_ok=True)
    with _only_one(cache() / f"{suite.name}.lock") as lock:
        if not image.exists():
            _sweep(suite)
            _build(image, lock)
    return image


def pack(tree: Path, made: Path) -> None:
    """Turn a finished tree into an image directory."""
    # A link may be absolute, and then says nothing on this machine.
    absent = [tool for tool in TOOLS if not any(os.path.lexists(tree / place / tool) for place in PLACES)]
    if absent:
        raise LabError(f"{tree} has no {', '.join(absent)}: add the package to tests/lab/zlab/suites.py")
    made.mkdir()
    for name, link in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        files = sorted((tree / "boot").glob(link))
        if len(files) != 1:
            raise LabError(f"{tree}/boot has {len(files)} files {link}, one was expected")
        shutil.copyfile(files[0], made / name)
    form = "--showformat=${Package} ${Version}\\n"
    manifest = _run(["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "--show", form])
    (made / "manifest.txt").write_text(manifest)
    _run(["mkfs.ext4", "-q", "-F", "-d", str(tree), str(made / "root.ext4"), IMAGE_SIZE])


def _build(image: Image, lock: int) -> None:
    name = image.suite.name
    work = Path(tempfile.mkdtemp(prefix=_unfinished(image.suite), dir=cache()))
    log = cache() / f"{name}.build.log"
    print(f"lab {name}: building the image takes 5 to 10 minutes; log: {log}", flush=True)
    try:
        with log.open("wb") as out:
            # The lock goes along: it is held as long as mmdebstrap lives, whatever becomes of this process.
            command = image.suite.mmdebstrap(work / "tree")
            status = _wait(
                subprocess.Popen(command, stdout=out, stderr=out, pass_fds=(lock,), start_new_session=True)
            )
        if status != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            raise LabError(f"mmdebstrap failed with status {status}; the end of {log}:\n{tail}")
        pack(work / "tree", work / "image")
        (work / "image").rename(image.path)
    finally:
        _sweep(image.suite)


def _wait(mmdebstrap: subprocess.Popen[bytes]) -> int:
    """Its exit status. Whoever gives up waiting takes everything with it that it started and waits until it is gone."""
    try:
        return mmdebstrap.wait()
    except BaseException:
        os.killpg(mmdebstrap.pid, signal.SIGTERM)
        try:
            mmdebstrap.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(mmdebstrap.pid, signal.SIGKILL)
            mmdebstrap.wait()
        raise


def _unfinished(suite: Suite) -> str:
    return f".building-{suite.name}-"


def _sweep(suite: Suite) -> None:
    """Remove what builds left behind; the caller holds the suite's lock, so none of them is alive.

    A tree with mounts in it is left alone: they could be /proc, /sys and devices of this very machine.
    """
    mounts = Path("/proc/self/mountinfo").read_text()
    for work in cache().glob(f"{_unfinished(suite)}*"):
        if f" {work}/" in mounts:
            print(
                f"lab {suite.name}: {work} still has mounts in it (umount them, then remove it)", flush=True
            )
        else:
            _run(["rm", "-rf", "--one-file-system", str(work)])


@contextmanager
def _only_one(path: Path) -> Iterator[int]:
    """Hold a lock file; a second build of the suite waits here for the first."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"{command[0]} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
