"""Events reach subscribers, late when Valkey is down; newer types do no harm."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from chitlaq.core.data import events, valkey
from chitlaq.core.data.events import Event, PostCreated
from chitlaq.core.data.valkey import Valkey
from chitlaq.services.websocket.listener import Listener
from chitlaq.services.websocket.sockets.hub import Hub
from tests.conftest import Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]


def event() -> PostCreated:
    return PostCreated("0" * 32, uuid4(), datetime.now(UTC), msgspec.Raw(b'{"text":"x"}'))


def counted(type_name: str, result: str) -> float:
    return REGISTRY.get_sample_value("events_total", {"type": type_name, "result": result}) or 0.0


@pytest.fixture
async def publisher(stack: Stack) -> AsyncIterator[Valkey]:
    password = (stack.home / "secrets" / "redis").read_text().strip()
    client = valkey.Valkey(f"redis://:{password}@127.0.0.1:{stack.ports['redis']}/0")
    yield client
    await client.close()


async def counted_at(stack: Stack, service: str, result: str) -> float:
    """The number of events of any type that a service of the stack has counted."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{stack.ports[service]}/metrics")).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "events_total" and sample.labels["result"] == result
    )


async def test_unknown_events_are_skipped_and_counted_and_known_ones_still_come(
    publisher: Valkey,
) -> None:
    """Attacks the promise that old and new versions may run side by side."""
    heard: list[Event] = []

    async def listen() -> None:
        async for one in events.listen(publisher):
            heard.append(one)  # noqa: PERF401 - the listener is cancelled while it waits

    listener = asyncio.create_task(listen())
    sent = event()
    skipped, malformed = counted("unknown", "skipped"), counted("post_created", "malformed")

    async def is_listening() -> bool:
        await events.publish(publisher, sent)
        return bool(heard)

    await eventually(is_listening)
    newer = b'{"type":"from_the_future","request_id":"x","what":[1,2]}'
    for data in (newer, newer, b'{"type":"post_created"}', b"no json", b"[]"):
        await publisher.execute("SPUBLISH", events.CHANNEL, data)
    last = event()
    await events.publish(publisher, last)
    await eventually(lambda: heard[-1] == last)
    listener.cancel()
    assert set(map(events.type_of, heard)) == {"post_created"}
    assert counted("unknown", "skipped") == skipped + 2
    assert counted("post_created", "malformed") == malformed + 1
    types = {
        sample.labels["type"]
        for family in REGISTRY.collect()
        if family.name == "events"
        for sample in family.samples
    }
    assert types == events.TYPES | {"unknown"}, "no label comes from outside"


async def test_event_of_a_post_written_while_valkey_is_down_is_published_later(
    stack: Stack, join: Join
) -> None:
    author, follower = await join(), await join()
    await follower.put(f"/api/users/{author.username}/follow")
    before = await counted_at(stack, "feed", "published")
    pid = stack.ps()["redis"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        post = await author.write("while Valkey is away")
        (job,) = await stack.sql(
            "SELECT state, attempts, reason FROM jobs.jobs"
            " WHERE kind = 'deliver_post' AND payload->>'post_id' = $1",
            post["id"],
        )
        assert job["state"] in {"running", "waiting"}
    finally:
        os.kill(pid, signal.SIGCONT)
    await eventually(lambda: is_published(stack, post["id"]))
    assert await counted_at(stack, "feed", "published") == before + 1


async def is_published(stack: Stack, post_id: str) -> bool:
    return not await stack.sql(
        "SELECT FROM jobs.jobs WHERE kind = 'deliver_post' AND payload->>'post_id' = $1", post_id
    )


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"\xff"}',
        b'{"type":"post_created","request_id":"\xff"}',
        msgspec.json.encode(event()).replace(b'{"text":"x"}', b"[" * 10_000 + b"]" * 10_000),
        msgspec.json.encode(event()).replace(b'Z"', b'"'),
    ],
    ids=["type not UTF-8", "field not UTF-8", "nested too deeply", "time without a zone"],
)
async def test_event_that_is_malformed_in_any_way_ends_no_subscription(data: bytes) -> None:
    """Attacks the promise that an event which nobody can read is counted and skipped."""

    class Client:
        async def subscribed(self, channel: str) -> AsyncIterator[tuple[str, bytes]]:
            yield channel, data
            yield channel, msgspec.json.encode(sent)

    sent = event()
    assert [one async for one in events.listen(cast(Valkey, Client()))] == [sent]


async def test_event_that_cannot_be_handled_ends_no_subscription() -> None:
    class Members:
        def members(self) -> list[UUID]:
            raise ZeroDivisionError

    nothing: Any = None
    await Listener(nothing, nothing, cast(Hub, Members()), nothing)._handle(event())
