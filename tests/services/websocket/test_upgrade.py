"""A request to ``/ws`` that is no valid upgrade is answered over HTTP, with a problem document."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from tests.conftest import Stack
from tests.services.test_bad_input import assert_is_problem
from tests.services.websocket.flood import TEXT, frame

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
REQUESTS: dict[str, tuple[str, str, dict[str, str], int]] = {
    "a page": ("GET", "/ws", {}, 426),
    "no version": ("GET", "/ws", {"Sec-WebSocket-Version": ""}, 426),
    "old version": ("GET", "/ws", {"Sec-WebSocket-Version": "8"}, 426),
    "no key": ("GET", "/ws", {"Sec-WebSocket-Key": ""}, 426),
    "short key": ("GET", "/ws", {"Sec-WebSocket-Key": "c2hvcnQ="}, 426),
    "another protocol": ("GET", "/ws", {"Upgrade": "h2c"}, 426),
    "unknown parameter": ("GET", "/ws?unheard_of=1", {"Sec-WebSocket-Version": "13"}, 422),
    "parameter without a value": ("GET", "/ws?token", {"Sec-WebSocket-Version": "13"}, 422),
    "another method": ("POST", "/ws", {"Sec-WebSocket-Version": "13"}, 405),
    "below it": ("GET", "/ws/more", {"Sec-WebSocket-Version": "13"}, 404),
}


@pytest.mark.parametrize("way", ["gateway", "websocket"])
@pytest.mark.parametrize("case", REQUESTS)
async def test_request_that_is_no_upgrade_is_a_problem(stack: Stack, way: str, case: str) -> None:
    method, target, changed, status = REQUESTS[case]
    headers = UPGRADE | changed if changed else {}
    async with httpx.AsyncClient() as client:
        answer = await client.request(
            method, f"http://127.0.0.1:{stack.ports[way]}{target}", headers=headers
        )
    assert answer.status_code == status, answer.text
    assert_is_problem(answer)
    if status == 426:
        assert answer.headers["upgrade"] == "websocket"
        assert answer.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("service", ["feed", "websocket"])
async def test_upgrade_of_another_route_gets_its_ordinary_answer(
    stack: Stack, service: str
) -> None:
    """RFC 9110, 7.8: a server may ignore Upgrade."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{stack.ports[service]}/live", headers=UPGRADE)
    assert answer.status_code == 200
    assert answer.json()["status"]


async def test_sockets_are_told_when_the_service_stops(stack: Stack) -> None:
    import websockets

    async with websockets.connect(f"ws://127.0.0.1:{stack.ports['websocket']}/ws") as socket:
        restart = asyncio.create_task(asyncio.to_thread(stack.command, "restart", "websocket"))
        async with asyncio.timeout(60):
            await socket.wait_closed()
        assert (await restart).returncode == 0
        assert socket.close_code == 1012


HEAD = "\r\n".join(f"{name}: {value}" for name, value in ({"Host": "localhost"} | UPGRADE).items())
PING_FRAME = frame(TEXT, b'{"type":"ping"}')


async def statuses(port: int, *pieces: bytes, until: bytes) -> list[int]:
    """Send pieces one by one; return the statuses until the server closes or ``until`` arrives."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            answer = b""
            for index, piece in enumerate(pieces):
                if index:
                    await asyncio.sleep(0.2)  # so that it arrives by itself
                writer.write(piece)
            while until not in answer and (received := await reader.read(65_536)):
                answer += received
        finally:
            writer.close()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize("way", ["gateway", "websocket"])
async def test_frame_sent_together_with_the_handshake_is_answered(stack: Stack, way: str) -> None:
    request = f"GET /ws HTTP/1.1\r\n{HEAD}\r\n\r\n".encode() + PING_FRAME
    assert await statuses(stack.ports[way], request, until=b'"pong"') == [101]


BODIES = {
    "Content-Length: {size}": b"",
    "Transfer-Encoding: chunked": b"400\r\n",
}


@pytest.mark.parametrize("target", ["GET /ws", "GET /feed/home", "POST /posts", "GET /nowhere"])
@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
@pytest.mark.parametrize("how", BODIES)
@pytest.mark.parametrize("service", ["websocket", "feed"])
async def test_body_behind_an_offered_upgrade_is_never_read_as_a_request(
    stack: Stack, service: str, how: str, upgrade: str, target: str
) -> None:
    body = BODIES[how] + b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    head = HEAD.replace("Upgrade: websocket", f"Upgrade: {upgrade}")
    request = f"{target} HTTP/1.1\r\n{head}\r\n{how.format(size=len(body))}\r\n\r\n".encode()
    assert await statuses(stack.ports[service], request, body, until=b"alive") == [400]


async def test_edge_upgrades_the_socket_only_and_forwards_other_bodies_whole(
    stack: Stack,
) -> None:
    """More than a service reads at once: its rest was read as the next request of nginx's connection."""
    async with httpx.AsyncClient(base_url=stack.gateway) as client:
        for method, target, status in (
            ("GET", "/api/feed/home", 200),
            ("POST", "/api/auth/login", 401),
        ):
            wrong = b'{"login":"nobody@example.edu","password":"not the password"}'
            answer = await client.request(
                method, target, content=wrong + b"\n" * 900_000,
                headers=UPGRADE | {"Upgrade": "h2c", "Content-Type": "application/json"},
            )  # fmt: skip
            assert answer.status_code == status, answer.text


async def test_what_follows_an_ignored_upgrade_is_answered_in_order(stack: Stack) -> None:
    page = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = page.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    upgrade = f"GET /ws HTTP/1.1\r\n{HEAD}\r\n\r\n".encode()
    other = upgrade.replace(b"Upgrade: websocket", b"Upgrade: h2c")
    port = stack.ports["websocket"]
    assert await statuses(port, other * 500 + last, until=b"never") == [426] * 500 + [200]
    assert await statuses(port, page + upgrade + last, until=b"never") == [200, 426, 200]
