"""A stack on a Valkey Cluster: a slot moves and a node dies while two processes exchange messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from chitlaq.core.data.valkey_cluster import slot_of
from chitlaq.services.websocket.chat.exchange import CHANNELS
from tests.conftest import Member, Stack, become_member, eventually, start_stack, stop_stack
from tests.faults.test_chat import WORKERS, load
from tests.services.websocket.chat.history import faults
from tests.valkey_cluster import NODES, ValkeyCluster, valkey_cluster


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ValkeyCluster]:
    async with valkey_cluster(tmp_path_factory.mktemp("valkey")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
async def on_cluster(cluster: ValkeyCluster) -> AsyncIterator[Stack]:
    stack = start_stack(CHITLAQ_WORKERS_WEBSOCKET=str(WORKERS), REDIS_URL=cluster.url)
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture
async def members(on_cluster: Stack, name: Callable[[], str]) -> AsyncIterator[list[Member]]:
    async with httpx.AsyncClient(base_url=on_cluster.gateway, timeout=20) as client:
        yield [await become_member(on_cluster, client, name()) for _ in range(4)]


async def metric(stack: Stack, name: str) -> float:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{stack.ports['websocket']}/metrics")).text
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))


async def hears(stack: Stack) -> bool:
    return await metric(stack, "websocket_processes_deaf") == 0


async def test_nothing_is_lost_when_slots_move_and_a_node_dies_and_comes_back(
    on_cluster: Stack, cluster: ValkeyCluster, members: list[Member]
) -> None:
    groups = [members[:2], members[1:3], members[2:], members]
    async with load(on_cluster, groups, devices=range(WORKERS)) as (record, _):

        async def more() -> None:
            """As much again is sent and acknowledged."""
            before = len(record.acknowledged)
            await eventually(lambda: len(record.acknowledged) > before + 40)

        for channel in CHANNELS[:4]:
            async with cluster.moving(slot_of(channel.encode())):
                await more()
        await eventually(lambda: hears(on_cluster))
        cluster.kill(2)
        await more()
        cluster.start(2)
        await cluster.is_whole()
        await eventually(lambda: hears(on_cluster))
        await more()
    assert list(faults(record))[:5] == []


async def test_operators_are_told_of_each_node(
    on_cluster: Stack, cluster: ValkeyCluster, members: list[Member]
) -> None:
    checks = ("redis.ready", "redis.memory")
    await eventually(lambda: hears(on_cluster))

    def outcomes() -> dict[str, tuple[str, str]]:
        found = on_cluster.json("ops", "check", *checks)
        return {one["check"]: (one["verdict"], one["summary"]) for one in found["results"]}

    found = outcomes()
    assert found["redis.ready"][1].startswith(f"{NODES} nodes of a cluster: version ")
    assert all(f"127.0.0.1:{port}: " in found["redis.memory"][1] for port in cluster.ports[:NODES])
    ada, ben = members[:2]
    await ben.put(f"/api/users/{ada.username}/follow")
    assert await ben.home() == []
    cluster.kill(1)
    try:
        said = f"Valkey: 127.0.0.1:{cluster.ports[1]}: "
        for verdict, summary in outcomes().values():
            assert verdict in {"CRITICAL", "UNKNOWN"}
            assert said in summary
        answer = await ada.get("/health")
        assert said.removeprefix("Valkey: ") in answer.text
        post = await ada.write("while a node is gone")
        assert [one["id"] for one in await ben.home()] == [post["id"]]
    finally:
        cluster.start(1)
        await cluster.is_whole()
