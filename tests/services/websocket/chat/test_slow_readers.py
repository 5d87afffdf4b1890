"""Who stops reading is closed and loses nothing; others notice nothing of it."""

from __future__ import annotations

import contextlib
import json
import re
import socket

import httpx
import websockets

from tests.conftest import Stack
from tests.services.websocket.chat.talking import (
    Join,
    connected,
    conversation,
    received,
    say,
    until,
)
from tests.services.websocket.test_websocket import signed_in

# 64 KB in 4,000 characters as people see them. A kernel keeps some megabytes of them, and no more.
LONG = (
    "\N{THUMBS UP SIGN}\N{TAG LATIN SMALL LETTER A}\N{TAG LATIN SMALL LETTER B}\N{CANCEL TAG}"
    * 4000
)
MOST = 200


async def closed_as_slow(stack: Stack) -> float:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{stack.ports['websocket']}/metrics")).text
    found = re.search(r'websocket_closed_total\{code="1013"\} (\S+)', text)
    return float(found[1]) if found else 0.0


async def test_reader_that_stops_is_closed_and_reads_on_where_it_was(
    stack: Stack, join: Join
) -> None:
    ada, ben, eve = await join(), await join(), await join()
    found = await conversation(ada, ben, eve, kind="group", name="loud")
    before = await closed_as_slow(stack)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", stack.ports["websocket"]))
    address = f"ws://127.0.0.1:{stack.ports['websocket']}/ws"
    async with (
        websockets.connect(address, sock=narrow, ping_interval=None, close_timeout=1) as slow,
        connected(stack, eve) as other,
    ):
        await signed_in(slow, ben)
        slow.transport.pause_reading()
        for count in range(1, MOST):
            await say(ada, found["id"], LONG)
            assert (await received(other, "message"))["seq"] == count
            if await closed_as_slow(stack) > before:
                break
        await say(ada, found["id"], "after it")
        slow.transport.resume_reading()
        frames = []
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                frames.append(json.loads(await slow.recv()))
    seen = [frame["seq"] for frame in frames if frame["type"] == "message"]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) <= count < MOST - 1
    async with connected(stack, ben) as again:
        body = {"type": "resume", "conversations": {found["id"]: len(seen)}}
        await again.send(json.dumps(body))
        frames = await until(again, "resumed")
    missed = [one["seq"] for one in frames if one["type"] == "message"]
    assert missed == list(range(len(seen) + 1, count + 2))
