"""What can go wrong in the lab, as one sentence for the person who started it."""

from __future__ import annotations

import shutil


class LabError(Exception):
    """The lab could not do what it was asked; the text says why and, where possible, what to do."""


# Tool -> the Debian package that has it.
PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
    "dpkg-query": "dpkg",
    "unshare": "util-linux",
}


def need(*tools: str) -> None:
    """Raise one sentence with the command that installs whatever of `tools` is absent."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = " ".join(PACKAGES[tool] for tool in missing)
        raise LabError(f"{', '.join(missing)} not found: apt-get install --no-install-recommends {packages}")
