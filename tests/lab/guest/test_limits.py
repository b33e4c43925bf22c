"""Too many events, and too dear a class: less is measured, it is said, and what is counted stays exact."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import ATTACH_SECONDS, Trace, left_in_kernel, until

DIRECTORY = Path("/tank/data/limits")


@contextmanager
def busy(call: Callable[[], object]) -> Iterator[None]:
    """Somebody calls it all the time."""
    end = threading.Event()

    def run() -> None:
        while not end.is_set():
            call()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_a_loss_raises_the_threshold_and_the_books_stay_exact(trace: Callable[..., Trace]) -> None:
    DIRECTORY.mkdir(exist_ok=True)
    file = DIRECTORY / "file"
    file.write_bytes(b"x" * 4096)
    # The smallest ring there is holds some thirty events.
    tracer = trace("0", "--op", "read", "--auto-threshold", prefix=("env", "ZFSTOP_RING_BYTES=4096"))
    with busy(file.read_bytes):
        until("the words for it", lambda: "flood: threshold 0 -> " in tracer.errors(), ATTACH_SECONDS)
        # The threshold is higher now: some calls are only counted.
        time.sleep(3)
    tracer.stop()
    reads = tracer.summary["per_op"]["read"]
    assert reads["lost"] > 0
    assert reads["below"] > 0
    assert reads["in_histogram"] == reads["seen"] + reads["below"] + reads["lost"]
    assert tracer.summary["wrong"] == 0


def test_over_budget_metadata_is_detached_first_and_said(trace: Callable[..., Trace]) -> None:
    DIRECTORY.mkdir(exist_ok=True)
    tracer = trace("1s", "--class", "data,metadata", "--budget", "0.05%")
    links = len(left_in_kernel()["links"])
    with busy(DIRECTORY.stat):
        until("the words for it", lambda: "budget 0.05%: gave up metadata" in tracer.errors(), ATTACH_SECONDS)
        until("the probes gone", lambda: len(left_in_kernel()["links"]) < links - 10, ATTACH_SECONDS)
    assert len(left_in_kernel()["links"]) > 0, "data goes last"
    tracer.stop()
    assert tracer.summary["wrong"] == 0
