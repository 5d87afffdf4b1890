"""HTTP requests byte by byte: clients' libraries tidy up paths and headers before they send them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    head: str
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


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
            text = (await reader.read()).decode()
        finally:
            writer.close()
    head, _, content = text.partition("\r\n\r\n")
    return Answer(int(head.split(" ")[1]), head, content)
