"""What of a second passes filters that were asked for later. Pure.

The kernel filters what is to come; the seconds before a change still hold the rest, which the operator just asked
not to see.
"""

from __future__ import annotations

from dataclasses import replace

from zfstop.model.events import Key
from zfstop.model.history import Second, Stats
from zfstop.model.state import Controls


def within(second: Second, controls: Controls) -> Second:
    """The second as far as it passes ``controls``.

    A group is judged as a whole: with a higher threshold it stays if its longest call is long enough. All-calls
    statistics do not know processes, so a PID filter leaves them as they are.
    """
    if second.controls == controls:
        return second
    return replace(
        second,
        groups=tuple((key, stats) for key, stats in second.groups if _passes(key, stats, controls)),
        tallies=tuple(
            (op, dataset, tally)
            for op, dataset, tally in second.tallies
            if _wants_op(op, controls) and controls.wants_dataset(dataset)
        ),
    )


def _passes(key: Key, stats: Stats, controls: Controls) -> bool:
    return (
        stats.max_ns >= controls.threshold_ns
        and (not controls.pids or key.pid in controls.pids)
        and _wants_op(key.op, controls)
        and controls.wants_dataset(key.dataset)
    )


def _wants_op(op: str, controls: Controls) -> bool:
    return not controls.ops or op in controls.ops
