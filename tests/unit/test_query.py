"""The filter language: what it says is what it does, and no text breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfstop.model.aggregate import groups_of
from zfstop.model.completion import complete, values_of
from zfstop.model.events import Event, Key
from zfstop.model.filters import within
from zfstop.model.histogram import bucket_of
from zfstop.model.history import Second, Tally
from zfstop.model.query import (
    FIELDS,
    Latency,
    MissingValueError,
    Query,
    QueryError,
    Term,
    literal,
    parse,
    parse_typed,
)
from zfstop.model.rows import Grouping, rows
from zfstop.model.sieve import Sieve, covers, narrowed
from zfstop.model.state import Controls

MS = 1_000_000


def key(op: str = "read", pid: int = 1, comm: str = "fio", dataset: str = "tank/a", path: str = "d/f",
        uid: int = 0, where: str = "") -> Key:  # fmt: skip
    return Key(op, pid, comm, uid, 1, dataset, path, f"zpl_{op}", where)


def event(who: Key | None = None, latency_ns: int = 20 * MS, result: int = 0, at: int = 1) -> Event:
    return Event(who or key(), at, latency_ns, 1, None, 4096, result, bucket_of(latency_ns))


def second(events: list[Event], kept: int | None = None, controls: Controls | None = None) -> Second:
    shown = tuple(events if kept is None else events[:kept])
    tallies = tuple((who.op, who.dataset, Tally(9, 0, 9, 0, {1: 9})) for who in {e.key for e in events})
    return Second(0.0, 0, 10**9, controls or Controls(), groups_of(events), shown, len(events) - len(shown),
                  tallies=tallies)  # fmt: skip


odd_text = st.text(st.sampled_from('abE*,"!-:<>= \\/\t\x85é[]0123lat'), max_size=24) | st.text(max_size=24)
patterns = st.lists(odd_text, min_size=1, max_size=3).map(tuple)
words = st.builds(
    Term,
    st.sampled_from(["", "comm", "pool", "ds", "where", "path"]),
    st.lists(patterns, min_size=1, max_size=3, unique=True).map(tuple),
    st.booleans(),
)
numbers = st.builds(
    Term,
    st.sampled_from(["pid", "uid"]),
    st.lists(st.integers(0, 5).map(lambda n: (str(n),)), min_size=1, max_size=3, unique=True).map(tuple),
    st.booleans(),
)
names = st.builds(
    lambda field, exclude: Term(field[0], (field[1],), exclude),
    st.sampled_from([
        ("op", ("read",)), ("op", ("", "write")), ("class", ("data",)), ("err", ("EIO",)), ("err", ("", "")),
        ("err", ("none",)), ("err", ("E", "O")),
    ]),
    st.booleans(),
)  # fmt: skip
latencies = st.builds(
    Latency, st.sampled_from(["<", ">", "<=", ">="]), st.integers(0, 86400 * 10**9), st.booleans()
)
queries = st.lists(words | numbers | names | latencies, max_size=4).map(tuple).map(Query)
keys = st.builds(
    key,
    op=st.sampled_from(["read", "write", "zvol-write", "fsync"]),
    pid=st.integers(0, 3),
    comm=st.sampled_from(["a", "b b", "a*"]),
    dataset=st.sampled_from(["tank", "tank/a", "tank/a/b", "tank/a@s", "tanka", "dev 0:57"]),
    path=st.sampled_from(["a", "a/b", "a/b/c", "ab", "."]),
    uid=st.integers(0, 3),
    where=st.sampled_from(["", "docker:1", "lxc:a"]),
)
events = st.builds(
    event, keys, st.integers(0, 10**10), st.sampled_from([0, 8192, -5, -2]), st.integers(0, 10**9)
)


def attempt(text: str) -> tuple[Query, QueryError | None]:
    try:
        return parse(text), None
    except QueryError as error:
        return Query(), error


@given(odd_text)
def test_every_text_is_a_filter_or_gets_one_sentence_with_its_position(text: str) -> None:
    query, error = attempt(text)
    if error is not None:
        assert 0 <= error.position <= len(text)
        assert str(error).endswith(f", at {error.position + 1}")
    else:
        assert parse(query.text) == query


@given(queries)
def test_what_is_formatted_is_parsed_back(query: Query) -> None:
    assert parse(query.text) == query


@given(st.lists(events, max_size=12), words | numbers | names | latencies, st.integers(0, 12))
def test_what_passes_a_term_and_what_passes_its_opposite_is_everything(
    found: list[Event], term: Term | Latency, kept: int
) -> None:
    opposite = type(term)(*[getattr(term, name) for name in term.__slots__[:2]], not term.exclude)  # type: ignore[arg-type]
    whole = second(found, kept)
    one, other = (Sieve(Query((each,))).second(whole) for each in (term, opposite))
    assert sorted(one.events + other.events, key=repr) == sorted(whole.events, key=repr)
    counts = {who: stats.count for who, stats in whole.groups}
    for part in (one, other):
        for who, stats in part.groups:
            counts[who] -= stats.count
            assert sum(stats.buckets.values()) == stats.count
    assert not any(counts.values())


@given(st.lists(events, max_size=12), queries)
def test_groups_and_single_calls_agree_where_every_call_was_kept(found: list[Event], query: Query) -> None:
    passing = Sieve(query).second(second(found))
    assert passing.events == tuple(item for item in found if query.passes(item))
    assert dict(passing.groups) == dict(groups_of(passing.events))


@given(queries, st.lists(events, max_size=12))
def test_what_the_kernel_is_told_never_changes_what_is_shown(query: Query, found: list[Event]) -> None:
    asked = Controls(threshold_ns=0, classes=frozenset({"data", "zvol"}))
    narrow, _ = narrowed(asked, query)
    sieve = Sieve(query)
    assert sieve.second(within(second(found), narrow)).groups == sieve.second(second(found)).groups
    assert covers(asked, narrow)


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("pid:7", {key(pid=7)}),
        ("pid:7,8 !comm:dd", {key(pid=7), key(pid=8)}),
        ("comm:post*", {key(comm="postgres")}),
        ('comm:"a*"', {key(comm="a*")}),
        ("ds:tank/pg", {key(dataset="tank/pg"), key(dataset="tank/pg/x"), key(dataset="tank/pg@s")}),
        ("pool:rpool", {key(dataset="rpool/log")}),
        ("path:data/pg_wal", {key(path="data/pg_wal"), key(path="data/pg_wal/1")}),
        ("path:/data/pg_wal/", {key(path="data/pg_wal"), key(path="data/pg_wal/1")}),
        ("path:*.ibd", {key(path="shop/orders.ibd")}),
        ("op:W", {key("write")}),
        ("op:xattr-*", {key("xattr-get")}),
        ("class:metadata", {key("lookup"), key("xattr-get")}),
        ("where:docker:*", {key(where="docker:1")}),
        ("uid:1000", {key(uid=1000)}),
        ("POSTGRES", {key(comm="postgres")}),
        ("tank/pg:d", {key(dataset="tank/pg")}),
        ('"[old] x"', {key(path="borg/[old] x")}),
    ],
)
def test_a_term_lets_through(text: str, passing: set[Key]) -> None:
    there = {
        key(pid=7), key(pid=8), key(pid=8, comm="dd"), key(comm="postgres"), key(comm="a*"), key(comm="ab"),
        key(dataset="tank/pg"), key(dataset="tank/pg/x"), key(dataset="tank/pg@s"), key(dataset="tank/pgx"),
        key(dataset="rpool/log"), key(path="data/pg_wal"), key(path="data/pg_wal/1"), key(path="data/pg_walk"),
        key(path="shop/orders.ibd"), key("write"), key("xattr-get"), key("lookup"), key(where="docker:1"),
        key(uid=1000), key(path="borg/[old] x"),
    }  # fmt: skip
    query = parse(text)
    found = {who for who in there if query.passes_key(who)}
    assert passing <= found
    assert found - passing <= {key(dataset="tank/pg/x")} or text == "x"


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("lat>20", [30]), ("lat>=20ms", [20, 30]), ("lat<20000us", [10]), ("lat>10 lat<30", [20]),
        ("!lat>20ms", [10, 20]),
    ],
)  # fmt: skip
def test_latencies_are_compared_with_any_unit(text: str, passing: list[int]) -> None:
    query = parse(text)
    assert [ms for ms in (10, 20, 30) if query.passes(event(latency_ns=ms * MS))] == passing


@pytest.mark.parametrize(
    ("text", "passing"),
    [("err:any", [-5, -2]), ("err:none", [0]), ("err:EIO", [-5]), ("!err:eio", [-2, 0]), ("err:EIO,none", [-5, 0])],
)  # fmt: skip
def test_errors_are_named_any_or_none(text: str, passing: list[int]) -> None:
    query = parse(text)
    assert [result for result in (-5, -2, 0) if query.passes(event(result=result))] == passing


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("op:foo", "there is no operation 'foo', at 4"),
        ("x class:foo", "there is no class of operations 'foo', at 9"),
        ("pid:12x", "pid: takes numbers, at 5"),
        ("lat>soon", "'soon' is not a time; write a number with a unit, such as 250us, 10ms or 1s, at 5"),
        ("lat:10ms", "a latency is compared, write lat>10ms or lat<1s, at 1"),
        ("a pid>5", "only lat can be compared, write pid:, at 3"),
        ("! comm:dd", "'!' must stand right before what it excludes, at 1"),
        ('path:"a b', "the quote is not closed, at 6"),
        ("pid:1,,2", "a value is missing after ',', at 7"),
        ("ct:lxc", "there is no key 'ct:', there are pid: comm: pool: ds: op: class: where: path: err: why: uid:"
                   " and lat>, lat<, at 1"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_sentence_with_its_position(text: str, sentence: str) -> None:
    with pytest.raises(QueryError) as error:
        parse(text)
    assert str(error.value) == sentence


@pytest.mark.parametrize("text", ["pid:", "pid:1,", "!", "lat>", 'comm:"a'])
def test_a_text_that_only_lacks_its_end_is_told_apart(text: str) -> None:
    with pytest.raises(MissingValueError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "in_force"),
    [("p", ""), ("pid:", ""), ("comm:dd pid:x", "comm:dd"), ("dd po", "dd"), ("dd pos", "dd pos"), ("po ", "po"),
     ("!co", ""), ("!com:x", ""), ('dd "po', "dd"), ('"po"', "po")],
)  # fmt: skip
def test_while_typing_what_is_not_finished_has_no_say(text: str, in_force: str) -> None:
    assert parse_typed(text)[0] == parse(in_force)


def test_where_calls_are_known_in_sums_only_their_buckets_choose() -> None:
    whole = second([event(latency_ns=ms * MS) for ms in (15, 15, 100)], kept=0)
    ((_, slow),) = Sieve(parse("lat>50ms")).second(whole).groups
    assert (slow.count, slow.max_ns) == (1, 100 * MS)
    ((_, quick),) = Sieve(parse("lat<50ms")).second(whole).groups
    assert quick.count == 2
    assert quick.max_ns == pytest.approx(15 * MS, rel=0.032)


def test_all_calls_are_chosen_by_what_is_known_of_them() -> None:
    whole = second([event(key("read")), event(key("fsync", pid=9, dataset="rpool"))])
    for text, ops in (("op:fsync", {"fsync"}), ("pool:tank", {"read"}), ("pid:9", {"read", "fsync"})):
        assert {op for op, _, _ in Sieve(parse(text)).second(whole).tallies} == ops


@pytest.mark.parametrize(
    ("text", "told", "asked"),
    [
        ("pid:1,2", ("pid:",), {"pids": {1, 2}}),
        ("pid:1,2 pid:2,3", ("pid:",), {"pids": {2}}),
        ("ds:tank/a", ("ds:",), {"datasets": {"tank/a"}}),
        ("pool:tank ds:tank/a", ("pool:", "ds:"), {"datasets": {"tank/a"}}),
        ("op:read,write !op:read", ("op:",), {"ops": {"write"}}),
        ("class:data !op:re*", ("class:", "op:"), {"ops": {"write", "fsync"}}),
        ("!pid:1", (), {}),
        ("pool:t*", (), {}),
        ("comm:a lat>1s err:any x", (), {}),
        ("op:page-read", (), {}),
        ("pid:1 pid:2", ("pid:",), {"pids": {1}}),
    ],
)
def test_the_kernel_gets_what_it_can_do_exactly(
    text: str, told: tuple[str, ...], asked: dict[str, set[str]]
) -> None:
    sets = {name: frozenset(values) for name, values in asked.items()}
    assert narrowed(Controls(), parse(text)) == (Controls(**sets), told)  # type: ignore[arg-type]


def test_what_was_asked_for_otherwise_is_only_narrowed() -> None:
    base = Controls(pids=frozenset({1, 2}), datasets=frozenset({"tank"}), ops=frozenset({"read"}))
    found, _ = narrowed(base, parse("pid:2,3 ds:tank/a,rpool op:read,write"))
    assert found == Controls(pids=frozenset({2}), datasets=frozenset({"tank/a"}), ops=frozenset({"read"}))


def test_seconds_measured_through_another_filter_do_not_cover_what_is_shown() -> None:
    one, two = Controls(pids=frozenset({1})), Controls(pids=frozenset({1, 2}))
    assert covers(Controls(), one)
    assert covers(two, one)
    assert not covers(one, two)
    assert not covers(one, Controls())
    assert not covers(Controls(ops=frozenset({"read"})), Controls())
    assert not covers(Controls(datasets=frozenset({"tank/a"})), Controls(datasets=frozenset({"tank"})))


def test_a_choice_replaces_and_what_is_excluded_adds_up() -> None:
    query = parse("pid:1,2 lat>5ms").plus(literal("pid", 2))
    assert query.text == "lat>5ms pid:2"
    query = parse("!comm:dd").plus(Term("comm", (("a b",),), exclude=True))
    assert query.text == '!comm:dd,"a b"'


@pytest.mark.parametrize(
    ("text", "start", "first"),
    [
        ("", 0, "pid:"),
        ("c", 0, "comm:"),
        ("!o", 1, "op:"),
        ("comm:dd la", 8, "lat>"),
        ("comm:", 5, "postgres"),
        ("comm:gres", 5, "postgres"),
        ("comm:dd,p", 8, "postgres"),
        ('path:"a b" comm:d', 16, "dd"),
        ("where:", 6, '"x y"'),
        ('where:"x', 6, '"x y"'),
        ("op:fs", 3, "fsync"),
        ("err:ENOS", 4, "ENOSPC"),
    ],
)
def test_keys_and_values_that_are_there_are_offered(text: str, start: int, first: str) -> None:
    there = second([
        event(key("fsync", 2, "postgres", where="x y"), 900 * MS), event(key(comm="dd")),
    ])  # fmt: skip
    found = complete(text, values_of(rows([there], Grouping.PROCESS)))
    assert (found.start, found.candidates[0]) == (start, first)


@given(odd_text, odd_text)
def test_a_value_that_is_offered_is_one_that_is_found(text: str, comm: str) -> None:
    values = {field: (comm,) if field == "comm" else () for field in FIELDS}
    assert complete(text, values).start <= len(text)
    for candidate in complete("comm:", values).candidates:
        assert parse("comm:" + candidate) == Query((literal("comm", comm),))
