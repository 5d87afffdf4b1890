"""Whether a WebSocket answers, and how soon; anyone may ask."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from chitlaq.client.errors import UnreachableError
from chitlaq.client.frames import Frame

CLOSE_SECONDS = 0.5


class Pong(NamedTuple):
    connect_seconds: float
    answer_seconds: float


async def ping(url: str, timeout_seconds: float) -> Pong:
    """Connect to a WebSocket (``ws://localhost:3002/ws``), and wait for the answer to a ping.

    Raises:
        UnreachableError: there was none; the message says why.
    """
    started = time.perf_counter()
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            connect(url, proxy=None, close_timeout=CLOSE_SECONDS) as socket,
        ):
            asked = time.perf_counter()
            await socket.send('{"type":"ping"}')
            answer = await socket.recv(decode=False)
            answered = time.perf_counter()
        if not _is_pong(answer):
            raise UnreachableError(f"the answer is {answer[:200].decode(errors='replace')}")
    except TimeoutError:
        raise UnreachableError(f"no answer within {timeout_seconds:g} s") from None
    except (OSError, ValueError, WebSocketException) as error:
        raise UnreachableError(str(error) or type(error).__name__) from None
    return Pong(asked - started, answered - asked)


def _is_pong(answer: bytes) -> bool:
    try:
        return msgspec.json.decode(answer, type=Frame).type == "pong"
    except ValueError:
        return False
