"""When a suite's time is up, what is left is named as not reached, and no failure: three suites share one run.

Each suite begins at another file, so that what one does not reach another has. `lab_seconds` (0: as long as it takes)
comes from lab.py's --timeout.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from types import FrameType

import pytest
from harness import SUITE

#: Where each suite begins, as a share of all tests.
_BEGIN = {"trixie": 0.0, "bookworm": 1 / 3, "forky": 2 / 3}
#: These take the module away from under everybody.
_LAST = "test_zz"
_started = time.monotonic()
#: Seconds: the longest a test may take, the oracle's being the longest, and until what comes after it is given up too.
_LONGEST, _AGAIN = 600.0, 60.0
#: Seconds after `lab_seconds` at which a test that has begun is given up: the machine is switched off soon after.
_LATEST = 300.0
_NOT_REACHED = "NOT REACHED: the time of this suite was up"
#: What may leave a machine behind in which commands hang: near the end.
_HANG = ("suspended", "hang")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`-o lab_seconds=1200`"""
    parser.addini("lab_seconds", "begin no test later than this", default="0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin elsewhere; files stay whole."""
    last = [item for item in items if item.path.name.startswith(_LAST)]
    rest = [item for item in items if item not in last]
    files = list(dict.fromkeys(item.path for item in rest))
    first = int(len(rest) * _BEGIN[SUITE])
    begin = files.index(rest[first].path) if rest else 0
    order = {path: place for place, path in enumerate(files[begin:] + files[:begin])}
    rest.sort(key=lambda item: order[item.path])
    items[:] = sorted(rest, key=lambda item: any(word in item.name for word in _HANG)) + last


def _left(item: pytest.Item) -> float:
    """Seconds in which another test may begin."""
    seconds = float(item.config.getini("lab_seconds"))
    return _started + seconds - time.monotonic() if seconds else float("inf")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that hangs (so does what waits for a suspended pool) fails, and so does a teardown that hangs after it.

    One that the end of the suite's time cuts off is not reached.
    """
    left = max(1.0, _left(item) + _LATEST)
    signal.signal(signal.SIGALRM, _too_long if left > _LONGEST else _too_late)
    signal.setitimer(signal.ITIMER_REAL, min(_LONGEST, left), _AGAIN)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("this test takes too long")


def _too_late(number: int, frame: FrameType | None) -> None:
    pytest.skip(_NOT_REACHED)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Not a failure of what is tested."""
    if _left(item) < 0:
        pytest.skip(_NOT_REACHED)
