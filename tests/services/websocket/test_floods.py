"""Floods of frames stop nobody else, cost no memory, and close the socket that they come from.

The flood is a program of its own (`flood.py`). Others' answers are compared with those beside a
program that is as busy and sends nothing, in the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import psutil
import pytest
import websockets

from tests.conftest import Member, Stack, eventually, short_form
from tests.services.websocket.flood import FLOODS, HANDSHAKE, QUIET

Join = Callable[[], Awaitable[Member]]

SECONDS = 2.0
SOCKETS = 4
# One socket's flood made others wait 100 to 500 times as long before frames of every type were counted.
MAX_RATIO = 6.0
# The scheduler's own delay on a machine whose processors are all busy.
NOTHING_SECONDS = 0.010
MAX_GROWTH_BYTES = 25_000_000

CASES = [(kind, who) for kind in FLOODS if kind != QUIET for who in ("stranger", "member")]
SHORT = ("pings, stranger", "pongs, member", "empty continuations, stranger", "valid texts, member")


@asynccontextmanager
async def flooding(kind: str, port: int, token: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.services.websocket.flood",
        kind, str(port), str(SECONDS), str(SOCKETS), token,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"flooding\n"

    async def result() -> Any:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        return json.loads(output)

    try:
        yield result
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def answers(port: int, seconds: float) -> list[float]:
    """What somebody else's pings take for so long."""
    found = []
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws", open_timeout=60) as client:
        end = perf_counter() + seconds
        while perf_counter() < end:
            started = perf_counter()
            await client.send('{"type":"ping"}')
            await asyncio.wait_for(client.recv(), 60)
            found.append(perf_counter() - started)
            await asyncio.sleep(0.03)
    return found


async def answer_seconds(port: int) -> float:
    """The 95th percentile for as long as the flood lasts."""
    seconds = await answers(port, SECONDS - 0.3)
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]


async def typical_seconds(port: int) -> float:
    """The median: a busy machine delays some answers by much, and hardly half of them."""
    return statistics.median(await answers(port, 1.0))


def memory(stack: Stack) -> int:
    return psutil.Process(stack.ps()["websocket"]["pid"]).memory_info().rss


@pytest.mark.parametrize("way", ["gateway", "websocket"])
@pytest.mark.parametrize("case", short_form(CASES, *SHORT, name=", ".join))
async def test_flood_of_any_frame_stops_nobody_else(
    stack: Stack, join: Join, case: tuple[str, str], way: str
) -> None:
    kind, who = case
    port = stack.ports["websocket"]
    token = (await join()).token if who == "member" else ""
    before = memory(stack)
    async with flooding(QUIET, stack.ports[way], token):
        usual = await answer_seconds(port)
    async with flooding(kind, stack.ports[way], token) as result:
        meanwhile = await answer_seconds(port)
        growth = memory(stack) - before
        attack = await result()
    assert meanwhile < MAX_RATIO * max(usual, NOTHING_SECONDS), (meanwhile, usual, attack)
    assert growth < MAX_GROWTH_BYTES, attack
    assert attack.keys() <= {"bytes", "closed"}, "each socket was opened"
    await eventually(lambda: nothing_is_left(stack))


IDLE = 2_000
MAX_BYTES_OF_ONE = 20_000
# An answer takes a millisecond; one that waits for 20 µs of each socket's would take forty more.
MAX_RATIO_IDLE = 3.0


async def test_thousands_of_idle_sockets_from_one_address_cost_little_and_stop_nobody(
    stack: Stack,
) -> None:
    port = stack.ports["websocket"]
    before = memory(stack)
    usual = await typical_seconds(port)
    with contextlib.ExitStack() as opened:
        for _ in range(IDLE):
            one = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            one.sendall(HANDSHAKE)
            assert b" 101 " in one.recv(4096)
        meanwhile = await typical_seconds(port)
        growth = memory(stack) - before
    await eventually(lambda: nothing_is_left(stack))
    # What else the machine does comes and goes: the slower of before and after is what is usual.
    usual = max(usual, await typical_seconds(port), NOTHING_SECONDS)
    assert meanwhile < MAX_RATIO_IDLE * usual, (meanwhile, usual)
    assert growth < IDLE * MAX_BYTES_OF_ONE


async def nothing_is_left(stack: Stack) -> bool:
    return "websocket_connections_active 0.0" in (await metrics(stack)).splitlines()


async def metrics(stack: Stack) -> str:
    import httpx

    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{stack.ports['websocket']}/metrics")).text
