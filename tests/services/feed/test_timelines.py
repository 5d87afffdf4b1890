"""Valkey can be lost at any time: feeds are rebuilt, and no post is missed by a timeline."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx
import pytest

from chitlaq.core.data import valkey, valkey_connection
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.services.feed.timelines.cache import (
    COMPLETE,
    MAX_LENGTH,
    STEP,
    Entry,
    Timelines,
    key_of,
)
from tests.conftest import Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]


async def reads(stack: Stack, source: str) -> float:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{stack.ports['feed']}/metrics")).text
    prefix = f'feed_timeline_reads_total{{source="{source}"}} '
    return sum(float(line[len(prefix) :]) for line in text.splitlines() if line.startswith(prefix))


async def test_timeline_is_rebuilt_from_postgresql_if_valkey_is_emptied(
    stack: Stack, join: Join
) -> None:
    author, follower = await join(), await join()
    await follower.put(f"/api/users/{author.username}/follow")
    posts = [(await author.write(f"number {number}"))["id"] for number in range(5)]
    assert [item["id"] for item in await follower.home()] == posts[::-1]
    before = await reads(stack, "valkey")
    assert [item["id"] for item in await follower.home()] == posts[::-1]
    assert await reads(stack, "valkey") == before + 1, "the second time it is in Valkey"

    before = await reads(stack, "postgres")
    assert stack.redis("flushall") == "OK"
    assert [item["id"] for item in await follower.home()] == posts[::-1]
    assert await reads(stack, "postgres") == before + 1
    posts.append((await author.write("after the loss"))["id"])
    assert [item["id"] for item in await follower.home()] == posts[::-1]


async def test_concurrent_members_each_get_their_own_feed(stack: Stack, join: Join) -> None:
    members = [await join() for _ in range(6)]
    expected: dict[str, list[str]] = {}
    for number, member in enumerate(members):
        expected[member.username] = [
            (await member.write(f"{post}", visibility="self"))["id"] for post in range(number)
        ][::-1]
    asked = [member for _ in range(20) for member in members]
    feeds = await asyncio.gather(*(member.home(limit=1 + n % 7) for n, member in enumerate(asked)))
    for number, (member, feed) in enumerate(zip(asked, feeds, strict=True)):
        found = [item["id"] for item in feed]
        assert found == expected[member.username][: 1 + number % 7]


async def test_feed_works_while_valkey_hangs_and_misses_nothing_later(
    stack: Stack, join: Join
) -> None:
    author, follower = await join(), await join()
    await follower.put(f"/api/users/{author.username}/follow")
    first = await author.write("before")
    assert [item["id"] for item in await follower.home()] == [first["id"]]
    pid = stack.ps()["redis"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        second = await author.write("while Valkey hangs")
        assert [item["id"] for item in await follower.home()] == [second["id"], first["id"]]
        health = (await follower.get("/api/health")).json()
        assert health["status"] == "degraded"
    finally:
        os.kill(pid, signal.SIGCONT)

    # The follower's old timeline is still in Valkey: the delivery must reach it.
    async def is_complete() -> bool:
        before = await reads(stack, "valkey")
        items = await follower.home()
        from_valkey = await reads(stack, "valkey") > before
        return from_valkey and [item["id"] for item in items] == [second["id"], first["id"]]

    await eventually(is_complete)

    async def no_job_is_left() -> bool:
        (left,) = await stack.sql("SELECT count(*) FROM jobs.jobs WHERE kind = 'deliver_post'")
        return bool(left["count"] == 0)

    await eventually(no_job_is_left)


async def test_post_written_during_a_rebuild_is_in_the_timeline(stack: Stack, join: Join) -> None:
    """Readers rebuild, authors write, Valkey is emptied in between: no reader misses a post."""
    author, follower = await join(), await join()
    await follower.put(f"/api/users/{author.username}/follow")
    written: list[str] = []

    async def write() -> None:
        for number in range(30):
            post = await author.write(f"number {number}")
            written.append(post["id"])

    async def empty() -> None:
        for _ in range(6):
            await asyncio.to_thread(stack.redis, "flushall")

    async def read() -> None:
        for _ in range(60):
            await follower.home(limit=50)

    await asyncio.gather(write(), empty(), read())
    assert [item["id"] for item in await follower.home(limit=50)] == written[::-1]


async def test_follow_and_unfollow_change_the_feed_at_once(join: Join) -> None:
    author, reader = await join(), await join()
    post = await author.write("written before anyone followed")
    assert await reader.home() == []
    await reader.put(f"/api/users/{author.username}/follow")
    assert [item["id"] for item in await reader.home()] == [post["id"]]
    profile = (await reader.get(f"/api/users/{author.username}")).json()
    assert (profile["followers"], profile["is_followed"]) == (1, True)
    await reader.delete(f"/api/users/{author.username}/follow")
    assert await reader.home() == []
    profile = (await reader.get(f"/api/users/{author.username}")).json()
    assert (profile["followers"], profile["is_followed"]) == (0, False)


async def test_a_stale_timeline_shows_nothing_of_whom_one_no_longer_follows(
    stack: Stack, join: Join
) -> None:
    """As when Valkey missed the end of a follow: the query decides, not what is kept."""
    author, sharer, reader = await join(), await join(), await join()
    for followed in (author, sharer):
        await reader.put(f"/api/users/{followed.username}/follow")
    own = (await author.write("of one's own"))["id"]
    shared = (await (await join()).write("of somebody else"))["id"]
    await sharer.put(f"/api/posts/{shared}/repost")

    async def home_is(*posts: str) -> bool:
        return [item["id"] for item in await reader.home()] == list(posts)

    await eventually(lambda: home_is(shared, own))
    before = await reads(stack, "postgres")
    for followed, left in ((author, (shared,)), (sharer, ())):
        await stack.sql(
            "WITH gone AS (DELETE FROM feed.follows WHERE followed_id = $1 RETURNING follower_id)"
            " UPDATE feed.members SET followers_count = followers_count - (id = $1)::integer,"
            "  following_count = following_count - (id <> $1)::integer"
            " WHERE id = $1 OR id IN (SELECT follower_id FROM gone)",
            followed.id,
        )
        assert await home_is(*left)
    assert await reads(stack, "postgres") == before, "the timeline is the same as before"


async def test_pages_come_from_the_timeline_as_far_as_it_goes(stack: Stack, join: Join) -> None:
    reader, beyond = await join(), 30
    await stack.sql(
        "INSERT INTO feed.posts (author_id, text, visibility)"
        " SELECT $1, 'number ' || n, 'self' FROM generate_series(1, $2::integer) n",
        reader.id,
        MAX_LENGTH + beyond,
    )
    texts = [f"number {n}" for n in range(MAX_LENGTH + beyond, 0, -1)]

    async def walk(size: int) -> list[str]:
        found: list[str] = []
        path = first = f"/api/feed/home?limit={size}"
        while True:
            page = (await reader.get(path)).json()
            found += [item["text"] for item in page["items"]]
            if page["next_cursor"] is None:
                return found
            path = f"{first}&cursor={page['next_cursor']}"

    assert await walk(50) == texts
    # One entry makes room for another, and the mark of being complete takes a place.
    texts.insert(0, (await reader.write("newest", visibility="self"))["text"])
    before = [await reads(stack, source) for source in ("valkey", "postgres")]
    assert await walk(50) == texts
    after = [await reads(stack, source) for source in ("valkey", "postgres")]
    assert [now - then for then, now in zip(before, after, strict=True)] == [4, 2]
    for size in (7, MAX_LENGTH // 5 - 1):
        assert await walk(size) == texts
    for number in (24, 25, 26):
        page = (await reader.get(f"/api/feed/home?limit=10&page={number}")).json()
        assert [item["text"] for item in page["items"]] == texts[number * 10 - 10 : number * 10]
        assert page["next_cursor"] is not None


async def test_abandoned_delivery_is_completed(stack: Stack, join: Join) -> None:
    """As after a kill between the commit and the delivery: only the row remains."""
    author, follower = await join(), await join()
    await follower.put(f"/api/users/{author.username}/follow")
    await author.write("one")
    assert len(await follower.home()) == 1
    await stack.sql(
        "WITH p AS (INSERT INTO feed.posts (author_id, text) VALUES ($1, 'left behind') RETURNING id)"
        " INSERT INTO jobs.jobs (kind, payload, request_id)"
        " SELECT 'deliver_post', jsonb_build_object('post_id', id), $2 FROM p",
        author.id,
        "0" * 32,
    )

    async def arrived() -> bool:
        return len(await follower.home()) == 2

    await eventually(arrived)


async def test_pages_are_read_between_the_steps_of_a_post_to_many(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing may fall back to PostgreSQL: each page is Valkey's, however long a busy machine lets it wait.
    monkeypatch.setattr(valkey_connection, "CONNECT_SECONDS", 60.0)
    monkeypatch.setattr(valkey_connection, "ANSWER_SECONDS", 60.0)
    client = valkey.connect(Settings(), Home(stack.home))
    timelines = Timelines(None, client)  # type: ignore[arg-type]
    members, post = [uuid4() for _ in range(20 * STEP)], uuid4()
    try:
        await asyncio.gather(*(client.execute("ZADD", key_of(one), 0, COMPLETE) for one in members))
        delivery = asyncio.create_task(timelines.add(members, Entry(post, post)))
        pages = 0
        while not delivery.done():
            await timelines.entries(members[0], 0, 1)
            pages += 1
        assert pages > 10
        await delivery
        for member in members[::STEP]:
            assert await timelines.entries(member, 0, 1) == [Entry(post, post)]
    finally:
        await timelines.forget(*members)
        await client.close()
