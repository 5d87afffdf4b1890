"""The gateway: metrics show what members saw; one service's failure does not affect others."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

import httpx
import pytest
import websockets

from tests.conftest import PASSWORD, Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]

SERVICES = ("websocket", "feed", "search", "auth")


async def counted(client: httpx.AsyncClient) -> Counter[tuple[str, str, str]]:
    """(method, route, status) of all requests, by the gateway's metrics."""
    text = (await client.get("/metrics")).text
    found: Counter[tuple[str, str, str]] = Counter()
    for line in text.splitlines():
        if line.startswith("http_requests_total{"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            found[labels["method"], labels["route"], labels["status"]] += int(
                float(line.split()[-1])
            )
    return found


async def test_a_thousand_requests_are_counted_as_a_thousand(client: httpx.AsyncClient) -> None:
    wanted: Counter[tuple[str, str, str]] = Counter()
    requests = [
        ("GET", "/api/feed/explore?limit=1", "/api/feed/explore", 400),
        ("GET", "/api/users/nobody_at_all", "/api/users/{username}", 250),
        ("POST", "/api/posts", "/api/posts", 200),
        ("GET", "/api/search/users", "/api/search/users", 100),
        ("DELETE", "/api/somewhere/else", "unmatched", 50),
    ]
    before = await counted(client)
    gate = asyncio.Semaphore(16)

    async def send(method: str, path: str, route: str) -> None:
        async with gate:
            # Clients name themselves in any bytes.
            answer = await client.request(method, path, headers={b"User-Agent": b"caf\xe9"})
            wanted[method, route, str(answer.status_code)] += 1

    await asyncio.gather(*(send(m, p, r) for m, p, r, count in requests for _ in range(count)))
    assert sum(wanted.values()) == 1000
    assert {status for _, _, status in wanted} == {"200", "401", "404", "422"}

    async def agrees() -> bool:
        now = await counted(client)
        return all(now[key] - before[key] == count for key, count in wanted.items())

    await eventually(agrees)


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_answers_the_runbook(stack: Stack, service: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.ports[service]}") as direct:
        health = (await direct.get("/health")).json()
        assert health["status"] == "healthy"
        assert set(health) == {"status", "timestamp", "version", "uptime", "service", "checks"}
        assert isinstance(health["uptime"], int)
        assert health["timestamp"].endswith("Z")
        assert (await direct.get("/live")).json()["status"] == "alive"
        assert (await direct.get("/ready")).json()["status"] == "ready"
        assert "# TYPE http_requests_total counter" in (await direct.get("/metrics")).text
        assert (await direct.get("/openapi.json")).json()["openapi"].startswith("3.1")


async def test_health_serves_many_concurrent_requests(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.ports['auth']}") as direct:
        answers = await asyncio.gather(*(direct.get("/health") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}


async def test_gateway_answers_the_runbook(stack: Stack, client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json()["service"] == "api-gateway"
    metrics = (await client.get("/metrics")).text
    assert "http_requests_total" in metrics
    assert "http_request_duration_seconds_bucket" in metrics
    health = (await client.get("/api/health")).json()
    assert health["status"] == "healthy"
    assert set(health["checks"]) == {
        "postgres", "redis", "auth-service", "feed-service", "search-service", "websocket",
        "ops-service",
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=stack.edge) as edge:
        page = await edge.get("/")
        assert page.status_code == 200
        assert "The social network of your university" in page.text
        assert "/api/docs" in page.text
        docs = await edge.get("/api/docs", headers={"Accept": "text/html"})
        assert "/api/feed/home" in docs.text
        assert (await edge.get("/metrics")).status_code == 404, "metrics are not for members"
    document = (await client.get("/api/docs")).json()
    assert {"/api/auth/login", "/api/posts", "/api/search/users"} <= set(document["paths"])
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"]


async def test_websocket_answers_ping_on_every_port(stack: Stack) -> None:
    for port in ("websocket", "gateway", "edge"):
        async with websockets.connect(f"ws://127.0.0.1:{stack.ports[port]}/ws") as socket:
            await socket.send('{"type":"ping"}')
            answer = json.loads(await socket.recv())
            assert answer["type"] == "pong"
            assert answer["timestamp"].endswith("Z")


async def test_stopped_service_gives_503_for_its_own_paths_only(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    os.kill(stack.ps()["search-service"]["pid"], signal.SIGKILL)

    async def is_refused() -> httpx.Response | None:
        answer = await client.get("/api/search/users", params={"q": "anyone"})
        return answer if answer.status_code == 503 else None

    answer = await eventually(is_refused)
    assert (await client.get("/api/feed/home")).status_code == 200
    assert (await client.get("/api/auth/status")).status_code == 200
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert "search-service" in answer.json()["detail"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    await eventually(stack.is_healthy)
    assert (await client.get("/api/search/users", params={"q": "anyone"})).status_code == 200


async def test_what_is_somebody_s_own_stays_in_no_cache(
    client: httpx.AsyncClient, join: Join
) -> None:
    member = await join()
    body = {"login": member.username, "password": PASSWORD}
    for answer in (
        await client.post("/api/auth/login", json=body),
        await member.get("/api/users/me"),
        await client.get("/reset?token=secret"),
        await client.get("/api/users/me"),
    ):
        assert answer.headers.get_list("cache-control") == ["no-store"], answer.request.url
    keys = await client.get("/api/auth/jwks.json")
    assert keys.headers.get_list("cache-control") == ["max-age=60"]


async def test_request_id_travels_through_service_query_and_event(stack: Stack, join: Join) -> None:
    author, follower = await join(), await join()
    await follower.put(f"/api/users/{author.username}/follow")
    await stack.sql("ALTER SYSTEM SET log_min_duration_statement = 0")
    await stack.sql("SELECT pg_reload_conf()")
    try:
        async with websockets.connect(f"ws://127.0.0.1:{stack.ports['websocket']}/ws") as socket:
            await socket.send(json.dumps({"type": "auth", "token": follower.token}))
            await socket.recv()
            answer = await author.post("/api/posts", {"text": "follow me through the logs"})
            assert json.loads(await socket.recv())["type"] == "post"
    finally:
        await stack.sql("ALTER SYSTEM RESET log_min_duration_statement")
        await stack.sql("SELECT pg_reload_conf()")
    identifier = answer.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", identifier)

    def is_everywhere() -> bool:
        return all(
            identifier in (stack.home / "logs" / f"{name}.log").read_text(errors="replace")
            for name in ("nginx-access", "feed-service", "postgres", "websocket")
        )

    await eventually(is_everywhere)
    shown = stack.command("logs", "--grep", identifier, "--since", "10m").stdout
    assert {"nginx", "feed-service", "websocket"} <= {
        line.split()[0] for line in shown.splitlines()
    }
    (row,) = stack.command("logs", "nginx", "--grep", identifier).stdout.splitlines()
    assert row.split()[0] == "127.0.0.1"


async def test_head_is_answered_as_get_without_its_body(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    for url in (f"{stack.edge}/", f"{stack.gateway}/api/feed/home", f"{stack.gateway}/health"):
        answer = await client.head(url)
        assert answer.status_code == 200, url
        assert answer.content == b""


async def test_client_cannot_choose_its_request_id(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/feed/home", headers={"X-Request-ID": "f" * 32})
    assert answer.headers["x-request-id"] != "f" * 32


async def test_allowed_origins_may_call_the_api(client: httpx.AsyncClient) -> None:
    origin = {"Origin": "https://app.example.edu"}
    answer = await client.get("/api/feed/home", headers=origin)
    assert answer.headers["access-control-allow-origin"] == origin["Origin"]
    asked = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = await client.options("/api/posts", headers=asked)
    assert answer.status_code == 204
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    answer = await client.get("/api/feed/home", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_large_body_is_refused_at_the_edge(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/posts", content=b"x" * 1_100_000)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


async def test_no_query_string_reaches_the_log(stack: Stack, client: httpx.AsyncClient) -> None:
    await client.get("/verify?token=planted-secret-token")
    await client.get("/api/search/users?q=planted-secret-name")
    for log in (stack.home / "logs").iterdir():
        text = gzip.decompress(log.read_bytes()) if log.suffix == ".gz" else log.read_bytes()
        assert b"planted-secret" not in text, log.name


async def test_account_limit_is_enforced_and_fails_open(stack: Stack, join: Join) -> None:
    member = await join()
    direct = f"http://127.0.0.1:{stack.ports['search']}"
    async with httpx.AsyncClient(base_url=direct, headers=member.headers) as search:
        statuses: list[int] = []
        # The limit refills meanwhile: the slower the machine, the more.
        while 429 not in statuses and len(statuses) < 3000:
            statuses.append((await search.get("/search/users", params={"q": "zz"})).status_code)
    assert statuses.count(429) == 1
    assert statuses.count(200) >= 570, "at most one lease is lost"
