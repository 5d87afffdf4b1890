"""Whether a message between two members arrives in both directions, and how soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from chitlaq.client.errors import ClientError, UnreachableError
from chitlaq.client.pinging import CLOSE_SECONDS


class _Frame(msgspec.Struct):
    """What is read of any frame."""

    type: str
    detail: str = ""
    client_id: str | None = None
    text: str = ""


class UndeliveredError(ClientError):
    """A message was refused, not acknowledged, or not delivered; the message says which."""


async def round_trip(
    url: str, conversation_id: UUID, tokens: Sequence[str], timeout_seconds: float
) -> list[float]:
    """Let two members write to each other, and return the seconds from each sending to its arrival.

    Args:
        url: of a WebSocket (``ws://localhost:8080/ws``).
        conversation_id: of a conversation of both.
        tokens: an access token of each.
        timeout_seconds: for everything.

    Raises:
        UnreachableError: the WebSocket does not answer.
        UndeliveredError: it does, and a message did not arrive.
    """
    step = "a connection"
    try:
        async with asyncio.timeout(timeout_seconds), AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(
                    connect(url, proxy=None, close_timeout=CLOSE_SECONDS)
                )
                for _ in tokens
            ]
            step = "an answer to a sign-in"
            for socket, token in zip(sockets, tokens, strict=True):
                await _send(socket, type="auth", token=token)
                await _frame(socket, "signed_in")
            one, other = sockets
            step = "the first message"
            there = await _delivered(conversation_id, one, other)
            step = "the answer to the first message"
            return [there, await _delivered(conversation_id, other, one)]
    except TimeoutError:
        raise UndeliveredError(f"{step} did not arrive within {timeout_seconds:g} s") from None
    except (OSError, ValueError, WebSocketException) as error:
        raise UnreachableError(str(error) or type(error).__name__) from None


async def _delivered(
    conversation_id: UUID, sender: ClientConnection, receiver: ClientConnection
) -> float:
    """Send a message, and wait until it is acknowledged to the sender and the receiver has it."""
    name = str(uuid4())
    began = time.perf_counter()
    await _send(
        sender, type="send", conversation_id=str(conversation_id), client_id=name, text=name
    )
    await _frame(sender, "ack", client_id=name)
    await _frame(receiver, "message", text=name)
    return time.perf_counter() - began


async def _send(socket: ClientConnection, **fields: str) -> None:
    await socket.send(msgspec.json.encode(fields).decode())


async def _frame(socket: ClientConnection, kind: str, **fields: str) -> None:
    """Wait for a frame of this type with these fields; others of the same members may write, too."""
    while True:
        frame = msgspec.json.decode(await socket.recv(decode=False), type=_Frame)
        if frame.type == "error":
            raise UndeliveredError(f"refused: {frame.detail}")
        if frame.type == kind and all(getattr(frame, one) == fields[one] for one in fields):
            return
