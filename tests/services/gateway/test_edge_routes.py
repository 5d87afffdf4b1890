"""The edge forwards what the services declare for members, however the path is spelled, and nothing else."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote
from uuid import uuid4

import pytest

from chitlaq import inventory
from chitlaq.cli.serve import load
from chitlaq.core.http import routes
from tests.conftest import Stack
from tests.services.gateway.raw_http import ask

SERVICES = [load(row) for row in inventory.FORWARDED]
PREFIXES = sorted(
    {
        f"/api/{route.template.split('/')[1]}"
        for service in SERVICES
        for route in routes.for_members(service)
        if not service.component.is_gateway
    }
)


def spellings(page: str) -> Iterator[str]:
    """Ways to write a path that one program or another takes for the same."""
    name = page.removeprefix("/")
    encoded = "".join(f"%{ord(letter):02x}" for letter in name)
    for each in (name, f"%{ord(name[0]):02X}{name[1:]}", encoded):
        yield f"/{each}"
        yield f"/{each}/"
        yield f"//{each}"
        yield f"/{each}//"
        yield f"/./{each}"
        yield f"/%2e/{each}"
        yield f"/x/../{each}"
        yield f"/x/%2e%2e/{each}"
        yield f"/x/..%2f{each}"
        yield f"/api/../{each}"
        yield f"/%2f{each}"
        yield f"/{each}%2f"
        yield f"/{each}%2F%2F"
        yield f"/{each}/."
        yield f"/{each}/x/.."
        yield f"/{each}?x=1"
        yield f"/{each}%3f"
        yield f"/{each}%23"
        yield f"/{each}%0a"
        yield f"/{each}%20"
        yield f"/{each};x"
        yield f"/{each}%252f"
        yield f"http://localhost/{each}"
        yield f"http://localhost//{each}/"
        for prefix in PREFIXES:
            yield f"{prefix}/../../{each}"
            yield f"{prefix}/..%2f..%2f{each}"
            yield f"{prefix}/../{each}"
            yield f"{prefix}/%2e%2e/{each}"
            yield f"{prefix}/..%252f{each}"
            yield f"{prefix}//..//{each}"
            yield f"{prefix}/;/../../{each}"
    yield f"/{name.upper()}"


@pytest.mark.parametrize("page", sorted(routes.OWN_PATHS))
async def test_edge_shows_members_no_page_of_operators(stack: Stack, page: str) -> None:
    shown = [
        (target, answer.status)
        for target in spellings(page)
        # Members have a page for themselves: /api/health.
        if not posixpath.normpath(unquote(target)).startswith(f"/api{page}")
        and (answer := await ask(stack.ports["edge"], target)).status not in {400, 404}
    ]
    assert shown == []


@pytest.mark.parametrize(
    "target",
    # The last two are nginx's own: its probe, which is neither logged nor limited, and a page of a problem.
    ["/metrics/", "/metrics%2f", "/health/", "/openapi.json/", "/-/alive", "/-/malformed"],
)
async def test_page_of_operators_is_nothing_to_members(stack: Stack, target: str) -> None:
    answer = await ask(stack.ports["edge"], target)
    assert answer.status == 404
    assert "application/problem+json" in answer.head
    assert answer.json()["detail"] == "There is nothing at this address."


async def test_every_declared_route_reaches_its_service(stack: Stack) -> None:
    """404 and 405 of a service are its own answers; nginx's says that there is nothing."""
    lost = []
    for service in SERVICES:
        for handler in routes.collect(service):
            if "is_for_operators" in handler.opt:
                continue
            is_at_root = not {"is_socket", "is_site"}.isdisjoint(handler.opt)
            is_api = not is_at_root and not service.component.is_gateway
            (template,) = handler.paths
            path = re.sub(r"\{\w+:uuid\}", str(uuid4()), template)
            path = re.sub(r"\{\w+:int\}", "1", path).replace("{handle:str}", "@handle")
            path = ("/api" if is_api else "") + re.sub(r"\{(\w+):\w+\}", r"\1", path)
            for method in sorted(handler.http_methods):
                answer = await ask(stack.ports["edge"], path, "Content-Length: 0", method=method)
                if answer.status == 503 or "nothing at this address" in answer.body:
                    lost.append((method, path, answer.status))
    assert lost == []


@pytest.mark.parametrize("port", ["edge", "gateway"])
async def test_service_gets_the_path_that_was_matched(stack: Stack, port: str) -> None:
    """Not the one that was sent, which the service could read otherwise."""
    for target in ("//api//feed/explore", "/api/x/../feed/%65xplore", "/api/feed/explore?limit=1"):
        assert (await ask(stack.ports[port], target)).status == 200, target
    odd = await ask(stack.ports[port], "/api/users/a%252fb%3fc")
    assert odd.status in {404, 422}


async def test_pages_of_operators_are_for_exempt_addresses(stack: Stack) -> None:
    """The gateway's port may be open to the network, as nginx's is."""
    gateway = stack.ports["gateway"]
    for page in sorted(routes.OWN_PATHS):
        assert (await ask(gateway, page)).status == 200
        assert (await ask(gateway, page, source="127.0.0.7")).status == 404
        # A web page had its own name resolve to this machine.
        assert (await ask(gateway, page, host=f"evil.example:{gateway}")).status == 404
        # A proxy on this machine forwards for somebody else.
        assert (await ask(gateway, page, "X-Forwarded-For: 192.0.2.1")).status == 404
