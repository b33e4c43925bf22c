"""What zpool status and zfs get answer, in their words or in JSON; no answer whatever does harm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.zfs_state import Properties, Scan
from zfstop.zfs.answers import PoolAnswer, parse_properties, parse_status

#: OpenZFS 2.1.11 to 2.4.4 print it so; the first pool has a name made to confuse.
STATUS = b"""\
  pool: logs
 state: ONLINE
config:

\tNAME                    STATE     READ WRITE CKSUM
\tlogs                    ONLINE       0     0     0
\t  /run/lab/disks/logs   ONLINE       0     0     0

errors: No known data errors

  pool: tank
 state: ONLINE
status: One or more devices is currently being resilvered.  The pool will
\tcontinue to function, possibly in a degraded state.
action: Wait for the resilver to complete.
  scan: SCAN
config:

\tNAME                     STATE     READ WRITE CKSUM
\ttank                     ONLINE       0     0     0
\t  mirror-0               ONLINE       0     0     0
\t    /run/lab/disks/tank  ONLINE       0     0     0
\t    /run/lab/disks/t2    ONLINE       0     0     0  (resilvering)
\tlogs\t
\t  /run/lab/disks/log     ONLINE       0     0     0

errors: No known data errors
"""
RUNNING = b"""resilver in progress since Sun Nov 22 23:51:15 2026
\t200M / 200M scanned, 17.2M / 200M issued at 8.59M/s
\t1.23M resilvered, 8.57% done, no estimated completion time"""
PAUSED = b"""scrub paused since Sun Nov 22 23:51:11 2026
\tscrub started on Sun Nov 22 23:50:55 2026
\t200M / 200M scanned, 18.4M / 200M issued
\t0B repaired, 9.19% done"""
STARTED = b"scrub in progress since Sun Nov 22 23:50:55 2026"
DONE = b"scrub repaired 0B in 00:00:19 with 0 errors on Sun Nov 22 23:51:14 2026"
STATS = {"function": "SCRUB", "state": "SCANNING", "to_examine": "1000", "issued": "250", "scrub_pause": "-"}


@pytest.mark.parametrize(
    ("words", "scan"),
    [
        (RUNNING, Scan("resilver", 0.0857)),
        (PAUSED, Scan("scrub", 0.0919, paused=True)),
        (STARTED, Scan("scrub")),
        (DONE, Scan()),
        (b"none requested", Scan()),
        (b"resilvered 1.2G in 00:01:00 with 0 errors on Sun Nov 22 23:51:14 2026", Scan()),
    ],
)
def test_words_tell_the_scan_and_the_log_device(words: bytes, scan: Scan) -> None:
    found = parse_status(STATUS.replace(b"SCAN", words))
    assert found["logs"] == PoolAnswer(Scan(), False)
    assert found["tank"].log is True
    kind, done, paused = found["tank"].scan or ("?", None, False)
    assert (kind, paused) == (scan.kind, scan.paused)
    assert done == (None if scan.done is None else pytest.approx(scan.done))


def test_a_pool_that_says_no_config_has_an_unknown_log() -> None:
    assert parse_status(b"  pool: tank\n state: UNAVAIL\n") == {"tank": PoolAnswer(Scan(), None)}


def as_json(**pool: Any) -> bytes:
    return json.dumps({"output_version": {}, "pools": {"tank": {"vdevs": {"tank": {}}, **pool}}}).encode()


@pytest.mark.parametrize(
    ("pool", "answer"),
    [
        ({}, PoolAnswer(Scan(), False)),
        ({"logs": {"sdb": {"class": "log"}}}, PoolAnswer(Scan(), True)),
        ({"scan_stats": STATS}, PoolAnswer(Scan("scrub", 0.25), False)),
        ({"scan_stats": STATS | {"scrub_pause": "Sun Nov 22"}}, PoolAnswer(Scan("scrub", 0.25, True), False)),
        ({"scan_stats": STATS | {"scrub_pause": 0}}, PoolAnswer(Scan("scrub", 0.25), False)),
        ({"scan_stats": STATS | {"issued": "17.8M"}}, PoolAnswer(Scan("scrub"), False)),
        ({"scan_stats": STATS | {"to_examine": "0"}}, PoolAnswer(Scan("scrub"), False)),
        ({"scan_stats": STATS | {"state": "FINISHED"}}, PoolAnswer(Scan(), False)),
        ({"scan_stats": STATS | {"function": "RESILVER"}}, PoolAnswer(Scan("resilver", 0.25), False)),
        ({"scan_stats": 5}, PoolAnswer(None, False)),
        ({"vdevs": None}, PoolAnswer(Scan(), None)),
    ],
)
def test_json_tells_the_same(pool: dict[str, Any], answer: PoolAnswer) -> None:
    assert parse_status(as_json(**pool)) == {"tank": answer}


def test_properties_are_of_a_file_system_or_a_volume() -> None:
    text = (
        b"tank/pg\trecordsize\t8192\ntank/pg\tvolblocksize\t-\ntank/pg\tsync\tstandard\ntank/pg\tcompression\ton\n"
        b"tank/v\trecordsize\t-\ntank/v\tvolblocksize\t16384\ntank/v\tsync\talways\ntank/v\tcompression\tzstd-3\n"
        b"tank/v\tmounted\tno\nnonsense\n"
    )
    assert parse_properties(text) == {
        "tank/pg": Properties("tank/pg", 8192, "standard", "on"),
        "tank/v": Properties("tank/v", 16384, "always", "zstd-3"),
    }


NAMES = st.sampled_from([*STATS, "pools", "vdevs", "logs", "scan_stats"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([*STATS.values(), "x"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=8
)
LINES = st.lists(st.sampled_from([*STATUS.split(b"\n"), *RUNNING.split(b"\n"), b"999% done", b"\xff\x1b[2J"]))


@given(
    st.binary(max_size=200) | LINES.map(b"\n".join) | VALUES.map(lambda v: json.dumps({"pools": v}).encode())
)
def test_hostile_answers_do_no_harm(text: bytes) -> None:
    for name, answer in parse_status(text).items():
        assert name.isprintable()
        assert answer.scan is None or answer.scan.done is None or 0 <= answer.scan.done <= 1
    for name, found in parse_properties(text + b"\ta\tb\n").items():
        assert (name + found.sync + found.compression).isprintable()
