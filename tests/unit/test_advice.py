"""A sentence says what the calls say, and there is none where they do not."""

from __future__ import annotations

from dataclasses import replace
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
from zfstop.model.zfs_state import Figures, PoolState, Txg, ZfsState
from zfstop.ui.why import advice_line

MS = 1_000_000
MONO = 10**13
NAMES = ("tank", "tank/pg", "tank/pg/wal", "tank/bak", "rpool/log", "dev 0:57")


def txg(number: int, from_s: float, sync_s: float | None = None, dirty: float | None = None) -> Txg:
    """One that began to sync ``from_s`` after second 0 began, and took ``sync_s`` if it is done; ``dirty`` in GiB."""
    begun = MONO - 10**9 + int(from_s * 10**9)
    size = None if dirty is None else int(dirty * (1 << 30))
    return Txg(number, "S" if sync_s is None else "C", begun, sync_ns=int((sync_s or 0) * 10**9), dirty=size)


def tank(*txgs: Txg, log: bool | None = None) -> PoolState:
    return PoolState("tank", "ONLINE", txgs, log=log)


def state(pool: PoolState) -> ZfsState:
    return ZfsState((pool,), Figures(dirty_max=4 << 30, delay_percent=60))


def call(
    spent: Waits | None, op: str = "fsync", dataset: str = "tank/pg", where: str = "", pid: int = 1
) -> Event:
    """A call of 100 ms that spent per mille of it like this."""
    took = 100 * MS
    waits = None if spent is None else Waits(*(ns * took // 1000 for ns in spent))
    who = Key(op, pid, "pg", 0, 1, dataset, "a", "zpl", where)
    return Event(who, MONO, took, 1, None, None, 0, bucket_of(took), "", waits)


def second(events: list[Event], pool: PoolState | None = None, at: int = 0) -> Second:
    zfs = state(pool) if pool else None
    return Second(float(at), MONO + at * 10**9, 10**9, Controls(), groups_of(events), tuple(events), zfs=zfs)


def advice(events: list[Event], pool: PoolState | None = None) -> tuple[Advice, ...]:
    return advice_of([second(events, pool)])


def advice_of(seconds: list[Second]) -> tuple[Advice, ...]:
    return advise(rows(seconds, Places(), 7), seconds, 7)


def texts(events: list[Event], pool: PoolState | None = None) -> list[str]:
    return [item.text for item in advice(events, pool)]


ZIL = Waits(zil=880, disk=60, cpu=60)
SYNCING = tank(txg(9114206, -3.0, 3.0, 3.9), txg(9114207, -2.8))


@pytest.mark.parametrize(
    ("slow", "pool", "text"),
    [
        (call(ZIL), None, "88 % of slow fsync time on tank/pg is intent-log commit"),
        (call(ZIL), tank(log=False),
         "88 % of slow fsync time on tank/pg is intent-log commit; tank has no log device"),
        (call(ZIL), tank(log=True), "88 % of slow fsync time on tank/pg is intent-log commit; tank has a log device"),
        (call(Waits(disk=970, other=30), "read"), SYNCING,
         "97 % of slow read time on tank/pg is waiting for disks"),
        (call(Waits(throttle=920, cpu=80), "write", "tank/bak"), SYNCING,
         "92 % of slow write time on tank/bak is dirty-data throttle;"
         " 3.9 of 4.0 GiB dirty when txg 9114206 was written, txg 9114207 syncing for 3.80s"),
        (call(Waits(throttle=920, cpu=80), "write", "tank/bak"), tank(),
         "92 % of slow write time on tank/bak is dirty-data throttle"),
        (call(Waits(txg=1000), "create"), SYNCING,
         "100 % of slow create time on tank/pg is waiting for a transaction group; txg 9114207 syncing for 3.80s"),
        (call(Waits(txg=1000), "create"), tank(txg(7, 0.1)),
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
def test_each_cause_has_its_sentence(slow: Event, pool: PoolState | None, text: str) -> None:
    assert texts([slow] * LEAST_CALLS, pool) == [text]


THROTTLED = [call(Waits(throttle=920, cpu=80), "write", "tank/bak")] * LEAST_CALLS
SAID = "92 % of slow write time on tank/bak is dirty-data throttle"


@pytest.mark.parametrize(
    ("then", "at_the_end", "evidence"),
    [
        (tank(txg(1, 0.2, 0.5, 3.9)), tank(txg(9, 29.2, 0.1, 0.05)), "; 3.9 of 4.0 GiB dirty when txg 1 was written"),
        (tank(txg(1, 0.2, 0.5, 0.1)), tank(txg(9, 29.2, 0.1, 3.9)), ""),
        (tank(txg(1, 0.2, 0.5, 0.1)), tank(txg(9, 26.0)), ""),
        (tank(txg(1, 0.2, 0.5, 2.5)), tank(), "; 2.5 of 4.0 GiB dirty when txg 1 was written"),
        (tank(txg(1, 0.2, 0.5, 2.3)), tank(), ""),
        (tank(txg(1, 0.2)), tank(txg(1, 0.2, 5.0, 3.5)),
         "; 3.5 of 4.0 GiB dirty when txg 1 was written, txg 1 took 5.00s to sync"),
    ],
    ids=["not the little that is dirty later", "not what was dirty later", "not a sync of later", "delays begin",
         "too little for delays", "what is told only once it is written"],
)  # fmt: skip
def test_the_throttle_is_backed_by_what_was_while_calls_waited_or_not_at_all(
    then: PoolState, at_the_end: PoolState, evidence: str
) -> None:
    quiet = [second([], tank(), at) for at in range(1, 29)]
    (found,) = advice_of([second(THROTTLED, then), *quiet, second([], at_the_end, 29)])
    assert found.text == SAID + evidence


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
    assert texts(events, tank(log=False)) == []


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


def test_where_not_all_that_zfs_says_has_room_the_first_of_it_is_told() -> None:
    (found,) = advice(THROTTLED, SYNCING)
    for width, end in (
        (160, "syncing for 3.80s"),
        (130, "txg 9114206 was written"),
        (80, "dirty-data throttle"),
    ):
        line = "".join(text for text, _ in advice_line(found, width))
        assert line.removesuffix(" W opens it").removesuffix(" [W]").endswith(end)
        assert len(line) <= width
