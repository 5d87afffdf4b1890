"""Notifications: what they add to a like, the list beside the home feed, and an announcement to everybody.

"Off" is a trigger that drops the jobs of kind ``notify``: a like writes none then, and nothing is told.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from http import HTTPStatus
from statistics import median
from time import perf_counter
from uuid import UUID

import msgspec

from chitlaq.bench import queries
from chitlaq.bench.benchmark import HOST, request, sign_in
from chitlaq.bench.feed import POSTS, SEED_SECONDS, each_request, home_feed
from chitlaq.bench.installation import Installation, installed
from chitlaq.bench.load import Load, Outcome, get, measure, successful
from chitlaq.core.data import postgres

TARGET = "/api/notifications?limit=10"
SIGNED_IN = 64
LIKERS = 16
CONNECTIONS = 32
ROUNDS = 3
SECONDS = 4.0
WARM_UP_SECONDS = 2.0
TOLD_SECONDS = 600.0
POLL_SECONDS = 0.05

_OFF = """
CREATE OR REPLACE FUNCTION public.dropped() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER tell_nothing BEFORE INSERT ON jobs.jobs
FOR EACH ROW WHEN (NEW.kind = 'notify') EXECUTE FUNCTION public.dropped();
"""
_ON = "DROP TRIGGER tell_nothing ON jobs.jobs"


class Cost(msgspec.Struct, frozen=True):
    """Requests of a kind: medians over the rounds."""

    per_second: float
    p95: float
    """Milliseconds."""
    microseconds: dict[str, int]
    """CPU time of a request by component, with the jobs that it writes."""


class Report(msgspec.Struct, frozen=True):
    cores: int
    load_average: float
    """Before anything was measured."""
    members: int
    liked: Cost
    liked_silently: Cost
    likes_ratio: float
    """Likes a second with notifications, beside those without: the median over the rounds."""
    listed: Cost
    home: Cost
    told_seconds: float
    """From the request of an announcement until all members were told."""
    p95_alone: float
    p95_beside: float
    """Of the home feed at half of its rate, just before and meanwhile."""


async def run(members: int, say: Callable[[str], None], seconds: float = SECONDS) -> Report:
    """Measure on a temporary stack, which is always removed.

    Args:
        members: whom the announcement is for.
        say: gets what is done next.
        seconds: of each measurement.

    Raises:
        OperatorError: a component did not start, or a response was wrong.
    """
    load_average = os.getloadavg()[0]
    async with installed() as installation:
        say(f"{members} members")
        await installation.start()
        await installation.command(
            "seed", "--members", str(members), "--json", seconds=SEED_SECONDS
        )
        some = await queries.some_members(installation, min(SIGNED_IN, members))
        tokens = await sign_in(installation, [username for _, username in some])
        await _open(installation, [id_ for id_, _ in some])
        likes = await _likes(installation, tokens, seconds)
        liked, silently = await _rounds(installation, likes, say)
        await _tell_of_many(installation, tokens, seconds)
        listing = _load(installation, [get(TARGET, token) for token in tokens], seconds)
        home = msgspec.structs.replace(home_feed(installation, tokens), seconds=seconds)
        listed, read = await _side_by_side(installation, listing, home, say)
        half = msgspec.structs.replace(home, per_second=_cost(read).per_second / 2)
        told_seconds, alone, beside = await _announce(installation, half, say)
    return Report(
        os.cpu_count() or 1,
        round(load_average, 1),
        members,
        _cost(liked),
        _cost(silently),
        round(median(_ratios(liked, silently)), 2),
        _cost(listed),
        _cost(read),
        told_seconds,
        alone,
        beside,
    )


class _Round(msgspec.Struct, frozen=True):
    outcome: Outcome
    microseconds: dict[str, int]


async def _open(installation: Installation, members: Sequence[UUID]) -> None:
    """Let these members see each other's posts: of those that nobody may like, nothing is told."""
    async with postgres.connection(_dsn(installation)) as connection:
        await connection.execute(
            "UPDATE feed.members SET is_private = false WHERE id = ANY ($1) AND is_private", members
        )
        await connection.execute(
            "DELETE FROM feed.blocks WHERE blocker_id = ANY ($1) AND blocked_id = ANY ($1)", members
        )


async def _likes(installation: Installation, tokens: Sequence[str], seconds: float) -> Load:
    """Let each member write a post, and return likes of them all, and their ends, in turn."""
    port = installation.settings.port_of("api-gateway")
    posts = [await _written(port, token) for token in tokens]
    requests: list[str] = []
    for number, token in enumerate(tokens[:LIKERS]):
        # Each begins with others, so that they do not wait for each other's counters.
        at = number * len(posts) // LIKERS
        others = [one for one in [*posts[at:], *posts[:at]] if one != posts[number]]
        requests += [_request(method, one, token) for method in ("PUT", "DELETE") for one in others]
    return Load(HOST, port, requests, min(LIKERS, len(tokens)), seconds)


async def _tell_of_many(installation: Installation, tokens: Sequence[str], seconds: float) -> None:
    """Let each member be told of ten posts that five others like, and clean up as a calm minute would."""
    port = installation.settings.port_of("api-gateway")
    requests = []
    for number, token in enumerate(tokens):
        others = [tokens[(number + step) % len(tokens)] for step in range(1, 6)]
        for post in [await _written(port, token) for _ in range(10)]:
            requests += [_request("PUT", post, other) for other in others]
    successful(await measure(Load(HOST, port, requests, LIKERS, 2 * seconds)), "204")
    await _wait_until_told(installation)
    async with postgres.connection(_dsn(installation)) as connection:
        await connection.execute("VACUUM (ANALYZE)")


async def _written(port: int, token: str) -> UUID:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = b'{"text":"Room 1 is free."}'
    written = await request(port, "POST", POSTS, headers, body, HTTPStatus.CREATED)
    return msgspec.json.decode(written, type=_Post).id


def _request(method: str, post_id: UUID, token: str) -> str:
    return (
        f"{method} {POSTS}/{post_id}/like HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
    )


def _load(installation: Installation, requests: list[str], seconds: float) -> Load:
    port = installation.settings.port_of("api-gateway")
    return Load(HOST, port, requests, min(CONNECTIONS, len(requests)), seconds)


async def _rounds(
    installation: Installation, likes: Load, say: Callable[[str], None]
) -> tuple[list[_Round], list[_Round]]:
    """Alternate between likes that are told and likes that are not."""
    warm = msgspec.structs.replace(likes, seconds=min(likes.seconds, WARM_UP_SECONDS))
    successful(await measure(warm), "204")
    told, silent = [], []
    async with postgres.connection(_dsn(installation)) as connection:
        for number in range(ROUNDS):
            say(f"likes with and without notifications, round {number + 1} of {ROUNDS}")
            await _wait_until_told(installation)
            told.append(await _round(installation, likes, "204"))
            await connection.execute(_OFF)
            silent.append(await _round(installation, likes, "204"))
            await connection.execute(_ON)
    return told, silent


async def _side_by_side(
    installation: Installation, one: Load, other: Load, say: Callable[[str], None]
) -> tuple[list[_Round], list[_Round]]:
    """Alternate between two loads that read."""
    for load in (one, other):
        warm = msgspec.structs.replace(load, seconds=min(load.seconds, WARM_UP_SECONDS))
        successful(await measure(warm))
    ones, others = [], []
    for number in range(ROUNDS):
        say(f"notifications and the home feed, round {number + 1} of {ROUNDS}")
        ones.append(await _round(installation, one))
        others.append(await _round(installation, other))
    return ones, others


async def _round(installation: Installation, load: Load, status: str = "200") -> _Round:
    before = await installation.cpu()
    outcome = successful(await measure(load), status)
    await _wait_until_told(installation)
    after = await installation.cpu()
    return _Round(outcome, each_request(before, after, outcome.requests))


async def _announce(
    installation: Installation, feed: Load, say: Callable[[str], None]
) -> tuple[float, float, float]:
    """Announce something to everybody; return the seconds, and others' p95 before and meanwhile."""
    say("an announcement to everybody")
    alone = [successful(await measure(feed)).p95 for _ in range(ROUNDS)]
    started = perf_counter()
    await installation.command("announce", "write", "For everybody.", "--yes", "--as", "bench")
    delivering = asyncio.create_task(_wait_until_delivered(installation))
    beside: list[float] = []
    try:
        while not beside or not delivering.done():
            beside.append(successful(await measure(feed)).p95)
        delivered_at = await delivering
    finally:
        delivering.cancel()
    return round(delivered_at - started, 1), median(alone), median(beside)


async def _wait_until_delivered(installation: Installation) -> float:
    """Wait until the announcement is delivered; return when that was."""
    await _wait(installation, "SELECT bool_and(state = 'delivered') FROM websocket.announcements")
    return perf_counter()


async def _wait_until_told(installation: Installation) -> None:
    await _wait(
        installation,
        "SELECT NOT EXISTS (SELECT FROM jobs.jobs"
        " WHERE kind = 'notify' AND due_at <= now() + interval '10 s')",
    )


async def _wait(installation: Installation, query: str) -> None:
    async with asyncio.timeout(TOLD_SECONDS), postgres.connection(_dsn(installation)) as connection:
        while not await connection.fetchval(query):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(POLL_SECONDS)


def _cost(rounds: Sequence[_Round]) -> Cost:
    names = rounds[0].microseconds
    return Cost(
        median(one.outcome.per_second for one in rounds),
        median(one.outcome.p95 for one in rounds),
        {name: round(median(one.microseconds[name] for one in rounds)) for name in names},
    )


def _ratios(ones: Sequence[_Round], others: Sequence[_Round]) -> list[float]:
    pairs = zip(ones, others, strict=True)
    return [one.outcome.per_second / other.outcome.per_second for one, other in pairs]


def _dsn(installation: Installation) -> str:
    return postgres.dsn(installation.settings, installation.home, postgres.OWNER)


class _Post(msgspec.Struct):
    id: UUID
