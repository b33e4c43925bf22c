#!/usr/bin/env python3
"""Makes the pictures in this directory from recordings: ``python screenshots/make.py [NAME ...]``.

The SVG text is compared by tests/ui/test_screenshots.py; each PNG carries the checksum of the SVG it was drawn from.
Drawing PNGs takes rsvg-convert (Debian: librsvg2-bin), a monospace font with block elements (fonts-dejavu-core) and
Pillow (python3-pil), which reduces them to the 256 colours they need.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE))

import stage  # noqa: E402
from animation import ANIMATION, animate  # noqa: E402

CHECKSUM = "svg-sha256"
#: Seconds into the demo: the disk under one pool writes slowly, and a txg takes seconds to sync.
MOMENT = 83


@dataclass(frozen=True, slots=True)
class Picture:
    """One screen: its size, the keys pressed, the second of the recording, and which; no name is the demo."""

    columns: int
    rows: int
    keys: tuple[str, ...] = ()
    second: int = MOMENT
    recording: str = ""

    @property
    def title(self) -> str:
        """As it was called."""
        called = f"replay {self.recording}.zfstop" if self.recording else "--demo"
        return f"zfstop {called}, {self.columns}x{self.rows}"


PICTURES: dict[str, Picture] = {
    "screen-80x24": Picture(80, 24),
    "screen-200x50": Picture(200, 50),
    "box-120x40": Picture(
        120, 40, ("shift+up", "shift+right", *("shift+left",) * 6, *("shift+down",) * 2, "enter")
    ),
    "symbols-120x40": Picture(120, 40, ("S",)),
    "txg-stall": Picture(130, 40, (), 52, "txg-stall"),
    "no-log-device": Picture(130, 40, ("slash", *"op:fsync", "enter"), 49, "no-log-device"),
    "arc-misses": Picture(130, 40, (), 55, "arc-misses"),
    "metadata-storm": Picture(130, 40, (*"gggggg",), 37, "metadata-storm"),
    "noisy-container": Picture(130, 40, (*"gggggg",), 33, "noisy-container"),
}


def draw(name: str) -> str:
    """The SVG text of one picture; the same every time."""
    return asyncio.run(_draw(PICTURES[name]))


async def _draw(picture: Picture) -> str:
    recording = stage.replay(picture.recording, picture.second) if picture.recording else None
    with recording or stage.demo(picture.second) as feed:
        async with stage.shown(feed, picture.columns, picture.rows) as app:
            await app.press(picture.keys)
            return app.svg(picture.title)


def _png(svg: Path) -> None:
    from PIL import Image

    drawn = subprocess.run(["rsvg-convert", "--zoom", "0.8", svg], check=True, stdout=subprocess.PIPE).stdout
    small = io.BytesIO()
    Image.open(io.BytesIO(drawn)).quantize(256, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    svg.with_suffix(".png").write_bytes(with_checksum(small.getvalue(), svg.read_bytes()))


def with_checksum(png: bytes, svg: bytes) -> bytes:
    """The PNG with a text chunk that names the SVG it shows."""
    body = b"tEXt" + CHECKSUM.encode() + b"\0" + hashlib.sha256(svg).hexdigest().encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    after_header = 8 + 25
    return png[:after_header] + chunk + png[after_header:]


def main(names: list[str]) -> None:
    """These pictures, or all of them."""
    for name in names or [*PICTURES, ANIMATION]:
        svg = HERE / f"{name}.svg"
        if name == ANIMATION:
            svg.write_text(animate())
        else:
            svg.write_text(draw(name))
            _png(svg)
        print(svg.name)


if __name__ == "__main__":
    main(sys.argv[1:])
