"""The examination: fact after fact, then the probes, then the canary; each is shown as soon as it is known."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack

from zfstop.doctor import checks, probes
from zfstop.doctor.canary import Canary, caged
from zfstop.doctor.facts import Diagnosis, Fact, Served, Song, Verdict, failed, refused, warned
from zfstop.doctor.judge import judge
from zfstop.doctor.place import find_place
from zfstop.doctor.watch import Watch, watching
from zfstop.errors import UserError
from zfstop.kernel import host
from zfstop.kernel.resolver import plan, wanted_symbols
from zfstop.kernel.symbols import parse
from zfstop.model.state import ProbeReport
from zfstop.zfs.operations import BY_NAME

_AFTER_THE_REST = "zfstop doctor, once the rest is mended"


class Interrupted(Exception):
    """The user gave up; everything is as it was before."""


class Examination:
    """One run. ``show`` gets every fact at once; ``ended`` may be set from a signal handler."""

    def __init__(self, show: Callable[[Fact], None], ended: threading.Event, canary: str | None) -> None:
        self._show = show
        self._ended = ended
        self._word = canary
        self._facts: list[Fact] = []
        self._operations: list[Served] = []
        self._song: Song | None = None
        self._attached = False

    def run(self) -> Diagnosis:
        """Everything there is to say. Raises Interrupted."""
        privileged = self._add(checks.privileges()).verdict is Verdict.PASS
        for fact in checks.host_facts(root=privileged):
            self._add(fact)
            self._go_on()
        if all(fact.verdict is not Verdict.FAIL for fact in self._facts):
            try:
                self._try()
            except UserError as error:
                self._add(refused("clean-up", error))
        else:
            self._guess(["the probes", *([] if privileged else checks.only_root_sees())])
        self._go_on()
        return Diagnosis(tuple(self._facts), tuple(self._operations), self._attached, self._song)

    def _add(self, fact: Fact) -> Fact:
        self._facts.append(fact)
        self._show(fact)
        return fact

    def _serve(self, served: Served) -> None:
        self._operations.append(served)
        self._show(served.fact)

    def _sing(self, song: Song) -> None:
        self._song = song
        for sighting in song.sightings:
            self._show(sighting.fact)
        self._show(song.fact)

    def _go_on(self) -> None:
        if self._ended.is_set():
            raise Interrupted

    def _guess(self, unseen: list[str]) -> None:
        """Without probes: what the symbol table alone tells, and what could not be looked at."""
        if host.zfs_loaded():
            self._read_symbols()
        if unseen:
            self._add(warned("not looked at", ", ".join(unseen), _AFTER_THE_REST))
        if self._word is not None:
            self._sing(
                Song(failed("canary", "it did not sing: there were no probes to see it", _AFTER_THE_REST))
            )

    def _read_symbols(self) -> None:
        try:
            symbols = host.kallsyms()
        except UserError as error:
            self._add(refused("symbols", error))
            return
        for served in probes.of_plan(plan(parse(symbols, wanted_symbols()), host.facts()[0])):
            self._serve(served)

    def _try(self) -> None:
        """The probes, attached for as long as the canary sings."""
        with ExitStack() as stack:
            canary = self._fetch(stack)
            pid, dataset = (canary.pid, canary.place.dataset) if canary else (os.getpid(), "")
            watch = stack.enter_context(watching(pid, dataset))
            try:
                report = watch.report(self._ended)
            except UserError as error:
                self._add(refused("attaching", error))
                self._guess([])
                return
            self._go_on()
            if report is None:
                return
            self._attached = True
            self._add(probes.attach_kind(report))
            for served in probes.of_report(report):
                self._serve(served)
            if canary is not None:
                self._listen(canary, watch, report)
            elif self._song is not None:
                self._sing(self._song)

    def _fetch(self, stack: ExitStack) -> Canary | None:
        """The canary, if one was asked for and there is a place for it."""
        if self._word is None:
            return None
        try:
            canary = stack.enter_context(caged(find_place(self._word)))
            canary.wait_until_ready(self._ended)
        except UserError as error:
            self._song = Song(refused("canary", error))
            return None
        return canary

    def _listen(self, canary: Canary, watch: Watch, report: ProbeReport) -> None:
        try:
            calls = canary.sing(self._ended)
            self._go_on()
            events = watch.events()
        except UserError as error:
            self._sing(Song(refused("canary", error), canary.place.dataset))
            return
        self._sing(judge(calls, events, canary, report.ops, BY_NAME))
