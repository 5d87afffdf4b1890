"""TLS at nginx: the local authority, an operator's own certificate, and what leads to it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Ports, Settings, Tls
from chitlaq.services.gateway import nginx as listener
from chitlaq.stack import private_authority
from chitlaq.stack.servers import certificates, nginx
from tests.certificates import self_signed
from tests.conftest import Stack, eventually, free_ports
from tests.lone_edge import running

SLOW = b"POST /api/auth/verify/resend HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{"


def trusting(home: Home) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=home.authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def serial(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


async def served(home: Home, port: int) -> tuple[int, str | None]:
    """The serial number of what nginx presents, and the protocol that it chooses."""
    _, writer = await asyncio.open_connection("localhost", port, ssl=trusting(home))
    try:
        wire = writer.get_extra_info("ssl_object")
        presented = x509.load_der_x509_certificate(wire.getpeercert(binary_form=True))
        return presented.serial_number, wire.selected_alpn_protocol()
    finally:
        writer.close()


async def test_browser_that_trusts_the_authority_reaches_the_edge_by_tls(stack: Stack) -> None:
    home, port = Home(stack.home), stack.ports["edge_tls"]
    presented, protocol = await served(home, port)
    shown = stack.json("certificates", "show")
    assert (presented, protocol) == (serial(Path(shown["file"])), "h2")
    assert {"localhost", "127.0.0.1"} <= set(shown["names"])
    async with httpx.AsyncClient(verify=trusting(home)) as client:
        for host in ("localhost", "127.0.0.1"):
            answer = await client.get(f"https://{host}:{port}/api/auth/status")
            assert answer.status_code == 200, host
            # Other programs of this machine are reached without TLS by this name.
            assert "strict-transport-security" not in answer.headers
    keys = [path for path in home.certificates.iterdir() if b"PRIVATE" in path.read_bytes()]
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    trust = stack.command("certificates", "trust").stdout
    assert str(home.authority) in trust
    assert b"PRIVATE" not in home.authority.read_bytes()


async def test_plain_http_by_a_name_from_elsewhere_leads_to_tls_and_this_machine_s_own_stays(
    stack: Stack,
) -> None:
    tls = f"https://chat.example.edu:{stack.ports['edge_tls']}"
    elsewhere = {"Host": f"chat.example.edu:{stack.ports['edge']}"}
    async with httpx.AsyncClient(base_url=stack.edge) as client:
        answer = await client.get("/api/auth/status?a=b", headers=elsewhere)
        assert (answer.status_code, answer.headers["location"]) == (
            301,
            f"{tls}/api/auth/status?a=b",
        )
        answer = await client.post("/api/auth/login", headers=elsewhere, json={})
        assert (answer.status_code, answer.headers["location"]) == (308, f"{tls}/api/auth/login")
        for host in ("localhost", "127.0.0.1", "[::1]", "chat.localhost"):
            assert (
                await client.get("/api/auth/status", headers={"Host": host})
            ).status_code == 200, host
        # A proxy that is not listed may have spoken TLS itself.
        forwarded = {**elsewhere, "X-Forwarded-For": "192.0.2.1"}
        assert (await client.get("/api/auth/status", headers=forwarded)).status_code == 200
        answer = await client.get(f"http://localhost:{stack.ports['edge_tls']}/home")
        assert answer.headers["location"] == f"https://localhost:{stack.ports['edge_tls']}/home"


async def test_public_name_is_reached_by_tls_alone_once_a_browser_knows_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    edge, gateway, port = free_ports(3)
    settings = Settings(
        public_url="https://chat.example.edu",
        ports=Ports(edge=edge, gateway=gateway, edge_tls=port),
    )
    certificates.ensure(home, settings)
    tls = listener.Tls(port, *settings.edge_certificate(home))
    hosts = {"chat.example.edu": "max-age=31536000", "localhost": None, "127.0.0.1": None}
    async with running(home, settings, tls), httpx.AsyncClient(verify=trusting(home)) as client:
        for host, expected in hosts.items():
            for path in ("/", "/nothing"):
                answer = await client.get(f"https://localhost:{port}{path}", headers={"Host": host})
                assert answer.headers.get("strict-transport-security") == expected, host
        plain = {"Host": f"chat.example.edu:{edge}"}
        answer = await client.get(f"http://localhost:{edge}/home?a", headers=plain)
        # Where members type it: another port may be forwarded to ours.
        assert answer.headers["location"] == "https://chat.example.edu/home?a"


async def test_certificate_that_is_due_is_renewed_and_no_request_is_lost(stack: Stack) -> None:
    home, port = Home(stack.home), stack.ports["edge_tls"]
    settings = Settings()
    path, _ = settings.edge_certificate(home)
    path.unlink()
    certificates.ensure(home, settings, datetime.now(UTC) - certificates.LIFE * 2 / 3)
    due, authority = serial(path), home.authority.read_bytes()
    stack.command("restart", "nginx")
    reader, writer = await asyncio.open_connection(
        "localhost", port, ssl=ssl.create_default_context(cafile=home.authority)
    )
    try:
        writer.write(SLOW)
        await writer.drain()
        certificates.renew(home, settings)
        read = certificates.read_by_nginx(home, settings)
        certificates.renew(home, settings)
        assert certificates.read_by_nginx(home, settings) == read
        stack.command("restart", "nginx")

        async def is_renewed() -> bool:
            return (await served(home, port))[0] not in {due}

        await eventually(is_renewed)
        writer.write(b"}")
        assert b" 422 " in await asyncio.wait_for(reader.readline(), 20)
    finally:
        writer.close()
    assert home.authority.read_bytes() == authority, "browsers need not trust another one"


def test_certificate_is_made_anew_when_it_is_due_damaged_or_of_other_names(tmp_path: Path) -> None:
    home, now = Home(tmp_path), datetime.now(UTC)
    named = Settings(public_url="https://chat.example.edu")
    path, _ = named.edge_certificate(home)

    def made(settings: Settings, at: timedelta = timedelta()) -> int:
        certificates.ensure(home, settings, now + at)
        return serial(path)

    first = made(Settings())
    assert made(Settings(), timedelta(days=58)) == first
    second = made(Settings(), timedelta(days=61))
    authority = serial(home.authority)
    assert second != first
    path.write_bytes(path.read_bytes()[:-100])
    third = made(Settings(), timedelta(days=61))
    assert third != second
    assert serial(home.authority) == authority
    assert made(named) != third
    assert serial(home.authority) != authority, "it may vouch for no other names"
    assert "chat.example.edu" in certificates.shown(home, named).names
    authority = serial(home.authority)
    made(named, private_authority.AUTHORITY_LIFE - certificates.LIFE)
    assert serial(home.authority) != authority


async def test_authority_vouches_for_nobody_else(tmp_path: Path) -> None:
    """Attacks what somebody with its key could do to a browser that trusts it."""
    home = Home(tmp_path)
    certificates.ensure(home, Settings())
    path, key = Settings().edge_certificate(home)
    authority = private_authority.read(home.certificates / "authority.pem")
    assert authority is not None
    forged = private_authority.issued(
        authority, "ChitLaq", ["localhost", "bank.example"], datetime.now(UTC), certificates.LIFE
    )
    private_authority.write(path, forged, home.authority.read_text())
    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    offered.load_cert_chain(path, key)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=offered)
    async with server:
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
            await asyncio.open_connection(
                "127.0.0.1",
                server.sockets[0].getsockname()[1],
                ssl=trusting(home),
                server_hostname="bank.example",
            )


def test_certificate_of_ones_own_is_used_if_nginx_can_use_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    certificate, key = self_signed(tmp_path / "own.pem", days=30)
    own = Settings(tls=Tls(str(certificate), str(key)))
    certificates.ensure(home, own)
    assert own.watched_certificates(home) == {str(certificate): ""}
    assert certificates.shown(home, own).authority is None
    before = certificates.read_by_nginx(home, own)
    self_signed(tmp_path / "own.pem", days=60)
    certificates.renew(home, own)
    assert certificates.read_by_nginx(home, own) != before
    _, other = self_signed(tmp_path / "other.pem", days=30)
    for wrong in (Tls(str(certificate), str(other)), Tls(str(certificate)), Tls("", str(key))):
        with pytest.raises(OperatorError, match="set both"):
            certificates.ensure(home, Settings(tls=wrong))


def test_port_that_another_program_has_costs_tls_alone(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = Settings(ports=Ports(edge_tls=port))
    assert nginx.tls_port(Home(tmp_path), settings) == port
    with socket.create_server(("127.0.0.1", port)):
        assert nginx.tls_port(Home(tmp_path), settings) is None
