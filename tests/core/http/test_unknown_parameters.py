"""Every route of every service refuses a query parameter that it does not declare."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import httpx
import pytest

from chitlaq import inventory
from chitlaq.core.http import app, routes
from chitlaq.core.http.service import Service
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from tests.services.test_bad_input import assert_is_problem

# Litestar 3 wants parameters marked as such; the version is pinned below it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::litestar.exceptions.base_exceptions.LitestarDeprecationWarning"
)

PAGES = {"/", "/verify", "/static/{name}"}
"""Pages that people reach by links, to which mail programs and others add parameters."""
ID = "00000000-0000-0000-0000-000000000000"
SERVICES: dict[str, Service] = {
    row.name: import_module(f"{row.package}.routes").SERVICE for row in inventory.SERVICES
}


def every_route() -> Iterator[tuple[str, str, str]]:
    for name, service in SERVICES.items():
        for path in sorted(routes.OWN_PATHS):
            yield name, "GET", path
        for route in routes.declared(service):
            for method in sorted(route.methods) or ["GET"]:  # a WebSocket
                yield name, method, route.template


async def ask(home: Path, service: str, method: str, target: str) -> httpx.Response:
    """Send a request to the application of a service that is not started, so no handler can answer."""
    application = app.create_app(SERVICES[service], Settings(), Home(home))
    transport = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, target)


@pytest.mark.parametrize(("service", "method", "path"), list(every_route()))
async def test_unknown_parameter_is_refused_by_name(
    tmp_path: Path, service: str, method: str, path: str
) -> None:
    target = path.replace("{post_id}", ID).replace("{session_id}", ID)
    answer = await ask(tmp_path, service, method, f"{target}?limit=1&unheard_of=1&q=x&page=1")
    if path in PAGES:
        assert answer.status_code != 422, answer.text
    else:
        assert answer.status_code == 422, answer.text
        assert_is_problem(answer, "unheard_of")


async def test_parameter_of_another_route_is_refused(tmp_path: Path) -> None:
    answer = await ask(tmp_path, "search-service", "GET", "/search/users?q=a&cursor=AAAA")
    assert_is_problem(answer, "cursor")
    assert set(answer.json()["errors"]) == {"cursor"}
    answer = await ask(tmp_path, "feed-service", "GET", "/users/nobody?limit=5&page=1")
    assert set(answer.json()["errors"]) == {"limit", "page"}


async def test_preflight_of_any_query_is_answered(tmp_path: Path) -> None:
    """A browser sends the query of the request that follows."""
    answer = await ask(tmp_path, "feed-service", "OPTIONS", "/feed/home?unheard_of=1")
    assert answer.status_code == 204
