"""A sentence says what the calls say, and there is none where they do not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from zfstop.model.advice import (
    LEAST_CALLS,
    LEAST_KNOWN,
    LEAST_SHARE,
    MOST_OTHER,
    Advice,
    Moment,
    Places,
    advise,
)
from zfstop.model.aggregate import groups_of
from zfstop.model.events import Event, Key
from zfstop.model.histogram import bucket_of
from zfstop.model.history import Second
from zfstop.model.query import parse
from zfstop.model.rows import rows
from zfstop.model.sieve import Sieve
from zfstop.model.state import Controls
from zfstop.model.waits import CAUSES, Waits, together

MS = 1_000_000
MONO = 10**13
NAMES = ("tank", "tank/pg", "tank/pg/wal", "tank/bak", "rpool/log", "dev 0:57")


@dataclass(frozen=True)
class Txg:
    number: int
    dirty: int | None = None
    sync_from_ns: int | None = None


@dataclass(frozen=True)
class Pool:
    log: bool | None = None
    syncing: Txg | None = None
    committed: Txg | None = None


@dataclass(frozen=True)
class Limits:
    dirty_max: int | None = 4 << 30


@dataclass(frozen=True)
class Zfs:
    """What a tank says of itself."""

    tank: Pool
    figures: Limits = Limits()

    def pool(self, name: str) -> Pool | None:
        return self.tank if name == "tank" else None


def call(
    spent: Waits | None, op: str = "fsync", dataset: str = "tank/pg", where: str = "", pid: int = 1
) -> Event:
    """A call of 100 ms that spent per mille of it like this."""
    took = 100 * MS
    waits = None if spent is None else Waits(*(ns * took // 1000 for ns in spent))
    who = Key(op, pid, "pg", 0, 1, dataset, "a", "zpl", where)
    return Event(who, MONO, took, 1, None, None, 0, bucket_of(took), "", waits)


def second(events: list[Event]) -> Second:
    return Second(0.0, MONO, 10**9, Controls(), groups_of(events), tuple(events))


def advice(events: list[Event], tank: Pool | None = None) -> tuple[Advice, ...]:
    return advise(rows([second(events)], Places()), Moment(Zfs(tank), MONO) if tank else None)


def texts(events: list[Event], tank: Pool | None = None) -> list[str]:
    return [item.text for item in advice(events, tank)]


ZIL = Waits(zil=880, disk=60, cpu=60)
SYNCING = Pool(
    syncing=Txg(9114207, sync_from_ns=MONO - 3_800 * MS), committed=Txg(9114206, 39 * (1 << 30) // 10)
)


@pytest.mark.parametrize(
    ("slow", "tank", "text"),
    [
        (call(ZIL), None, "88 % of slow fsync time on tank/pg is intent-log commit"),
        (call(ZIL), Pool(log=False),
         "88 % of slow fsync time on tank/pg is intent-log commit; tank has no log device"),
        (call(ZIL), Pool(log=True), "88 % of slow fsync time on tank/pg is intent-log commit; tank has a log device"),
        (call(Waits(disk=970, other=30), "read"), SYNCING,
         "97 % of slow read time on tank/pg is waiting for disks"),
        (call(Waits(throttle=920, cpu=80), "write", "tank/bak"), SYNCING,
         "92 % of slow write time on tank/bak is dirty-data throttle;"
         " 3.9 of 4.0 GiB dirty when txg 9114206 was written, txg 9114207 syncing for 3.80s"),
        (call(Waits(throttle=920, cpu=80), "write", "tank/bak"), Pool(),
         "92 % of slow write time on tank/bak is dirty-data throttle"),
        (call(Waits(txg=1000), "create"), SYNCING,
         "100 % of slow create time on tank/pg is waiting for a transaction group; txg 9114207 syncing for 3.80s"),
        (call(Waits(txg=1000), "create"), Pool(syncing=Txg(7, sync_from_ns=MONO - 900 * MS)),
         "100 % of slow create time on tank/pg is waiting for a transaction group"),
        (call(Waits(lock=700, disk=300), "write"), None,
         "70 % of slow write time on tank/pg is waiting for other calls on the same record or block"),
        (call(Waits(memory=700, disk=300), "read"), None,
         "70 % of slow read time on tank/pg is ARC eviction: memory is short"),
        (call(Waits(runqueue=800, disk=200), "read"), SYNCING,
         "80 % of slow read time on tank/pg is waiting for a CPU; the host's CPUs are overloaded, not the pool"),
        (call(Waits(runqueue=800, disk=200), "read", where="lxc:db"), None,
         "80 % of slow read time on tank/pg is waiting for a CPU;"
         " the host's CPUs are overloaded, or lxc:db has used up its share, not the pool"),
        (call(Waits(cpu=900, disk=100), "read"), None,
         "90 % of slow read time on tank/pg is running on a CPU, not waiting"),
    ],
)  # fmt: skip
def test_each_cause_has_its_sentence(slow: Event, tank: Pool | None, text: str) -> None:
    assert texts([slow] * LEAST_CALLS, tank) == [text]


@pytest.mark.parametrize(
    "events",
    [
        [call(ZIL)] * (LEAST_CALLS - 1),
        [replace(call(ZIL), latency_ns=40 * MS, waits=Waits(zil=40 * MS))] * LEAST_CALLS,
        [call(Waits(zil=590, disk=410))] * LEAST_CALLS,
        [call(Waits(zil=700, other=300))] * LEAST_CALLS,
        [call(Waits(other=1000))] * LEAST_CALLS,
        [call(None)] * LEAST_CALLS,
        [call(ZIL)] * LEAST_CALLS + [call(None)] * 2,
        [call(Waits(zil=500))] * LEAST_CALLS,
        [call(Waits(zil=1000, disk=500))] * LEAST_CALLS,
        [call(ZIL, dataset="dev 0:57")] * LEAST_CALLS,
    ],
    ids=["few calls", "little time", "no cause dominates", "too much unexplained", "nothing explained",
         "nobody looked", "not all looked at", "half of it missing", "more than the latency", "no pool known"],
)  # fmt: skip
def test_there_is_no_sentence_where_it_could_be_wrong(events: list[Event]) -> None:
    assert texts(events, Pool(log=False)) == []


def test_what_is_little_of_the_whole_is_not_told_and_the_weightiest_comes_first() -> None:
    little = [call(ZIL)] * LEAST_CALLS
    much = [call(Waits(disk=970, cpu=30), "read", "tank/bak")] * (LEAST_CALLS * 5)
    assert [item.cause for item in advice(little + much)] == ["disk", "zil"]
    assert [item.cause for item in advice(little + much * 2)] == ["disk"]


def test_one_dataset_stands_for_its_pool_only_if_nearly_all_is_in_it() -> None:
    mine, other = [call(ZIL)] * 30, [call(ZIL, dataset="tank/bak")]
    assert [item.query.text for item in advice(mine + other)] == ["op:fsync ds:tank/pg"]
    (whole,) = advice(mine + other * 30)
    assert whole.query.text == "op:fsync pool:tank"
    assert whole.sentence == "88 % of slow fsync time on tank is intent-log commit"


shares = st.builds(
    lambda main, most, rest, part: Waits(**{main: most}).plus(Waits(**{rest: part})),
    st.sampled_from(CAUSES), st.integers(400, 1000), st.sampled_from(CAUSES), st.integers(0, 500),
).map(lambda ns: ns.part(1000, ns.total))  # fmt: skip
spent = shares | shares | shares | st.none()


def some_calls(least: int) -> st.SearchStrategy[list[Event]]:
    """Calls of one kind, ``least`` to 40."""
    return st.builds(
        lambda waits, op, name, count, pid: [call(waits, op, name, pid=pid)] * count,
        spent, st.sampled_from(("fsync", "read")), st.sampled_from(NAMES), st.integers(least, 40), st.integers(1, 3),
    )  # fmt: skip


mixtures = st.builds(
    lambda first, more: [*first, *(one for part in more for one in part)],
    some_calls(LEAST_CALLS), st.lists(some_calls(1), max_size=4),
)  # fmt: skip


@settings(max_examples=200)
@given(mixtures)
def test_the_share_told_is_that_of_the_calls_it_opens(events: list[Event]) -> None:
    found = advice(events, SYNCING)
    event("said" if found else "not said")
    for item in found:
        seen = Sieve(parse(item.query.text)).second(second(events)).events
        waits = reduce(together, (one.waits for one in seen)) or Waits()
        share = getattr(waits, item.cause) / waits.total
        assert abs(int(item.sentence.split()[0]) - share * 100) <= 1
        assert share >= LEAST_SHARE
        assert waits.other <= MOST_OTHER * waits.total
        assert max(CAUSES, key=lambda cause: getattr(waits, cause)) == item.cause
        assert len(seen) >= LEAST_CALLS
        assert waits.total >= LEAST_KNOWN * sum(one.latency_ns for one in seen)
