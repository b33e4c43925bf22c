"""A diagnosis as lines for eyes, or as one JSON object for a ticket."""

from __future__ import annotations

import os
import platform
import re
import textwrap
from typing import Any

from zfstop import __version__
from zfstop.doctor.facts import Diagnosis, Fact, Served, Sighting, Song, Verdict
from zfstop.kernel import host

_NAME_WIDTH = 17
_INDENT = 6 + _NAME_WIDTH
_COLOURS = {Verdict.PASS: "32", Verdict.WARN: "33", Verdict.FAIL: "1;31"}
_REMEDY = "to mend it: "
#: Who has this directory is nobody's business in a ticket.
_HOME = re.compile(r"/home/[^/\s]+")


def lines_of(fact: Fact, *, colour: bool, width: int | None) -> list[str]:
    """``pass  name  text``, and under it what mends it. ``width`` None: never broken, for pipes.

    Commands are never broken: they are there to be copied.
    """
    word = f"{fact.verdict.value:6}"
    if colour:
        word = (
            f"\x1b[{_COLOURS[fact.verdict]}m{fact.verdict.value}\x1b[0m{' ' * (6 - len(fact.verdict.value))}"
        )
    room = max(40, (width or 0) - _INDENT)
    text = (
        textwrap.wrap(fact.text, room, break_long_words=False, break_on_hyphens=False)
        if width
        else [fact.text]
    )
    first, *more = text or [""]
    indent = " " * _INDENT
    lines = [f"{word}{fact.name:{_NAME_WIDTH - 1}} {first}", *(indent + line for line in more)]
    lines += [indent + _REMEDY + fact.remedy] if fact.remedy else []
    return lines + [f"{indent}| {line}" for line in fact.detail]


def conclusion(diagnosis: Diagnosis) -> str:
    """The last line."""
    if not diagnosis.ready:
        failures = sum(fact.verdict is Verdict.FAIL for fact in diagnosis.every_fact)
        return f"not ready: {failures} of these facts {'fails' if failures == 1 else 'fail'}"
    if diagnosis.song is None:
        return "ready; to see it proven: zfstop doctor --canary DATASET"
    return "ready: zfstop tells the truth here"


def object_of(diagnosis: Diagnosis) -> dict[str, Any]:
    """The whole of it; no name of host or user, and of their data only the dataset that was given."""
    found = host.describe()
    return {
        "type": "doctor",
        "version": __version__,
        "ready": diagnosis.ready,
        "host": {"machine": platform.machine(), "cpus": os.cpu_count(), "system": host.distribution(),
                 "python": platform.python_version()},
        "kernel": found.kernel,
        "zfs": found.zfs,
        "facts": [{"name": fact.name, **_judged(fact)} for fact in diagnosis.facts],
        "attached": diagnosis.attached,
        "operations": [_served(served) for served in diagnosis.operations],
        "canary": None if diagnosis.song is None else _song(diagnosis.song),
    }  # fmt: skip


def _judged(fact: Fact) -> dict[str, Any]:
    judged = {
        "verdict": fact.verdict.value,
        "text": _discreet(fact.text),
        "remedy": _discreet(fact.remedy) if fact.remedy else None,
    }
    return judged | ({"detail": [_discreet(line) for line in fact.detail]} if fact.detail else {})


def _served(served: Served) -> dict[str, Any]:
    probes = [
        {"symbol": p.symbol, "module": p.module, "decoder": p.decoder, "kind": p.kind or None}
        for p in served.probes
    ]
    return {"op": served.op, **_judged(served.fact), "probes": probes}


def _song(song: Song) -> dict[str, Any]:
    return {
        "dataset": song.dataset or None,
        **_judged(song.fact),
        "steps": [_sighting(sighting) for sighting in song.sightings],
        "unchecked": song.unchecked,
    }


def _sighting(sighting: Sighting) -> dict[str, Any]:
    times = {"latency_ns": sighting.seen_ns, "caller_ns": sighting.caller_ns}
    return {"step": sighting.step, "op": sighting.op, **_judged(sighting.fact), **times}


def _discreet(text: str) -> str:
    return _HOME.sub("~", text)
