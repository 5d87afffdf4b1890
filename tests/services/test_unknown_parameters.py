"""Every route of every service refuses a query parameter that it does not declare."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import httpx
import pytest

from chitlaq import inventory
from chitlaq.core.http import routes
from chitlaq.core.http.service import Service
from chitlaq.core.installation.home import Home
from tests.conftest import Stack
from tests.services.test_bad_input import assert_is_problem

PAGES = {"/", "/verify", "/static/{name}"}
"""Pages that people reach by links, to which mail programs and others add parameters."""
ID = "00000000-0000-0000-0000-000000000000"


def every_route() -> Iterator[tuple[str, str, str]]:
    for component in inventory.SERVICES:
        service: Service = import_module(f"{component.package}.routes").SERVICE
        for path in sorted(routes.OWN_PATHS):
            yield component.name, "GET", path
        for route in routes.declared(service):
            for method in sorted(route.methods):
                yield component.name, method, route.template


async def ask(stack: Stack, service: str, method: str, target: str) -> httpx.Response:
    """Ask a service's first process, without the gateway in between."""
    transport = httpx.AsyncHTTPTransport(uds=str(Home(stack.home).service_socket(service, 0)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.request(method, target)


@pytest.mark.parametrize(("service", "method", "path"), list(every_route()))
async def test_unknown_parameter_is_refused_by_name(
    stack: Stack, service: str, method: str, path: str
) -> None:
    target = path.replace("{post_id}", ID).replace("{session_id}", ID)
    answer = await ask(stack, service, method, f"{target}?limit=1&unheard_of=1&q=x&page=1")
    if path in PAGES:
        assert answer.status_code in {200, 404}, answer.text
    else:
        assert answer.status_code == 422, answer.text
        assert_is_problem(answer, "unheard_of")


async def test_parameter_that_only_another_route_has_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/search/users?q=a&cursor=AAAA")
    assert answer.status_code == 422
    assert_is_problem(answer, "cursor")
    answer = await client.get("/api/users/nobody?limit=5")
    assert answer.status_code == 422
    assert_is_problem(answer, "limit")


async def test_preflight_of_any_query_is_answered(client: httpx.AsyncClient) -> None:
    """A browser asks with the query of the request that is to follow."""
    headers = {"Origin": "https://app.example.edu", "Access-Control-Request-Method": "GET"}
    answer = await client.options("/api/feed/home?unheard_of=1", headers=headers)
    assert answer.status_code == 204
