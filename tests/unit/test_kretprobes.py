"""Only probes of zfstop whose process is gone are swept; the guardian ends when the last holder of its pipe does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.kernel import kretprobes

LIVING = {17: 400, 4242: 9}


def start_time(pid: int) -> int:
    if pid not in LIVING:
        raise FileNotFoundError(pid)
    return LIVING[pid]


def test_stale_are_those_of_other_processes_with_the_same_number_too() -> None:
    listing = """\
p:kprobes/mine vfs_read
r4096:zfstop_17_400/zpl_iter_read_0 zfs:zpl_iter_read
r4096:zfstop_17_399/zpl_iter_read_0 zpl_iter_read
r:zfstop_99_1/zpl_fsync_1 zpl_fsync
p:zfstop_99_1/entry zpl_fsync
r4096:zfstop_x_1/zpl_fsync_1 zpl_fsync
r4096:notzfstop_99_1/zpl_fsync_1 zpl_fsync
r4096:zfstop_99_1_more/zpl_fsync_1 zpl_fsync
"""
    assert kretprobes.stale(listing, start_time) == [
        "zfstop_17_399/zpl_iter_read_0",
        "zfstop_99_1/zpl_fsync_1",
    ]


@given(
    st.text() | st.lists(st.sampled_from(["r4096:", "zfstop_", "17_", "9", "/e", " s", "\n"])).map("".join)
)
def test_whatever_the_listing_holds_no_living_group_is_swept(listing: str) -> None:
    for event in kretprobes.stale(listing, start_time):
        group, _, name = event.partition("/")
        assert group.startswith("zfstop_")
        assert name
        assert group not in ("zfstop_17_400", "zfstop_4242_9")


def test_the_guardian_waits_for_the_last_holder_and_removes_each_event_of_its_group_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "kprobe_events").write_text("")
    for event in ("zfstop_1_2/a_0", "zfstop_1_2/b_1", "zfstop_1_22/c_0"):
        (tmp_path / "events" / event).mkdir(parents=True)
    theirs, ours = os.pipe()
    other = os.dup(ours)
    guardian = subprocess.Popen(
        ["/bin/sh", "-c", kretprobes.GUARDIAN, "zfstop-guardian", str(tmp_path), "zfstop_1_2"], stdin=theirs
    )
    os.close(theirs)
    os.close(ours)
    with pytest.raises(subprocess.TimeoutExpired):
        guardian.wait(0.1)
    assert (tmp_path / "kprobe_events").read_text() == ""
    os.close(other)
    # No kernel takes the directory away here, so it tries again and again: the first round tells.
    while (tmp_path / "kprobe_events").read_text().count("\n") < 2:
        assert guardian.poll() is None
    (tmp_path / "events" / "zfstop_1_2").rename(tmp_path / "gone")
    guardian.wait(10)
    assert set((tmp_path / "kprobe_events").read_text().split()) == {"-:zfstop_1_2/a_0", "-:zfstop_1_2/b_1"}
