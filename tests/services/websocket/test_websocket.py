"""The WebSocket: invalid frames get an error, abuse closes the socket, events reach the right members."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from chitlaq.services.websocket.sockets.hub import MAX_SOCKETS_PER_ACCOUNT
from tests.conftest import Member, Stack, eventually
from tests.services.websocket.flood import TEXT, frame

Join = Callable[[], Awaitable[Member]]


def url(stack: Stack) -> str:
    return f"ws://127.0.0.1:{stack.ports['gateway']}/ws"


async def ask(socket: ClientConnection, frame: str | bytes) -> Any:
    await socket.send(frame)
    return json.loads(await socket.recv())


async def signed_in(socket: ClientConnection, member: Member) -> None:
    answer = await ask(socket, json.dumps({"type": "auth", "token": member.token}))
    assert answer["type"] == "signed_in"


@pytest.mark.parametrize(
    "sent",
    [
        "nonsense", "", "[]", "{}", "null", '{"type":"unknown"}', '{"type":5}', '{"type":"auth"}',
        '{"type":"auth","token":7}', "[" * 8_000, '{"type":"ping"', b"\xff\xfe", '{"type":"\\ud800"}',
    ],
)  # fmt: skip
async def test_invalid_frame_leaves_the_socket_open(stack: Stack, sent: str | bytes) -> None:
    async with websockets.connect(url(stack)) as socket:
        assert (await ask(socket, sent))["type"] == "error"
        assert (await ask(socket, '{"type":"ping"}'))["type"] == "pong"


async def test_compression_is_offered_in_vain(stack: Stack) -> None:
    async with websockets.connect(url(stack), compression="deflate") as socket:
        assert socket.protocol.extensions == []
        assert (await ask(socket, '{"type":"ping"}'))["type"] == "pong"


async def test_wrong_token_is_refused_and_the_socket_stays(stack: Stack) -> None:
    async with websockets.connect(url(stack)) as socket:
        answer = await ask(socket, '{"type":"auth","token":"wrong"}')
        assert (answer["type"], answer["status"]) == ("error", 401)
        assert (await ask(socket, '{"type":"ping"}'))["type"] == "pong"


@pytest.mark.parametrize(
    ("frames", "code"), [(['{"type":"ping"}'] * 200, 1008), (["x" * 70_000], 1009)]
)
async def test_abuse_closes_the_socket_with_the_right_code(
    stack: Stack, frames: list[str], code: int
) -> None:
    async with websockets.connect(url(stack)) as socket:
        with contextlib.suppress(websockets.ConnectionClosed):
            for frame in frames:
                await socket.send(frame)
            async for _ in socket:
                pass
        assert socket.close_code == code


async def test_answer_to_an_invalid_frame_is_short(stack: Stack) -> None:
    async with websockets.connect(url(stack)) as socket:
        answer = await ask(socket, json.dumps({"type": "x" * 8_000}))
        assert len(json.dumps(answer)) < 500


async def test_stranger_who_sends_much_before_the_answer_to_a_sign_in_is_closed(
    stack: Stack,
) -> None:
    """A socket that waits is not read from, but whatever arrived with its last frame is kept."""
    sign_in = frame(TEXT, b'{"type":"auth","token":"wrong"}')
    async with websockets.connect(f"ws://127.0.0.1:{stack.ports['websocket']}/ws") as socket:
        socket.transport.write(sign_in + frame(TEXT, b"x" * 8_000) * 7)
        async with asyncio.timeout(20):
            await socket.wait_closed()
    assert (socket.close_code, socket.close_reason) == (1008, "wait for the answer to your sign-in")


async def test_oldest_of_too_many_sockets_of_one_account_is_closed(
    stack: Stack, join: Join
) -> None:
    member, other = await join(), await join()
    async with contextlib.AsyncExitStack() as opened:
        sockets = []
        bystander = await opened.enter_async_context(websockets.connect(url(stack)))
        await signed_in(bystander, other)
        for _ in range(MAX_SOCKETS_PER_ACCOUNT + 1):
            socket = await opened.enter_async_context(
                websockets.connect(f"ws://127.0.0.1:{stack.ports['websocket']}/ws")
            )
            await signed_in(socket, member)
            sockets.append(socket)
        async with asyncio.timeout(20):
            await sockets[0].wait_closed()
        assert sockets[0].close_code == 1008
        for socket in (*sockets[1:], bystander):
            assert (await ask(socket, '{"type":"ping"}'))["type"] == "pong"


async def test_event_reaches_only_followers_who_may_read_it(stack: Stack, join: Join) -> None:
    author, follower, stranger = await join(), await join(), await join()
    await follower.put(f"/api/users/{author.username}/follow")
    async with (
        websockets.connect(url(stack)) as first,
        websockets.connect(url(stack)) as second,
        websockets.connect(url(stack)) as other,
        websockets.connect(url(stack)) as anonymous,
    ):
        await signed_in(first, follower)
        await signed_in(second, follower)
        await signed_in(other, stranger)
        await author.write("only for me", visibility="self")
        post = await author.write("for followers", visibility="followers")
        for socket in (first, second):
            event = json.loads(await socket.recv())
            assert event == {"type": "post", "post": post}
        for socket in (other, anonymous):
            assert (await ask(socket, '{"type":"ping"}'))["type"] == "pong", (
                "nothing came before it"
            )


async def test_connections_and_frames_are_counted(stack: Stack) -> None:
    async def value(name: str) -> float:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{stack.ports['websocket']}/metrics")).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    async def is_quiet() -> bool:
        return await value("websocket_connections_active ") == 0

    await eventually(is_quiet)
    before = await value('websocket_messages_total{direction="in",type="ping"}')
    async with websockets.connect(url(stack)) as one, websockets.connect(url(stack)) as two:
        for socket in (one, two):
            await ask(socket, '{"type":"ping"}')
        # A probe of the stack's own may be connected for a moment.
        assert await value("websocket_connections_active ") in {2, 3}
    assert await value('websocket_messages_total{direction="in",type="ping"}') in {
        before + 2,
        before + 3,
    }
    await eventually(is_quiet)


async def test_events_resume_after_a_restart_of_valkey(stack: Stack, join: Join) -> None:
    author, follower = await join(), await join()
    await follower.put(f"/api/users/{author.username}/follow")
    async with websockets.connect(url(stack)) as socket:
        await signed_in(socket, follower)
        assert stack.command("restart", "redis").returncode == 0

        async def arrives() -> bool:
            await author.write("are you there?")
            async with asyncio.timeout(1):
                return bool(json.loads(await socket.recv())["type"] == "post")

        async def arrives_or_not() -> bool:
            try:
                return await arrives()
            except TimeoutError:
                return False

        await eventually(arrives_or_not)
