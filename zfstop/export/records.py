"""The view for machines: rows as CSV, everything as one JSON object. Times are ns and sizes bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, tzinfo
from typing import Any

from zfstop.export.lines import Json
from zfstop.export.report import Report
from zfstop.export.zfs_state import plain
from zfstop.model.books import by_operation
from zfstop.model.compare import Compared, verdict
from zfstop.model.drill import Call
from zfstop.model.heat import FINE, Heat
from zfstop.model.history import InFlight
from zfstop.model.percentiles import SHARES, Summary
from zfstop.model.rows import Row, Who
from zfstop.model.waits import CAUSES, Waits
from zfstop.text import visible

#: Of several values of a row so many are listed, and how many more there are.
_LISTED = 20
_SEVERAL = "(several)"
#: What a spreadsheet would take for a formula, in any of the widths that a script has for them.
_FORMULA = frozenset("=+-@＝＋－＠")


def csv_text(report: Report) -> str:
    """The rows with a header line; a row of several processes, files ... says "(several)" instead of which."""
    records = [_flat(record) for record in map(_record(report), report.rows)]
    names = list(dict.fromkeys(name for record in records for name in record)) or list(_EMPTY)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(record.get(name)) for name in names] for record in records)
    return out.getvalue()


#: The header of an empty table.
_EMPTY = ("wait_s_per_s", "calls", "total_ns", "max_ns", "op", "pid", "comm", "dataset", "path")


def json_text(report: Report) -> str:
    """One object; all text is ASCII."""
    seen, newest = report.seen, report.seen.newest
    found = by_operation((probe.op for probe in report.probes.attached), report.books)
    record = _record(report)
    value = {
        "type": "report",
        "zfstop": report.zfstop,
        "host": asdict(report.host),
        "source": report.origin,
        "began": _time(seen.began, report.zone),
        "ended": _time(seen.ended, report.zone),
        "length_ns": seen.length_ns,
        "threshold_ns": report.controls.threshold_ns,
        "filters": report.filters,
        "remarks": report.remarks,
        "compared_with": report.compared_with or None,
        "grouping": report.grouping,
        "rows": [record(row) for row in report.rows],
        "operations": [_operation(summary) for summary in seen.calls],
        "waits": {op: waits._asdict() for op, waits in seen.waits},
        "map": _map(report.heat, report.zone),
        "in_flight": newest.in_flight if newest else 0,
        "stuck": [_stuck(call) for call in newest.stuck] if newest else [],
        "zfs_state": plain(newest.zfs if newest else None),
        "lost": report.losses.losses,
        "counts": report.losses._asdict(),
        "books": {op: asdict(item) | {"difference": item.difference} for op, item in found.items()},
        "probes": asdict(report.probes),
    }
    return json.dumps(_seen(value), separators=(",", ":")) + "\n"


def _seen(value: Any) -> Any:
    """The same with every text made visible, names of members too."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(name)): _seen(item) for name, item in value.items()}
    return [_seen(item) for item in value] if isinstance(value, (list, tuple)) else value


def _cell(value: Any) -> str:
    """Text that begins as a formula does is put behind an apostrophe; no number below 0 is ever told."""
    if value is None:
        return ""
    text = visible(str(value))
    return f"'{text}" if isinstance(value, str) and text.lstrip()[:1] in _FORMULA else text


class _record:
    """Rows as objects; those of one view have the same members."""

    def __init__(self, report: Report) -> None:
        self._length_ns = report.seen.length_ns
        self._zone = report.zone

    def __call__(self, row: Row) -> dict[str, Any]:
        if isinstance(row, Compared):
            return self._compared(row)
        return self._call(row) if isinstance(row, Call) else self._sums(row)

    def _compared(self, row: Compared) -> dict[str, Any]:
        """As it is after; what it was before is in members that say so."""
        (waited, now), (rate, _) = row.waits_before_after, row.rates
        return {
            "change": verdict(waited, now),
            **self._sums(row),
            "before_wait_s_per_s": round(waited, 6),
            "before_per_second": round(rate, 6),
            "before_p50_ns": row.percentiles(0.5)[0],
            "before_p99_ns": row.percentiles(0.99)[0],
            "before_max_ns": row.before.max_ns if row.before else None,
        }

    def _call(self, call: Call) -> dict[str, Any]:
        event = call.event
        fields: dict[str, Any] = json.loads(Json(lambda _: round(call.clock * 1e9)).event(event))
        fields["time"] = _time(call.clock, self._zone)
        if event.result < 0:
            fields["result"] = None
        return fields | _waits(event.waits) | ({"slept_in": event.slept_in} if event.slept_in else {})

    def _sums(self, row: Row) -> dict[str, Any]:
        who = row.who
        return {
            "wait_s_per_s": round(row.waited(self._length_ns), 6),
            "calls": row.count,
            "per_second": round(row.rate(self._length_ns), 6),
            "errors": row.errors,
            "total_ns": row.total_ns,
            "p50_ns": row.percentile(0.5),
            "p99_ns": row.percentile(0.99),
            "max_ns": row.max_ns,
            "bytes": row.bytes,
            **_who(who),
            **_waits(row.waits),
        }


def _who(who: Who) -> dict[str, Any]:
    """Lists: a row may be of several of each."""
    files = who.files
    return {
        "op": _some(who.ops),
        "class": _some(who.classes),
        "pid": _some(who.pids),
        "comm": _some(who.comms),
        "uid": _some(who.uids),
        "where": _some(who.wheres),
        "pool": _some(who.pools),
        "dataset": _some(who.datasets),
        "path": _some(tuple(dict.fromkeys(path for _, path in files))),
        "files": len(files),
        "symbol": _some(who.symbols),
    }


def _some(values: tuple[Any, ...]) -> list[Any]:
    """The first of them, and how many more there are."""
    more = len(values) - _LISTED
    return [*values[:_LISTED], *([f"+{more}"] if more > 0 else [])]


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """The one value of each list, or that there are several."""
    return {
        name: _one(value) if isinstance(value, list) else value
        for name, value in record.items()
        if name != "type"
    }


def _one(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else _SEVERAL


def _waits(waits: Waits | None) -> dict[str, int]:
    if waits is None:
        return {}
    return {f"{cause}_ns": getattr(waits, cause) for cause in CAUSES}


def _operation(item: Summary) -> dict[str, Any]:
    names = (f"p{share * 100:g}".replace(".", "_") + "_ns" for share in SHARES)
    return {
        "op": item.op,
        "calls": item.calls,
        "per_second": round(item.per_second, 3),
        "errors": item.errors,
        "slow": item.slow,
        "total_ns": item.tally.total_ns,
        "bytes": item.bytes,
        **dict(zip(names, item.percentiles, strict=True)),
        "max_ns": item.max_ns,
    }


def _map(heat: Heat, zone: tzinfo | None) -> dict[str, Any]:
    """Calls by row in each column that has any; ``limits_ns`` are the lower limits of the rows."""
    columns = [
        {"began": _time(item.clock, zone), "seconds": item.seconds, "calls": item.counts}
        for item in heat.slices
        if item.seconds
    ]
    return {"limits_ns": FINE, "columns": columns}


def _stuck(call: InFlight) -> dict[str, Any]:
    key = call.key
    return {
        **{name: getattr(key, name) for name in ("op", "pid", "comm", "uid", "where", "dataset", "path", "symbol")},
        "tid": call.tid,
        "age_ns": call.age_ns,
        "offset": call.offset,
        "size": call.size,
        "waits_in": call.waits_in,
        **_waits(call.waits),
    }  # fmt: skip


def _time(clock: float, zone: tzinfo | None) -> str | None:
    return (
        datetime.fromtimestamp(clock).astimezone(zone).isoformat(timespec="milliseconds") if clock else None
    )
