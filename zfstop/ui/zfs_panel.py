"""What ZFS says of itself, as a panel: pools, the host's dirty data and ARC, and what datasets are set to. Pure."""

from __future__ import annotations

from textual.content import Content

from zfstop.model.history import Second
from zfstop.model.zfs_state import Figures, PoolState, Scan, Txg, ZfsState
from zfstop.ui.lens import Frame
from zfstop.ui.tabular import Piece, table
from zfstop.units import NS_PER_S, format_rate, format_size, format_time

_UNTOLD = """\
Nothing is known of ZFS itself at this time: the recording is of an older zfstop,
or the first second is not over.
"""
_BAR = 24
#: A sync of so many seconds is long where ZFS does not tell its own period.
_LONG_S = 5
#: Transaction groups that are listed of each pool.
_LISTED = 10
_STATES = {"ONLINE": "bold", "SUSPENDED": "bold reverse $error"}
_HOW = """
A transaction group (txg) takes changes while it is open; then it is synced,
that is written to the disks. Its dirty bytes are told once it is committed.
Writers are delayed while more than the mark (│) is dirty in their pool, and
stopped at the limit. Scan, log device and properties are asked for twice a
minute.
"""


def zfs_text(frame: Frame) -> Content:
    """All of it, as it was at the end of the second that is looked at."""
    second = frame.newest
    if second is None or second.zfs is None:
        return Content.assemble(_UNTOLD)
    parts: list[Piece] = []
    for pool in second.zfs.pools:
        parts += [*_pool(pool, second, second.zfs.figures), "\n"]
    parts += [*_host(second, second.zfs), "\n", *_arc(second, second.zfs.figures)]
    parts += [*_datasets(second, second.zfs), *_history(frame, second.zfs)]
    return Content.assemble(*parts, (_HOW, "dim"))


def _pool(pool: PoolState, second: Second, figures: Figures) -> list[Piece]:
    state = pool.state or "state unknown"
    parts: list[Piece] = [(pool.name, "bold"), "  ", (state, _STATES.get(pool.state, "bold $warning"))]
    if pool.suspended:
        parts += [("  all its writes hang: mend its devices, then zpool clear", "bold $error")]
    parts += ["".join(f"  {words}" for words in (_log(pool.log), _scan(pool.scan)) if words), "\n"]
    return [*parts, *_txgs(pool, second, figures)]


def _log(log: bool | None) -> str:
    return {None: "", True: "with a log device", False: "no log device"}[log]


def _scan(scan: Scan | None) -> str:
    if scan is None:
        return "log device and scrub unknown"
    if not scan.kind:
        return "no scrub"
    done = "" if scan.done is None else f" {scan.done:.0%} done"
    return f"{scan.kind}{done}{', paused' if scan.paused else ''}"


def _txgs(pool: PoolState, second: Second, figures: Figures) -> list[Piece]:
    if pool.newest is None:
        return [(f"  {_no_txgs(figures)}\n", "dim")]
    parts: list[Piece] = []
    for txg in reversed(pool.txgs):
        if txg.state != "C":
            took_ns, words = _doing(txg, second.mono_ns)
            too_long = txg.state == "S" and took_ns > (figures.txg_timeout or _LONG_S) * NS_PER_S
            told = f"{words} for {format_time(took_ns)}"
            parts += [f"  txg {txg.number} ", (told, "bold $warning" if too_long else ""), "\n"]
    last = pool.committed
    if last is not None:
        told = f"  txg {last.number} synced in {format_time(last.sync_ns)}"
        parts.append(told + ("\n" if last.dirty is None else f", {_bar(last.dirty, figures)}\n"))
    return parts


def _no_txgs(figures: Figures) -> str:
    if figures.txg_history == 0:
        return "no transaction groups: zfs_txg_history is 0, and zfstop changes nothing; it is 100 by default"
    return "no transaction groups known"


def _doing(txg: Txg, now_ns: int) -> tuple[int, str]:
    """(ns since it does, what)."""
    if txg.state == "O":
        return max(0, now_ns - txg.birth_ns), "open"
    words = {"Q": "quiescing", "W": "waiting to sync", "S": "syncing"}
    ended = txg.birth_ns + txg.open_ns + txg.quiesce_ns + txg.wait_ns
    return max(0, now_ns - ended), words.get(txg.state, txg.state)


def _bar(dirty: int, figures: Figures) -> str:
    """How much was dirty, of the limit, with a mark where delays begin."""
    limit = figures.dirty_max
    if not limit:
        return f"{format_size(dirty)} dirty"
    filled = min(_BAR, round(dirty * _BAR / limit))
    cells = list("█" * filled + "░" * (_BAR - filled))
    if figures.delay_bytes is not None:
        cells[min(_BAR - 1, figures.delay_bytes * _BAR // limit)] = "│"
    return f"dirty {''.join(cells)} {format_size(dirty)} of {format_size(limit)}"


def _host(second: Second, state: ZfsState) -> list[Piece]:
    figures = state.figures
    parts: list[Piece] = [("All pools\n", "bold"), f"  limits   {_limits(figures)}\n"]
    held_up = "bold $warning" if figures.delays or figures.over_max else ""
    parts += ["  writers  ", (f"{_writers(second, figures)}\n", held_up)]
    return [*parts, f"  log      {_per_second(figures.zil_commits, second)} intent-log commits\n"]


def _limits(figures: Figures) -> str:
    told = []
    if figures.dirty_max is not None:
        told.append(f"{format_size(figures.dirty_max)} dirty in a pool")
    if figures.delay_bytes is not None:
        told.append(f"delays from {format_size(figures.delay_bytes)} (│)")
    if figures.txg_timeout is not None:
        told.append(f"a txg every {figures.txg_timeout} s")
    return ", ".join(told) or "unknown"


def _writers(second: Second, figures: Figures) -> str:
    """What held writers up; what did not is left out but for the first."""
    counts = (
        (figures.over_max, "stopped at the limit"), (figures.throttles, "throttled by the ARC"),
        (figures.reserves, "short of memory"), (figures.wrlog_delays, "by the log"),
        (figures.frees_delays, "frees delayed"),
    )  # fmt: skip
    told = [f"{_per_second(figures.delays, second)} delayed"]
    return ", ".join([*told, *(f"{_per_second(count, second)} {words}" for count, words in counts if count)])


def _per_second(count: int | None, second: Second) -> str:
    return "?/s" if count is None else f"{format_rate(count * NS_PER_S / max(1, second.length_ns))}/s"


def _arc(second: Second, figures: Figures) -> list[Piece]:
    size = "?" if figures.arc_size is None else format_size(figures.arc_size)
    most = "" if figures.arc_max is None else f" of at most {format_size(figures.arc_max)}"
    target = "" if figures.arc_target is None else f", target {format_size(figures.arc_target)}"
    hits = ", no lookups"
    if figures.hit_ratio is not None:
        lookups = (figures.arc_hits or 0) + (figures.arc_misses or 0)
        hits = f", {figures.hit_ratio:.1%} hits of {_per_second(lookups, second)}"
    parts: list[Piece] = [("ARC", "bold"), f"  {size}{most}{target}{hits}"]
    if figures.arc_throttles or figures.arc_need_free:
        throttled = f"{_per_second(figures.arc_throttles, second)} memory throttles"
        needed = f"{format_size(figures.arc_need_free or 0)} to be freed"
        parts.append((f", {throttled}, {needed}", "bold $warning"))
    return [*parts, "\n"]


def _datasets(second: Second, state: ZfsState) -> list[Piece]:
    commits = {item.dataset: item.commits for item in state.commits}
    known = {item.dataset: item for item in state.properties}
    rows = []
    for name in sorted(commits.keys() | known.keys()):
        item = known.get(name)
        size = format_size(item.recordsize) if item and item.recordsize else "?"
        about = [size, item.sync or "?", item.compression or "?"] if item else ["?"] * 3
        rows.append([name, *about, _per_second(commits[name], second) if name in commits else "-"])
    if not rows:
        return []
    head = ("dataset", "recordsize", "sync", "compression", "log commits")
    return [("\nDatasets with calls\n", "bold"), *table(head, rows, 4)]


def _history(frame: Frame, state: ZfsState) -> list[Piece]:
    parts: list[Piece] = []
    for pool in state.pools:
        rows = [_committed(txg) for name, txg in frame.txgs if name == pool.name][-_LISTED:]
        if rows:
            parts += [("\nSynced last: ", "bold"), f"{pool.name}\n"]
            parts += table(("txg", "open", "sync", "dirty", "read", "written"), rows[::-1], 0)
    return parts


def _committed(txg: Txg) -> list[str]:
    sizes = ("-" if size is None else format_size(size) for size in (txg.dirty, txg.nread, txg.nwritten))
    return [str(txg.number), format_time(txg.open_ns), format_time(txg.sync_ns), *sizes]
