"""Small made-up seconds, the same for every test that asks."""

from __future__ import annotations

import importlib.util
import random
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from zfstop.kernel import loading
from zfstop.model.aggregate import groups_of
from zfstop.model.events import Event, Key
from zfstop.model.histogram import bucket_of
from zfstop.model.history import Second
from zfstop.model.state import Attached, Controls, Counts, Host, ProbeReport, Rejected
from zfstop.model.zfs_state import Commits, Figures, PoolState, Properties, Scan, Txg, ZfsState
from zfstop.recording import Meta, Recording

# No time limits (the lab may share the machine), and no files beside the sources.
settings.register_profile(
    "zfstop", deadline=None, max_examples=40, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("zfstop")

MS = 1_000_000
KEY = Key("read", 812, "postgres", 26, 4711, "tank/db", "base/16384/2619", "zpl_iter_read")
PROBES = ProbeReport(
    attached=tuple(
        Attached(op, symbol, "zfs", "kiocb", "kprobe pair")
        for op, symbol in (
            ("read", "zpl_iter_read"),
            ("write", "zpl_iter_write"),
            ("open", "zpl_open"),
            ("fsync", "zpl_fsync"),
        )
    ),
    rejected=(Rejected("read", "zpl_aio_read", "absent"),),
    notes=("made up",),
)
META = Meta(
    Host("box", "6.12.57", "2.3.9"), "2026-11-22T15:04:05+01:00", "zfstop lab: Debian 13 in QEMU", PROBES
)


class Make:
    """Builders with a default for everything."""

    MS = MS
    key = KEY
    meta = META

    def event(self, latency_ns: int = 20 * MS, **changes: Any) -> Event:
        key = KEY._replace(**{name: changes.pop(name) for name in Key._fields if name in changes})
        event = Event(key, 10**12 - 5, latency_ns, 813, 8192, 8192, 8192, bucket_of(latency_ns))
        return replace(event, **changes)

    def second(self, number: int = 0, events: tuple[Event, ...] = (), **changes: Any) -> Second:
        """Number ``number``: its clock and mono_ns tell it; every slot's books are right."""
        seen = [sum(event.key.symbol == probe.symbol for event in events) for probe in PROBES.attached]
        second = Second(
            clock=1.8e9 + number,
            mono_ns=10**12 + number * 10**9,
            length_ns=10**9,
            controls=Controls(),
            groups=groups_of(events),
            events=events,
            slots=tuple(
                Counts(entered=n + 90, returned=n + 90, seen=n, below=80, filtered=10, unmatched=10)
                for n in seen
            ),
        )
        return replace(second, **changes)

    def busy(self, number: int, calls: int = 12) -> Second:
        """Several programs on several datasets, 10 ms to about a second, the same for the same number."""
        dice = random.Random(number)
        events = tuple(self._random_event(dice, number) for _ in range(calls))
        return self.second(number, events, zfs=self.state(number))

    def state(self, number: int = 0, **changes: Any) -> ZfsState:
        """Two pools; one syncs half of the time, a transaction group each two seconds."""
        end, odd = 10**12 + number * 10**9, number % 2
        newest, sync = 9_000 + number // 2, (10**9 if odd else 0)
        txgs = (
            Txg(newest, "C" if odd else "S", end - 9 * 10**8 - sync, 5, 6, 7, sync, 1 << 20, 1, 2),
            Txg(newest + 1, "O", end - 8 * 10**8),
        )
        state = ZfsState(
            pools=(PoolState("tank", "ONLINE", txgs, Scan(), False), PoolState("fast", "DEGRADED")),
            figures=Figures(dirty_max=4 << 30, delay_percent=60, zil_commits=7, arc_hits=90, arc_misses=10),
            commits=(Commits("tank/db", 7),),
            properties=(Properties("tank/db", 16_384, "standard", "lz4"),),
        )
        return replace(state, **changes)

    def _random_event(self, dice: random.Random, number: int) -> Event:
        who = dice.choice(((812, "postgres", "tank/db"), (99, "fio", "tank/vm"), (4, "dd", "fast/logs")))
        probe = dice.choice(PROBES.attached)
        return self.event(
            int(10 * MS * dice.paretovariate(1.0)) % 10**9 + 10 * MS,
            pid=who[0],
            comm=who[1],
            dataset=who[2],
            path=f"file {dice.randrange(3)}",
            op=probe.op,
            symbol=probe.symbol,
            ts_ns=10**12 + number * 10**9 - dice.randrange(10**9),
            result=dice.choice((8192, -5)),
        )

    def recording(self, seconds: int = 5) -> Recording:
        return Recording(META, tuple(self.busy(number) for number in range(seconds)))


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture(scope="session")
def loader() -> Any:
    """The loader as a module: it imports bcc only when it compiles."""
    spec = importlib.util.spec_from_file_location("loader_under_test", loading.LOADER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    assert "bcc" not in sys.modules
    return module
