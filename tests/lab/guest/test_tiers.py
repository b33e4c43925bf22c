"""Whatever way a host allows, what comes back is the same: kprobes instead of fentry, headers instead of BTF."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from harness import Trace, Workload
from test_calls import check

TIERS = {
    "fentry": ({}, "fentry/fexit"),
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
    probes = json.loads(tracer.out[0])["probes"]
    assert {probe["kind"] for probe in probes} == {kind}
    assert len(probes) == 4
    check(program.run(), tracer.stop(), "tank/data")
