"""A recording: the history on disk, one SQLite file, written a second at a time.

The tables (format 1) are meant to be read by others too, with ``sqlite3`` or DuckDB. Times are nanoseconds unless
their name says otherwise; unsigned 64-bit numbers (``cgroup``, ``size``, ``ino``) are stored as signed ones.

``meta``      what was recorded: ``format``, ``zfstop`` (version), ``host``, ``kernel``, ``zfs``, ``started``
              (ISO 8601 with zone), ``place`` (free text), ``probes`` (JSON: attached, rejected, notes).
``texts``     every name once: ``id``, ``text``. (Twice in a very long recording: the writer's memory is bounded.)
``keys``      who waited on what; ``op``, ``comm``, ``dataset``, ``path``, ``symbol`` point into ``texts``.
``seconds``   ``clock`` is seconds since the epoch at the second's end, ``mono_ns`` CLOCK_MONOTONIC at the same
              moment; ``filters`` and ``notes`` are JSON or NULL for none; ``slots`` is how many probes had counters.
``counters``  those that are not 0, a row each; ``slot`` is the place in ``probes.attached``, ``counter`` in ``texts``.
``groups``    the slow calls of one key in one second. ``buckets`` is a JSON object, bucket number -> calls (see
              model/histogram.py); NULL when all calls are in the bucket of ``max_ns``.
``tallies``   all calls, slow or not, of one operation on one dataset in one second; ``buckets`` as above, never NULL;
              ``bytes`` were really moved.
``stuck``     the oldest calls in flight at the end of a second; ``waits_in`` is the kernel function it slept in.
``events``    single slow calls; they ended ``before_ns`` before their second did. ``file_offset`` and ``size`` are
              NULL where the call has none; ``bucket`` is NULL when it is the one of ``latency_ns``.

The ids of groups, tallies, stuck and events are ``second * 1048576 + place in the second``, so these tables lie
in order of time. ::

    SELECT c.text AS command, p.text AS path, max(e.latency_ns) / 1e6 AS max_ms, count(*) AS calls
    FROM events e JOIN keys k ON k.id = e.key JOIN texts c ON c.id = k.comm JOIN texts p ON p.id = k.path
    GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10;

Nothing in a file is trusted when it is read: see :func:`open_recording`.
"""

from __future__ import annotations

from zfstop.recording.reader import open_recording
from zfstop.recording.schema import APPLICATION_ID, FORMAT, Meta, Recording
from zfstop.recording.writer import Writer

__all__ = ["APPLICATION_ID", "FORMAT", "Meta", "Recording", "Writer", "open_recording"]
