"""A recording: the history on disk, one SQLite file, written a second at a time.

The tables (format 3) are meant to be read by others too, with ``sqlite3`` or DuckDB. Times are nanoseconds unless
their name says otherwise; unsigned 64-bit numbers (``cgroup``, ``size``) are stored as signed ones.

``meta``      what was recorded: ``format``, ``zfstop`` (version), ``host``, ``kernel``, ``zfs``, ``started``
              (ISO 8601 with zone), ``place`` (free text), ``probes`` (JSON: attached, rejected, notes).
``texts``     every name once: ``id``, ``text``. (Twice in a very long recording: the writer's memory is bounded.)
``keys``      who waited on what; ``op``, ``comm``, ``dataset``, ``path``, ``symbol``, ``owner`` point into ``texts``.
              ``owner`` is the unit, container or VM of the cgroup (see zfs/owners.py; the text may be empty),
              ``inner_pid`` the PID within the container, 0 for none.
``seconds``   ``clock`` is seconds since the epoch at the second's end, ``mono_ns`` CLOCK_MONOTONIC at the same
              moment; ``filters`` and ``notes`` are JSON or NULL for none; ``slots`` is how many probes had counters.
``counters``  those that are not 0, a row each; ``slot`` is the place in ``probes.attached``, ``counter`` in ``texts``.
``groups``    the slow calls of one key in one second. ``buckets`` is a JSON object, bucket number -> calls (see
              model/histogram.py); NULL when all calls are in the bucket of ``max_ns``. ``waits`` is a JSON list of
              nine numbers, nanoseconds by cause: disk, throttle, txg, zil, lock, memory, runqueue, other, cpu
              (see model/waits.py); NULL where nobody looked.
``tallies``   all calls, slow or not, of one operation on one dataset in one second; ``buckets`` as above, never NULL;
              ``bytes`` were really moved.
``stuck``     the oldest calls in flight at the end of a second; ``waits_in`` is the kernel function it slept in,
              ``waits`` as above, so far.
``events``    single slow calls; they ended ``before_ns`` before their second did. ``file_offset`` and ``size`` are
              NULL where the call has none; ``bucket`` is NULL when it is the one of ``latency_ns``. ``to_path``
              points into ``texts``: the other path of a rename, link, copy, clone or dedupe, else NULL. ``waits`` as
              above; ``slept_in`` (in ``texts``) is the kernel function of the longest other wait, or NULL.
``zfs``       what ZFS said of itself, a row each second (see model/zfs_state.py): limits in force, counts within the
              second, sizes in bytes at its end; NULL for what it did not say. ``commits`` is a JSON list of
              [dataset, intent-log commits in the second]; ``properties`` (in ``texts``) one of [dataset, recordsize,
              sync, compression].
``pools``     each pool in each second; ``pool``, ``state`` and ``scan`` point into ``texts``. ``scan`` is scrub,
              resilver or empty, ``scan_done`` from 0 to 1, ``log`` 1 for a pool with a log device; NULL: not known.
``txgs``      transaction groups that were new, changed or under way in a second: ``state`` (in ``texts``) is O open,
              Q quiescing, W waiting, S syncing or C committed; it was born ``birth_before_ns`` before its second
              ended, and the next four are how long each state took, in this order. The last row of a ``txg`` tells all.

The ids of groups, tallies, stuck, events, pools and txgs are ``second * 1048576 + place in the second``, so these
tables lie in order of time. Format 2, which is still read, had no waits and nothing of the state of ZFS; format 1,
too, neither owners nor inner PIDs, and an inode number in place of the ``to_path`` of events. ::

    SELECT c.text AS command, p.text AS path, max(e.latency_ns) / 1e6 AS max_ms, count(*) AS calls
    FROM events e JOIN keys k ON k.id = e.key JOIN texts c ON c.id = k.comm JOIN texts p ON p.id = k.path
    GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10;

Nothing in a file is trusted when it is read: see :func:`open_recording`, which reads all of it, and
:class:`RecordedHistory`, which reads what is looked at.
"""

from __future__ import annotations

from zfstop.recording.lazy import RecordedHistory
from zfstop.recording.reader import open_recording
from zfstop.recording.schema import APPLICATION_ID, FORMAT, Meta, Recording
from zfstop.recording.writer import Writer

__all__ = ["APPLICATION_ID", "FORMAT", "Meta", "RecordedHistory", "Recording", "Writer", "open_recording"]
