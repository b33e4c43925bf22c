"""A recording of any length as a history: read where it is looked at, in bounded memory."""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from zfstop.errors import Exit, UserError
from zfstop.model.history import Second, Totals
from zfstop.model.moments import clock_text, zone_of
from zfstop.model.state import Counts
from zfstop.recording.paths import StrPath, shown_path
from zfstop.recording.reader import BAD, Reader, connect, refusing
from zfstop.text import visible

#: About four days at 1,000 events a second.
_MAX_FILE_BYTES: Final = 64 << 30
#: Reading every page of a larger file would take minutes; what is wrong in it is found when it is come to.
_CHECK_BYTES: Final = 1 << 28
#: Seconds that are read at once.
_BLOCK: Final = 16
#: Rows and histogram entries of one block; 5,000 events and as many groups in every second are half of it.
_MAX_ITEMS: Final = 500_000
#: A second alone may be fuller than that.
_MAX_OF_A_SECOND: Final = 1_000_000
_KEEP_TOTALS: Final = 64
_MAX_DATASETS: Final = 10_000


class RecordedHistory:
    """The seconds of a recording, as model.history.Timeline. Methods may be called from any thread.

    Everything is checked when it is read. Where something is found to be unsound the recording ends, ``problem``
    says so, and what was before stays. Holds the file open until :meth:`close`.
    """

    def __init__(self, path: StrPath, keep_details: int = 100_000) -> None:
        """``keep_details`` bounds memory: groups and events of the blocks that are remembered.

        Raises UserError for what is not a recording, cannot be read, or holds no whole second.
        """
        self._keep_details = keep_details
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, tuple[Second, ...]] = OrderedDict()
        self._details = 0
        self._totals: OrderedDict[int, Totals] = OrderedDict()
        self._ids, self._clocks, self._lengths = array("q"), array("d"), array("q")
        #: Positions at which counters begin anew: the first, and where seconds are missing.
        self._begins: list[int] = []
        self.problem = ""
        #: The lowest threshold in force.
        self.floor_ns = 0
        #: What is done to a second before it is given out; None for nothing.
        self.shape: Callable[[Second], Second] | None = None
        with refusing(path):
            self._db = connect(path, _MAX_FILE_BYTES)
            try:
                self._reader = Reader(self._db, shown_path(path))
                if os.stat(path).st_size <= _CHECK_BYTES:
                    self._reader.check_pages()
                else:
                    self._reader.lock()
                self.meta = self._reader.meta
                self._zone = zone_of(self.meta.started)
                self._index()
                if not self._ids:
                    raise UserError(
                        Exit.BAD_RECORDING,
                        f"'{shown_path(path)}' holds no whole second"
                        + (f": {self.problem}" if self.problem else ""),
                        "zfstop record -o FILE --for 10m records ten minutes",
                    )
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the file; nothing more is read."""
        with self._lock:
            self._end_at(0)
            self._db.close()

    @property
    def start(self) -> int:
        return 0

    @property
    def end(self) -> int:
        return len(self._ids)

    def between(self, start: int, end: int) -> tuple[Second, ...]:
        """The seconds at positions ``start`` to ``end - 1``; none in the call that finds damage among them."""
        with self._lock:
            found = self._raw(start, end)
        return found if self.shape is None else tuple(map(self.shape, found))

    def clocks(self, start: int, end: int) -> Sequence[tuple[float, int]]:
        with self._lock:
            return list(
                zip(self._clocks[max(0, start) : end], self._lengths[max(0, start) : end], strict=True)
            )

    def totals_at(self, position: int) -> Totals:
        """Counters since the recording began, and of each probe since it was attached or seconds are missing."""
        with self._lock:
            at = min(position, len(self._ids))
            if at < 1:
                return Totals()
            found = self._totals.pop(at, None) or self._rolled_to(at) or self._summed_to(at)
            self._totals[at] = found
            while len(self._totals) > _KEEP_TOTALS:
                self._totals.popitem(last=False)
            return found

    def datasets(self) -> tuple[str, ...]:
        """Names of all datasets in the recording, sorted."""
        with self._lock:
            try:
                return self._reader.datasets(_MAX_DATASETS)
            except BAD:
                return ()

    def _index(self) -> None:
        """When every second was, up to the first unsound one."""
        floor, last_ns = None, None
        try:
            for number, clock, mono_ns, length_ns, threshold_ns in self._reader.index():
                if mono_ns - length_ns != last_ns:
                    self._begins.append(len(self._ids))
                last_ns = mono_ns
                floor = threshold_ns if floor is None else min(floor, threshold_ns)
                self._ids.append(number)
                self._clocks.append(clock)
                self._lengths.append(length_ns)
        except BAD as error:
            self._damaged(error)
        self.floor_ns = floor or 0

    def _damaged(self, error: Exception) -> None:
        reason = visible(str(error)) or type(error).__name__
        after = f" after {clock_text(self._clocks[-1], self._zone)}" if self._clocks else ""
        self.problem = f"the recording is damaged{after}: {reason}"

    def _end_at(self, position: int) -> None:
        del self._ids[position:], self._clocks[position:], self._lengths[position:]
        self._begins = [begin for begin in self._begins if begin < position]

    def _raw(self, start: int, end: int) -> tuple[Second, ...]:
        first, stop = max(0, start), min(end, len(self._ids))
        found: list[Second] = []
        for number in range(first // _BLOCK, -(-stop // _BLOCK)):
            base = number * _BLOCK
            found += self._block(number)[max(0, first - base) : max(0, stop - base)]
            if stop > len(self._ids):
                return ()
        return tuple(found)

    def _block(self, number: int) -> tuple[Second, ...]:
        known = self._blocks.pop(number, None)
        if known is None:
            known = self._read(number)
            self._details += _details(known)
        self._blocks[number] = known
        while self._details > self._keep_details and len(self._blocks) > 1:
            self._details -= _details(self._blocks.popitem(last=False)[1])
        return known

    def _read(self, number: int) -> tuple[Second, ...]:
        ids = self._ids[number * _BLOCK : (number + 1) * _BLOCK]
        try:
            return self._reader.some_seconds((ids[0], ids[-1]), _MAX_ITEMS)
        except BAD:
            return self._read_singly(ids, number * _BLOCK)

    def _read_singly(self, ids: Sequence[int], base: int) -> tuple[Second, ...]:
        """Up to the unsound one, where the recording ends from now on."""
        found: list[Second] = []
        try:
            for number in ids:
                found += self._reader.some_seconds((number, number), _MAX_OF_A_SECOND)
        except BAD as error:
            self._end_at(base + len(found))
            self._damaged(error)
        return tuple(found)

    def _rolled_to(self, at: int) -> Totals | None:
        """From totals known a little before."""
        near = max((known for known in self._totals if at - _BLOCK <= known < at), default=None)
        if near is None:
            return None
        found = self._totals[near]
        for position, second in enumerate(self._raw(near, at), near):
            found = (found.cleared() if position in self._begins else found).plus(second)
        return found

    def _summed_to(self, at: int) -> Totals:
        """Added up by SQLite, but for the last second."""
        begin = self._begins[bisect_right(self._begins, at - 1) - 1]
        newest = self._raw(at - 1, at)
        try:
            counts = self._sums(0, at - 1)
            slots = counts if begin == 0 else self._sums(begin, at - 1)
        except BAD:
            counts = slots = {}
        whole = Counts()
        for part in counts.values():
            whole = whole.plus(part)
        found = Totals(whole, tuple(slots.get(slot, Counts()) for slot in range(max(slots, default=-1) + 1)))
        for second in newest:
            found = found.plus(second)
        return found

    def _sums(self, start: int, end: int) -> dict[int, Counts]:
        if start >= end:
            return {}
        return self._reader.counted((self._ids[start], self._ids[end - 1]))


def _details(seconds: Sequence[Second]) -> int:
    return sum(
        len(s.groups) + len(s.events) + len(s.tallies) + len(s.slots) // 4 + 4 + _of_zfs(s) for s in seconds
    )


def _of_zfs(second: Second) -> int:
    return 0 if second.zfs is None else 4 + sum(2 + len(pool.txgs) for pool in second.zfs.pools)
