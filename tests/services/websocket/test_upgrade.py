"""A request to ``/ws`` that is no valid upgrade is answered over HTTP, with a problem document."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.conftest import Stack
from tests.services.test_bad_input import assert_is_problem

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
