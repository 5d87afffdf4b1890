"""The feed on many members: reading beside the same bytes from memory, writing, reaching many followers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from statistics import median
from time import perf_counter
from uuid import UUID

import msgspec
import psutil

from chitlaq.bench import baseline, queries
from chitlaq.bench.benchmark import HOST, request, sign_in
from chitlaq.bench.installation import Installation, installed
from chitlaq.bench.load import Load, get, measure, post, successful
from chitlaq.core.data import postgres, valkey
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.ports import free_ports
from chitlaq.services.feed.timelines.cache import COMPLETE, key_of
from chitlaq.services.feed.timelines.deliveries import BATCH

FEW_MEMBERS = 1_000
SIGNED_IN = 64
CONNECTIONS = 32
ROUNDS = 3
SECONDS = 4.0
WARM_UP_SECONDS = 2.0
SEED_SECONDS = 3_000
WRITERS = 16
FOLLOWERS = 50_000
TIMELINE = 60
"""Entries of the timelines that a post with many followers is added to."""
ARRIVAL_SECONDS = 120.0
POLL_SECONDS = 0.05

POSTS = "/api/posts"
TAKING_PART = ("nginx", "api-gateway", "feed-service", "websocket", "postgres", "redis")


class Read(msgspec.Struct, frozen=True):
    """``GET /feed/home`` through the gateway, and the same bytes from memory: medians over the rounds."""

    members: int
    posts: int
    follows: int
    per_second: float
    baseline_per_second: float
    ratio: float
    p95: float
    """Milliseconds, with as many requests at a time as there are connections."""
    microseconds: dict[str, int]
    """CPU time of a request, by component."""
    baseline_microseconds: int


class Report(msgspec.Struct, frozen=True):
    cores: int
    load_average: float
    """Before anything was measured."""
    few: Read
    many: Read
    half_load: float
    """Requests per second, half of what ``many`` reached."""
    half_p95: float
    posts_per_second: float
    post_p95: float
    post_microseconds: dict[str, int]
    followers: int
    arrival_seconds: float
    """From a post's request until it is in the timelines of all its author's followers: the median."""
    p95_alone: float
    p95_beside: float
    """Of the home feed at half load, just before and while such posts follow one another."""
    timeline_bytes: float
    """In Valkey, of a member who reads the home feed."""


async def run(members: int, say: Callable[[str], None]) -> Report:
    """Measure on two temporary stacks, which are always removed.

    Raises:
        OperatorError: a component did not start, or a response was wrong.
    """
    load_average = os.getloadavg()[0]
    async with installed() as installation:
        few, _ = await _read(installation, min(FEW_MEMBERS, members), say)
    async with installed() as installation:
        many, tokens = await _read(installation, members, say)
        half = many.per_second / 2
        say("the home feed at half of that rate")
        feed = home_feed(installation, tokens, half)
        half_p95 = successful(await measure(feed)).p95
        timeline_bytes = await _timeline_bytes(installation)
        say("posts")
        written = await _write(installation, tokens)
        followers = min(FOLLOWERS, members - 1)
        say(f"a post with {followers} followers")
        reached = await _reach_many(installation, tokens[0], feed, followers)
    return Report(
        os.cpu_count() or 1,
        round(load_average, 1),
        few,
        many,
        round(half, 1),
        half_p95,
        *written,
        followers,
        *reached,
        round(timeline_bytes, 0),
    )


async def _read(
    installation: Installation, members: int, say: Callable[[str], None]
) -> tuple[Read, list[str]]:
    """Alternate between the feed and its baseline; returns tokens of members who are signed in, too."""
    say(f"{members} members")
    await installation.start()
    await installation.command("seed", "--members", str(members), "--json", seconds=SEED_SECONDS)
    some = await queries.some_members(installation, SIGNED_IN)
    tokens = await sign_in(installation, [username for _, username in some])
    port = installation.settings.port_of("api-gateway")
    bodies = [
        await request(port, "GET", baseline.TARGET, {"Authorization": f"Bearer {token}"})
        for token in tokens
    ]
    folder = installation.home.root / "baseline"
    folder.mkdir(mode=0o755)
    (other,) = free_ports(1)
    rates, p95s, best, spent, spent_there = [], [], [], [], []
    async with baseline.running(folder, sorted(bodies, key=len)[len(bodies) // 2], other):
        feed = home_feed(installation, tokens)
        same = msgspec.structs.replace(feed, port=other)
        for load in (feed, same):
            successful(await measure(msgspec.structs.replace(load, seconds=WARM_UP_SECONDS)))
        for number in range(ROUNDS):
            say(f"the home feed and its baseline, round {number + 1} of {ROUNDS}")
            before = await installation.cpu()
            outcome = successful(await measure(feed))
            after = await installation.cpu()
            rates.append(outcome.per_second)
            p95s.append(outcome.p95)
            spent.append(each_request(before, after, outcome.requests))
            own = _cpu_of_children()
            there = successful(await measure(same))
            best.append(there.per_second)
            spent_there.append(1e6 * (_cpu_of_children() - own) / there.requests)
    posts, follows = await _counts(installation)
    return Read(
        members,
        posts,
        follows,
        median(rates),
        median(best),
        round(median(one / other for one, other in zip(rates, best, strict=True)), 2),
        median(p95s),
        {name: round(median(one[name] for one in spent)) for name in spent[0]},
        round(median(spent_there)),
    ), tokens


def home_feed(
    installation: Installation, tokens: Sequence[str], per_second: float | None = None
) -> Load:
    """Return what reads the home feeds of members through the gateway."""
    requests = [get(baseline.TARGET, token) for token in tokens]
    port = installation.settings.port_of("api-gateway")
    return Load(HOST, port, requests, CONNECTIONS, SECONDS, per_second)


async def _write(
    installation: Installation, tokens: Sequence[str]
) -> tuple[float, float, dict[str, int]]:
    """Return posts per second, their 95th percentile in milliseconds, and the CPU time of each."""
    port = installation.settings.port_of("api-gateway")
    requests = [
        post(POSTS, {"text": f"Room {number} is free now. #library"}, token)
        for number, token in enumerate(tokens)
    ]
    load = Load(HOST, port, requests, WRITERS, SECONDS)
    successful(await measure(msgspec.structs.replace(load, seconds=WARM_UP_SECONDS)), "201")
    before = await installation.cpu()
    outcome = successful(await measure(load), "201")
    after = await installation.cpu()
    return outcome.per_second, outcome.p95, each_request(before, after, outcome.requests)


async def _reach_many(
    installation: Installation, token: str, feed: Load, followers: int
) -> tuple[float, float, float]:
    """Return the seconds until a post is in many timelines, and others' p95 before and meanwhile."""
    port = installation.settings.port_of("api-gateway")
    headers = {"Authorization": f"Bearer {token}"}
    own = msgspec.json.decode(await request(port, "GET", "/api/users/me", headers), type=_Member)
    dsn = postgres.dsn(installation.settings, installation.home, postgres.OWNER)
    async with postgres.connection(dsn) as connection:
        await connection.execute(
            "INSERT INTO feed.follows (follower_id, followed_id) SELECT id, $1 FROM feed.members"
            " WHERE id <> $1 ORDER BY id LIMIT $2 ON CONFLICT DO NOTHING",
            own.id,
            followers,
        )
        await connection.execute("VACUUM ANALYZE feed.follows")
        rows = await connection.fetch(
            "SELECT follower_id FROM feed.follows WHERE followed_id = $1 ORDER BY follower_id",
            own.id,
        )
    client = valkey.connect(installation.settings, installation.home)
    try:
        members = [row["follower_id"] for row in rows]
        await _make_timelines(client, members)
        longer = msgspec.structs.replace(feed, seconds=2 * SECONDS)
        alone = successful(await measure(longer))
        reading = asyncio.create_task(measure(longer))
        headers["Content-Type"] = "application/json"
        arrivals: list[float] = []
        written: list[UUID] = []
        while not reading.done():
            body = msgspec.json.encode({"text": f"For everybody, {len(arrivals)}"})
            started = perf_counter()
            answer = await request(port, "POST", POSTS, headers, body, status=201)
            written.append(msgspec.json.decode(answer, type=_Member).id)
            await _is_at_the_end(client, members, written[-1])
            arrivals.append(perf_counter() - started)
        beside = successful(await reading)
        await _require_everywhere(client, members, written)
        return round(median(arrivals), 2), alone.p95, beside.p95
    finally:
        await client.close()


async def _make_timelines(client: Valkey, members: Sequence[UUID]) -> None:
    """Give members timelines, as if each had read the home feed lately."""
    old = [number.to_bytes(16, "big") for number in range(1 << 120, (1 << 120) + TIMELINE)]
    pairs = [part for entry in [COMPLETE, *old] for part in (0, entry)]
    for at in range(0, len(members), 500):
        await asyncio.gather(
            *(client.execute("ZADD", key_of(member), *pairs) for member in members[at : at + 500])
        )


async def _is_at_the_end(client: Valkey, members: Sequence[UUID], post_id: UUID) -> None:
    """Wait until a post is in the timeline that it reaches last.

    That is one question at a time: asking for all of them would be most of what others wait for.
    """
    last = max(members[-BATCH:], key=key_of)
    async with asyncio.timeout(ARRIVAL_SECONDS):
        while not await client.execute("ZSCORE", key_of(last), post_id.bytes):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)


async def _require_everywhere(
    client: Valkey, members: Sequence[UUID], posts: Sequence[UUID]
) -> None:
    entries = [post.bytes for post in posts]
    for member in members:
        if None in await client.execute("ZMSCORE", key_of(member), *entries):
            raise OperatorError(f"A post did not reach the timeline of {member}.")


async def _timeline_bytes(installation: Installation) -> float:
    client = valkey.connect(installation.settings, installation.home)
    try:
        keys = (await client.execute("SCAN", 0, "MATCH", "timeline:*", "COUNT", 1_000_000))[1]
        sizes = await asyncio.gather(
            *(client.execute("MEMORY", "USAGE", key, "SAMPLES", 0) for key in keys)
        )
    finally:
        await client.close()
    if not sizes:
        raise OperatorError("There is no timeline in Valkey: the home feed was not read from it.")
    return float(sum(sizes)) / len(sizes)


async def _counts(installation: Installation) -> tuple[int, int]:
    dsn = postgres.dsn(installation.settings, installation.home, postgres.OWNER)
    async with postgres.connection(dsn) as connection:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM feed.posts) AS posts,"
            " (SELECT count(*) FROM feed.follows) AS follows"
        )
    assert row is not None
    return row["posts"], row["follows"]


def each_request(
    before: dict[str, float], after: dict[str, float], requests: int
) -> dict[str, int]:
    """Return the microseconds of a request, of the components that take part in it."""
    return {name: round(1e6 * (after[name] - before[name]) / requests) for name in TAKING_PART}


def _cpu_of_children() -> float:
    """Return the CPU time of what this process runs: the baseline."""
    seconds = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


class _Member(msgspec.Struct):
    id: UUID
