"""Keeps zfstop within its limits: looks at every second, and says what is to be measured less for now, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from zfstop.model.bill import Bill, telling
from zfstop.model.budget import Ladder
from zfstop.model.costs import Costs
from zfstop.model.flood import Flood, Price
from zfstop.model.histogram import merge
from zfstop.model.history import Second
from zfstop.model.relief import (
    Limits,
    Relief,
    budget_back_words,
    budget_blind_words,
    budget_words,
    flood_over_words,
    flood_words,
)
from zfstop.model.state import Controls
from zfstop.units import NS_PER_S
from zfstop.zfs.operations import CLASSES, class_of

#: Events a second that are left when events are given up for the budget.
FEW_EVENTS = 100


class Part(Protocol):
    """Something that can be measured or not, beside classes and events. ``budget.STEPS`` has its name."""

    def can_give_up(self) -> bool:
        """Whether it is measured now."""

    def give_up(self) -> None:
        """In force when it returns."""

    def take_back(self) -> None:
        """The same."""


class Guard:
    """For one thread. ``notes`` are what is to be said of the second that runs."""

    def __init__(self, limits: Limits, parts: Mapping[str, Part] | None = None) -> None:
        self._flood = Flood() if limits.auto_threshold else None
        self._ladder = Ladder(limits.budget) if limits.budget is not None else None
        self._budget = limits.budget or 0.0
        self._few: Flood | None = None
        self._told: tuple[str, ...] = ()
        self._parts = parts or {}
        self.relief = Relief()
        self.notes: tuple[str, ...] = ()

    def observe(self, second: Second, costs: Costs, asked: Controls) -> None:
        """Judge the second that has ended. ``costs`` are of that second, if there is a budget."""
        price = _price(second, asked)
        floor_ns, words = self._observe_flood(second, asked.threshold_ns, price)
        self._told = self._observe_budget(second, costs, asked, price)
        self.relief = Relief(max(floor_ns, self._few_ns), self._gone)
        self.notes = words + self._told

    def _observe_flood(self, second: Second, asked_ns: int, price: Price) -> tuple[int, tuple[str, ...]]:
        if self._flood is None:
            return 0, ()
        was = self._flood.floor_ns
        floor_ns = self._flood.observe(_events(second), second.counts.lost, asked_ns, price)
        if was and not floor_ns:
            return 0, (flood_over_words(asked_ns),)
        return floor_ns, flood_words(asked_ns, floor_ns)

    def _observe_budget(self, second: Second, costs: Costs, asked: Controls, price: Price) -> tuple[str, ...]:
        if self._ladder is None:
            return ()
        total, was = costs.total, self._ladder.given
        if total is None:
            return (budget_blind_words(self._budget),) if costs.note else self._told
        given = self._ladder.observe(total.share, self._savings(second, costs))
        self._obey(was, given)
        self._observe_few(second, asked.threshold_ns, price)
        words = budget_words(self._budget, given, asked.threshold_ns, self._few_ns)
        if back := [name for name in was if name not in given]:
            return (budget_back_words(self._budget, back), *words)
        return words

    @property
    def _few_ns(self) -> int:
        return self._few.floor_ns if self._few else 0

    @property
    def _gone(self) -> frozenset[str]:
        return frozenset(self._ladder.given if self._ladder else ()) & CLASSES.keys()

    def _savings(self, second: Second, costs: Costs) -> dict[str, float | None]:
        """What can be given up, and what it would save."""
        found: dict[str, float | None] = {}
        for op in second.controls.wanted_ops & costs.of.keys():
            found[class_of(op)] = (found.get(class_of(op)) or 0.0) + costs.of[op].share
        if self._few is None and _events(second) > FEW_EVENTS:
            found["events"] = None
        parts = [name for name, part in self._parts.items() if part.can_give_up()]
        return found | {name: costs.of[name].share if name in costs.of else None for name in parts}

    def _obey(self, was: tuple[str, ...], given: tuple[str, ...]) -> None:
        for name, part in self._parts.items():
            if name in given and name not in was:
                part.give_up()
            elif name in was and name not in given:
                part.take_back()

    def _observe_few(self, second: Second, asked_ns: int, price: Price) -> None:
        """The threshold that leaves few events, while events are given up."""
        if self._ladder is None or "events" not in self._ladder.given:
            self._few = None
        elif self._few is None:
            self._few = Flood(FEW_EVENTS)
            self._few.raise_now(asked_ns, price)
        else:
            self._few.observe(_events(second), 0, asked_ns, price)


def _events(second: Second) -> float:
    """Events a second, those lost included."""
    counts = second.counts
    return (counts.seen + counts.lost) * NS_PER_S / max(1, second.length_ns)


def _price(second: Second, asked: Controls) -> Price:
    told = telling(second, asked)
    return Bill(told.length_ns, merge(tally.buckets for _, _, tally in told.tallies)).per_second
