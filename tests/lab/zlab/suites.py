"""Which systems the lab knows and what is put into each: the recipe, and the key it is cached under."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

# Raise it when the way an image is made changes without a change of anything else that `Suite.key` hashes.
RECIPE = 1
IMAGE_SIZE = "8G"
HOOKS = Path(__file__).resolve().parent.parent / "image"

PACKAGES = (
    # the kernel, and ZFS built for it
    "linux-image-amd64", "linux-headers-amd64", "zfs-dkms", "zfsutils-linux", "zfs-test",
    # what zfstop needs, and the tools it is compared with
    "python3-bpfcc", "python3-venv", "bpfcc-tools", "bpftrace", "bpftool", "libbpf-tools",
    # programs that make work for a pool, and what the tests look around with
    "fio", "sqlite3", "postgresql", "gcc", "libc6-dev", "strace", "tmux",
    "kmod", "procps", "iproute2", "util-linux", "ca-certificates",
)  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """One Debian release."""

    name: str
    options: tuple[str, ...] = ()
    # Beside PACKAGES, where no other package brings it.
    packages: tuple[str, ...] = ()

    def key(self) -> str:
        """Suite and a digest of everything the image is made from but the archive's own state."""
        hooks = {path.name: path.read_text() for path in sorted(HOOKS.iterdir()) if path.is_file()}
        recipe = json.dumps([RECIPE, IMAGE_SIZE, self.name, self.options, [*PACKAGES, *self.packages], hooks])
        return f"{self.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"

    def mmdebstrap(self, tree: Path) -> list[str]:
        """The command that fills `tree`; the archive's address is the host's own choice.

        mmdebstrap mounts this machine's /proc, /sys and devices in the tree. In a mount namespace of its own these
        end with it, however it ends, and whoever removes the tree never meets them.
        """
        return [
            "unshare",
            "--mount",
            "mmdebstrap",
            "--variant=apt",
            "--components=main,contrib",
            '--aptopt=Apt::Install-Recommends "false"',
            *self.options,
            f"--include={','.join([*PACKAGES, *self.packages])}",
            f'--customize-hook={HOOKS / "hook.sh"} "$1"',
            self.name,
            str(tree),
        ]


SUITES = {
    suite.name: suite
    for suite in (
        Suite("bookworm", packages=("mount",)),
        Suite("trixie"),
        # Its Release file is past its date, and its kernel would bring dracut, which the hook does not know.
        Suite("forky", ('--aptopt=Acquire::Check-Valid-Until "false"',), ("initramfs-tools", "mount")),
    )
}


def find(name: str) -> Suite:
    """The suite of that name, or the list of those there are."""
    if name not in SUITES:
        raise LabError(f"no suite {name!r}; there are {', '.join(SUITES)}")
    return SUITES[name]
