"""Whatever way a host allows, what comes back is the same: kprobes instead of fentry, headers instead of BTF."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import BEST, KNOWN, OUT, Trace, Workload
from test_calls import check

# Tier -> environment, and how it attaches. Where the module has no BTF the best there is are kprobes.
TIERS = {
    "best": ({}, BEST),
    "kprobe": ({"ZFSTOP_ATTACH": "kprobe"}, "kprobe pair"),
    "kernel headers": ({"ZFSTOP_BTF": ""}, "kprobe pair"),
}


@pytest.mark.parametrize("tier", TIERS)
def test_all_calls_come_back_right(
    tier: str,
    trace: Callable[..., Trace],
    workload: Callable[..., Workload],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment, kind = TIERS[tier]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    program = workload("calls", "/tank/data", "23")
    tracer = trace("0", "-p", str(program.pid))
    (OUT / f"start.{tier.replace(' ', '-')}.json").write_bytes(tracer.out[0])
    assert {probe["kind"] for probe in tracer.probes} == {kind}
    assert sorted(probe["op"] for probe in tracer.probes) == sorted(KNOWN)
    check(program.run(), tracer.stop(), "tank/data")
