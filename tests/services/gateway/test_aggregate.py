"""The API description is whole: a service that takes its time is waited for, and none is left out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from chitlaq.core.http.problems import Problem
from chitlaq.core.http.service import Context
from chitlaq.core.installation.home import Home
from chitlaq.services.gateway import aggregate
from chitlaq.services.gateway.aggregate import Aggregate

SERVICES = [row.name for row in aggregate.OTHERS if row.is_for_members]
SLOW_SECONDS = aggregate.ANSWER_SECONDS + 0.3


async def describing(home: Home, name: str, seconds: float) -> asyncio.Server:
    """Let a service describe itself on its socket after some seconds."""
    document = {"info": {"version": "1"}, "components": {}, "paths": {f"/{name}": {}}}
    body = msgspec.json.encode(document)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(seconds)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    return await asyncio.start_unix_server(answer, home.service_socket(name, 0))


async def test_api_description_has_every_service_or_says_which_one_it_lacks(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run.mkdir()
    described = Aggregate(cast("Context", SimpleNamespace(home=home)))
    slow, *others = SERVICES
    servers = [await describing(home, name, 0) for name in others]
    with pytest.raises(Problem, match=slow):
        await described.openapi()
    servers.append(await describing(home, slow, SLOW_SECONDS))
    whole = {f"/api/{name}" for name in SERVICES}
    assert set((await described.openapi())["paths"]) == whole
    for server in servers:
        server.close()
    assert set((await described.openapi())["paths"]) == whole, "as they were described before"
