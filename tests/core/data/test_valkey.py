"""The URLs of Valkey that an installation accepts; a subscription that falls behind."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import psutil
import pytest
import uvloop

from chitlaq.core.data import valkey, valkey_connection
from chitlaq.core.data.valkey_connection import (
    Address,
    Tls,
    parse_cluster_url,
    parse_sentinel_url,
    parse_url,
)
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from tests.conftest import Stack


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", Address(None, "cache", 6379, None, None, 0, tls=None)),
        ("valkey://:a%2Fb@cache:1/2", Address(None, "cache", 1, None, "a/b", 2, tls=None)),
        ("rediss://me:x@cache", Address(None, "cache", 6379, "me", "x", 0, tls=Tls())),
        (
            "valkeys://cache?ssl_ca_certs=/a.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
            Address(None, "cache", 6379, None, None, 0, Tls("/a.pem", "/c.pem", "/k.pem")),
        ),
        (
            "unix://:x@/run/redis.sock",
            Address("/run/redis.sock", "", 0, None, "x", 0, tls=None),
        ),
    ],
)
def test_url_says_where_the_server_is_and_whether_by_tls(url: str, address: Address) -> None:
    assert parse_url(url) == address


def test_url_of_a_cluster_names_some_of_its_nodes() -> None:
    one = Address(None, "one", 6379, "me", "a/b", 0, tls=Tls())
    url = "rediss-cluster://me:a%2Fb@one?node=two:7000&node=[::1]:7001"
    two, three = replace(one, host="two", port=7000), replace(one, host="::1", port=7001)
    assert parse_cluster_url(url) == [one, two, three]
    assert parse_cluster_url("redis://one") == ()
    with pytest.raises(ValueError, match="a cluster has no databases but 0"):
        parse_cluster_url("redis-cluster://one/1")


def test_url_of_sentinels_names_them_and_what_they_watch() -> None:
    one = Address(None, "one", 26379, None, "a/b", 0, tls=None)
    url = "redis-sentinel://:a%2Fb@one?node=two:7000&name=chitlaq"
    assert parse_sentinel_url(url) == ([one, replace(one, host="two", port=7000)], "chitlaq")
    assert parse_sentinel_url("redis://one?name=chitlaq")[0] == ()
    with pytest.raises(ValueError, match="by a name"):
        parse_sentinel_url("redis-sentinel://one")
    with pytest.raises(ValueError, match="no databases but 0"):
        parse_sentinel_url("redis-sentinel://one/1?name=chitlaq")


def test_url_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="not the URL of a Valkey or Redis server: http"):
        parse_url("http://cache")


async def test_connection_is_not_given_up_because_this_process_was_busy(stack: Stack) -> None:
    home = Home(stack.home)

    async def busy() -> Any:
        client = valkey.connect(Settings(), home)
        try:
            await client.execute("PING")
            answer = asyncio.create_task(client.execute("ECHO", "here"))
            await asyncio.sleep(0)
            # Before the command was even written.
            time.sleep(2 * valkey_connection.ANSWER_SECONDS)
            return await answer
        finally:
            await client.close()

    assert await asyncio.to_thread(uvloop.run, busy()) == b"here"


async def test_server_that_does_not_answer_is_given_up_with_the_reason(stack: Stack) -> None:
    client = valkey.connect(Settings(), Home(stack.home))
    try:
        with pytest.raises(
            valkey_connection.ValkeyUnavailableError, match=r"no answer within 0\.5 s"
        ):
            await client.execute("BLPOP", "nothing-is-here", 30)
    finally:
        await client.close()


COUNT = 110
"""Messages of a quarter of a megabyte: less than Valkey keeps for a subscriber."""


async def test_subscription_that_falls_behind_is_bounded_in_bytes(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Valkey keeps the rest, up to a bound of its own."""
    # 28 MB pass through a server that all tests share: its usual half second is no promise here.
    monkeypatch.setattr(valkey_connection, "CONNECT_SECONDS", 30.0)
    monkeypatch.setattr(valkey_connection, "ANSWER_SECONDS", 30.0)
    client = valkey.connect(Settings(), Home(stack.home))
    subscription = client.subscribed("test:slow")
    first = asyncio.ensure_future(anext(subscription))
    message = b"x" * 256 * 1024
    process = psutil.Process()
    try:
        while not await client.execute("SPUBLISH", "test:slow", message):
            await asyncio.sleep(0.01)
        assert await asyncio.wait_for(first, 10) == ("test:slow", message)
        before = process.memory_info().rss
        for _ in range(COUNT):
            await client.execute("SPUBLISH", "test:slow", message)
        assert process.memory_info().rss - before < 2 * valkey_connection.MAX_PUSHED_BYTES
        for _ in range(COUNT):
            _, read = await asyncio.wait_for(anext(subscription), 10)
            assert read == message, "it is read on"
    finally:
        first.cancel()
        await asyncio.wait({first})
        await subscription.aclose()
        await client.close()
