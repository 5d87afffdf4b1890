"""A component's second port: taken where it is free, passed by where it is not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Stack, eventually, free_ports
from tests.lone_service import lone_service


@pytest.fixture(scope="module")
def other_program() -> Iterator[socket.socket]:
    """What has the port first, as a Grafana would."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)) as listener:
        yield listener


@pytest.fixture(scope="module")
def beside_other(other_program: socket.socket) -> Iterator[Stack]:
    port = other_program.getsockname()[1]
    with lone_service("ops-service", "ops", CHITLAQ_PORTS_CONSOLE=str(port)) as stack:
        stack.ports["console"] = port
        yield stack


def finding(stack: Stack) -> dict[str, str]:
    (one,) = [
        one
        for one in stack.json("doctor")
        if one["name"] == f"port {stack.environment['CHITLAQ_PORTS_CONSOLE']}"
    ]
    return dict(one)


async def test_taken_port_is_said_passed_by_and_used_once_it_is_free(
    beside_other: Stack, other_program: socket.socket
) -> None:
    said = finding(beside_other)
    assert said["state"] == "ok"
    assert said["detail"].startswith("in use by ")
    assert f"ops-service answers on port {beside_other.ports['ops']} only" in said["detail"]
    log = (beside_other.home.with_suffix(".log")).read_text()
    assert log.count("does without a port") == 1
    other_program.close()
    url = f"http://127.0.0.1:{beside_other.ports['console']}/live"
    async with httpx.AsyncClient() as client:
        answer = await eventually(lambda: client.get(url))
    assert answer.json()["status"] == "alive"


async def test_second_port_answers_and_is_shown_while_nginx_is_not_asked(stack: Stack) -> None:
    port = stack.ports["console"]
    await eventually(lambda: stack.ps()["ops-service"]["optional_port"] == port)
    assert stack.ps()["feed-service"]["optional_port"] is None
    assert f"{stack.ports['ops']}, {port}" in stack.command("ps").stdout
    assert finding(stack)["detail"].endswith("and here")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/live")).status_code == 200
        foreign = await client.get("/live", headers={"Origin": "http://evil.example"})
        rebound = await client.get("/live", headers={"Host": "evil.example"})
    assert (foreign.status_code, rebound.status_code) == (403, 421)


async def test_successor_of_the_process_takes_the_second_port_over(stack: Stack) -> None:
    before = stack.ps()["ops-service"]["pid"]
    assert stack.command("restart", "ops-service").returncode == 0
    row = await eventually(
        lambda: (row := stack.ps()["ops-service"])["optional_port"] and row, seconds=60
    )
    assert row["pid"] != before
    answer = httpx.get(f"http://127.0.0.1:{stack.ports['console']}/live")
    assert answer.status_code == 200
