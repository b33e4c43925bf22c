"""The fast way from records to groups gives what the readable way gives, and forgets nothing it does not count."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from zfstop.callers import Callers
from zfstop.kernel.accumulate import Accumulator
from zfstop.kernel.names import Names
from zfstop.kernel.paths import Paths
from zfstop.model.aggregate import groups_of
from zfstop.model.events import (
    ALL_SIZE,
    DELETED,
    EVENT_STRUCT,
    NO_OFFSET,
    NO_PATH,
    PATH_STRUCT,
    RECORD_BYTES,
    WAITS_STRUCT,
    RawEvent,
)
from zfstop.model.histogram import bucket_of
from zfstop.model.state import Attached

SLOTS = {
    0: Attached("read", "zpl_iter_read", "zfs", "kiocb_iter", "kprobe pair"),
    1: Attached("open", "zpl_open", "zfs", "inode_file", "kprobe pair"),
}


class Table:
    """Two devices with one name: what is one row for the reader are several keys for the kernel."""

    generation = 0

    def name(self, dev: int, pid: int | None = None) -> str:
        return {57: "tank", 58: "tank"}.get(dev, f"dev 0:{dev}")


def names() -> Names:
    paths = Paths(lambda ids: None, 1000)
    for path_id in (1, 2):
        paths.add(PATH_STRUCT.pack(path_id, 2, 0) + b"f\0")
    return Names(SLOTS, paths, Table(), Callers("/nowhere"))  # type: ignore[arg-type]


#: 65536ths of the latency, together not more than all of it.
shares = st.just([0] * 8) | st.lists(st.integers(0, 8191), min_size=8, max_size=8)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """As the program writes them: a call without a size (ALL_SIZE) has 0 there."""
    flags = draw(st.sampled_from((0, NO_OFFSET, ALL_SIZE, DELETED, NO_PATH, NO_OFFSET | ALL_SIZE)))
    latency = draw(st.integers(0, 2**45) | st.sampled_from((0, 1, 15, 16, 17, 10**7)))
    event = RawEvent(
        ts_ns=draw(st.integers(0, 2**60)),
        latency_ns=latency,
        offset=draw(st.integers(-(2**63), 2**63 - 1)),
        size=0 if flags & ALL_SIZE else draw(st.integers(0, 2**64 - 1) | st.just(4096)),
        result=draw(st.sampled_from((-(2**63), -5, -1, 0, 1, 4096, 2**63 - 1))),
        target=draw(st.integers(0, 3)),
        path_id=draw(st.integers(0, 3)),
        cgroup=draw(st.integers(1, 2)),
        comm=draw(st.sampled_from((b"dd", b"\xff\x1b[0m", b""))),
        pid=draw(st.integers(1, 2)),
        dev=draw(st.sampled_from((57, 58, 59))),
        uid=0,
        slot=draw(st.sampled_from((0, 1))),
        flags=flags,
        tid=7,
        bucket=bucket_of(latency),
        known=draw(st.integers(0, 1)),
        waits=WAITS_STRUCT.pack(*draw(shares)),
        slept_in=draw(st.sampled_from((0, 0xFFFFFFFFC0001234))),
    )
    return struct.pack("=II", EVENT_STRUCT.size, 0) + EVENT_STRUCT.pack(*event)


seconds = st.lists(st.lists(records(), max_size=12), max_size=6)


@given(seconds, st.integers(0, 40))
def test_the_fast_way_agrees_with_the_readable_one(chunks: list[list[bytes]], keep: int) -> None:
    every = [record for chunk in chunks for record in chunk]
    fast = Accumulator(keep)
    for chunk in chunks:
        fast.add(b"".join(chunk))
    assert fast.count == len(every)
    groups, events, thinned = fast.close(names())
    expected = names().events(b"".join(every))
    assert groups == groups_of(expected)
    assert list(events) == expected[:keep]
    assert thinned == max(0, len(every) - keep)
    assert sum(stats.count for _, stats in groups) == len(every)
    assert sum(sum(stats.buckets.values()) for _, stats in groups) == len(every)


@settings(max_examples=30)
@given(seconds)
def test_a_second_knows_nothing_of_the_one_before(chunks: list[list[bytes]]) -> None:
    one, other = Accumulator(5), Accumulator(5)
    for chunk in chunks:
        one.add(b"".join(chunk))
    one.close(names())
    assert one.close(names()) == ((), (), 0)
    for accumulator in (one, other):
        for chunk in reversed(chunks):
            accumulator.add(b"".join(chunk))
    assert one.close(names()) == other.close(names())


@given(st.lists(records(), max_size=20), st.lists(st.integers(0, 20), max_size=5))
def test_how_the_ring_was_cut_and_when_it_was_named_does_not_show(
    every: list[bytes], cuts: list[int]
) -> None:
    whole, parts = Accumulator(7), Accumulator(7)
    whole.add(b"".join(every))
    places = [0, *sorted(min(cut, len(every)) for cut in cuts), len(every)]
    for start, end in pairwise(places):
        parts.add(b"".join(every[start:end]))
        parts.settle(names())
    assert whole.close(names()) == parts.close(names())


def test_what_a_closed_second_holds_never_changes_again() -> None:
    record = struct.pack("=II", EVENT_STRUCT.size, 0) + EVENT_STRUCT.pack(
        *RawEvent(1, 20, 0, 512, 512, 1, 1, 1, b"dd", 1, 57, 0, 0, 0, 7, bucket_of(20), 0, bytes(16), 0)
    )
    assert len(record) == RECORD_BYTES
    accumulator = Accumulator(1)
    accumulator.add(record)
    ((_, stats),), _, _ = accumulator.close(names())
    before = (stats.count, dict(stats.buckets))
    accumulator.add(record * 3)
    accumulator.close(names())
    assert (stats.count, dict(stats.buckets)) == before == (1, {bucket_of(20): 1})
