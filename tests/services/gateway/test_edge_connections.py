"""One address cannot use up nginx's connections, and no flood hides nginx from its supervisor."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
from contextlib import suppress

import pytest

from chitlaq import inventory
from chitlaq.core.http import edge
from chitlaq.core.installation.settings import RateLimits, Settings
from chitlaq.monitoring.exporter import exporter
from chitlaq.stack.install import preflight
from tests.conftest import Stack, eventually
from tests.lone_edge import OPEN_FILES, PER_ADDRESS, PROXY, Edge
from tests.services.gateway.raw_http import ask


class Flood:
    """Connections that are opened and then kept, whatever nginx does with them."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []
        self._ends: list[asyncio.Task[bytes]] = []

    async def open(self, port: int, source: str, count: int, sent: bytes) -> None:
        for _ in range(count):
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, local_addr=(source, 0)
                )
                writer.write(sent)
                self._ends.append(asyncio.create_task(reader.read()))
                self._writers.append(writer)

    def kept(self) -> int:
        """How many connections nginx has not closed."""
        return sum(not end.done() for end in self._ends)

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._ends, return_exceptions=True)


@pytest.fixture
def flood() -> Flood:
    return Flood()


KEPT_OPEN = {
    "nothing sent": b"",
    "half a request line": b"GET /",
    "half a header": b"GET / HTTP/1.1\r\nHost: edge\r\nX-Slow: ",
    "half a body": b"POST /api/posts HTTP/1.1\r\nHost: edge\r\nContent-Length: 1000\r\n\r\n{",
    "half a chunk": b"POST /api/posts HTTP/1.1\r\nHost: edge\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "kept alive": b"GET /nothing HTTP/1.1\r\nHost: edge\r\n\r\n",
}


@pytest.mark.parametrize("sent", KEPT_OPEN.values(), ids=KEPT_OPEN)
async def test_open_connections_of_one_address_are_bounded(
    lone_edge: Edge, flood: Flood, sent: bytes
) -> None:
    """Also of an address that is exempt from the limits of requests: 127.0.0.1 is by default."""
    try:
        for source in ("127.0.0.1", "127.0.0.3"):
            await flood.open(lone_edge.port, source, 4 * PER_ADDRESS, sent)
        await eventually(lambda: flood.kept() <= 2 * PER_ADDRESS)
        assert await lone_edge.serves("127.0.0.4"), "another address does not notice"
        assert await lone_edge.is_alive()
    finally:
        await flood.close()
    assert {("connections", "127.0.0.1"), ("connections", "127.0.0.3")} == set(lone_edge.refused())
    await eventually(lambda: lone_edge.serves("127.0.0.3"))


async def test_probes_reach_nginx_when_all_connections_are_used(
    lone_edge: Edge, flood: Flood
) -> None:
    """Many addresses at once use up what nginx accepts: it refuses the rest, and stays alive."""
    bound = (OPEN_FILES - edge.OTHER_FILES - edge.RESERVED_SLOTS) // edge.SLOTS_PER_CONNECTION
    try:
        for number in range(20, 40):
            source = f"127.0.0.{number}"
            await flood.open(lone_edge.port, source, PER_ADDRESS, KEPT_OPEN["half a body"])
        await eventually(lambda: flood.kept() <= bound)
        assert not await lone_edge.serves("127.0.0.4")
        for _ in range(20):
            assert await lone_edge.is_alive()
        # Nor does the alert that nginx is down fire.
        assert await exporter.nginx(lone_edge.home, Settings())
    finally:
        await flood.close()
    await eventually(lambda: lone_edge.serves("127.0.0.4"))
    assert "worker_connections" not in (lone_edge.home.logs / "nginx.log").read_text()


async def test_trusted_proxy_has_as_many_connections_as_it_needs(
    lone_edge: Edge, flood: Flood
) -> None:
    try:
        await flood.open(lone_edge.port, PROXY, 3 * PER_ADDRESS, KEPT_OPEN["half a header"])
        assert await lone_edge.serves(PROXY)
        assert flood.kept() == 3 * PER_ADDRESS
    finally:
        await flood.close()


@pytest.mark.parametrize("client", ["203.0.113.5", "2001:db8:0:1::5"])
async def test_client_of_a_trusted_proxy_keeps_as_many_requests_open_as_any_other_address(
    lone_edge: Edge, flood: Flood, client: str
) -> None:
    """Else one client stops the edge for all: the proxy's connections are bound only together."""
    sent = KEPT_OPEN["half a body"].replace(b"edge", b"edge\r\nX-Forwarded-For: " + client.encode())
    try:
        await flood.open(lone_edge.port, PROXY, 4 * PER_ADDRESS, sent)
        await eventually(lambda: flood.kept() == PER_ADDRESS)
        other = await ask(
            lone_edge.port, "/api/posts", "X-Forwarded-For: 203.0.113.6", source=PROXY
        )
        assert other.status == 503, "another client does not notice: here, no service answers"
        refused = await ask(
            lone_edge.port, "/api/posts", f"X-Forwarded-For: {client}", source=PROXY
        )
        assert refused.status == 429
        assert "open connections" in refused.json()["detail"]
    finally:
        await flood.close()
    assert {("connections", client)} == set(lone_edge.refused())


async def test_nginx_starts_after_it_was_killed(lone_edge: Edge) -> None:
    """A killed nginx leaves its Unix sockets behind, and would not start over them."""
    second = await _killed_and_started(lone_edge)
    try:
        await eventually(lambda: lone_edge.serves("127.0.0.1"))
        assert await lone_edge.is_alive()
    finally:
        second.terminate()
        second.wait(timeout=30)


async def _killed_and_started(lone_edge: Edge) -> subprocess.Popen[bytes]:
    pid = int((lone_edge.home.run / "nginx.pid").read_text())
    os.killpg(pid, 9)
    await eventually(lambda: _is_gone(lone_edge))
    return lone_edge.start()


async def _is_gone(lone_edge: Edge) -> bool:
    """Whether nobody listens any more: the processes of a killed nginx end one after the other."""
    for path in lone_edge.home.nginx_sockets.iterdir():
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.connect(str(path))
            return False
    return not await lone_edge.is_alive()


def test_sockets_that_nginx_trusts_are_its_own(lone_edge: Edge) -> None:
    """Whoever could connect there could claim any address."""
    assert lone_edge.home.nginx_sockets.stat().st_mode & 0o777 == 0o700
    assert lone_edge.home.edge_key.stat().st_mode & 0o777 == 0o600


def test_no_other_user_reaches_a_socket_that_believes_what_it_is_told(stack: Stack) -> None:
    """A service believes what it hears on its Unix socket about addresses. PostgreSQL asks for a password."""
    sockets = [path for path in stack.home.rglob("*") if path.is_socket()]
    assert len(sockets) > len(inventory.FORWARDED)
    open_to_others = [
        path
        for path in sockets
        if path.stat().st_mode & 0o077
        and path.parent.stat().st_mode & 0o077
        and not path.name.startswith(".s.PGSQL")
    ]
    assert open_to_others == []


@pytest.mark.parametrize(("asked", "files"), [(4_000, 1_024), (4_000, 20_000), (10**9, 500_000)])
def test_one_address_gets_at_most_half_of_all_connections(
    asked: int, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "prlimit", lambda *_: (files, files))
    bounds = edge.capacity(RateLimits(address_connections=asked))
    assert bounds.per_address <= bounds.connections // 2
    assert bounds.connections * edge.SLOTS_PER_CONNECTION < bounds.slots < bounds.files <= files


PUBLIC = "https://social.example.edu"


@pytest.mark.parametrize(
    ("settings", "files", "name", "state", "said"),
    [
        (Settings(), 500_000, "connections", "ok", "8,160 at once, 4,000 from one address"),
        (Settings(), 4_096, "connections", "warning", "464 from one address and not limits.address_"),
        (Settings(), 4_096, "connections", "warning", "(4,000): raise the limit of open files"),
        (
            Settings(limits=RateLimits(address_connections=9_000)),
            500_000, "connections", "warning", "4,080 from one address",
        ),
        (Settings(), 500_000, "TLS proxy", "ok", "none"),
        (Settings(public_url=PUBLIC), 500_000, "TLS proxy", "warning", "in trusted_proxies, or all"),
        (
            Settings(public_url=PUBLIC, trusted_proxies=("127.0.0.1",)),
            500_000, "TLS proxy", "ok", "127.0.0.1",
        ),
    ],
)  # fmt: skip
def test_doctor_names_what_keeps_a_campus_out(
    settings: Settings,
    files: int,
    name: str,
    state: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "prlimit", lambda *_: (files, files))
    found = {one.name: one for one in preflight.limits(settings)}
    assert found[name].state == state
    assert said in found[name].detail
