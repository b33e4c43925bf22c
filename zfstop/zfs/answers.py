"""What ``zpool status`` and ``zfs get`` answer, as values. Pure; nothing in an answer can make these fail."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from zfstop.model.zfs_state import Properties, Scan
from zfstop.text import visible

#: What is asked of datasets; a volume has no recordsize, a file system no volblocksize.
ASKED: Final = ("recordsize", "volblocksize", "sync", "compression")
_DONE: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)% done")
_SCANS: Final = {"SCRUB": "scrub", "RESILVER": "resilver"}
_MOST_TEXT: Final = 64


class PoolAnswer(NamedTuple):
    """What a pool is doing, and has; None is not known."""

    scan: Scan | None = None
    log: bool | None = None


def parse_status(text: bytes) -> dict[str, PoolAnswer]:
    """Pool -> its answer, of ``zpool status``, with ``-j`` (OpenZFS 2.3 and later) or without."""
    if text.lstrip()[:1] == b"{":
        return _from_json(text)
    return _from_text(text.decode("utf-8", "surrogateescape"))


def _from_json(text: bytes) -> dict[str, PoolAnswer]:
    try:
        pools = json.loads(text)["pools"]
        return {visible(name): _pool_of(pool) for name, pool in pools.items() if isinstance(pool, dict)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _pool_of(pool: dict[str, Any]) -> PoolAnswer:
    vdevs = pool.get("vdevs")
    log = bool(pool.get("logs")) if isinstance(vdevs, dict) or "logs" in pool else None
    return PoolAnswer(_scan_of(pool.get("scan_stats")), log)


def _scan_of(stats: Any) -> Scan | None:
    if stats is None:
        return Scan()
    if not isinstance(stats, dict):
        return None
    kind = _SCANS.get(str(stats.get("function")))
    if kind is None or stats.get("state") != "SCANNING":
        return Scan()
    paused = stats.get("scrub_pause") not in (None, "-", 0, "0")
    return Scan(kind, _share(stats.get("issued"), stats.get("to_examine")), paused)


def _share(part: Any, whole: Any) -> float | None:
    try:
        return max(0.0, min(1.0, int(part) / int(whole)))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _from_text(text: str) -> dict[str, PoolAnswer]:
    found: dict[str, PoolAnswer] = {}
    name, section, scan, has_config, has_log = "", "", "", False, False
    for line in [*text.split("\n"), "  pool: "]:
        word, separator, rest = line.strip().partition(":")
        if separator and word in (
            "pool",
            "state",
            "status",
            "action",
            "see",
            "scan",
            "config",
            "errors",
            "dedup",
        ):
            if word == "pool":
                if name:
                    found[visible(name)] = PoolAnswer(_scan_in(scan), has_log if has_config else None)
                name, scan, has_config, has_log = rest.strip(), "", False, False
            section = word
            scan += rest if word == "scan" else ""
            has_config |= word == "config"
        elif section == "scan":
            scan += " " + line.strip()
        elif section == "config" and line.split() == ["logs"]:
            has_log = True
    return found


def _scan_in(words: str) -> Scan:
    kind = next((kind for kind in ("scrub", "resilver") if words.strip().startswith(kind)), "")
    paused = words.strip().startswith("scrub paused")
    if not kind or not (" in progress" in words or paused):
        return Scan()
    done = _DONE.search(words)
    return Scan(kind, min(1.0, float(done[1]) / 100) if done else None, paused)


def parse_properties(text: bytes) -> dict[str, Properties]:
    """Dataset -> its properties, of ``zfs get -Hp -o name,property,value``."""
    found: dict[str, dict[str, str]] = {}
    for line in text.split(b"\n"):
        parts = [visible(part) for part in line.split(b"\t")]
        if len(parts) == 3 and parts[1] in ASKED and len(parts[2]) <= _MOST_TEXT:
            found.setdefault(parts[0], {})[parts[1]] = "" if parts[2] == "-" else parts[2]
    return {name: _properties(name, values) for name, values in found.items()}


def _properties(name: str, values: dict[str, str]) -> Properties:
    size = values.get("recordsize") or values.get("volblocksize") or ""
    known = int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None
    return Properties(name, known, values.get("sync", ""), values.get("compression", ""))
