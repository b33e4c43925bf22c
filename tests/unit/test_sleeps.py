"""Which sleeps are watched, which code means which cause, and when every context switch is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.kernel import sleeps
from zfstop.kernel.decoders import CAUSES, RANGES
from zfstop.kernel.resolver import Facts
from zfstop.kernel.sleeps import Sleeps
from zfstop.kernel.symbols import Code, nearest, parse, scheduler_code
from zfstop.kernel.waits import plan_waits, ranges_of, unexplained, wanted_waits
from zfstop.model import waits
from zfstop.zfs.causes import CALLERS, REGIONS, SLEEPS

TEXT = b"""\
ffffffff81000000 T _stext
ffffffff81200000 T __sched_text_start
ffffffff81200010 t __schedule
ffffffff81209000 T __sched_text_end
ffffffff81300000 T do_nanosleep
ffffffffc0001000 T zio_wait\t[zfs]
ffffffffc0001200 T zio_nowait\t[zfs]
ffffffffc0002000 t zil_commit_impl.part.0\t[zfs]
ffffffffc0002100 t zil_other\t[zfs]
ffffffffc0003000 T dbuf_read\t[zfs]
ffffffffc0100000 T __cv_wait\t[spl]
ffffffffc0200000 t zio_wait\t[other]
"""
MS = 1_000_000


def test_the_causes_of_the_program_are_those_of_the_model_in_its_order() -> None:
    assert (*CAUSES, "runqueue", "other", "cpu") == waits.CAUSES
    assert {*CALLERS.values(), *REGIONS.values()} <= set(CAUSES)
    assert not set(SLEEPS) & set(REGIONS)


def test_code_is_told_apart_by_the_functions_that_ask_for_a_sleep() -> None:
    assert ranges_of(Code(TEXT)) == (
        (0xFFFFFFFFC0001000, 0x200, "disk"),
        (0xFFFFFFFFC0002000, 0x100, "zil"),
        (0xFFFFFFFFC0003000, 0x10000, "lock"),
    )


def test_a_cause_whose_code_is_not_there_is_told_and_so_are_hidden_addresses() -> None:
    lacking = unexplained(ranges_of(Code(TEXT)))
    assert [item.op for item in lacking] == ["throttle", "txg", "memory"]
    hidden = Code(b"".join(b"0" * 16 + line[16:] for line in TEXT.splitlines(keepends=True)))
    assert ranges_of(hidden) == ()
    assert {item.reason for item in unexplained(())} == {
        "the addresses of the kernel's functions cannot be read"
    }


def test_a_kernel_with_zfs_built_in_is_searched_as_a_whole() -> None:
    built_in = TEXT.replace(b"\t[zfs]", b"").replace(b"\t[spl]", b"")
    assert {cause for *_, cause in ranges_of(Code(built_in))} == {"disk", "zil", "lock"}


def test_a_return_address_gets_the_name_of_its_function() -> None:
    code = Code(TEXT)
    assert code.name_at(0xFFFFFFFFC0001234) == "zio_nowait"
    assert code.name_at(0xFFFFFFFFC0002010) == "zil_commit_impl"
    assert code.name_at(0xFFFFFFFFC0000010) == ""
    assert code.name_at(0xFFFFFFFFC0300000) == "", "too far behind the last function"
    assert nearest(TEXT, 0xFFFFFFFF81300123) == "do_nanosleep"
    assert nearest(TEXT, 0xFFFFFFFF80000000) == ""


def test_of_a_stripped_module_no_function_is_named_that_may_be_another_one() -> None:
    assert not Code(TEXT).hides(0xFFFFFFFFC0001234)
    left = b"".join(line for line in TEXT.splitlines(keepends=True) if b" t " not in line)
    stripped = Code(left)
    assert stripped.hides(0xFFFFFFFFC0001234), "it may be any function behind zio_nowait"
    assert not stripped.hides(0xFFFFFFFFC0001010), "zio_wait is known to sleep"
    assert not stripped.hides(0xFFFFFFFF81300123), "the kernel itself is as it was"


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.sampled_from(sorted(CALLERS))), max_size=80))
def test_any_table_of_symbols_gives_ranges_that_fit_and_do_not_overlap(
    symbols: list[tuple[int, str]],
) -> None:
    text = "".join(f"{address:016x} t {name}\t[zfs]\n" for address, name in symbols).encode()
    found = ranges_of(Code(text))
    assert len(found) <= RANGES
    assert all(0 < size <= 1 << 16 for _, size, _ in found)
    ends = [start + size for start, size, _ in found]
    assert all(end <= start for end, (start, _, _) in zip(ends, found[1:], strict=False))


def test_where_the_scheduler_lies_is_told_or_nothing() -> None:
    assert scheduler_code(TEXT) == (0xFFFFFFFF81200000, 0x9000)
    assert scheduler_code(b"") == (0, 0)


def test_every_sleep_there_is_gets_watched_and_a_region_that_is_not_there_is_told() -> None:
    symbols = parse(
        b"0 T __cv_wait\t[spl]\n0 T zil_commit\t[zfs]\n0 T cv_timedwait_hires.cold\t[spl]\n", wanted_waits()
    )
    planned, lacking = plan_waits(symbols, Facts(module_btf=True))
    assert [(item.symbol, item.module, item.cause, item.kinds) for item in planned] == [
        ("__cv_wait", "spl", "", ("fentry", "kprobe")),
        ("zil_commit", "zfs", "zil", ("fentry", "kprobe")),
    ]
    assert [(item.op, item.symbol) for item in lacking] == [("throttle", "dmu_tx_wait")]
    planned, lacking = plan_waits(symbols, Facts(blacklist=frozenset({"zil_commit"})))
    assert [item.kinds for item in planned] == [("kprobe",)]
    assert [item.reason for item in lacking][:2] == ["absent", "blacklisted by the kernel"]


#: What of it 0.8 (without stubs of tracepoints), 2.1 and 2.4 have, as their modules were built.
RELEASES = {
    "0.8": (
        "__cv_wait_io __cv_timedwait_io cv_timedwait_hires",
        "zio_wait dmu_tx_wait txg_wait_open txg_wait_synced_impl zil_commit zil_commit_impl rangelock_enter "
        "dbuf_read dmu_buf_hold_array_by_dnode arc_get_data_impl.constprop.0",
    ),
    "2.1": (
        "__cv_wait_io __cv_wait_idle __cv_timedwait_io cv_timedwait_hires",
        "zio_wait dmu_tx_wait txg_wait_open txg_wait_synced_impl zil_commit zil_commit_impl "
        "zfs_rangelock_enter_impl dbuf_read dmu_buf_hold_array_by_dnode arc_wait_for_eviction",
    ),
    "2.4": (
        "__cv_wait_io __cv_wait_idle __cv_timedwait_io cv_timedwait_hires",
        "zio_wait dmu_tx_wait txg_wait_open txg_wait_synced_flags zil_commit zil_commit_flags zil_commit_impl "
        "zfs_rangelock_enter_impl dbuf_read dmu_buf_hold_array_by_dnode arc_wait_for_eviction",
    ),
}
STUBS = "trace_zfs_delay__mintime trace_zfs_blocked__read trace_zfs_arc__wait__for__eviction"


@pytest.mark.parametrize("stubs", ["", STUBS], ids=["without stubs", "with stubs"])
@pytest.mark.parametrize("release", RELEASES)
def test_every_cause_is_told_whatever_tracepoints_zfs_was_built_with(release: str, stubs: str) -> None:
    spl, zfs = RELEASES[release]
    lines = [(name, "spl") for name in ("__cv_wait " + spl).split()]
    lines += [(name, "zfs") for name in f"{zfs} {stubs}".split()]
    text = "".join(
        f"{0xFFFFFFFFC0000000 + 4096 * number:x} T {name}\t[{module}]\n"
        for number, (name, module) in enumerate(lines)
    ).encode()
    planned, lacking = plan_waits(parse(text, wanted_waits()), Facts(module_btf=True))
    assert not lacking
    assert {item.symbol for item in planned} == {*f"__cv_wait {spl}".split(), *zfs.split()} & set(
        wanted_waits()
    )
    ranges = ranges_of(Code(text))
    assert {cause for *_, cause in ranges} == set(CAUSES)
    assert unexplained(ranges) == ()
    assert len(ranges) == len(zfs.split())


def test_context_switches_are_asked_for_a_minute_after_a_second_that_had_unexplained_sleeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attached: list[tuple[int, str]] = []
    closed: list[int] = []
    monkeypatch.setattr(
        sleeps.bpf, "attach_raw_tracepoint", lambda fd, name: attached.append((fd, name)) or 9
    )
    monkeypatch.setattr(sleeps.os, "close", closed.append)
    watch = Sleeps(5)
    assert not watch.watch(9 * MS, 9 * MS, 0), "too little time"
    assert not watch.watch(40 * MS, 1000 * MS, 0), "too small a share"
    assert watch.watch(60 * MS, 1000 * MS, 1000 * MS)
    assert attached == [(5, "sched_switch")]
    assert [probe.op for probe in watch.served] == ["other"]
    assert not watch.watch(0, 1000 * MS, 60_999 * MS)
    assert watch.watch(0, 0, 61_000 * MS)
    assert closed == [9]
    assert watch.served == ()
    watch.close()
    assert closed == [9]


def test_without_the_program_or_where_it_is_refused_nothing_is_attached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(fd: int, name: str) -> int:
        raise PermissionError

    monkeypatch.setattr(sleeps.bpf, "attach_raw_tracepoint", refuse)
    for program in (None, 5):
        watch = Sleeps(program)
        assert not watch.watch(1000 * MS, 1000 * MS, 0)
        assert not watch.watch(1000 * MS, 1000 * MS, 1)
        assert watch.served == ()


def test_the_program_has_room_for_every_function_that_tells_a_cause() -> None:
    assert len(CALLERS) <= RANGES
