"""The judgement: what zfstop reported, held against what the canary saw itself."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from zfstop.doctor import canary_program as program
from zfstop.doctor.canary import Call, Canary
from zfstop.doctor.facts import REPORT_IT, Fact, Sighting, Song, Verdict, failed, passed, warned
from zfstop.kernel.names import DELETED_MARK, UNKNOWN_PATH
from zfstop.kernel.paths import CUT_MARK
from zfstop.model.events import Event
from zfstop.text import visible
from zfstop.units import format_time


@dataclass(frozen=True, slots=True)
class Expected:
    """One operation that a step must be reported as. None: not looked at."""

    step: str
    op: str
    result: int
    offset: int | None = None
    size: int | None = None


EXPECTED = (
    Expected("create", "create", 0),
    Expected("create", "open", 0),
    Expected("write", "write", program.SIZE, program.OFFSET, program.SIZE),
    Expected("sync", "fsync", 0),
    Expected("read", "read", program.READ_RESULT, program.READ_OFFSET, program.READ_SIZE),
    Expected("rename", "rename", 0),
    Expected("delete", "unlink", 0),
)


def judge(
    calls: Sequence[Call],
    events: Sequence[Event],
    canary: Canary,
    attached: Collection[str],
    known: Collection[str],
) -> Song:
    """Hold what zfstop reported against what the canary did.

    ``attached`` are the operations that have probes here, ``known`` those that zfstop traces at all.
    """
    by_step = {call.step: call for call in calls}
    sightings = tuple(
        _sight(expected, by_step[expected.step], events, canary, expected.op in attached)
        for expected in EXPECTED
        if expected.op in known
    )
    unchecked = tuple(expected.op for expected in EXPECTED if expected.op not in known)
    return Song(_sum(sightings, unchecked), canary.place.dataset, sightings, unchecked)


def _sum(sightings: Sequence[Sighting], unchecked: Sequence[str]) -> Fact:
    right = sum(sighting.fact.verdict is not Verdict.FAIL for sighting in sightings)
    text = f"{right} of {len(sightings)} operations reported right"
    if right < len(sightings):
        return failed("canary", text, REPORT_IT)
    if unchecked:
        return warned(
            "canary", f"{text}; not traced, so not checked: {', '.join(unchecked)}", "upgrade zfstop"
        )
    return passed("canary", text)


def _sight(
    expected: Expected, call: Call, events: Sequence[Event], canary: Canary, attached: bool
) -> Sighting:
    caller = call.end - call.start
    name = f"canary {expected.op}"
    if not attached:
        return Sighting(
            call.step, expected.op, failed(name, "not reported: no probe", REPORT_IT), caller, None
        )
    own = [event for event in events if event.key.op == expected.op and _overlaps(event, call)]
    if len(own) != 1:
        text = f"reported {len(own)} times" if own else "not reported"
        return Sighting(call.step, expected.op, failed(name, text, REPORT_IT), caller, None)
    wrong = [*_wrong(expected, own[0], call, canary.place.dataset), *_misnamed(own[0], call, canary)]
    if wrong:
        fact = failed(name, "; ".join(wrong), REPORT_IT)
    else:
        times = f"{format_time(own[0].latency_ns)}, the caller saw {format_time(caller)}"
        fact = passed(name, f"{_what(expected)}: {times}")
    return Sighting(call.step, expected.op, fact, caller, own[0].latency_ns)


def _overlaps(event: Event, call: Call) -> bool:
    return event.ts_ns > call.start and event.ts_ns - event.latency_ns < call.end


def _wrong(expected: Expected, event: Event, call: Call, dataset: str) -> list[str]:
    """What is not as it should be, in words."""
    facts = [
        ("dataset", event.key.dataset, dataset),
        ("result", event.result, expected.result),
        ("offset", event.offset, event.offset if expected.offset is None else expected.offset),
        ("size", event.size, event.size if expected.size is None else expected.size),
    ]
    wrong = [f"{what} {seen}, not {told}" for what, seen, told in facts if seen != told]
    if not call.start <= event.ts_ns - event.latency_ns <= event.ts_ns <= call.end:
        wrong.append(
            f"latency {event.latency_ns} ns, outside of the {call.end - call.start} ns that the caller saw"
        )
    return wrong


def _misnamed(event: Event, call: Call, canary: Canary) -> list[str]:
    """What is wrong with the file's name, in words.

    Where only the lower layer of ZFS could be probed there are no names: then the number of the file, or its
    directory, must be right.
    """
    parts = [visible(part) for part in canary.place.inside.split(b"/") if part]
    old, new = ("/".join([*parts, visible(name)]) for name in (canary.name, program.renamed(canary.name)))
    told, to = (new, "") if call.step == "delete" else (old, new if call.step == "rename" else "")
    seen = event.key.path.removesuffix(DELETED_MARK)
    if _same_name(seen, told):
        return [] if not to or _same_name(event.to, to) else [f"new name {event.to}, not {to}"]
    numbers = (call.inode, os.fstat(canary.directory).st_ino)
    nameless = {f"inode#{number}" for number in numbers} | {"/".join([*(parts or ["."]), UNKNOWN_PATH])}
    return [] if seen in nameless else [f"file {event.key.path}, not {told}"]


def _same_name(seen: str, name: str) -> bool:
    """A path is cut at its upper end when it is deeper than the program walks."""
    return name.endswith("/" + seen.removeprefix(CUT_MARK)) if seen.startswith(CUT_MARK) else seen == name


def _what(expected: Expected) -> str:
    if expected.size is None:
        return "right name and result"
    return f"{expected.result} of {expected.size} bytes at {expected.offset}"
