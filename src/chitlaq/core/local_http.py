"""Ask a process on this machine over its Unix socket: one GET, no library."""

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
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=MAX_BYTES)
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
