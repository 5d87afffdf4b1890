"""Whoever asks may make a cursor of anything: none is a fault, in any list of any service."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from chitlaq import inventory
from chitlaq.core.http.roles import ROLES
from chitlaq.core.installation.secrets import Secrets
from tests.conftest import Member, Stack
from tests.core.http.test_unknown_parameters import FOR_OPERATORS
from tests.services.test_bad_input import assert_is_problem

SIZES = (10, 16, 18, 24)
"""In bytes: of all kinds of cursors. test_paging tries the others, where they cost nothing."""
PACKED = [bytes([byte]) * size for byte in (0x00, 0x7F, 0xFF) for size in SIZES]
WRITTEN = ["", "\0", "after-0", f"before-{10**18 - 1}", "after-٣", "A" * 3000]
NO_CURSOR = "no-cursor"


async def test_cursor_that_was_never_given_out_is_refused_or_leads_nowhere(
    stack: Stack, join: Callable[[], Awaitable[Member]]
) -> None:
    eve, bob = await join(), await join()
    post = await eve.write("#any text")
    body = {"kind": "direct", "members": [bob.username]}
    conversation = (await eve.post("/api/conversations", body)).json()
    values = {
        "conversation_id": conversation["id"],
        "post_id": post["id"],
        "tag": "any",
        "username": eve.username,
        "which": eve.username,
    }
    packed = [urlsafe_b64encode(one).decode().rstrip("=") for one in PACKED]
    asked = set()
    for service in inventory.SERVICES:
        async with at(stack, service.name) as client:
            paths = (await client.get("/openapi.json")).json()["paths"]
            for path, item in paths.items():
                parameters = item.get("get", {}).get("parameters", [])
                if not any(one["name"] == "cursor" for one in parameters):
                    continue
                asked.add(path)
                is_for_operators = (service.name, path) in FOR_OPERATORS
                token = Secrets(stack.home / "secrets").ops_token
                if not is_for_operators:
                    token = stack.signer.sign(UUID(eve.id), uuid4(), 900, roles=ROLES)
                client.headers["Authorization"] = f"Bearer {token}"
                needed = "".join(
                    f"&{one['name']}=a"
                    for one in parameters
                    if one["in"] == "query" and one["required"]
                )
                place = re.sub(r"\{(\w+)\}", lambda name: values[name[1]], path)
                target = f"{place}?{needed.removeprefix('&')}"
                answer = await client.get(target)
                assert answer.status_code == 200, (target, answer.text)
                refused = await client.get(f"{target}&cursor={NO_CURSOR}")
                assert_is_problem(refused, "cursor")
                for cursor in (*packed, *map(quote, WRITTEN)):
                    answer = await client.get(f"{target}&cursor={cursor}")
                    assert answer.status_code in {200, 422}, (target, cursor, answer.text)
    assert {"/feed/home", "/search/tags", "/notifications", "/auth/audit"} <= asked


@asynccontextmanager
async def at(stack: Stack, service: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service itself, as nginx is one."""
    transport = httpx.AsyncHTTPTransport(uds=str(stack.home / "run" / f"{service}.0.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
