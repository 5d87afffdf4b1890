"""What other machines of a site reach: each service at its port, if they show that they belong to it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from chitlaq import inventory
from chitlaq.core.host import http_client
from chitlaq.core.installation import site_tls
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Ports, Settings, SiteTls
from chitlaq.stack.site import certificates
from chitlaq.stack.site.nodes import Node, Site
from tests.conftest import free_ports
from tests.lone_edge import running

HOST = "127.0.0.7"


def site_tls_of(folder: Path) -> SiteTls:
    """A site's authority, and a certificate of it for this machine."""
    issued = certificates.ensure(Site("", "", {"app1": Node(HOST, ())}), folder / "made", "app1")
    authority, own = folder / "authority.pem", folder / "chitlaq.pem"
    authority.write_text(issued.authority)
    own.write_text(issued.certificate)
    return SiteTls(str(authority), str(own))


async def test_other_machines_reach_each_service_by_their_certificates_alone(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    rows = [*inventory.FORWARDED, inventory.COMPONENTS["nginx"]]
    ports = dict(zip([row.setting for row in rows], free_ports(len(rows)), strict=True))
    settings = Settings(host=HOST, ports=Ports(**ports), site=site_tls_of(tmp_path))
    home = Home(tmp_path_factory.mktemp("edge"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfeed")
        await writer.drain()
        writer.close()

    async def asked(tls: ssl.SSLContext | None, service: str = "feed-service") -> bytes:
        scheme = "https" if tls else "http"
        url = f"{scheme}://{HOST}:{settings.port_of(service)}/metrics"
        return (await http_client.get(url, timeout_seconds=5, tls=tls)).body

    async with running(home, settings):
        socket = home.service_socket("feed-service", 0)
        async with await asyncio.start_unix_server(serve, socket):
            socket.chmod(0o666)
            assert await asked(site_tls.context(settings)) == b"feed"
            for row in inventory.FORWARDED:
                nobody = ssl.create_default_context(cafile=settings.site.authority)
                with pytest.raises(http_client.NoAnswerError):
                    await asked(nobody, row.name)
                (tmp_path / row.name).mkdir()
                other = site_tls_of(tmp_path / row.name)
                nobody.load_cert_chain(other.certificate)
                with pytest.raises(http_client.NoAnswerError):
                    await asked(nobody, row.name)
                with pytest.raises(http_client.NoAnswerError):
                    await asked(None, row.name)
        # The gateway's own port is this machine's alone.
        url = f"{settings.url_of('api-gateway')}/health"
        assert url.startswith("http://127.0.0.1:")
        assert (await http_client.get(url, timeout_seconds=5)).status == 503
