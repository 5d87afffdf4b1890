"""Whatever nginx refuses by itself, it says so as a problem document, as the services do."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Stack
from tests.services.gateway.raw_http import Answer, ask

ROUTES = ("/", "/api/posts", "/api/feed/home", "/ws", "/static/none", "/nothing")

REQUESTS: dict[str, tuple[set[int], dict[str, Any]]] = {
    "unknown Transfer-Encoding": ({501}, {"headers": ("Transfer-Encoding: gzip",)}),
    "two of them": ({400, 501}, {"headers": ("Transfer-Encoding: gzip, chunked",)}),
    "length and chunks": (
        {400},
        {"headers": ("Content-Length: 1", "Transfer-Encoding: chunked"), "body": "0\r\n\r\n"},
    ),
    "HTTP/2.0": ({505}, {"version": "HTTP/2.0"}),
    "HTTP/9.9": ({505}, {"version": "HTTP/9.9"}),
    "no version": ({400}, {"version": "HTTP/x"}),
    "TRACE": ({405}, {"method": "TRACE"}),
    "no method": ({400}, {"method": "get"}),
    "no number as length": ({400}, {"headers": ("Content-Length: x",)}),
    "large body": ({413}, {"method": "POST", "headers": ("Content-Length: 99999999999",)}),
    "long header": ({431}, {"headers": (f"X-Long: {'x' * 60_000}",)}),
    "no host name": ({400}, {"host": "a/b"}),
}


def assert_problem(answer: Answer, what: str) -> None:
    assert re.search(r"(?mi)^content-type: application/problem\+json\r?$", answer.head), what
    problem = answer.json()
    assert problem["status"] == answer.status, what
    assert problem["title"], what
    assert problem["detail"], what
    assert re.fullmatch(r"[0-9a-f]{32}", problem["request_id"]), what


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_nginx_refuses_is_a_problem_on_every_route(stack: Stack, name: str) -> None:
    expected, request = REQUESTS[name]
    headers = request.get("headers", ())
    options = {key: value for key, value in request.items() if key != "headers"}
    for port in ("edge", "gateway"):
        for route in ROUTES:
            answer = await ask(stack.ports[port], route, *headers, **options)
            what = f"{name} to {port}{route}: {answer.head}"
            assert answer.status in expected, what
            assert_problem(answer, what)


async def test_address_that_is_too_long_is_a_problem(stack: Stack) -> None:
    answer = await ask(stack.ports["edge"], "/" + "x" * 60_000)
    assert answer.status == 414
    assert_problem(answer, answer.head)


async def test_fault_of_nginx_itself_is_a_problem(stack: Stack) -> None:
    """A body that does not fit into its buffer goes to a file."""
    folder = stack.home / "nginx" / "body"
    aside = folder.rename(folder.with_name("aside"))
    try:
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", stack.ports["edge"])
            writer.write(
                b"POST /api/posts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Content-Length: 200000\r\nExpect: 100-continue\r\n\r\n"
            )
            await reader.readuntil(b"100 Continue\r\n\r\n")
            # Just the buffer: what nginx had not read would reset the connection.
            writer.write(b"x" * 65_536)
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
            writer.close()
    finally:
        aside.rename(folder)
    answer = Answer(int(head.split(" ")[1]), head, body)
    assert answer.status == 500
    assert_problem(answer, head)
    assert answer.json()["title"] == "Internal Server Error"


async def test_every_page_of_nginx_has_its_problem(stack: Stack) -> None:
    """Taken from the program that runs: another version may have more of its own pages in HTML."""
    program = Path(psutil.Process(stack.ps()["nginx"]["pid"]).exe())
    pages = {int(one) for one in re.findall(rb"<title>([45]\d\d) ", program.read_bytes())}
    assert {400, 404, 500, 501, 505} <= pages
    text = (stack.home / "nginx" / "nginx.conf").read_text()
    groups = re.findall(r"(?:^ *error_page [^;]+;\n)+", text, re.MULTILINE)
    # The servers, the gateway's and each service's locations.
    assert len(groups) > len(ROUTES)
    for group in groups:
        covered = {int(one) for one in re.findall(r"(?<![=\d])\d{3}(?= )", group)}
        assert pages <= covered, group
