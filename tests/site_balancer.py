"""What stands before the application nodes: connections go to one that answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx

LOOK_SECONDS = 1.0


class Balancer:
    """A TCP load balancer that asks each gateway for its health, once a second.

    Whoever is connected to a gateway that has not answered is disconnected, as HAProxy's
    ``on-marked-down shutdown-sessions`` does it.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._connections: dict[int, set[asyncio.StreamWriter]] = {port: set() for port in ports}
        self._turns = itertools.count()
        self.healthy: set[int] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Balance until the block ends; gives its port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        looking = [asyncio.create_task(self._look(port)) for port in self._ports]
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in looking:
                task.cancel()
            server.close()
            for port in self._ports:
                self._disconnect(port)

    async def _look(self, port: int) -> None:
        async with httpx.AsyncClient(timeout=2 * LOOK_SECONDS) as client:
            while True:
                try:
                    answer = await client.get(f"http://127.0.0.1:{port}/live")
                    is_healthy = answer.status_code == 200
                except httpx.HTTPError:
                    is_healthy = False
                if is_healthy:
                    self.healthy.add(port)
                else:
                    self.healthy.discard(port)
                    self._disconnect(port)
                await asyncio.sleep(LOOK_SECONDS)

    def _disconnect(self, port: int) -> None:
        for writer in list(self._connections[port]):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        candidates = sorted(self.healthy)
        if not candidates:
            writer.transport.abort()
            return
        port = candidates[next(self._turns) % len(candidates)]
        ends = self._connections[port]
        ends.add(writer)
        try:
            with suppress(OSError):
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
                ends.add(inner_writer)
                await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
                ends.discard(inner_writer)
        finally:
            ends.discard(writer)
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
