#!/usr/bin/env python3
"""Makes the pictures in this directory from the demo recording: ``python screenshots/make.py``.

The SVG text is compared by tests/ui/test_screenshots.py; each PNG carries the checksum of the SVG it was drawn from.
Drawing PNGs takes rsvg-convert (Debian: librsvg2-bin) and a monospace font with block elements (fonts-dejavu-core).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import struct
import subprocess
import time
import zlib
from pathlib import Path

HERE = Path(__file__).parent
CHECKSUM = "svg-sha256"
#: name -> (columns, rows, keys pressed). All are of the same moment of the recording.
PICTURES: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "screen-80x24": (80, 24, ()),
    "screen-200x50": (200, 50, ()),
    "symbols-120x40": (120, 40, ("S",)),
}
#: Seconds into the recording: the disk under one pool writes slowly, and a txg takes seconds to sync.
MOMENT = 83


def draw(name: str) -> str:
    """The SVG text of one picture; the same every time."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    return asyncio.run(_draw(*PICTURES[name]))


async def _draw(columns: int, rows: int, keys: tuple[str, ...]) -> str:
    from zfstop.player import Player
    from zfstop.screen import demo_recording
    from zfstop.ui.app import ZfstopApp

    player = Player(demo_recording(), preload=MOMENT, autoplay=False)
    player.start()
    app = ZfstopApp(player)
    async with app.run_test(size=(columns, rows)) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        svg = app.export_screenshot(title=f"zfstop --demo, {columns}x{rows}")
    player.stop()
    # Rich names its classes after a checksum of the content, and links fonts from the network: neither is wanted.
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")
    svg = svg.replace("font-size: 20px", "font-size: 20.265px")
    return re.sub(
        r'x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+"([^>]*)>((?:&#160;)*)([^<]*)<', _without_blanks, svg
    )


#: Width of a cell in Rich's SVG; DejaVu Sans Mono has it at the size put in above.
_CELL = 12.2


def _without_blanks(match: re.Match[str]) -> str:
    """A text element without blanks at its ends: renderers differ in what they do with those."""
    blanks, text = match[4].count("&#160;"), match[5]
    while text.endswith("&#160;"):
        text = text.removesuffix("&#160;")
    return f'x="{float(match[1]) + _CELL * blanks:.1f}" y="{match[2]}"{match[3]}>{text}<'


def _png(svg: Path) -> None:
    target = svg.with_suffix(".png")
    subprocess.run(["rsvg-convert", "--zoom", "0.8", "-o", target, svg], check=True)
    target.write_bytes(with_checksum(target.read_bytes(), svg.read_bytes()))


def with_checksum(png: bytes, svg: bytes) -> bytes:
    """The PNG with a text chunk that names the SVG it shows."""
    body = b"tEXt" + CHECKSUM.encode() + b"\0" + hashlib.sha256(svg).hexdigest().encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    after_header = 8 + 25
    return png[:after_header] + chunk + png[after_header:]


def main() -> None:
    """All pictures."""
    for name in PICTURES:
        svg = HERE / f"{name}.svg"
        svg.write_text(draw(name))
        _png(svg)
        print(svg.name)


if __name__ == "__main__":
    main()
