"""Events as lines: ``text`` for eyes, ``csv`` with zfsslower's columns, ``json`` one object a line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from zfstop.model.events import Event
from zfstop.model.history import InFlight
from zfstop.model.percentiles import SHARES, Summary
from zfstop.model.state import Controls, Counts, Host, ProbeReport, total
from zfstop.text import fit
from zfstop.units import NS_PER_S, format_size, format_threshold, format_time
from zfstop.zfs.operations import BY_NAME

#: CLOCK_MONOTONIC ns -> wall clock ns of the same moment.
Clock = Callable[[int], int]
CSV_HEADER = "ENDTIME_us,TASK,PID,TYPE,BYTES,OFFSET_b,LATENCY_us,FILE"


class Lines:
    """One format. ``head`` when attached, ``event`` for each, ``tail`` at the end; all end without newline."""

    def head(self, host: Host, controls: Controls, probes: ProbeReport) -> str:
        """The first line."""
        raise NotImplementedError

    def event(self, event: Event) -> str:
        """One operation."""
        raise NotImplementedError

    def tail(self, counts: Counts, per_op: dict[str, Counts], calls: Mapping[str, Summary]) -> str | None:
        """The last line, if the format has one."""
        raise NotImplementedError

    def in_flight(self, call: InFlight) -> str | None:
        """A call that had not returned at the end, if the format has a line for it."""
        return None


class Text(Lines):
    """Columns for eyes, at least 80 wide; the path comes last and is never cut."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def head(self, host: Host, controls: Controls, probes: ProbeReport) -> str:
        """Column names."""
        return f"{'TIME':15} {'LAT':>6} OP {'SIZE':>5} {'OFFSET':>6} {'PID':>7} {'COMMAND':15} DATASET:FILE"

    def event(self, event: Event) -> str:
        """``15:04:05.123456 45.6ms R   128K   1.5M   12345 dd              tank/data:dir/file``"""
        when = _local(self._clock(event.ts_ns)).strftime("%H:%M:%S.%f")
        size = "-" if event.size is None else format_size(event.size)
        offset = "-" if event.offset is None else format_size(event.offset)
        failed = f"  {event.errno}" if event.errno else ""
        letter = BY_NAME[event.key.op].letter
        return (
            f"{when} {format_time(event.latency_ns):>6} {letter:2} {size:>5} {offset:>6} {event.key.pid:>7} "
            f"{fit(event.key.comm, 15)} {event.key.dataset}:{event.key.path}{failed}"
        )

    def tail(self, counts: Counts, per_op: dict[str, Counts], calls: Mapping[str, Summary]) -> str | None:
        """Losses, only when there are any."""
        if not counts.losses:
            return None
        return (
            f"LOST {counts.lost} (ring full)  FULL {counts.full} (in-flight map)  REJECTED {counts.rejected}"
        )


class Csv(Lines):
    """zfsslower's columns, so that scripts keep working; a failed call has 0 bytes, a whole-file fsync too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def head(self, host: Host, controls: Controls, probes: ProbeReport) -> str:
        """The header zfsslower prints."""
        return CSV_HEADER

    def event(self, event: Event) -> str:
        """ENDTIME is CLOCK_MONOTONIC in us, as zfsslower has it; FILE is dataset:path."""
        moved = event.key.op in ("read", "write") and event.result > 0
        row = (
            event.ts_ns // 1000, event.key.comm, event.key.pid, BY_NAME[event.key.op].letter,
            event.result if moved else 0, event.offset or 0, event.latency_ns // 1000,
            f"{event.key.dataset}:{event.key.path}",
        )  # fmt: skip
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow(row)
        return out.getvalue()

    def tail(self, counts: Counts, per_op: dict[str, Counts], calls: Mapping[str, Summary]) -> str | None:
        """CSV has no room for it; trace says losses on stderr."""
        return None


class Json(Lines):
    """One object a line; all text is ASCII-safe JSON."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def head(self, host: Host, controls: Controls, probes: ProbeReport) -> str:
        """``{"type":"start"}``: attached, with what is in force."""
        return _dump(
            {
                "type": "start",
                "host": host.name,
                "kernel": host.kernel,
                "zfs": host.zfs,
                "threshold_ns": controls.threshold_ns,
                "threshold": format_threshold(controls.threshold_ns),
                "pids": sorted(controls.pids),
                "datasets": sorted(controls.datasets),
                "probes": [{"op": p.op, "symbol": p.symbol, "module": p.module, "decoder": p.decoder, "kind": p.kind}
                           for p in probes.attached],
                "not_attached": [{"op": p.op, "symbol": p.symbol, "reason": p.reason} for p in probes.rejected],
            }
        )  # fmt: skip

    def event(self, event: Event) -> str:
        """The fields of issue and README; ``size`` null means the whole file (fsync) or none (open)."""
        return _dump(event_fields(event, self._clock))

    def in_flight(self, call: InFlight) -> str | None:
        """``{"type":"in_flight"}``, before the summary."""
        key = call.key
        return _dump(
            {
                "type": "in_flight",
                "op": key.op,
                "age_ns": call.age_ns,
                "pid": key.pid,
                "tid": call.tid,
                "comm": key.comm,
                "uid": key.uid,
                "pool": key.pool or None,
                "dataset": key.dataset,
                "path": key.path,
                "offset": call.offset,
                "size": call.size,
                "waits_in": call.waits_in or None,
                "symbol": key.symbol,
            }
        )

    def tail(self, counts: Counts, per_op: dict[str, Counts], calls: Mapping[str, Summary]) -> str | None:
        """``{"type":"summary"}`` with the books of every operation and the percentiles of all its calls."""
        per = {
            name: {**item._asdict(), "in_flight": item.in_flight, **_all_calls(calls.get(name))}
            for name, item in per_op.items()
        }
        return _dump({"type": "summary", **counts._asdict(), "in_flight": counts.in_flight, "per_op": per})


def _all_calls(summary: Summary | None) -> dict[str, Any]:
    """Percentiles of all calls, slow or not; null where there are too few calls to tell."""
    if summary is None:
        return {}
    names = (f"p{share * 100:g}".replace(".", "_") + "_ns" for share in SHARES)
    return {
        "in_histogram": summary.calls,
        "per_second": round(summary.per_second, 3),
        "errors": summary.errors,
        "bytes": summary.bytes,
        "slow_share": round(summary.slow_share, 6),
        **dict(zip(names, summary.percentiles, strict=True)),
        "max_ns": summary.max_ns,
    }


def event_fields(event: Event, clock: Clock) -> dict[str, Any]:
    """One event as a JSON object."""
    key = event.key
    return {
        "type": "event",
        "time": _local(clock(event.ts_ns)).isoformat(timespec="microseconds"),
        "ts_ns": event.ts_ns,
        "op": key.op,
        "latency_ns": event.latency_ns,
        "pid": key.pid,
        "tid": event.tid,
        "comm": key.comm,
        "uid": key.uid,
        "cgroup": key.cgroup,
        "pool": key.pool or None,
        "dataset": key.dataset,
        "path": key.path,
        "offset": event.offset,
        "size": event.size,
        "result": event.result,
        "errno": event.errno,
        "symbol": key.symbol,
    }


def _local(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / NS_PER_S).astimezone()


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


FORMATS: dict[str, Callable[[Clock], Lines]] = {"text": Text, "csv": Csv, "json": Json}


def per_operation(ops: Iterable[str], slots: Iterable[Counts]) -> dict[str, Counts]:
    """Slot counters summed by operation."""
    result: dict[str, Counts] = {}
    for op, counts in zip(ops, slots, strict=False):
        result[op] = total((result.get(op, Counts()), counts))
    return result
