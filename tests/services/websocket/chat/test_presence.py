"""Presence and sessions: who types and who is there, for whom may know; nobody after their session's end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tests.conftest import Stack, eventually
from tests.services.websocket.chat.talking import (
    Join,
    connected,
    conversation,
    quiet,
    received,
    until,
)
from tests.services.websocket.test_websocket import url


async def types(socket: ClientConnection, conversation_id: str) -> None:
    await socket.send(json.dumps({"type": "typing", "conversation_id": conversation_id}))
    await quiet(socket)


async def test_typing_is_told_to_others_and_not_too_often(stack: Stack, join: Join) -> None:
    ada, ben, eve = await join(), await join(), await join()
    found = await conversation(ada, ben)
    async with (
        connected(stack, ada) as at_ada,
        connected(stack, ben) as at_ben,
        connected(stack, eve) as at_eve,
    ):
        for socket in (at_eve, at_ada, at_ada):
            await types(socket, found["id"])
        assert await until(at_ben, "typing") + await quiet(at_ben) == [
            {
                "type": "typing", "conversation_id": found["id"],
                "username": ada.username, "seconds": 6,
            }
        ]  # fmt: skip
        assert await quiet(at_eve) == []


@pytest.mark.parametrize("hider", [0, 1])
async def test_who_does_not_show_presence_does_not_see_it(
    stack: Stack, join: Join, hider: int
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    await (ada, ben)[hider].put("/api/conversations/privacy", {"shares_presence": False})
    async with connected(stack, ada) as at_ada, connected(stack, ben) as at_ben:
        await types(at_ada, found["id"])
        await at_ben.send(json.dumps({"type": "watch", "usernames": [ada.username]}))
        assert await quiet(at_ben) == []


async def test_presence_comes_and_goes(stack: Stack, join: Join) -> None:
    ada, ben, eve = await join(), await join(), await join()
    await conversation(ada, ben)
    async with connected(stack, ben) as at_ben:
        names = [ada.username, eve.username, "nobody_here"]
        await at_ben.send(json.dumps({"type": "watch", "usernames": names}))

        async def is_told(*, online: bool) -> None:
            frame = await received(at_ben, "presence")
            assert frame == {"type": "presence", "username": ada.username, "online": online}

        await is_told(online=False)
        async with connected(stack, ada), connected(stack, eve):
            await is_told(online=True)
        await is_told(online=False)


async def test_hiding_ends_what_others_see_at_once(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    await conversation(ada, ben)
    async with connected(stack, ben) as at_ben, connected(stack, ada):
        await at_ben.send(json.dumps({"type": "watch", "usernames": [ada.username]}))
        assert (await received(at_ben, "presence"))["online"]
        await ada.put("/api/conversations/privacy", {"shares_presence": False})
        assert not (await received(at_ben, "presence"))["online"]


async def test_block_hides_each_from_the_other_at_once(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    await conversation(ada, ben)
    async with connected(stack, ben) as at_ben, connected(stack, ada) as at_ada:
        for socket, other in ((at_ben, ada), (at_ada, ben)):
            await socket.send(json.dumps({"type": "watch", "usernames": [other.username]}))
            assert (await received(socket, "presence"))["online"]
        assert (await ben.put(f"/api/users/{ada.username}/block")).status_code == 204
        for socket in (at_ben, at_ada):
            assert not (await received(socket, "presence"))["online"]


async def closed(socket: ClientConnection) -> tuple[Any, Any]:
    async with asyncio.timeout(30):
        await socket.wait_closed()
    return socket.close_code, socket.close_reason


async def test_socket_of_a_session_that_ended_is_closed_and_none_is_opened(
    stack: Stack, client: Any, join: Join
) -> None:
    ada, other = await join(), await join()
    async with connected(stack, ada) as socket, connected(stack, other) as bystander:
        answer = await ada.post("/api/auth/logout", {"refresh_token": ada.refresh_token})
        assert answer.status_code == 204, answer.text
        code, reason = await closed(socket)
        assert (code, "session has ended" in reason) == (1008, True)
        assert await quiet(bystander) == []

    async def is_refused() -> bool:
        async with websockets.connect(url(stack)) as again:
            await again.send(json.dumps({"type": "auth", "token": ada.token}))
            return bool(json.loads(await again.recv())["type"] == "error")

    await eventually(is_refused)
