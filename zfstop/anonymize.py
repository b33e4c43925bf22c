"""``zfstop anonymize``: a recording again, with stand-ins for all names, to be given to others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

from zfstop.errors import Exit
from zfstop.export.stand_ins import StandIns, names_in, words_of
from zfstop.model.history import Second, Timeline
from zfstop.recording import Meta, RecordedHistory, Writer
from zfstop.recording.paths import shown_path

#: Seconds read at once.
_BLOCK = 60


def run_anonymize(recording: str, output: str) -> int:
    """Write it; returns the exit status. Raises UserError."""
    history = RecordedHistory(recording)
    try:
        stand_ins = StandIns()
        learn(stand_ins, history, history.meta)
        with Writer(output, anonymous(history.meta, stand_ins)) as writer:
            for second in seconds(history):
                writer.append(stand_ins.second(second))
        told = f"{history.end} seconds in {shown_path(output)}, {stand_ins.count} names replaced"
        if history.problem:
            print(f"zfstop: {history.problem}", file=sys.stderr)
    finally:
        history.close()
    print(f"zfstop: {told}; times, sizes and the kernel's own names are as they were", file=sys.stderr)
    return Exit.OK


def seconds(history: Timeline) -> Iterator[Second]:
    """All of them, a few at a time."""
    position = history.start
    while position < history.end:
        yield from history.between(position, position + _BLOCK)
        position += _BLOCK


def learn(stand_ins: StandIns, history: Timeline, meta: Meta) -> None:
    """Look through all of it for names."""
    stand_ins.learn((meta.host.name, *words_of((meta.place, *meta.probes.notes))))
    for second in seconds(history):
        stand_ins.learn(names_in(second))


def anonymous(meta: Meta, stand_ins: StandIns) -> Meta:
    """Without the words about where it was recorded; versions, the time and the probes stay."""
    probes = replace(meta.probes, notes=stand_ins.notes(meta.probes.notes))
    return replace(meta, host=stand_ins.host(meta.host), place="", probes=probes)
