"""A report: everything that is known of what is looked at, as sections of plain parts. How they look is decided in
html.py and markdown.py; figures for machines are made in records.py. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from zfstop import __version__
from zfstop.export.parts import NONE, Chart, Facts, Note, Part, Section, Table, table_of
from zfstop.export.stand_ins import StandIns
from zfstop.export.zfs_state import state_parts
from zfstop.model.books import PLACES, Books, by_operation, together, trouble
from zfstop.model.drill import Trail
from zfstop.model.heat import NO_LIMIT, Box, Heat
from zfstop.model.history import InFlight, Second
from zfstop.model.look import Look, Seen
from zfstop.model.moments import span_text
from zfstop.model.percentiles import SHARES, Summary
from zfstop.model.rows import Row
from zfstop.model.state import Controls, Counts, Host, Phase, ProbeReport, Status
from zfstop.model.waits import CAUSES, Waits
from zfstop.units import NS_PER_S, format_rate, format_size, format_threshold, format_time
from zfstop.zfs.operations import BY_NAME, CLASSES


@dataclass(frozen=True, slots=True)
class Report:
    """What is told. ``table`` are the top ``rows`` as texts; ``filters`` are sentences; ``losses`` and ``books`` (of
    each probe) are since the probes were attached, or the recording began.
    """

    host: Host
    origin: str
    filters: tuple[str, ...]
    controls: Controls
    grouping: str
    seen: Seen
    heat: Heat
    table: Table
    probes: ProbeReport
    books: tuple[Books, ...]
    losses: Counts
    zone: tzinfo | None
    remarks: tuple[str, ...] = ()
    #: The time of what the rows are compared with; empty when they are not.
    compared_with: str = ""
    zfstop: str = __version__

    @property
    def rows(self) -> tuple[Row, ...]:
        """In the order of the table."""
        return self.seen.rows


def when(clock: float, zone: tzinfo | None) -> str:
    """``2026-01-14 19:03:12 +0100``."""
    return f"{datetime.fromtimestamp(clock).astimezone(zone):%Y-%m-%d %H:%M:%S %z}"


def origin_of(status: Status) -> str:
    """Where the figures come from, in words."""
    word = {Phase.LIVE: "measured live", Phase.REPLAY: "a recording", Phase.DEMO: "the demo"}.get(
        status.phase
    )
    return ": ".join(filter(None, (word or status.phase.value.lower(), status.note)))


def filters_of(look: Look, words: Iterable[tuple[str, str]] = ()) -> tuple[str, ...]:
    """In words, what is not shown; ``words`` tell the rows that were entered, as model.drill has them."""
    controls = look.controls
    limit = controls.threshold_ns
    found = [f"slow is {format_threshold(limit)} or longer" if limit else "every operation is shown"]
    if controls.pids:
        found.append(f"only processes {', '.join(map(str, sorted(controls.pids)))}")
    if controls.datasets:
        found.append(f"only {', '.join(sorted(controls.datasets))}, with all below")
    if controls.ops:
        found.append(f"only operations {', '.join(op for op in BY_NAME if op in controls.wanted_ops)}")
    else:
        found.append(
            f"classes of operations: {', '.join(c for c in CLASSES if c in controls.classes) or 'none'}"
        )
    if look.query:
        found.append(f"filter: {look.query.text}")
    entered = [" ".join(filter(None, pair)) for pair in words]
    if entered:
        found.append(f"within {' > '.join(entered)}")
    if look.box:
        found.append(f"only calls that took {_latencies(look.box)}, of the seconds of a box on the map")
    return tuple(found)


def disguised(report: Report, look: Look, stand_ins: StandIns) -> Report:
    """The parts beside rows and seconds with stand-ins for names; those must have got theirs before they were added."""
    controls = stand_ins.controls(look.controls)
    other = replace(look, controls=controls, query=stand_ins.query(look.query))
    probes = replace(report.probes, notes=stand_ins.notes(report.probes.notes))
    return replace(
        report,
        host=stand_ins.host(report.host),
        origin=report.origin.partition(":")[0],
        filters=filters_of(other, kinds_of(look.trail)),
        controls=controls,
        probes=probes,
        remarks=(*stand_ins.notes(report.remarks), "names, PIDs and UIDs are stand-ins"),
    )


def kinds_of(trail: Trail) -> tuple[tuple[str, str], ...]:
    """The rows that were entered, without what they are called."""
    return tuple((f"one {crumb.grouping.value}", "") for crumb in trail.crumbs)


def _latencies(box: Box) -> str:
    low, high = format_threshold(box.low_ns), format_threshold(box.high_ns)
    if box.high_ns == NO_LIMIT:
        return f"{low} or longer"
    return f"{low} to {high}" if box.low_ns else f"less than {high}"


def sections(report: Report) -> tuple[Section, ...]:
    """All of it, the most asked for first. A section with nothing to tell is not there."""
    newest = report.seen.newest
    found = (
        Section("What", (Facts(_what(report)),)),
        Section("Latency of all calls", (Chart(report.heat, report.controls.threshold_ns, report.zone),)),
        Section(f"Slow operations by {report.grouping}", _rows(report)),
        Section("All calls by operation, slow or not", (_calls(report.seen.calls),)),
        Section("Where slow operations waited", _waits(report.seen.waits)),
        Section("In flight at the end", _stuck(newest)),
        Section("ZFS at the end", state_parts(newest)),
        Section("Books since the probes were attached", _books(report)),
        Section("Probes", _probes(report.probes)),
    )
    return tuple(section for section in found if section.parts)


def _what(report: Report) -> tuple[tuple[str, str], ...]:
    seen, losses = report.seen, report.losses
    span = "no second" if not seen.length_ns else (
        f"{when(seen.began, report.zone)} to {when(seen.ended, report.zone)},"
        f" {span_text(seen.length_ns / NS_PER_S)}"
    )  # fmt: skip
    lost = (
        f"ring full {losses.lost}, map full {losses.full}, rejected {losses.rejected}, missed {losses.missed}"
    )
    pairs = [
        ("host", report.host.name),
        ("kernel", f"Linux {report.host.kernel}"),
        ("OpenZFS", report.host.zfs or "?"),
        ("zfstop", report.zfstop),
        ("source", report.origin),
        ("time", span),
        *((("compared with", report.compared_with),) if report.compared_with else ()),
        *(("shown", sentence) for sentence in report.filters),
        ("lost", lost if losses.losses else "0"),
        *(("note", remark) for remark in report.remarks),
    ]
    if seen.summed:
        pairs.append(("note", "of some of these seconds only sums were left, without names"))
    return tuple(pairs)


def _rows(report: Report) -> tuple[Part, ...]:
    if not report.rows:
        return (Note("None."),)
    return (report.table,)


def _calls(calls: Sequence[Summary]) -> Part:
    shares = [f"P{share * 100:g}" for share in SHARES]
    head = ("op", "WAIT", "calls", "N/s", "errors", "slow", *shares, "MAX")
    body = [
        (
            item.op,
            f"{item.waited:.3f}",
            f"{item.calls:,}",
            format_rate(item.per_second),
            f"{item.errors:,}",
            f"{item.slow_share * 100:.1f}%",
            *(NONE if ns is None else format_time(ns) for ns in item.percentiles),
            format_time(item.max_ns),
        )
        for item in calls
    ]
    return table_of(head, body) if body else Note("None.")


def _waits(waits: Sequence[tuple[str, Waits]]) -> tuple[Part, ...]:
    """Shares of each cause, those without any time left out."""
    causes = [cause for cause in CAUSES if any(getattr(item, cause) for _, item in waits)]
    if not causes:
        return ()
    body = [
        (
            op,
            format_time(item.total),
            *(f"{getattr(item, cause) / max(1, item.total) * 100:.1f}%" for cause in causes),
        )
        for op, item in waits
    ]
    return (table_of(("op", "time", *causes), body),)


def _stuck(newest: Second | None) -> tuple[Part, ...]:
    if newest is None:
        return ()
    number = newest.in_flight
    count = Note(f"{number:,} call{'' if number == 1 else 's'} had not returned.")
    if not newest.stuck:
        return (count,)
    head = ("op", "comm", "where", "dataset:file", "waits in", "symbol", "pid", "tid", "age", "size")
    return count, table_of(head, map(_stuck_row, newest.stuck), 6)


def _stuck_row(call: InFlight) -> tuple[str, ...]:
    key = call.key
    size = NONE if call.size is None else format_size(call.size)
    place = f"{key.dataset}:{key.path}"
    texts = (key.op, key.comm, key.where or NONE, place, call.waits_in or NONE, key.symbol)
    return (*texts, str(key.pid), str(call.tid), format_time(call.age_ns), size)


def _books(report: Report) -> tuple[Part, ...]:
    found = by_operation((probe.op for probe in report.probes.attached), report.books)
    if not found:
        return ()
    shown = {op: item for op, item in found.items() if item.issued} | {"all": together(found.values())}
    places = [name for name in PLACES if any(getattr(item, name) for item in shown.values())]
    head = ("op", "issued", *(name.replace("_", " ") for name in places), "off")
    body = [
        (
            op,
            f"{item.issued:,}",
            *(f"{getattr(item, name):,}" for name in places),
            f"{item.difference:+,}" if item.difference else "0",
        )
        for op, item in shown.items()
    ]
    wrong = tuple((op, trouble(item.wrong)) for op, item in shown.items() if item.wrong)
    return (*((Facts(wrong),) if wrong else ()), table_of(head, body))


def _probes(probes: ProbeReport) -> tuple[Part, ...]:
    attached = [(item.op, item.symbol, item.module, item.decoder, item.kind) for item in probes.attached]
    rejected = [(item.op, item.symbol, item.reason) for item in probes.rejected]
    parts: list[Part] = []
    if attached:
        parts.append(table_of(("op", "symbol", "module", "decoder", "attached by"), attached, 5))
    if rejected:
        parts += [Note("Tried and not taken:"), table_of(("op", "symbol", "why"), rejected, 3)]
    if probes.notes:
        parts.append(Facts(tuple(("note", note) for note in probes.notes)))
    return tuple(parts)
