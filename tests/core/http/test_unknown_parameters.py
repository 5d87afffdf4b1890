"""Every route of every service refuses a query parameter that it does not declare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from uuid import uuid4

import httpx
import pytest

from chitlaq import inventory
from chitlaq.core.http import routes
from chitlaq.core.http.roles import ROLES
from chitlaq.core.http.service import Service
from chitlaq.core.installation.secrets import Secrets
from tests.conftest import Stack
from tests.services.test_bad_input import assert_is_problem

# Litestar 3 wants parameters marked as such; the version is pinned below it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::litestar.exceptions.base_exceptions.LitestarDeprecationWarning"
)

PAGES = {
    "/",
    "/about",
    "/bookmarks",
    "/chat",
    "/chat/{conversation_id}",
    "/compose",
    "/dev/mail",
    "/drafts",
    "/explore",
    "/follow-requests",
    "/home",
    "/join",
    "/keep",
    "/login",
    "/logout",
    "/manifest.webmanifest",
    "/notifications",
    "/robots.txt",
    "/rules",
    "/search",
    "/settings",
    "/settings/appearance",
    "/settings/shortcuts",
    "/settings/{section}",
    "/shell",
    "/sw.js",
    "/tags/{tag}",
    "/@{handle}",
    "/@{handle}/followers",
    "/@{handle}/following",
    "/@{handle}/p/{post_id}",
    "/@{handle}/p/{post_id}/{about}",
    "/auth/sso/{provider}",
    "/auth/sso/{provider}/callback",
    "/auth/sso/{provider}/code",
    "/confirm-address",
    "/reset",
    "/verify",
    "/static/{version}/{name}",
    "/unsubscribe",
    "/status/confirm",
    "/status/subscribe",
    "/status/unsubscribe",
    "/ws/docs",
}
"""Pages that people reach by links, to which mail programs, identity providers and others add parameters."""
API_OF_PAGES = {("websocket", "/notifications")}
"""Routes of services that have the path of a page."""
ID = "00000000-0000-0000-0000-000000000000"
SERVICES: dict[str, Service] = {
    row.name: import_module(f"{row.package}.routes").SERVICE for row in inventory.SERVICES
}
IDS = {
    name
    for service in SERVICES.values()
    for handler in routes.collect(service)
    for path in handler.paths
    for name in re.findall(r"\{(\w+):uuid\}", path)
}
"""The parameters of paths that are ids."""
VALUES = {
    **dict.fromkeys(IDS, ID),
    "number": "0",
    "seq": "1",
    "size": "large",
    "step": "resolve",
    "uid": "chitlaq-overview",
    "name": "console.css",
}
"""Of parameters of paths; others are sent as they are named."""
FOR_OPERATORS = {
    (name, route.template)
    for name, service in SERVICES.items()
    for route in set(routes.declared(service)) - set(routes.for_members(service))
}
"""Routes that nginx does not forward: they ask for the operators' token."""


def every_route() -> Iterator[tuple[str, str, str]]:
    for name, service in SERVICES.items():
        for path in sorted(routes.OWN_PATHS):
            yield name, "GET", path
        for route in routes.declared(service):
            for method in sorted(route.methods) or ["GET"]:  # a WebSocket
                yield name, method, route.template


async def ask(
    stack: Stack, service: str, method: str, target: str, *, is_operator: bool = False
) -> httpx.Response:
    """Send a request to a service as nginx does, signed in as whom the route is for."""
    token = stack.signer.sign(uuid4(), uuid4(), 900, roles=ROLES)
    if is_operator:
        token = Secrets(stack.home / "secrets").ops_token
    transport = httpx.AsyncHTTPTransport(uds=str(stack.home / "run" / f"{service}.0.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, target, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("service", "method", "path"), list(every_route()))
async def test_unknown_parameter_is_refused_by_name(
    stack: Stack, service: str, method: str, path: str
) -> None:
    target = path
    for name, value in VALUES.items():
        target = target.replace(f"{{{name}}}", value)
    answer = await ask(
        stack,
        service,
        method,
        f"{target}?limit=1&unheard_of=1&q=x&page=1",
        is_operator=service == "ops-service" or (service, path) in FOR_OPERATORS,
    )
    if service == "ops-service" and path.startswith("/ops"):
        # A page of the console: nginx reaches none of them, unless the settings say so.
        assert answer.status_code == 404, answer.text
    elif path in PAGES and (service, path) not in API_OF_PAGES:
        assert "unheard_of" not in answer.text
    else:
        assert answer.status_code == 422, answer.text
        assert_is_problem(answer, "unheard_of")


async def test_parameter_of_another_route_is_refused(stack: Stack) -> None:
    answer = await ask(stack, "search-service", "GET", "/search/suggest?q=a&cursor=AAAA")
    assert_is_problem(answer, "cursor")
    assert set(answer.json()["errors"]) == {"cursor"}
    answer = await ask(stack, "feed-service", "GET", "/users/nobody?limit=5&page=1")
    assert set(answer.json()["errors"]) == {"limit", "page"}


async def test_preflight_of_any_query_is_answered(stack: Stack) -> None:
    """A browser sends the query of the request that follows."""
    answer = await ask(stack, "feed-service", "OPTIONS", "/feed/home?unheard_of=1")
    assert answer.status_code == 204


async def test_path_with_nul_is_nowhere(stack: Stack) -> None:
    """PostgreSQL's texts hold none; nginx refuses it, but the port of a service is open to others."""
    for service, method, path in every_route():
        named = re.findall(r"\{(\w+)\}", path)
        for nul in named:
            if nul in IDS or service == "ops-service":
                continue
            target = path
            for name in named:
                value = "a%00b" if name == nul else VALUES.get(name, ID)
                target = target.replace(f"{{{name}}}", value)
            answer = await ask(
                stack, service, method, target, is_operator=(service, path) in FOR_OPERATORS
            )
            assert answer.status_code == 404, (method, target, answer.text)
