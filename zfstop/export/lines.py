"""Events as lines: ``text`` for eyes, ``csv`` with zfsslower's columns, ``json`` one object a line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from zfstop.model.books import Books, together
from zfstop.model.events import Event, Key
from zfstop.model.history import InFlight, Tally
from zfstop.model.percentiles import SHARES, Summary, summarize
from zfstop.model.state import Controls, Counts, Host, ProbeReport, total
from zfstop.model.waits import CAUSES, Waits
from zfstop.model.zfs_state import PoolState, ZfsState
from zfstop.text import fit
from zfstop.units import NS_PER_S, format_size, format_threshold, format_time
from zfstop.why import why
from zfstop.zfs.operations import BY_NAME

#: CLOCK_MONOTONIC ns -> wall clock ns of the same moment.
Clock = Callable[[int], int]
_OP = max(map(len, BY_NAME))
_WHY = len("throttle 100%")
#: Of an operation that was not called.
_NOT_CALLED = summarize("", Tally(0, 0, 0, 0, {}), slow=0, longest_ns=0, length_ns=0)
_WAITS = "{" + ",".join(f'"{cause}":%d' for cause in CAUSES) + "}"
#: A text as JSON, ASCII only.
_quote = json.encoder.encode_basestring_ascii
_SECONDS = len("2026-11-22T23:38:23")
CSV_HEADER = "ENDTIME_us,TASK,PID,TYPE,BYTES,OFFSET_b,LATENCY_us,FILE"


class Lines:
    """One format. ``head`` when attached, ``event`` for each, ``tail`` at the end; all end without newline."""

    def head(self, host: Host, controls: Controls, probes: ProbeReport) -> str:
        """The first line."""
        raise NotImplementedError

    def event(self, event: Event) -> str:
        """One operation."""
        raise NotImplementedError

    def tail(
        self,
        counts: Counts,
        per_op: dict[str, Counts],
        calls: Mapping[str, Summary],
        books: Mapping[str, Books],
    ) -> str | None:
        """The last line, if the format has one."""
        raise NotImplementedError

    def in_flight(self, call: InFlight) -> str | None:
        """A call that had not returned at the end, if the format has a line for it."""
        return None

    def state(self, state: ZfsState, mono_ns: int) -> str | None:
        """What ZFS said of itself at the end of a second (CLOCK_MONOTONIC), if the format has a line for it."""
        return None


class Text(Lines):
    """Columns for eyes, at least 104 wide; the path comes last and is never cut."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def head(self, host: Host, controls: Controls, probes: ProbeReport) -> str:
        """Column names."""
        return (
            f"{'TIME':15} {'LAT':>6} {'OP':{_OP}} {'SIZE':>5} {'OFFSET':>6} {'PID':>7} {'COMMAND':15} "
            f"{'WHY':{_WHY}} {'WHERE':19} DATASET:FILE"
        )

    def event(self, event: Event) -> str:
        """``15:04:05.123456 45.6ms read         128K   1.5M   12345 dd     disk 88%   lxc:db ... tank/d:dir/f``"""
        when = _local(self._clock(event.ts_ns)).strftime("%H:%M:%S.%f")
        size = "-" if event.size is None else format_size(event.size)
        offset = "-" if event.offset is None else format_size(event.offset)
        moved = f" -> {event.to}" if event.to else ""
        failed = f"  {event.errno}" if event.errno else ""
        key = event.key
        return (
            f"{when} {format_time(event.latency_ns):>6} {key.op:{_OP}} {size:>5} {offset:>6} {key.pid:>7} "
            f"{fit(key.comm, 15)} {fit(why(event.waits), _WHY)} {fit(key.where or '-', 19)} "
            f"{key.dataset}:{key.path}{moved}{failed}"
        )

    def tail(
        self,
        counts: Counts,
        per_op: dict[str, Counts],
        calls: Mapping[str, Summary],
        books: Mapping[str, Books],
    ) -> str | None:
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
            event.ts_ns // 1000, event.key.comm, event.key.pid, BY_NAME[event.key.op].code,
            event.result if moved else 0, event.offset or 0, event.latency_ns // 1000,
            f"{event.key.dataset}:{event.key.path}",
        )  # fmt: skip
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow(row)
        return out.getvalue()

    def tail(
        self,
        counts: Counts,
        per_op: dict[str, Counts],
        calls: Mapping[str, Summary],
        books: Mapping[str, Books],
    ) -> str | None:
        """CSV has no room for it; trace says losses on stderr."""
        return None


class Json(Lines):
    """One object a line; all text is ASCII-safe JSON."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._until_second = self._zone = ""

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
                "ops": [name for name in BY_NAME if name in controls.wanted_ops],
                "probes": [{"op": p.op, "symbol": p.symbol, "module": p.module, "decoder": p.decoder, "kind": p.kind}
                           for p in probes.attached],
                "not_attached": [{"op": p.op, "symbol": p.symbol, "reason": p.reason} for p in probes.rejected],
                "notes": list(probes.notes),
            }
        )  # fmt: skip

    def event(self, event: Event) -> str:
        """The fields of issue and README; ``size`` null means the whole file (fsync) or none (open).

        Written piece by piece: json.dumps takes five times as long, and this is what bounds how many calls are told.
        """
        op, pid, who, symbol = _of_key(event.key)
        result = None if _untold(event) else event.result
        return (
            f'{{"type":"event","time":"{self._time(event.ts_ns)}","ts_ns":{event.ts_ns},{op},'
            f'"latency_ns":{event.latency_ns},{pid},"tid":{event.tid},{who},"to":{_quote_or_null(event.to)},'
            f'"offset":{_number_or_null(event.offset)},"size":{_number_or_null(event.size)},'
            f'"result":{_number_or_null(result)},"errno":{_quote_or_null(event.errno or "")},{symbol},'
            f'"waits":{"null" if event.waits is None else _WAITS % event.waits},'
            f'"slept_in":{_quote_or_null(event.slept_in)}}}'
        )

    def _time(self, ns: int) -> str:
        """``2026-11-22T23:38:23.123456+00:00``"""
        second, rest = divmod(self._clock(ns), NS_PER_S)
        if second != self._second:
            text = _local(second * NS_PER_S).isoformat()
            self._second, self._until_second, self._zone = second, text[:_SECONDS], text[_SECONDS:]
        return f"{self._until_second}.{rest // 1000:06}{self._zone}"

    def in_flight(self, call: InFlight) -> str | None:
        """``{"type":"in_flight"}``, before the summary."""
        key = call.key
        return _dump(
            {
                "type": "in_flight",
                "op": key.op,
                "age_ns": call.age_ns,
                "pid": key.pid,
                "pid_inside": key.inner_pid or None,
                "tid": call.tid,
                "comm": key.comm,
                "uid": key.uid,
                "where": key.where or None,
                "pool": key.pool or None,
                "dataset": key.dataset,
                "path": key.path,
                "offset": call.offset,
                "size": call.size,
                "waits_in": call.waits_in or None,
                "waits": _waits(call.waits),
                "symbol": key.symbol,
            }
        )

    def state(self, state: ZfsState, mono_ns: int) -> str | None:
        """``{"type":"zfs"}``, once a second: null is what ZFS did not say. Times as in events."""
        return _dump(
            {
                "type": "zfs",
                "time": _local(self._clock(mono_ns)).isoformat(timespec="microseconds"),
                "ts_ns": mono_ns,
                **state.figures._asdict(),
                "pools": [_pool(pool) for pool in state.pools],
                "commits": {item.dataset: item.commits for item in state.commits},
                "properties": [item._asdict() for item in state.properties],
            }
        )

    def tail(
        self,
        counts: Counts,
        per_op: dict[str, Counts],
        calls: Mapping[str, Summary],
        books: Mapping[str, Books],
    ) -> str | None:
        """``{"type":"summary"}`` with the books of every operation and the percentiles of all its calls.

        ``wrong`` is how many calls at least are in no place of the books (above 0) or in two (below).
        """
        per = {
            name: {
                **item._asdict(),
                "in_flight": item.in_flight,
                "wrong": books[name].wrong,
                **_all_calls(calls.get(name, _NOT_CALLED)),
            }
            for name, item in per_op.items()
        }
        whole = {"in_flight": counts.in_flight, "wrong": together(books.values()).wrong}
        return _dump({"type": "summary", **counts._asdict(), **whole, "per_op": per})


def _pool(pool: PoolState) -> dict[str, Any]:
    return {
        "pool": pool.name,
        "state": pool.state or None,
        "scan": None if pool.scan is None else pool.scan._asdict(),
        "log": pool.log,
        "txgs": [txg._asdict() for txg in pool.txgs],
    }


def _all_calls(summary: Summary) -> dict[str, Any]:
    """Percentiles of all calls, slow or not; null where there are too few calls to tell."""
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


def _untold(event: Event) -> bool:
    """A read or write that succeeded below the file layer of a module without types: how much it moved nobody tells."""
    return event.key.op in ("read", "write") and event.size is None and event.result == 0


@lru_cache(maxsize=1024)
def _of_key(key: Key) -> tuple[str, str, str, str]:
    """Members of a JSON object that depend on the key alone: in four places, for everything between them does not."""
    return (
        f'"op":{_quote(key.op)}',
        f'"pid":{key.pid},"pid_inside":{key.inner_pid or "null"}',
        f'"comm":{_quote(key.comm)},"uid":{key.uid},"cgroup":{key.cgroup},"where":{_quote_or_null(key.where)},'
        f'"pool":{_quote_or_null(key.pool)},"dataset":{_quote(key.dataset)},"path":{_quote(key.path)}',
        f'"symbol":{_quote(key.symbol)}',
    )


def _quote_or_null(text: str) -> str:
    return _quote(text) if text else "null"


def _number_or_null(number: int | None) -> int | str:
    return "null" if number is None else number


def _waits(waits: Waits | None) -> dict[str, int] | None:
    """Nanoseconds by cause, all of them; null where nobody looked."""
    return waits._asdict() if waits is not None else None


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
