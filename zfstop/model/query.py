"""The filter language of ``/``: text to terms and back, and what they say of a call. Pure.

::

    pid:2431,2440 comm:postgres pool:tank ds:tank/pg op:fsync class:data where:docker:* path:data/*.ibd
    lat>50ms err:EIO uid:1000 !comm:dd -op:read "any text"

Terms are separated by blanks and all must hold; values by commas, of which one must. ``!`` or ``-`` before a term
excludes. ``*`` stands for any text; what is in quotes stands for itself, a quote in them is doubled. ``ds:`` takes
children and snapshots along, ``path:`` what lies beneath, ``why:`` is the cause of most of a call's time. A word
without a key is looked for, whatever its case, in the program's name and in ``dataset:path``. ``err:any`` is any error,
``err:none`` is success; ``why:none`` is where nobody looked.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from zfstop.model.causes import UNKNOWN_CAUSE, main_cause
from zfstop.model.events import Event, Key
from zfstop.model.state import under
from zfstop.model.waits import CAUSES, Waits
from zfstop.units import format_threshold, parse_time
from zfstop.zfs.operations import BY_NAME, CLASSES, OPERATIONS, class_of

#: A value: the texts between its wildcards. One text is the value itself, ("a", "") is ``a*``.
Pattern = tuple[str, ...]
#: What a term can name, in the order in which the keys are offered.
FIELDS: dict[str, str] = {
    "pid": "process number",
    "comm": "name of the program",
    "pool": "pool",
    "ds": "dataset, with its children",
    "op": "operation",
    "class": "class of operations",
    "where": "unit, container, machine or user",
    "path": "file, or what lies beneath a directory",
    "err": "name of the error, any or none",
    "why": "cause of most of the time, or none where nobody looked",
    "uid": "user number",
}
_NUMBERS = ("pid", "uid")
_ANY: Pattern = ("", "")
_NONE = "none"
_HOLDS: dict[str, Callable[[int, int], bool]] = {
    ">": lambda ns, limit: ns > limit,
    "<": lambda ns, limit: ns < limit,
    ">=": lambda ns, limit: ns >= limit,
    "<=": lambda ns, limit: ns <= limit,
}


class QueryError(ValueError):
    """A sentence that ends with its position, counted from 1; ``position`` counts from 0."""

    def __init__(self, sentence: str, position: int) -> None:
        super().__init__(f"{sentence}, at {position + 1}")
        self.position = position


class MissingValueError(QueryError):
    """The text ends where a value should begin: somebody is still typing."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term. ``field`` is a key of ``FIELDS``, or "" for a word."""

    field: str
    values: tuple[Pattern, ...]
    exclude: bool = False

    @property
    def of_call(self) -> bool:
        """Whether it asks for what a group of calls does not have in common."""
        return self.field in ("err", "why")

    @property
    def literals(self) -> tuple[str, ...] | None:
        """The values, when none has a wildcard."""
        return None if any(len(value) > 1 for value in self.values) else tuple(v[0] for v in self.values)

    @property
    def text(self) -> str:
        """As it is typed."""
        body = ",".join(_format_value(value, not self.field) for value in self.values)
        return ("!" if self.exclude else "") + (f"{self.field}:{body}" if self.field else body)

    def of_key(self, key: Key) -> bool:
        """Whether a call of ``key`` passes, errors aside."""
        return any(_KEY_TESTS[self.field](key, value) for value in self.values) is not self.exclude

    def of_result(self, name: str | None) -> bool:
        """Whether a call that failed with ``name``, or did not fail, passes."""
        return any(_is_error(value, name) for value in self.values) is not self.exclude

    def of_waits(self, waits: Waits | None) -> bool:
        """Whether a call, or calls judged together, that spent their time like this passes."""
        return any(_like(value, main_cause(waits)) for value in self.values) is not self.exclude

    def of_event(self, event: Event) -> bool:
        """Whether the call passes a term that its key does not answer."""
        return self.of_waits(event.waits) if self.field == "why" else self.of_result(event.errno)

    def of_results(self, count: int, errors: int, names: Iterable[str]) -> bool:
        """The same of calls judged together, ``errors`` of which failed; ``names`` are of those known one by one."""
        results: list[str | None] = [*names] if errors else []
        found = any(_is_error(value, name) for value in self.values for name in results)
        found |= errors > 0 and _ANY in self.values
        found |= errors < count and any(_is_error(value, None) for value in self.values)
        return found is not self.exclude


@dataclass(frozen=True, slots=True)
class Latency:
    """``lat>10ms``: a limit in ns."""

    sign: str
    ns: int
    exclude: bool = False

    @property
    def of_call(self) -> bool:
        """Whether it asks for what a group of calls does not have in common."""
        return True

    @property
    def text(self) -> str:
        """As it is typed."""
        return f"{'!' if self.exclude else ''}lat{self.sign}{format_threshold(self.ns)}"

    def holds(self, ns: int) -> bool:
        """Whether a call that took ``ns`` passes."""
        return _HOLDS[self.sign](ns, self.ns) is not self.exclude


@dataclass(frozen=True)
class Query:
    """Terms that all must hold; none: everything passes."""

    terms: tuple[Term | Latency, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def text(self) -> str:
        """As it is typed: :func:`parse` of it gives an equal query."""
        return " ".join(term.text for term in self.terms)

    @cached_property
    def of_key(self) -> tuple[Term, ...]:
        """The terms that a key answers."""
        return tuple(term for term in self.terms if isinstance(term, Term) and not term.of_call)

    @cached_property
    def of_call(self) -> tuple[Term | Latency, ...]:
        """The terms that only a single call answers."""
        return tuple(term for term in self.terms if term.of_call)

    def passes_key(self, key: Key) -> bool:
        """Whether calls of ``key`` pass, as far as that can be told without the call."""
        return all(term.of_key(key) for term in self.of_key)

    def passes_call(self, event: Event) -> bool:
        """Whether the call passes the terms that its key does not answer."""
        return all(
            term.holds(event.latency_ns) if isinstance(term, Latency) else term.of_event(event)
            for term in self.of_call
        )

    def passes(self, event: Event) -> bool:
        """Whether the call passes."""
        return self.passes_key(event.key) and self.passes_call(event)

    def plus(self, term: Term) -> Query:
        """With one more term; values to exclude join those of the same field, a choice replaces an older one."""
        kept, values = [], term.values
        for old in self.terms:
            same = isinstance(old, Term) and old.field == term.field and old.exclude == term.exclude
            if isinstance(old, Term) and same and term.exclude:
                values = tuple(dict.fromkeys((*old.values, *values)))
            elif not (same and term.field in _PLAIN):
                kept.append(old)
        return Query((*kept, replace(term, values=values)))


#: Where a value chosen from what is shown says more than the choice it was shown under.
_PLAIN = ("pid", "comm", "op", "class", "where", "why", "uid")


def parse(text: str) -> Query:
    """``"op:fsync !comm:dd lat>50ms"`` -> Query. Raises QueryError; every text gives one or the other."""
    query, error = _parse(text)
    if error is not None:
        raise error
    return query


def parse_typed(text: str) -> tuple[Query, QueryError | None]:
    """What of a text that is still being typed can be in force: the terms up to one that is wrong, and why it is.

    A last word that may become a key (``po``) waits until it cannot.
    """
    query, error = _parse(text)
    last = query.terms[-1] if query and error is None else None
    if isinstance(last, Term) and not last.field and text.endswith(last.values[-1][-1] or " "):
        word = last.text.removeprefix("!").lower()
        if any(key.startswith(word) for key in (*FIELDS, "lat")):
            return Query(query.terms[:-1]), None
    return query, error


def _parse(text: str) -> tuple[Query, QueryError | None]:
    terms: list[Term | Latency] = []
    place = _skip(text, 0)
    try:
        while place < len(text):
            term, place = _parse_term(text, place)
            terms.append(term)
            place = _skip(text, place)
    except QueryError as error:
        return Query(tuple(terms)), error
    return Query(tuple(terms)), None


_FIELD = re.compile(r"([A-Za-z]+):", re.ASCII)
_LAT = re.compile(r"lat(>=|<=|>|<)", re.ASCII | re.IGNORECASE)
_COMPARED = re.compile(rf"({'|'.join(FIELDS)})[<>]", re.ASCII | re.IGNORECASE)


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _parse_term(text: str, start: int) -> tuple[Term | Latency, int]:
    exclude = text[start] in "!-"
    place = start + exclude
    if place >= len(text):
        raise MissingValueError(f"'{text[start]}' excludes what follows it, and nothing does", start)
    if exclude and (text[place].isspace() or text[place] in "!-"):
        raise QueryError(f"'{text[start]}' must stand right before what it excludes", start)
    if match := _LAT.match(text, place):
        return _parse_latency(text, match, exclude)
    if match := _COMPARED.match(text, place):
        raise QueryError(f"only lat can be compared, write {match[1].lower()}:", place)
    name = ""
    if match := _FIELD.match(text, place):
        name = match[1].lower()
        if name == "lat":
            raise QueryError("a latency is compared, write lat>10ms or lat<1s", place)
        if name not in FIELDS:
            known = " ".join(f"{field}:" for field in FIELDS)
            raise QueryError(f"there is no key '{name}:', there are {known} and lat>, lat<", place)
        place = match.end()
    values, place = _parse_values(text, place, name)
    return Term(name, values, exclude), place


def _parse_latency(text: str, match: re.Match[str], exclude: bool) -> tuple[Latency, int]:
    start = end = match.end()
    while end < len(text) and not text[end].isspace():
        end += 1
    if start == end:
        raise MissingValueError(f"a time is missing after '{match[0]}'", start)
    try:
        return Latency(match[1], parse_time(text[start:end], "ms"), exclude), end
    except ValueError as error:
        raise QueryError(str(error), start) from None


def _parse_values(text: str, place: int, field: str) -> tuple[tuple[Pattern, ...], int]:
    values: list[Pattern] = []
    while True:
        start = place
        pieces, place, quoted = _parse_value(text, place)
        if pieces == [""] and not quoted:
            after = text[start - 1] if start else ""
            kind = MissingValueError if place >= len(text) else QueryError
            raise kind(
                f"a value is missing after '{after}'" if after.strip() else "a value is missing", start
            )
        values.append(_checked(field, tuple(pieces), start))
        if place >= len(text) or text[place] != ",":
            return tuple(dict.fromkeys(values)), place
        place += 1


def _parse_value(text: str, place: int) -> tuple[list[str], int, bool]:
    """The pieces from ``place`` on, where the value ends, and whether a part of it was in quotes."""
    pieces, quoted = [""], False
    while place < len(text) and not text[place].isspace() and text[place] != ",":
        if text[place] == '"':
            inside, place = _parse_quoted(text, place)
            pieces[-1] += inside
            quoted = True
            continue
        if text[place] == "*":
            pieces.append("")
        else:
            pieces[-1] += text[place]
        place += 1
    return pieces, place, quoted


def _parse_quoted(text: str, start: int) -> tuple[str, int]:
    found, place = "", start + 1
    while True:
        end = text.find('"', place)
        if end < 0:
            raise MissingValueError("the quote is not closed", start)
        found += text[place:end]
        if not text.startswith('""', end):
            return found, end + 1
        found, place = found + '"', end + 2


def _checked(field: str, value: Pattern, place: int) -> Pattern:
    """The value as it is kept: numbers without zeros before them, names as the tables have them."""
    word = value[0] if len(value) == 1 else None
    if field in _NUMBERS:
        if word is None or not (word.isascii() and word.isdigit() and len(word) <= 10):
            raise QueryError(f"{field}: takes numbers", place)
        return (str(int(word)),)
    if field == "op":
        return _checked_op(value, word, place)
    if field == "class":
        value = tuple(piece.lower() for piece in value)
        return _known(value, CLASSES, "class of operations", place)
    if field == "why":
        value = tuple(piece.lower() for piece in value)
        return _known(value, (*CAUSES, UNKNOWN_CAUSE), "cause", place)
    return _checked_error(value, word, place) if field == "err" else value


def _checked_op(value: Pattern, word: str | None, place: int) -> Pattern:
    by_letter = {operation.letter: operation.name for operation in OPERATIONS if operation.letter}
    if word in by_letter:
        return (by_letter[word],)
    return _known(tuple(piece.lower() for piece in value), BY_NAME, "operation", place)


def _checked_error(value: Pattern, word: str | None, place: int) -> Pattern:
    if word is not None and word.lower() in ("any", _NONE):
        return _ANY if word.lower() == "any" else (_NONE,)
    value = tuple(piece.upper() for piece in value)
    if len(value) == 1 and re.fullmatch(r"E\d{1,6}", value[0], re.ASCII):
        return value
    return _known(value, _ERRORS, "error", place)


_ERRORS = frozenset(errno.errorcode.values())


def _known(value: Pattern, names: Iterable[str], what: str, place: int) -> Pattern:
    if not any(_like(value, name) for name in names):
        raise QueryError(f"there is no {what} '{'*'.join(value)}'", place)
    return value


_BARE = re.compile(r'[^\s,"*]+')


def _format_value(value: Pattern, alone: bool) -> str:
    """As it is typed; a word that stands ``alone`` must not look like a key, a latency or what is excluded."""
    pieces = [_quote(piece) if piece and not _BARE.fullmatch(piece) else piece for piece in value]
    text = "*".join(pieces) or '""'
    odd = alone and value[0] and pieces[0] == value[0]
    if odd and (value[0][0] in "!-" or _FIELD.match(text) or _LAT.match(text) or _COMPARED.match(text)):
        text = "*".join((_quote(value[0]), *pieces[1:]))
    return text


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def literal(field: str, *values: object) -> Term:
    """A term for exactly these values."""
    return Term(field, tuple((str(value),) for value in values))


def _like(value: Pattern, text: str) -> bool:
    """Whether ``text`` is the pieces, with anything between them."""
    if len(value) == 1:
        return text == value[0]
    first, *middle, last = value
    if not (text.startswith(first) and text.endswith(last)) or len(text) < len(first) + len(last):
        return False
    return _in_order(middle, text[len(first) : len(text) - len(last)])


def _in_order(pieces: Iterable[str], text: str) -> bool:
    place = 0
    for piece in pieces:
        found = text.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    return True


def _is_error(value: Pattern, name: str | None) -> bool:
    return value == (_NONE,) if name is None else _like(value, name)


def _in_dataset(key: Key, value: Pattern) -> bool:
    return under(key.dataset, value[0]) if len(value) == 1 else _like(value, key.dataset)


def _beneath(key: Key, value: Pattern) -> bool:
    if len(value) > 1:
        return _like(value, key.path)
    place = value[0].strip("/")
    return not place or key.path == place or key.path.startswith(place + "/")


def _mentions(key: Key, value: Pattern) -> bool:
    pieces = [piece.casefold() for piece in value]
    return _in_order(pieces, key.comm.casefold()) or _in_order(pieces, f"{key.dataset}:{key.path}".casefold())


#: A group never answers ``err:`` and ``why:`` by its key: see Query.of_key.
_KEY_TESTS: Mapping[str, Callable[[Key, Pattern], bool]] = {
    "": _mentions,
    "pid": lambda key, value: str(key.pid) == value[0],
    "comm": lambda key, value: _like(value, key.comm),
    "pool": lambda key, value: _like(value, key.pool),
    "ds": _in_dataset,
    "op": lambda key, value: _like(value, key.op),
    "class": lambda key, value: _like(value, class_of(key.op)),
    "where": lambda key, value: _like(value, key.where),
    "path": _beneath,
    "uid": lambda key, value: str(key.uid) == value[0],
}
