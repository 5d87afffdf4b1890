"""What tests of chat do: connect, send, wait for frames, begin conversations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import websockets
from websockets.asyncio.client import ClientConnection

from tests.conftest import Member, Stack
from tests.services.websocket.test_websocket import signed_in, url

Join = Callable[[], Awaitable[Member]]


@asynccontextmanager
async def connected(stack: Stack, member: Member) -> AsyncIterator[ClientConnection]:
    async with websockets.connect(url(stack)) as socket:
        await signed_in(socket, member)
        yield socket


async def received(socket: ClientConnection, kind: str) -> Any:
    """The next frame of this type; others are passed by."""
    async with asyncio.timeout(30):
        while True:
            frame = json.loads(await socket.recv())
            if frame["type"] == kind:
                return frame


async def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """The frames up to the first of this type."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while not found or found[-1]["type"] != kind:
            found.append(json.loads(await socket.recv()))
    return found


async def send(socket: ClientConnection, conversation: str, text: str, **more: Any) -> None:
    frame = {
        "type": "send",
        "conversation_id": conversation,
        "text": text,
        "client_id": str(uuid4()),
    }
    await socket.send(json.dumps({**frame, **more}))


async def conversation(
    member: Member, *others: Member, strangers: bool = False, **more: Any
) -> dict[str, Any]:
    """Begin a conversation with others, who follow the member unless they are strangers."""
    if not strangers:
        for other in others:
            await other.put(f"/api/users/{member.username}/follow")
    body = {"kind": "direct", "members": [other.username for other in others], **more}
    answer = await member.post("/api/conversations", body)
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def delete_account(stack: Stack, member: Member) -> None:
    """Delete an account by SQL, as if only feed-service had erased what it did to others."""
    await stack.sql(
        "WITH gone AS (DELETE FROM feed.follows WHERE $1 IN (follower_id, followed_id)"
        "  RETURNING follower_id, followed_id)"
        " UPDATE feed.members m SET"
        "  followers_count = followers_count - (SELECT count(*) FROM gone WHERE followed_id = m.id),"
        "  following_count = following_count - (SELECT count(*) FROM gone WHERE follower_id = m.id)"
        " WHERE id IN (SELECT unnest(ARRAY[follower_id, followed_id]) FROM gone)",
        UUID(member.id),
    )
    await stack.sql("DELETE FROM auth.accounts WHERE id = $1", member.id, role="chitlaq_auth")


async def history(member: Member, conversation_id: str, **params: Any) -> list[dict[str, Any]]:
    answer = await member.get(f"/api/conversations/{conversation_id}/messages", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def say(member: Member, conversation_id: str, text: str, **more: Any) -> dict[str, Any]:
    body = {"text": text, "client_id": str(uuid4()), **more}
    answer = await member.post(f"/api/conversations/{conversation_id}/messages", body)
    assert answer.status_code == 201, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def quiet(socket: ClientConnection) -> list[dict[str, Any]]:
    """The frames until the answer to a ping.

    What this socket asked for before has been answered by then. What others did has not always
    arrived: they may be connected to another process. Wait for that with `received` or `until`.
    """
    await socket.send('{"type":"ping"}')
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while True:
            frame = json.loads(await socket.recv())
            if frame["type"] == "pong":
                return found
            found.append(frame)
