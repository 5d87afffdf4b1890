"""HTTP requests byte by byte: clients' libraries tidy up paths and headers before they send them."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    head: str
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


def _is_whole(received: bytes) -> bool:
    """Whether an answer is complete by its length: nginx waits five seconds for a body that it refused."""
    head, end, content = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end) and length is not None and len(content) >= int(length[1])


async def ask(
    port: int,
    target: str,
    *headers: str,
    host: str = "localhost",
    source: str = "127.0.0.1",
    method: str = "GET",
    version: str = "HTTP/1.1",
    body: str = "",
) -> Answer:
    """Send a request with exactly this target from one of this machine's addresses."""
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        try:
            lines = [f"{method} {target} {version}", f"Host: {host}", "Connection: close", *headers]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body.encode())
            received = b""
            while not _is_whole(received) and (more := await reader.read(1 << 16)):
                received += more
        finally:
            writer.close()
    head, _, content = received.decode().partition("\r\n\r\n")
    return Answer(int(head.split(" ")[1]), head, content)
