"""The screen's tests run in UTC, without animation, and wait for painting rather than for time."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator

import pytest

os.environ["TEXTUAL_ANIMATIONS"] = "none"  # read when textual is imported, which is after this


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks on the screen do not depend on where the tests run."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="session", autouse=True)
def seldom_collected() -> None:
    """What is imported stays: the collector need not look at it again after every few widgets."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
