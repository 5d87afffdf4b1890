"""Ask a process on this machine, over its Unix socket or its port: one GET, no library."""

from __future__ import annotations

import asyncio
from pathlib import Path

MAX_BYTES = 4_000_000


async def get(socket: Path, target: str, seconds: float) -> tuple[int, bytes]:
    """Return (status, body) of ``GET target``; the answer must carry its length or end the line.

    Raises:
        OSError: nobody listens there, or the line broke.
        TimeoutError: no whole answer within the time.
        ValueError: what came is not an HTTP answer.
    """
    async with asyncio.timeout(seconds):
        return await _ask(*await asyncio.open_unix_connection(str(socket), limit=MAX_BYTES), target)


async def get_port(port: int, target: str, seconds: float) -> tuple[int, bytes]:
    """The same from a port of the loopback address."""
    async with asyncio.timeout(seconds):
        return await _ask(
            *await asyncio.open_connection("127.0.0.1", port, limit=MAX_BYTES), target
        )


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str
) -> tuple[int, bytes]:
    try:
        request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    version, _, rest = head.partition(b" ")
    if not version.startswith(b"HTTP/") or not rest[:3].isdigit():
        raise ValueError("not an HTTP answer")
    return int(rest[:3]), body
