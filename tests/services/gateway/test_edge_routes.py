"""The edge forwards what the services declare for members, however the path is spelled, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import posixpath
import re
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import unquote
from uuid import uuid4

import pytest

from chitlaq import inventory
from chitlaq.cli.serve import load
from chitlaq.core.http import cookies, routes
from chitlaq.services.gateway import apologies
from tests.conftest import Member, Stack
from tests.lone_edge import Edge
from tests.services.gateway.raw_http import Answer, ask

BROWSER = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
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


def is_problem(answer: Answer) -> bool:
    return (
        answer.status == 404
        and "Content-Type: application/problem+json" in answer.head
        and answer.json()["detail"] == "There is nothing at this address."
    )


async def test_mistyped_address_is_a_page_for_browsers_within_their_limit(
    stack: Stack, join: Callable[[], Awaitable[Member]]
) -> None:
    edge = stack.ports["edge"]
    for path in (
        "/hoem",
        "/hoem/a%2fb?x=%ff",
        "/%ff.php",
        "/apis",
        "/x/../hoem",
        "/ops/",
        "/status/hoem",
        "/dev/hoem",
    ):
        for language, title in (("en", "There is nothing here"), ("tr", "Burada bir şey yok")):
            asked = (BROWSER, f"Accept-Language: {language}", "Cookie: theme=dark")
            answer = await ask(edge, path, *asked)
            assert (answer.status, title in answer.body) == (404, True), path
            assert f'<html lang="{language}" data-theme="dark"' in answer.body, path
            assert {'href="/"', 'href="/search"'} <= set(re.findall(r'href="[^"]*"', answer.body))
            head = answer.head.lower()
            for one in ("type: text/html", "cache-control: no-cache", "vary: origin, accept"):
                assert one in head, path
            alone = await ask(edge, path, *asked, method="HEAD")
            assert (alone.status, alone.body) == (404, ""), path
            assert "Content-Type: text/html" in alone.head
    cookie = f"Cookie: {cookies.ACCESS}={(await join()).token}; lang=tr"
    answer = await ask(edge, "/hoem", BROWSER, cookie)
    assert (answer.status, 'href="/home"' in answer.body) == (404, True)
    assert "Burada bir şey yok" in answer.body
    assert "cache-control: no-store" in answer.head.lower()

    flood = await asyncio.gather(
        *(ask(edge, f"/{number}", BROWSER, source="127.0.0.71") for number in range(90))
    )
    assert {one.status for one in flood} == {404, 429}


async def test_mistyped_address_is_a_problem_for_programs(stack: Stack) -> None:
    edge = stack.ports["edge"]
    for accept in ("*/*", "application/json", "text/htmlx", "text/html;q=0, */*", "x/text/html"):
        assert is_problem(await ask(edge, "/hoem", f"Accept: {accept}")), accept
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = await ask(edge, "/hoem", BROWSER, "Content-Length: 0", method=method)
        assert is_problem(answer), method
    for path in (
        "/api", "/api/hoem", "//api//hoem", "/x/../api/hoem", "/ws/hoem", "/static/hoem", "/media/x",
        "/metrics", "/%2fmetrics", "/health/", "/-/alive", "/-/malformed",
    ):  # fmt: skip
        assert is_problem(await ask(edge, path, BROWSER)), path
    of_operators = await ask(stack.ports["gateway"], "/metrics", BROWSER, source="127.0.0.7")
    assert is_problem(of_operators)


async def test_mistyped_address_is_a_problem_while_the_gateway_is_away(lone_edge: Edge) -> None:
    for method in ("GET", "HEAD"):
        answer = await ask(lone_edge.port, "/hoem", BROWSER, method=method)
        assert answer.status == 404
        assert "Content-Type: application/problem+json" in answer.head
    assert is_problem(await ask(lone_edge.port, "/hoem", BROWSER))


async def test_browser_gets_a_page_while_what_makes_pages_is_away(lone_edge: Edge) -> None:
    title = {"en": "ChitLaq does not answer", "tr": "ChitLaq şu anda yanıt vermiyor"}
    for asked, language in (
        ((), "en"),
        (("Accept-Language: tr-TR,tr;q=0.9,en;q=0.8",), "tr"),
        (("Accept-Language: de, tr",), "en"),
        (("Accept-Language: tr", "Cookie: theme=contrast; lang=en"), "en"),
        (("Accept-Language: en", "Cookie: lang=tr; theme=contrast"), "tr"),
    ):
        theme = "contrast" if "theme=contrast" in " ".join(asked) else "auto"
        for path in ("/", "/home", "/@ada", "/tags/x?y=1"):
            answer = await ask(lone_edge.port, path, BROWSER, *asked)
            assert (answer.status, title[language] in answer.body) == (503, True), (path, asked)
            assert f'<html lang="{language}" data-theme="{theme}">' in answer.body
            assert {'href=""', 'href="/status"'} == set(re.findall(r'href="[^"]*"', answer.body))
            (style,) = re.findall("<style>(.*?)</style>", answer.body)
            digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
            assert f"style-src 'sha256-{digest}'" in answer.head
            head = answer.head.lower()
            for one in (
                "type: text/html; charset=utf-8",
                "retry-after: 2",
                "cache-control: no-store",
                f"content-security-policy: {apologies.POLICY.lower()}",
            ):
                assert one in head
    alone = await ask(lone_edge.port, "/home", BROWSER, method="HEAD")
    assert (alone.status, alone.body) == (503, "")
    for path, accept, method in (
        ("/home", "*/*", "GET"), ("/home", "application/json", "GET"), ("/api/feed/home", BROWSER[8:], "GET"),
        ("//api/feed/home", BROWSER[8:], "GET"), ("/api/auth/login", BROWSER[8:], "POST"),
    ):  # fmt: skip
        length = () if method == "GET" else ("Content-Length: 0",)
        answer = await ask(lone_edge.port, path, f"Accept: {accept}", *length, method=method)
        assert (answer.status, answer.json()["title"]) == (503, "Service Unavailable"), path


async def test_browser_that_asks_too_often_gets_a_page_and_programs_a_problem(
    lone_edge: Edge,
) -> None:
    for asked, kind in ((BROWSER, "text/html"), ("Accept: */*", "application/problem+json")):
        flood: list[Answer] = []
        while not any(one.status == 429 for one in flood):
            flood += await asyncio.gather(
                *(ask(lone_edge.port, "/hoem", asked, source="127.0.0.72") for _ in range(20))
            )
            assert len(flood) < 1000
        refused = [one for one in flood if one.status == 429]
        for one in refused:
            assert f"content-type: {kind}" in one.head.lower()
            assert "retry-after: 1" in one.head.lower()
            assert ("Too much at once" in one.body) == (kind == "text/html")


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
