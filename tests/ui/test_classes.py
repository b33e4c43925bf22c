"""Every class of operations can be switched and is accounted for; many operations are as readable as four."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import shown
from fake_feed import (
    EVERY_PROBE,
    MS,
    FakeFeed,
    busy_feed,
    costs_of_everything,
    everything_feed,
    everything_second,
    second,
)

from zfstop.errors import Exit, UserError
from zfstop.model.costs import Costs, Watch, format_share
from zfstop.model.events import Event
from zfstop.model.state import Controls, Counts, ProbeReport, Rejected
from zfstop.ui.classes import Classes, changes
from zfstop.ui.opname import FAILED, fit_op
from zfstop.ui.ops import folded
from zfstop.zfs.operations import CLASSES, DEFAULT_CLASSES, OPERATIONS

NAMES = [operation.name for operation in OPERATIONS]


async def test_classes_are_switched_by_keys_at_once_told_and_put_back_by_x() -> None:
    feed = everything_feed()
    async with shown(feed) as screen:
        await screen.press("C", "j", "j", "enter")
        assert feed.controls().classes == DEFAULT_CLASSES - {"metadata"}
        await screen.press("down", "j", "space")
        assert feed.controls().classes == DEFAULT_CLASSES - {"metadata"} | {"mapped"}
        marks = [line.split("│ [")[1][0] for line in screen.lines if "│ [" in line]
        assert marks == ["x", "x", " ", "x", "x", "x", " "]
        await screen.press("escape")
        assert "op +mapped -metadata" in screen.lines[1]
        assert "[x]" in screen.lines[1]
        await screen.press("x")
        assert feed.controls() == Controls()
        assert "mapped" not in screen.lines[1]


async def test_the_dialog_tells_operations_calls_and_costs_and_counts_only_while_it_is_open() -> None:
    feed = everything_feed()
    async with shown(feed) as screen:
        await screen.press("C")
        assert feed.watched == [Watch.GLANCE, Watch.CLOSELY]
        assert "measuring" in screen.text
        feed.now_costs = costs_of_everything()
        await screen.look()
        line = next(line for line in screen.lines if "[x] data" in line)
        assert line.strip("│ sl0").split()[2:7] == ["data", "13.3k", "0.80%", "read", "write"]
        assert "seek copy (clone) (dedupe)" in screen.text
        assert "(in brackets): no function of it can be measured here, see S" in screen.text
        await screen.press("C")
        assert not isinstance(screen.app.screen, Classes)
        assert feed.watched == [Watch.GLANCE, Watch.CLOSELY, Watch.GLANCE]


async def test_a_class_that_cannot_be_had_is_refused_in_words() -> None:
    feed = everything_feed()
    feed.refuse = UserError(Exit.USAGE, "this recording holds no [zvol]")
    feed.now_costs = Costs(note="not in a recording")
    feed.now_controls = Controls(ops=frozenset({"read"}))
    async with shown(feed) as screen:
        await screen.press("C")
        assert "Only read is asked for: classes count after x" in screen.text
        assert "not in a recording" in screen.text
        await screen.press("end", "space")
        assert "this recording holds no [zvol]" in screen.text


async def test_with_every_class_off_the_table_says_so() -> None:
    feed = everything_feed()
    feed.now_controls = Controls(classes=frozenset())
    async with shown(feed) as screen:
        assert "Every class of operations is off." in screen.text


async def test_the_symbols_panel_goes_by_class_and_shows_which_are_off() -> None:
    feed = everything_feed()
    feed.now_costs = costs_of_everything()
    async with shown(feed, 90, 100) as screen:
        await screen.press("S")
        heads = [line.split()[0] for line in screen.lines if "on, costs" in line]
        assert heads == list(CLASSES)
        assert "mapped OFF, C switches it on, costs 0.00% of a CPU" in screen.text
        assert "not measured here: clone, dedupe" in screen.text
        line = next(line for line in screen.lines if "zpl_remove" in line or "zpl_unlink" in line)
        assert line.split() == ["unlink", "zpl_unlink", "dentry_status", "1,100", "<.01%"]
        assert feed.watched == [Watch.GLANCE, Watch.CLOSELY]
        await screen.press("escape")
        assert feed.watched == [Watch.GLANCE, Watch.CLOSELY, Watch.GLANCE]


async def test_the_books_panel_has_the_figures_and_the_place_of_every_call() -> None:
    feed = everything_feed()
    async with shown(feed, 90, 80) as screen:
        await screen.press("b")
        rows = {line.split()[0]: line.split() for line in screen.lines if line.strip()}
        assert rows["rename"] == ["rename", "620", "20", "600", "0"]
        assert rows["all"][1:] == ["512,600", "130", "512,470", "0"]
        assert "filtered, lost, full, missed, rejected, queued, in flight: 0" in screen.text
        figures = next(line.split() for line in screen.lines if "readlink" in line)
        assert figures[-2:] == ["-", "17.9us"]
        feed.history.append(second((), 90))
        await screen.look()
        await screen.press("b")
        assert "WAIT▼" in screen.text


async def test_books_that_do_not_balance_are_red_and_say_by_how_much() -> None:
    feed = everything_feed()
    async with shown(feed) as screen:
        assert "books ok" in screen.lines[2]
        feed.history.append(_slots(Counts(entered=7, returned=7)))
        await screen.look()
        assert "books ok" in screen.lines[2], "calls may be moving"
        feed.history.append(_slots(Counts()))
        await screen.look()
        assert "BOOKS: 7 calls in no place [b]" in screen.lines[2]
        await screen.press("b")
        assert "read: 7 calls in no place" in screen.text


def _slots(read: Counts) -> object:
    return replace(everything_second(30), slots=(read,))


async def test_on_the_smallest_screen_only_wrong_books_take_room() -> None:
    feed = everything_feed()
    async with shown(feed, 36, 7) as screen:
        assert "ooks" not in screen.text
        feed.history.append(_slots(Counts(entered=7, returned=7)))
        feed.history.append(_slots(Counts()))
        await screen.look()
        assert " BOOKS 7 OFF " in screen.lines[0]
        assert "lost 0" in screen.lines[0]


async def test_operations_are_by_time_waited_and_those_without_room_are_one_line() -> None:
    async with shown(everything_feed(), 120, 30) as screen:
        chart = [line[-62:] for line in screen.lines[4:13]]
        first = ["fsync", "write", "read", "evict", "getattr"]
        assert [line.split()[0] for line in chart if "quiet" in line or line.split()[0] in first] == [
            *first,
            "+16",
        ]
        assert "quiet" in chart[-1]
        calls = screen.app.lens.frame(0).calls
        assert sum(item.calls for item in folded(calls, 4)) == sum(item.calls for item in calls)
        assert folded(calls, 4)[-1].max_ns == max(item.max_ns for item in calls[3:])


async def test_an_operation_that_this_release_lacks_is_no_alarm_but_one_that_failed_is() -> None:
    feed = everything_feed()
    async with shown(feed, 120, 24) as screen:
        assert "not here: clone, dedupe [S]" in screen.lines[2]
        assert "NOT" not in screen.text
        more = Rejected("evict", "zpl_evict_inode", "not traceable")
        attached = tuple(probe for probe in EVERY_PROBE.attached if probe.op != "evict")
        feed.now_probes = ProbeReport(attached, (*EVERY_PROBE.rejected, more))
        await screen.look()
        assert "NOT measured: evict [S]" in screen.lines[2]
        await screen.press("C", "end", "k", "space", "escape")
        assert "NOT" not in screen.lines[2], "nobody asks for it"


@pytest.mark.parametrize("width", [6, 8, 13])
@pytest.mark.parametrize("mark", ["", FAILED])
def test_no_two_operations_look_the_same_and_a_failure_keeps_its_mark(width: int, mark: str) -> None:
    shown_as = [fit_op(name + mark, width) for name in NAMES]
    assert len(set(shown_as)) == len(NAMES)
    assert {len(text) for text in shown_as} == {width}
    assert all(text.rstrip().endswith(mark) for text in shown_as)
    if width == 13:
        assert [text.rstrip() for text in shown_as] == [name + mark for name in NAMES]


def test_at_80_columns_no_name_is_cut() -> None:
    assert not any("…" in fit_op(name + FAILED, 8) for name in NAMES)


def test_classes_are_told_by_their_difference_from_the_default() -> None:
    assert changes(Controls()) == ()
    assert changes(Controls(classes=frozenset(CLASSES))) == ("+mapped", "+zvol")
    assert changes(Controls(classes=frozenset({"data", "zvol"}))) == (
        "+zvol", "-open", "-metadata", "-space", "-lifetime"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.00%"), (0.00001, "<.01%"), (0.0062, "0.62%"), (0.5, "50.0%"), (2, "200.0%")]
)
def test_a_share_of_a_cpu_fits_its_column(share: float, text: str) -> None:
    assert format_share(share) == text


def test_the_feed_of_four_operations_has_a_place_for_every_call() -> None:
    feed: FakeFeed = busy_feed()
    assert all(not part.wrong and not part.difference for part in feed.history.books())


async def test_the_details_of_a_rename_say_where_it_led() -> None:
    feed = everything_feed()
    newest = everything_second(20)
    who = next(who for who, _ in newest.groups if who.op == "rename")
    event = Event(who, 1, 21 * MS, 1, None, None, 0, 300, "etcd/member/snap/db")
    feed.history.append(replace(newest, events=(event,)))
    async with shown(feed) as screen:
        await screen.press("end")
        assert "tank/k8s:etcd/member/snap/db.tmp -> etcd/member/snap/db" in screen.lines[21]
        await screen.press("home")
        assert "->" not in screen.lines[21]
