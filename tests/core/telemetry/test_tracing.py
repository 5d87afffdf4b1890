"""A request's trace carries its request id and reaches the OTLP collector."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from chitlaq.core.http import app
from tests.conftest import Member, Stack, eventually, free_ports

SERVER, CLIENT, CONSUMER, ERROR = 2, 3, 5, 2


@dataclass
class Collector:
    """An OTLP collector over HTTP that records each span with its service."""

    url: str = ""
    spans: list[tuple[str, Any]] = field(default_factory=list)

    def trace(self, identifier: str) -> dict[tuple[str, str], Any]:
        return {
            (service, span.name): span
            for service, span in self.spans
            if span.trace_id.hex() == identifier
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    collector.spans += [(attributes["service.name"], s) for s in scope.spans]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield collector
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def traced(stack: Stack, endpoint: str, *services: str) -> Iterator[dict[str, str]]:
    """Run further processes of these services with tracing; yield the address of each."""
    ports = dict(zip(services, free_ports(len(services)), strict=True))
    with ExitStack() as ends:
        for service, port in ports.items():
            field = service.removesuffix("-service").upper()
            process = subprocess.Popen(
                [sys.executable, "-m", "chitlaq", "serve", service, "--worker", "9"],
                env=stack.environment
                | {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                    "OTEL_BSP_SCHEDULE_DELAY": "100",
                    f"CHITLAQ_PORTS_{field}": str(port),
                },
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            ends.callback(process.wait, 20)
            ends.callback(process.terminate)
        yield {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}


async def is_ready(client: httpx.AsyncClient, address: str) -> bool:
    return (await client.get(f"{address}/ready")).status_code == 200


async def test_trace_has_the_request_id_and_all_spans(
    stack: Stack, collector: Collector, join: Callable[[], Awaitable[Member]]
) -> None:
    author = await join()
    identifier = secrets.token_hex(16)
    with traced(stack, collector.url, "feed-service", "websocket") as addresses:
        async with httpx.AsyncClient(timeout=20) as client:
            for address in addresses.values():
                await eventually(partial(is_ready, client, address))
            answer = await client.post(
                f"{addresses['feed-service']}/posts",
                json={"text": "the text of a post is nobody's business"},
                headers=author.headers | {"X-Request-ID": identifier},
            )
            assert answer.status_code == 201
            assert answer.headers["x-request-id"] == identifier
            missing = secrets.token_hex(16)
            path = f"/posts/{author.id}"
            await client.get(
                f"{addresses['feed-service']}{path}", headers={"X-Request-ID": missing}
            )

        async def is_whole() -> bool:
            return {("feed-service", "POST /posts"), ("websocket", "post_created")} <= set(
                collector.trace(identifier)
            ) and bool(collector.trace(missing))

        await eventually(is_whole)
    trace = collector.trace(identifier)
    request = trace["feed-service", "POST /posts"]
    assert (request.kind, request.parent_span_id) == (SERVER, b"")
    attributes = {a.key: a.value for a in request.attributes}
    assert attributes["http.response.status_code"].int_value == 201
    assert attributes["http.route"].string_value == "/posts"
    inner = [span for (_, name), span in trace.items() if name.startswith("feed-service.")]
    assert inner
    assert {span.kind for span in inner} == {CLIENT}
    assert trace["feed-service", "SPUBLISH"].kind == CLIENT
    parents = {span.span_id for span in trace.values()}
    assert all(span.parent_span_id in parents for span in inner)
    assert trace["websocket", "post_created"].kind == CONSUMER
    assert {name for _, name in collector.trace(missing)} >= {"GET /posts/{post_id}"}
    assert b"nobody's business" not in b"".join(s.SerializeToString() for _, s in collector.spans)


async def test_requests_succeed_while_the_collector_is_down(stack: Stack) -> None:
    (nobody,) = free_ports(1)
    with traced(stack, f"http://127.0.0.1:{nobody}", "search-service") as addresses:
        async with httpx.AsyncClient(timeout=20) as client:
            await eventually(lambda: is_ready(client, addresses["search-service"]))
            for _ in range(50):
                answer = await client.get(f"{addresses['search-service']}/search/users?q=ada")
                assert answer.status_code == 200


async def test_tracing_loads_nothing_when_it_is_off() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, {app.__name__}; print(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not [name for name in done.stdout.split() if name.startswith("opentelemetry")]
