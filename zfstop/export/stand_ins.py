"""Stand-ins for names: the same for the same name, chosen at random in every run, so that none can be guessed.

What is kept: operations, symbols, kernel functions, times, sizes and results; how deep a path is and what of it is the
same as in another one; endings such as ``.log``; that a caller is a container, a machine, a unit or a user; root.
What is not: host, pools, datasets, snapshots, files, programs, owners, PIDs, UIDs, cgroup and inode numbers, free text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from zfstop.export.zfs_state import members_of
from zfstop.model.events import Event, Key, is_unknown
from zfstop.model.history import InFlight, Second
from zfstop.model.query import Query, Term
from zfstop.model.state import Controls, Host
from zfstop.zfs.operations import BY_NAME, CLASSES

#: Shorter names are replaced too, but a stand-in may happen to hold them.
_SHORTEST = 4
_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aiou"
_FIRSTS = _CONSONANTS + "cqwxy0123456789"
_SYLLABLES, _TRIES = 4, 200
_SEPARATORS = re.compile("[/@:]")
#: Endings that tell what a file or unit is; those of up to four characters are taken for such anyway.
_ENDINGS = frozenset(
    {
        "service",
        "scope",
        "socket",
        "mount",
        "swap",
        "slice",
        "timer",
        "journal",
        "sqlite",
        "parquet",
        "backup",
    }
)
_SHORT_ENDING = re.compile(r"[A-Za-z0-9]{0,3}[A-Za-z][A-Za-z0-9]{0,3}", re.ASCII)
_MOST = 4
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)
_INODE = re.compile(r"inode#(\d+)", re.ASCII)
#: What stands for what has no name, or for no name at all; see kernel/names.py, paths.py and model/history.py.
_NO_NAMES = frozenset({"", "?", ".", "..", "(volume)", "(summed)"})
_DELETED, _CUT = " (deleted)", "…/"
#: What zfs/owners.py calls the kinds of owners.
_KINDS = frozenset(
    {"docker", "podman", "crio", "containerd", "conmon", "container", "lxc", "lxc.monitor", "nspawn", "pod", "vm",
     "user"}
)  # fmt: skip
#: Notes that hold no name. A note that is none of these is left out.
_NOTES = re.compile(
    r"recorded with a threshold of [0-9.]+[a-z]*|recorded through a filter: what it hid cannot be shown"
    r"|\d+ operations were recorded only in sums(: rows at this threshold are estimates|, not one by one)"
    r"|demo starts over|zfs\.ko has type information \(BTF\)"
    r"|the kprobe blacklist cannot be read \(debugfs is not mounted or not allowed\)"
    r"|this kernel interrupts its own work for other tasks: kprobe pairs come first.{0,99}"
    r"|tracefs is not mounted: return probes, where zfs has no BTF, have room.{0,199}",
    re.ASCII,
)
_LEFT_OUT = "(a note was left out: it may hold names)"
_HIDDEN = "(hidden)"
#: Members of the state of ZFS that are names of pools or datasets.
_STATE_NAMES = frozenset({"name", "pool", "dataset"})
_MOST_PID, _FIRST_UID, _MOST_UID = 4_194_303, 1000, 2**31
_MOST_KEYS = 100_000


class StandIns:
    """Replaces names consistently. One for all that belongs together; for one thread."""

    def __init__(self, dice: random.Random | None = None) -> None:
        """``dice`` is for tests: else the system's own."""
        self._dice = dice or random.SystemRandom()
        self._originals: set[str] = set()
        self._longest = 0
        #: What short last parts of names begin with: a stand-in that did so could make "ba/da" of "..ba/da..".
        self._begins: set[str] = set()
        self._names: dict[str, str] = {}
        self._used: set[str] = set()
        self._numbers: dict[tuple[str, int], int] = {}
        self._taken: set[tuple[str, int]] = set()
        self._keys: dict[Key, Key] = {}

    def learn(self, names: Iterable[str]) -> None:
        """Names that no stand-in may hold: all that there are, before the first is replaced."""
        for name in names:
            if len(name) >= _SHORTEST:
                self._originals.add(name.lower())
                self._longest = max(self._longest, len(name))
                last = _SEPARATORS.split(name.lower())[-1]
                if len(last) < _SHORTEST:
                    self._begins.add(last[:1])

    @property
    def count(self) -> int:
        """How many names were replaced."""
        return len(self._names)

    def host(self, host: Host) -> Host:
        """Kernel and OpenZFS versions stay."""
        return replace(host, name=self.name(host.name))

    def name(self, name: str) -> str:
        """One component of a path, or a program: another in its place, with the same ending."""
        if name in _NO_NAMES:
            return name
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = self._fresh(_ending(name))
        return found

    def path(self, path: str) -> str:
        """Component by component; the marks of zfstop stay."""
        if path in _NO_NAMES:
            return path
        if inode := _INODE.fullmatch(path):
            return f"inode#{self._number('inode', int(inode[1]), 2, 10**9)}"
        head, body, tail = _parted(path)
        return head + "/".join(map(self.name, body.split("/"))) + tail

    def dataset(self, dataset: str) -> str:
        """Pool, datasets and snapshot, each for itself; a device that has no name keeps its number."""
        if is_unknown(dataset):
            return dataset
        return "".join(
            part if part in ("/", "@") else self.name(part) for part in re.split("([/@])", dataset)
        )

    def owner(self, owner: str) -> str:
        """What kind it is stays."""
        return "/".join(map(self._owner, owner.split("/")))

    def pid(self, pid: int) -> int:
        """Of a process or thread; 0 is none."""
        return self._number("pid", pid, 1, _MOST_PID) if pid else 0

    def uid(self, uid: int) -> int:
        """Root stays root."""
        return self._number("uid", uid, _FIRST_UID, _MOST_UID) if uid else 0

    def symbol(self, symbol: str) -> str:
        """A name of the kernel's stays; what cannot be one does not."""
        return symbol if not symbol or _SYMBOL.fullmatch(symbol) else self.name(symbol)

    def key(self, key: Key) -> Key:
        """All that it names."""
        found = self._keys.get(key)
        if found is None:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            found = self._keys[key] = key._replace(
                op=key.op if key.op in BY_NAME else self.name(key.op),
                pid=self.pid(key.pid),
                comm=self.name(key.comm),
                uid=self.uid(key.uid),
                cgroup=self._number("cgroup", key.cgroup, 2, 2**40) if key.cgroup > 1 else key.cgroup,
                dataset=self.dataset(key.dataset),
                path=self.path(key.path),
                symbol=self.symbol(key.symbol),
                where=self.owner(key.where),
                inner_pid=self.pid(key.inner_pid),
            )
        return found

    def event(self, event: Event) -> Event:
        """Times, sizes and the result stay."""
        return replace(
            event,
            key=self.key(event.key),
            tid=self.pid(event.tid),
            to=self.path(event.to),
            slept_in=self.symbol(event.slept_in),
        )

    def second(self, second: Second) -> Second:
        """Everything in it that names."""
        changes: dict[str, Any] = {
            "controls": self.controls(second.controls),
            "groups": tuple((self.key(key), stats) for key, stats in second.groups),
            "events": tuple(map(self.event, second.events)),
            "stuck": tuple(map(self._stuck, second.stuck)),
            "tallies": tuple((op if op in BY_NAME else self.name(op), self.dataset(dataset), tally)
                             for op, dataset, tally in second.tallies),
            "notes": self.notes(second.notes),
            "zfs": self.state(second.zfs),
        }  # fmt: skip
        return replace(second, **changes)

    def controls(self, controls: Controls) -> Controls:
        """The filters in force."""
        return replace(
            controls,
            pids=frozenset(map(self.pid, controls.pids)),
            datasets=frozenset(map(self.dataset, controls.datasets)),
            ops=frozenset(op if op in BY_NAME else self.name(op) for op in controls.ops),
            classes=controls.classes & CLASSES.keys(),
        )

    def query(self, query: Query) -> Query:
        """Its values; a part of a name is hidden."""
        return Query(tuple(self._term(term) if isinstance(term, Term) else term for term in query.terms))

    def notes(self, notes: Iterable[str]) -> tuple[str, ...]:
        """Those that are known to hold no name; in the place of the others, that there was one."""
        return tuple(dict.fromkeys(note if _NOTES.fullmatch(note) else _LEFT_OUT for note in notes))

    def state(self, state: Any, named: bool = False) -> Any:
        """The same structure with other names of pools and datasets; other words are those of ZFS."""
        if isinstance(state, str):
            return self.dataset(state) if named else state
        members = members_of(state)
        if members is not None:
            return type(state)(**{name: self.state(item, name in _STATE_NAMES) for name, item in members})
        return tuple(self.state(item) for item in state) if isinstance(state, tuple) else state

    def _stuck(self, call: InFlight) -> InFlight:
        return replace(
            call, key=self.key(call.key), tid=self.pid(call.tid), waits_in=self.symbol(call.waits_in)
        )

    def _owner(self, part: str) -> str:
        kind, mark, rest = part.partition(":")
        if not mark or kind not in _KINDS:
            return self.name(part)
        if kind == "user" and rest.isascii() and rest.isdigit():
            return f"user:{self.uid(int(rest))}"
        return f"{kind}:{self.name(rest)}"

    def _term(self, term: Term) -> Term:
        numbers = {"pid": self.pid, "uid": self.uid}
        kinds: dict[str, Callable[[str], str]] = {
            "comm": self.name,
            "pool": self.dataset,
            "ds": self.dataset,
            "where": self.owner,
            "path": self.path,
        }
        if term.field in ("op", "class", "err"):
            return term
        if term.field in numbers and term.literals is not None:
            return replace(term, values=tuple((str(numbers[term.field](int(v))),) for v in term.literals))
        known = kinds.get(term.field)
        if known is None or term.literals is None:
            return replace(term, values=((_HIDDEN,),))
        return replace(term, values=tuple((known(value),) for value in term.literals))

    def _number(self, kind: str, number: int, low: int, high: int) -> int:
        found, tries = self._numbers.get((kind, number)), 0
        while found is None:
            drawn, tries = self._dice.randrange(low, high), tries + 1
            if (kind, drawn) not in self._taken and (tries > _TRIES or not self._continues(f"user:{drawn}")):
                self._taken.add((kind, drawn))
                found = self._numbers[kind, number] = drawn
        return found

    def _continues(self, owner: str) -> bool:
        """Whether it begins as another owner is called in full."""
        return any(owner[:end] in self._originals for end in range(len("user:") + 1, len(owner) + 1))

    def _fresh(self, ending: str) -> str:
        """One that is no other's, and holds no name that there is; without the ending if that itself is one."""
        tries = 0
        while True:
            tries += 1
            tail = ending if tries <= _TRIES else ""
            word = self._word(_SYLLABLES + tries // (2 * _TRIES))
            if word not in self._used and not self._holds_name(word + tail):
                self._used.add(word)
                return word + tail

    def _word(self, syllables: int) -> str:
        first = [letter for letter in _FIRSTS if letter not in self._begins] or _FIRSTS
        rest = (self._dice.choice(_VOWELS) + self._dice.choice(_CONSONANTS) for _ in range(syllables))
        return self._dice.choice(first) + "".join(rest)

    def _holds_name(self, text: str) -> bool:
        text = text.lower()
        return any(
            text[start:end] in self._originals
            for start in range(len(text) - _SHORTEST + 1)
            for end in range(start + _SHORTEST, min(len(text), start + self._longest) + 1)
        )


def names_in(second: Second) -> Iterator[str]:
    """Every name that :meth:`StandIns.second` replaces, as a whole and in its parts."""
    for key in {*(key for key, _ in second.groups), *(event.key for event in second.events),
                *(call.key for call in second.stuck)}:  # fmt: skip
        yield from names_of(key)
    for event in second.events:
        yield from _parts(event.to)
    datasets = {dataset for _, dataset, _ in second.tallies} | second.controls.datasets
    for dataset in datasets:
        yield from _parts(dataset)
    yield from _in_state(second.zfs)
    yield from words_of(second.notes)


def words_of(texts: Iterable[str]) -> Iterator[str]:
    """Of free texts that are left out."""
    for text in texts:
        if not _NOTES.fullmatch(text):
            yield from (text, *text.split())


def names_of(key: Key) -> Iterator[str]:
    """The names of one key."""
    yield key.comm
    for text in (key.dataset, key.path, key.where):
        yield from _parts(text)


def _in_state(state: Any, named: bool = False) -> Iterator[str]:
    """Names of pools and datasets in the state of ZFS."""
    if isinstance(state, str):
        yield from _parts(state) if named else ()
        return
    members = members_of(state)
    for name, value in members or ():
        yield from _in_state(value, name in _STATE_NAMES)
    if members is None and isinstance(state, tuple):
        for value in state:
            yield from _in_state(value)


def _parts(text: str) -> Iterator[str]:
    if text not in _NO_NAMES:
        yield text
        _, body, _ = _parted(text)
        yield from (part for part in _SEPARATORS.split(body) if part not in _NO_NAMES)
        yield from (part for part in body.split("/") if part not in _NO_NAMES)


def _parted(path: str) -> tuple[str, str, str]:
    """(mark in front, names, mark behind)."""
    head = _CUT if path.startswith(_CUT) else ""
    tail = _DELETED if path.endswith(_DELETED) else ""
    return head, path[len(head) : len(path) - len(tail)], tail


def _ending(name: str) -> str:
    stem, mark, ending = name.rpartition(".")
    short = len(ending) <= _MOST and _SHORT_ENDING.fullmatch(ending)
    return f".{ending}" if stem.strip(".") and mark and (short or ending in _ENDINGS) else ""
