#!/usr/bin/env python3
"""Cuts what scenes.sh has recorded into a recording of each scene: ``python tests/lab/shapes/cut.py OUT``.

Nothing is changed but where a recording begins and ends; zfstop's own reader and writer do it.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from pathlib import Path

from zfstop.recording import RecordedHistory, Writer

HERE = Path(__file__).parent


def main(directory: Path) -> None:
    """Every scene that scenes.txt names."""
    with tempfile.TemporaryDirectory() as work:
        whole = Path(work, "scenes.zfstop")
        whole.write_bytes(gzip.decompress((directory / "scenes.zfstop.gz").read_bytes()))
        history = RecordedHistory(whole)
        for line in (directory / "scenes.txt").read_text().splitlines():
            name, began, ended = line.split()
            told = cut(history, Path(work, f"{name}.zfstop"), int(began), int(ended))
            print(f"{name}: {told}")
        history.close()


def cut(history: RecordedHistory, path: Path, began: int, ended: int) -> str:
    """The seconds between two times into a file of their own, compressed beside this program."""
    seconds = [
        second
        for position in range(history.start, history.end)
        for second in history.between(position, position + 1)
        if began < second.clock - second.length_ns / 1e9 and second.clock <= ended + 1
    ]
    with Writer(path, history.meta) as writer:
        for second in seconds:
            writer.append(second)
    packed = gzip.compress(path.read_bytes(), 9, mtime=0)
    (HERE / f"{path.name}.gz").write_bytes(packed)
    longest = max(second.length_ns for second in seconds) / 1e9
    return f"{len(seconds)} seconds, the longest of {longest:.2f} s; {len(packed)} bytes"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
