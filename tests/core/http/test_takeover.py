"""A worker takes over from its predecessor once it is ready; one that never is takes nothing away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import httpx

from tests.conftest import Stack, eventually, free_ports
from tests.lone_service import lone_service


async def answering(stack: Stack, suffix: object = "sock") -> int:
    """The process that answers where nginx asks."""
    path = stack.home / "run" / f"search-service.0.{suffix}"
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://search") as client:
        return int((await client.get("/live")).json()["pid"])


def successor(stack: Stack, **settings: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "chitlaq", "serve", "search-service"]
    return subprocess.Popen(
        command,
        env=stack.environment | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def test_successor_that_cannot_start_takes_nothing_from_its_predecessor() -> None:
    """Attacks the promise that the old process keeps running: it would, and nobody would reach it."""
    with lone_service("search-service", "search") as stack:
        predecessor = await answering(stack)
        (port,) = free_ports(1)
        with socket.create_server(("127.0.0.1", port)):
            failing = successor(stack, CHITLAQ_PORTS_SEARCH=str(port))
            assert failing.wait(60)
        assert await answering(stack) == predecessor
        assert not list((stack.home / "run").glob(f"*.{failing.pid}"))


async def test_successor_that_is_not_ready_takes_nothing_from_its_predecessor() -> None:
    """Without PostgreSQL none is ready. The supervisor would end it, and nobody would reach the other."""
    with lone_service("search-service", "search") as stack:
        predecessor = await answering(stack)
        waiting = successor(stack)
        try:

            async def runs() -> bool:
                return await answering(stack, waiting.pid) == waiting.pid

            await eventually(runs)
            assert await answering(stack) == predecessor
            os.kill(predecessor, signal.SIGKILL)

            async def took_over() -> bool:
                return await answering(stack) == waiting.pid

            await eventually(took_over)
            assert not list((stack.home / "run").glob(f"*.{waiting.pid}"))
        finally:
            waiting.terminate()
            waiting.wait(60)
