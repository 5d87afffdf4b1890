"""Search on many members and posts: what it finds, costs and takes, beside plain ways."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from time import perf_counter
from urllib.parse import quote
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.bench import inserts, queries, search_queries, typesense
from chitlaq.bench.benchmark import HOST, REQUEST_SECONDS, request, sign_in
from chitlaq.bench.inserts import InsertCost
from chitlaq.bench.installation import Installation, installed
from chitlaq.bench.load import Load, get, measure, successful
from chitlaq.bench.search_queries import Asked
from chitlaq.bench.typesense import Typesense
from chitlaq.core.data import postgres
from chitlaq.core.host import http_client

SIGNED_IN = 32
CONNECTIONS = 4
ROUNDS = 3
SECONDS = 1.5
MIX_SECONDS = 6.0
SEED_SECONDS = 7_200
JUDGED = 200
PEOPLE = 3_000
TEXTS = 600
NAMES = 100
PLAIN = 5
LIMIT = 10

MEMBERS, POSTS, SUGGEST = "/api/search/users", "/api/search/posts", "/api/search/suggest"
TAKING_PART = ("nginx", "api-gateway", "search-service", "postgres")

# What a first version of search would do, as the role that may read everything.
ILIKE = (
    "SELECT id FROM feed.findable_members($1) m WHERE m.display_name ILIKE '%' || $2 || '%'"
    " OR m.username ILIKE '%' || $2 || '%' ORDER BY m.followers_count DESC LIMIT 10"
)
TSQUERY = (
    "SELECT p.id FROM feed.permitted_posts($1) p JOIN feed.posts t ON t.id = p.id"
    " WHERE to_tsvector('simple', t.text) @@ plainto_tsquery('simple', $2)"
    " ORDER BY p.id DESC LIMIT 10"
)


class Kind(msgspec.Struct, frozen=True):
    """A kind of queries for members, with Typesense beside it if there is one."""

    name: str
    found: float
    """The share of queries whose first ten hold somebody of the name that is meant."""
    microseconds: float
    """CPU time of a query, by all components."""
    per_second: float
    peer_found: float | None = None
    peer_microseconds: float | None = None


class Mix(msgspec.Struct, frozen=True):
    """A route under the queries that members send: at its most, and at half of that."""

    name: str
    per_second: float
    microseconds: dict[str, int]
    """CPU time of a query, by component."""
    half_p50: float
    half_p95: float
    half_p99: float


class Report(msgspec.Struct, frozen=True):
    cores: int
    load_average: float
    """Before anything was measured."""
    members: int
    posts: int
    seed_seconds: float
    kinds: list[Kind]
    mixes: list[Mix]
    plain_milliseconds: dict[str, float]
    """The median of a query, by what was asked for without an index."""
    index_bytes: dict[str, int]
    inserts: list[InsertCost]
    index_seconds: float
    """To index everything anew, as `chitlaq seed` and a new installation do."""
    service_megabytes: float
    peer_megabytes: float | None


@dataclass(frozen=True)
class _Sample:
    viewer: UUID
    people: dict[str, list[Asked]]
    names: list[str]
    texts: list[str]


async def run(members: int, peer: str | None, say: Callable[[str], None]) -> Report:
    """Measure on a temporary stack, which is always removed.

    Args:
        members: how many; each has written a post.
        peer: the URL of a Typesense to measure beside, with its key.
        say: called with each step.

    Raises:
        OperatorError: a component did not start, or a response was wrong.
    """
    load_average = os.getloadavg()[0]
    async with installed() as installation, AsyncExitStack() as stack:
        await installation.start()
        say(f"{members} members and posts")
        started = perf_counter()
        words = ("--members", str(members), "--posts-per-member", "1", "--json")
        await installation.command("seed", *words, seconds=SEED_SECONDS)
        seeded = perf_counter() - started
        return await measured(installation, members, seeded, load_average, peer, stack, say)


async def measured(
    installation: Installation,
    members: int,
    seed_seconds: float,
    load_average: float,
    peer: str | None,
    stack: AsyncExitStack,
    say: Callable[[str], None],
) -> Report:
    """Measure an installation that is seeded."""
    dsn = postgres.dsn(installation.settings, installation.home, postgres.OWNER)
    connection = await stack.enter_async_context(postgres.connection(dsn))
    some = await queries.some_members(installation, SIGNED_IN)
    tokens = await sign_in(installation, [username for _, username in some])
    sample = await _sample(connection, some[0][0])
    beside = None
    if peer is not None:
        say("Typesense")
        held = await typesense.members(connection)
        beside = await stack.enter_async_context(typesense.holding(peer, held))
    kinds = [
        await _kind(installation, tokens, name, asked, beside, say)
        for name, asked in sample.people.items()
    ]
    mixes = [
        await _mix(installation, name, _requests(path, texts, tokens), say)
        for name, path, texts in (
            ("members", MEMBERS, search_queries.mixed(sample.people, 1)),
            ("posts", POSTS, search_queries.for_posts(sample.texts, 1)),
            ("suggest", SUGGEST, search_queries.typed(sample.names)),
        )
        if await _is_served(installation, path)
    ]
    say("without an index")
    plain = {
        "ILIKE": await _plain(connection, ILIKE, sample.viewer, sample.people["last name begun"]),
        "tsquery": await _plain(
            connection,
            TSQUERY,
            sample.viewer,
            [Asked(text, ()) for text in search_queries.for_posts(sample.texts, 2)],
        ),
    }
    say("inserts")
    memory = {row.component: row.megabytes for row in await installation.memory()}
    return Report(
        os.cpu_count() or 1,
        round(load_average, 1),
        members,
        await connection.fetchval("SELECT count(*) FROM feed.posts"),
        round(seed_seconds, 1),
        kinds,
        mixes,
        plain,
        await inserts.index_bytes(connection),
        await inserts.costs(connection),
        await inserts.index_seconds(connection),
        memory["search-service"],
        beside.megabytes() if beside else None,
    )


async def _is_served(installation: Installation, path: str) -> bool:
    port = installation.settings.port_of("api-gateway")
    url = f"http://{HOST}:{port}{_target(path, 'library')}"
    answer = await http_client.get(url, timeout_seconds=REQUEST_SECONDS)
    return answer.status != HTTPStatus.NOT_FOUND


async def _sample(connection: asyncpg.Connection[asyncpg.Record], viewer: UUID) -> _Sample:
    people = await connection.fetch(
        "SELECT username, display_name FROM feed.members WHERE NOT is_private"
        " ORDER BY md5(username) LIMIT $1",
        PEOPLE,
    )
    texts = await connection.fetch(
        "SELECT text FROM feed.posts WHERE visibility = 'public' ORDER BY md5(id::text) LIMIT $1",
        TEXTS,
    )
    rows = [(row["username"], row["display_name"]) for row in people]
    return _Sample(
        viewer,
        search_queries.for_members(rows, 1),
        [name for _, name in rows[-NAMES:]],
        [row["text"] for row in texts],
    )


async def _kind(
    installation: Installation,
    tokens: Sequence[str],
    name: str,
    asked: Sequence[Asked],
    beside: Typesense | None,
    say: Callable[[str], None],
) -> Kind:
    """Ask queries of one kind here and there by turns, so that a slow moment of the machine affects both."""
    say(f"members, {name}")
    port = installation.settings.port_of("api-gateway")
    headers = {"Authorization": f"Bearer {tokens[0]}"}
    found, found_there = 0, 0
    for one in asked[:JUDGED]:
        body = await request(port, "GET", _target(MEMBERS, one.text), headers)
        names = [item.display_name for item in msgspec.json.decode(body, type=_Page).items]
        found += one.is_answered(names)
        if beside is not None:
            found_there += one.is_answered(await beside.names(one.text))
    texts = [one.text for one in asked]
    own = Load(HOST, port, _requests(MEMBERS, texts, tokens), CONNECTIONS, SECONDS)
    spent, rates, there = [], [], []
    for _ in range(ROUNDS):
        before = await installation.cpu()
        outcome = successful(await measure(own))
        after = await installation.cpu()
        spent.append(sum(_each(before, after, outcome.requests).values()))
        rates.append(outcome.per_second)
        if beside is not None:
            theirs = Load(
                beside.host,
                beside.port,
                [beside.request(text) for text in texts],
                CONNECTIONS,
                SECONDS,
            )
            used = beside.cpu_seconds()
            answers = successful(await measure(theirs)).requests
            there.append(1e6 * (beside.cpu_seconds() - used) / answers)
    judged = min(JUDGED, len(asked))
    return Kind(
        name,
        round(found / judged, 3),
        round(median(spent)),
        median(rates),
        round(found_there / judged, 3) if beside else None,
        round(median(there)) if there else None,
    )


async def _mix(
    installation: Installation, name: str, requests: list[str], say: Callable[[str], None]
) -> Mix:
    say(f"{name}, as they are searched")
    port = installation.settings.port_of("api-gateway")
    load = Load(HOST, port, requests, CONNECTIONS, MIX_SECONDS)
    successful(await measure(msgspec.structs.replace(load, seconds=SECONDS)))
    before = await installation.cpu()
    outcome = successful(await measure(load))
    after = await installation.cpu()
    half = successful(
        await measure(msgspec.structs.replace(load, per_second=outcome.per_second / 2))
    )
    return Mix(
        name,
        outcome.per_second,
        _each(before, after, outcome.requests),
        half.p50,
        half.p95,
        half.p99,
    )


async def _plain(
    connection: asyncpg.Connection[asyncpg.Record],
    statement: str,
    viewer: UUID,
    asked: Sequence[Asked],
) -> float:
    taken = []
    for one in asked[:PLAIN]:
        started = perf_counter()
        await connection.fetch(statement, viewer, one.text)
        taken.append(1000 * (perf_counter() - started))
    return round(median(taken), 1)


def _requests(path: str, texts: Sequence[str], tokens: Sequence[str]) -> list[str]:
    return [
        get(_target(path, text), tokens[number % len(tokens)]) for number, text in enumerate(texts)
    ]


def _target(path: str, text: str) -> str:
    return f"{path}?q={quote(text)}&limit={LIMIT}"


def _each(before: dict[str, float], after: dict[str, float], requests: int) -> dict[str, int]:
    """Return the microseconds of a request, of the components that take part in it."""
    return {name: round(1e6 * (after[name] - before[name]) / requests) for name in TAKING_PART}


class _Item(msgspec.Struct):
    display_name: str


class _Page(msgspec.Struct):
    items: list[_Item]
