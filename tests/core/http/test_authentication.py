"""Whoever a route does not know is answered 401, before anything else of the request is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from chitlaq import inventory
from tests.conftest import Stack

SERVICES = [row.name for row in inventory.SERVICES]
ID = "00000000-0000-0000-0000-000000000000"
STATUS = "/auth/status"
"""The one route that answers a wrong token: it is there to judge tokens."""

BODIES = {
    "of another type": ("text/plain", b"hello"),
    "broken": ("application/json", b'{"'),
    "of another shape": ("application/json", b'{"unheard_of":1}'),
    "too large": ("application/json", b" " * 1_100_000),
}
"""Each would be refused with a status of its own: 415, 400, 422, 413."""


def unknown_callers(paths: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each operation's method and path, with the headers of each caller whom it does not know."""
    for path, item in paths.items():
        for method, operation in item.items():
            if operation["security"] == [{"bearer": []}]:
                yield method, path, {}
            if {"bearer": []} in operation["security"] and path != STATUS:
                yield method, path, {"Authorization": "Bearer x"}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("service", SERVICES)
async def test_token_is_checked_before_parameters_and_body(
    stack: Stack, service: str, body: str
) -> None:
    media_type, content = BODIES[body]
    transport = httpx.AsyncHTTPTransport(uds=str(stack.home / "run" / f"{service}.0.sock"))
    found = []
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        for method, path, headers in unknown_callers(paths):
            target = re.sub(r"\{\w+_id\}", ID, path).replace("{seq}", "1") + "?unheard_of=1"
            headers["Content-Type"] = media_type
            answer = await client.request(method, target, content=content, headers=headers)
            found.append((answer.status_code, method, path))
    assert [one for one in found if one[0] != 401] == []
    assert found or service in {"api-gateway", "websocket"}
