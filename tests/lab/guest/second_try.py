"""A test that fails is tried once more, and said so: an emulated machine is at times sent away for seconds.

What fails twice fails. `$LAB_OUT/second.txt` and the end of the run name every test that needed it, so that one which
needs it often is not overlooked.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

needed: list[str] = []


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run the test, and again if it failed; only the last time counts."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    failed = next((report for report in reports if report.failed), None)
    if failed is not None and failed.when == "call" and isinstance(item, pytest.Function):
        needed.append(f"{item.nodeid}: {str(failed.longrepr).splitlines()[-1]}")
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name them, with the last line of why."""
    if needed:
        Path(os.environ["LAB_OUT"], "second.txt").write_text("\n".join(needed) + "\n")
        terminalreporter.section(f"{len(needed)} tried a second time")
        for line in needed:
            terminalreporter.line(line)
