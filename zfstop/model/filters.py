"""What of a second passes filters that were asked for later. Pure.

The kernel filters what is to come; the seconds before a change still hold the rest, which the operator just asked
not to see.
"""

from __future__ import annotations

from dataclasses import replace

from zfstop.model.history import Second
from zfstop.model.state import Controls


def within(second: Second, controls: Controls) -> Second:
    """The second as far as it passes ``controls``.

    Also a second that says it was under these controls is looked through: they may have come in its middle. A group
    is judged as a whole: with a higher threshold it stays if its longest call is long enough. All-calls
    statistics do not know processes, so a PID filter leaves them as they are.
    """
    limit, wanted, pids, everywhere = (
        controls.threshold_ns,
        controls.wanted_ops,
        controls.pids,
        not controls.datasets,
    )
    groups = tuple(
        [
            (key, stats)
            for key, stats in second.groups
            if stats.max_ns >= limit
            and key.op in wanted
            and (not pids or key.pid in pids)
            and (everywhere or controls.wants_dataset(key.dataset))
        ]
    )
    tallies = tuple(item for item in second.tallies if _wants_tally(item[0], item[1], controls))
    if len(groups) == len(second.groups) and len(tallies) == len(second.tallies):
        return second
    return replace(second, groups=groups, tallies=tallies)


def _wants_tally(op: str, dataset: str, controls: Controls) -> bool:
    return _wants_op(op, controls) and controls.wants_dataset(dataset)


def _wants_op(op: str, controls: Controls) -> bool:
    return op in controls.wanted_ops
