"""Search is read from a standby that is not too late, and nobody misses what they have written themselves.

Attacks the promises that a standby which is paused or killed changes no answer for longer than the bound, and
that one's own post is found at once.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import httpx
import pytest

from chitlaq.stack.site import rendering
from tests.conftest import Member, become_member, eventually
from tests.site_cluster import DATABASES, SiteCluster, SiteStack, application

pytestmark = pytest.mark.long

BOUND = rendering.LATE_SECONDS


@pytest.fixture(scope="module")
async def stack(cluster: SiteCluster) -> AsyncIterator[SiteStack]:
    await cluster.primary()
    with application(cluster) as stack:
        yield stack


@pytest.fixture
async def members(
    stack: SiteStack, name: Callable[[], str]
) -> AsyncIterator[tuple[Member, Member]]:
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
        yield (
            await become_member(stack, client, name()),
            await become_member(stack, client, name()),
        )


@pytest.fixture
async def standby(cluster: SiteCluster) -> str:
    primary = await cluster.primary()
    (standby,) = {*DATABASES} - {primary}
    return standby


async def counted(stack: SiteStack) -> dict[str, float]:
    """How many reads each result has had."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{stack.ports['search']}/metrics")
    found = {}
    for line in answer.text.splitlines():
        if line.startswith("standby_reads_total{"):
            labels, _, value = line.partition("} ")
            found[labels.partition('result="')[2].partition('"')[0]] = float(value)
    return found


async def finds(member: Member, word: str) -> bool:
    answer = await member.get("/api/search/posts", params={"q": word})
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["items"])


async def is_read_from_standby(stack: SiteStack, member: Member) -> bool:
    before = (await counted(stack)).get("standby", 0.0)
    await finds(member, "nothing")
    return (await counted(stack)).get("standby", 0.0) > before


@asynccontextmanager
async def paused(cluster: SiteCluster, standby: str) -> AsyncIterator[None]:
    """Let a standby receive and not replay; Patroni, which would let it go on, stands still."""
    connection = await asyncpg.connect(cluster.url_of(standby))
    cluster.signal_patroni(standby, signal.SIGSTOP)
    try:
        await connection.execute("SELECT pg_wal_replay_pause()")

        async def is_paused() -> bool:
            state = await connection.fetchval("SELECT pg_get_wal_replay_pause_state()")
            return bool(state == "paused")

        await eventually(is_paused)
        yield
    finally:
        await connection.execute("SELECT pg_wal_replay_resume()")
        await connection.close()
        cluster.signal_patroni(standby, signal.SIGCONT)


async def test_search_is_read_from_a_standby(
    stack: SiteStack, members: tuple[Member, Member], standby: str
) -> None:
    _, reader = members
    await eventually(lambda: is_read_from_standby(stack, reader), 30)


async def test_own_post_is_found_at_once_also_while_the_standby_is_late(
    cluster: SiteCluster, stack: SiteStack, members: tuple[Member, Member], standby: str
) -> None:
    writer, reader = members
    await eventually(lambda: is_read_from_standby(stack, reader), 30)
    async with paused(cluster, standby):
        for _ in range(5):
            word = f"w{uuid4().hex}"
            await writer.write(f"this is {word}")
            assert await finds(writer, word)


async def test_standby_that_does_not_replay_is_not_read_from(
    cluster: SiteCluster, stack: SiteStack, members: tuple[Member, Member], standby: str
) -> None:
    writer, reader = members
    await eventually(lambda: is_read_from_standby(stack, reader), 30)
    word = f"w{uuid4().hex}"
    async with paused(cluster, standby):
        await writer.write(f"this is {word}")
        await asyncio.sleep(BOUND)
        for _ in range(3):
            assert await finds(reader, word)
            assert not await is_read_from_standby(stack, reader)
    await eventually(lambda: is_read_from_standby(stack, reader), 30)


async def test_post_that_is_deleted_is_found_no_longer_than_the_bound(
    cluster: SiteCluster, stack: SiteStack, members: tuple[Member, Member], standby: str
) -> None:
    writer, reader = members
    word = f"w{uuid4().hex}"
    post = await writer.write(f"this is {word}")
    await eventually(lambda: finds(reader, word))
    async with paused(cluster, standby):
        assert (await writer.delete(f"/api/posts/{post['id']}")).status_code == 204
        await asyncio.sleep(BOUND + 0.5)
        assert not await finds(reader, word)


async def test_reads_go_on_when_the_standby_is_killed(
    cluster: SiteCluster, stack: SiteStack, members: tuple[Member, Member], standby: str
) -> None:
    writer, reader = members
    await eventually(lambda: is_read_from_standby(stack, reader), 30)
    word = f"w{uuid4().hex}"
    await writer.write(f"this is {word}")
    await eventually(lambda: finds(reader, word))
    cluster.signal(standby, "postgres")
    try:
        until = time.monotonic() + 2 * BOUND
        while time.monotonic() < until:
            assert await finds(reader, word)
    finally:
        cluster.start_servers(standby, "postgres")
    await cluster.primary()
    await eventually(lambda: is_read_from_standby(stack, reader), 30)
