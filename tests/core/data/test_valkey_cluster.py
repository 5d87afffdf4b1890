"""The same code on a Valkey Cluster: while slots move, a node is killed, and nodes answer for others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from chitlaq.core.data import valkey
from chitlaq.core.data.jobs import Runner
from chitlaq.core.data.valkey import Script, Valkey
from chitlaq.core.data.valkey_cluster import slot_of
from chitlaq.core.data.valkey_connection import ValkeyReplyError
from chitlaq.core.http.limits import WINDOW_SECONDS, Limiter
from chitlaq.core.http.problems import Problem
from chitlaq.services.feed.timelines.cache import MAX_LENGTH, Entry, Timelines
from tests.conftest import eventually
from tests.valkey_cluster import ValkeyCluster, valkey_cluster

INCREASE = Script("for _, key in ipairs(KEYS) do redis.call('INCRBY', key, ARGV[1]) end")


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ValkeyCluster]:
    async with valkey_cluster(tmp_path_factory.mktemp("valkey")) as cluster:
        yield cluster


@pytest.fixture
async def client(cluster: ValkeyCluster) -> AsyncIterator[Valkey]:
    client = Valkey(cluster.url)
    yield client
    await client.close()


@pytest.mark.parametrize(
    "key", ["", "a", "{user1000}.following", "foo{}{bar}", "foo{{bar}}zap", "foo{bar}{zap}", "}{"]
)
async def test_slot_of_a_key_is_the_one_that_valkey_finds(cluster: ValkeyCluster, key: str) -> None:
    assert slot_of(key.encode()) == await cluster.on(0, "CLUSTER", "KEYSLOT", key)


async def test_keys_of_all_nodes_are_written_and_read(client: Valkey) -> None:
    keys = [b"key:%d" % number for number in range(100)]
    await client.run_for_each(INCREASE, keys, 3)
    assert await asyncio.gather(*(client.execute("GET", key) for key in keys)) == [b"3"] * 100


async def test_commands_find_a_slot_while_it_moves_and_afterwards(
    cluster: ValkeyCluster, client: Valkey
) -> None:
    """Keys that have moved, keys that have not, and keys that were never there, in one slot."""
    keys = [b"{moving}:%d" % number for number in range(6)]
    await client.run_for_each(INCREASE, keys[:4], 1)
    async with cluster.moving(slot_of(b"moving")) as source:
        target = cluster.ports[(source + 1) % 3]
        await cluster.on(
            source, "MIGRATE", "127.0.0.1", target, "", 0, 5000,
            "AUTH", "p@ss/word", "KEYS", *(key.decode() for key in keys[:2]),
        )  # fmt: skip
        await client.run_for_each(INCREASE, keys, 1)
        values = [await client.execute("GET", key) for key in keys]
        assert values == [b"2"] * 4 + [b"1"] * 2
    await client.run_for_each(INCREASE, keys, 1)
    values = [await client.execute("GET", key) for key in keys]
    assert values == [b"3"] * 4 + [b"2"] * 2


async def test_subscription_to_channels_of_all_nodes_ends_when_one_of_them_moves(
    cluster: ValkeyCluster, client: Valkey
) -> None:
    """Its reader subscribes again, and looks at what it has missed."""
    channels = [f"channel:{{{number}}}" for number in range(16)]
    is_ready = asyncio.Event()
    heard: list[tuple[str, bytes]] = []

    async def listen() -> None:
        async for one in client.subscribed(*channels, ready=is_ready.set):
            heard.append(one)  # noqa: PERF401 - it ends with an exception

    listening = asyncio.create_task(listen())
    await asyncio.wait_for(is_ready.wait(), 20)
    for channel in channels:
        await client.execute("SPUBLISH", channel, "x")
    await eventually(lambda: sorted(heard) == sorted((channel, b"x") for channel in channels))
    async with cluster.moving(slot_of(b"7")):
        pass
    with pytest.raises(valkey.UNAVAILABLE):
        await asyncio.wait_for(listening, 20)

    async def listen_again() -> None:
        while True:
            with suppress(*valkey.UNAVAILABLE):
                await listen()
            await asyncio.sleep(0.1)

    listening = asyncio.create_task(listen_again())

    async def is_heard() -> bool:
        client.post("SPUBLISH", channels[7], "y")
        return heard[-1] == (channels[7], b"y")

    await eventually(is_heard)
    listening.cancel()


async def test_what_is_posted_to_a_slot_that_has_moved_arrives_the_next_time(
    cluster: ValkeyCluster, client: Valkey
) -> None:
    await client.execute("SET", "{posted}", "before")
    async with cluster.moving(slot_of(b"posted")):
        pass
    client.post("SET", "{posted}", "lost")

    async def is_there() -> bool:
        client.post("SET", "{posted}", "after")
        return bool(await client.execute("GET", "{posted}") == b"after")

    await eventually(is_there)


class NoDatabase:
    """Home timelines that are read from PostgreSQL: none."""

    async def rows(self, _name: str, *_: object) -> list[dict[str, UUID]]:
        return []


async def test_post_reaches_the_timelines_of_followers_on_all_nodes(client: Valkey) -> None:
    timelines = Timelines(NoDatabase(), client)  # type: ignore[arg-type]
    members, post = [uuid4() for _ in range(200)], uuid4()
    entry = Entry(post, post)
    for member in members:
        assert await timelines.entries(member, 0, 10) == []
    await timelines.add(members, entry)
    for member in members:
        assert await timelines.entries(member, 0, MAX_LENGTH - 1) == [entry]
    await timelines.forget(*members)
    for member in members[:20]:
        assert await timelines.entries(member, 0, 10) == []


async def test_limit_holds_for_all_processes(cluster: ValkeyCluster) -> None:
    clients = [Valkey(cluster.url) for _ in range(2)]
    limiters = [Limiter(client, "test", "cluster", 10, lease=1) for client in clients]
    passed, minute = 0, int(time.time() // WINDOW_SECONDS)
    for number in range(20):
        try:
            await limiters[number % 2].spend("somebody")
        except Problem:
            continue
        passed += 1
    assert passed == 10 or int(time.time() // WINDOW_SECONDS) != minute
    for client in clients:
        await client.close()


async def test_dead_node_fails_its_keys_at_once_and_is_named_and_found_again(
    cluster: ValkeyCluster, client: Valkey
) -> None:
    keys = [b"key:%d" % number for number in range(100)]
    await client.run_for_each(INCREASE, keys, 0)
    assert len(await client.each("PING")) == 3
    jobs = Runner(NoDatabase(), client=client)  # type: ignore[arg-type]
    fault = ValkeyReplyError("WRONGTYPE")
    assert not await jobs._is_outage(fault)
    cluster.kill(2)
    assert await jobs._is_outage(fault), "a job that needs this node only is not at fault"
    failed = await asyncio.gather(
        *(client.execute("GET", key) for key in keys), return_exceptions=True
    )
    assert any(isinstance(one, valkey.UNAVAILABLE) for one in failed)
    with pytest.raises(valkey.UNAVAILABLE, match=f"127.0.0.1:{cluster.ports[2]}: "):
        await client.each("PING")
    cluster.start(2)
    await cluster.is_whole()

    async def is_back() -> bool:
        try:
            await asyncio.gather(*(client.execute("GET", key) for key in keys))
        except valkey.UNAVAILABLE:
            return False
        return len(await client.each("PING")) == 3

    await eventually(is_back)


async def test_replica_that_takes_a_dead_nodes_place_is_found(
    cluster: ValkeyCluster, client: Valkey
) -> None:
    keys = [b"replicated:%d" % number for number in range(30)]
    await client.run_for_each(INCREASE, keys, 1)
    await cluster.add_replica(of=1)
    cluster.kill(1)

    async def is_served() -> bool:
        with suppress(*valkey.UNAVAILABLE):
            await client.run_for_each(INCREASE, keys, 1)
            return True
        return False

    await eventually(is_served)
    assert f"127.0.0.1:{cluster.ports[3]}" in await client.each("PING")
