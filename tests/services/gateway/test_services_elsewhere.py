"""Services that other machines of a site run: members use them as if they were here.

Attacks the promises that only a machine of the site that runs services is believed to be one, and that a
machine that is away costs members nothing as long as another one has the service.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import httpx
import pytest

from chitlaq import inventory
from chitlaq.core.host import http_client
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Ports, Settings, SiteTls
from chitlaq.stack.site import certificates
from chitlaq.stack.site.nodes import TARGETS, Node, Site
from tests.conftest import Stack, become_member, eventually, free_ports
from tests.lone_edge import Edge, running
from tests.ops.checks.run_check import run_check
from tests.services.websocket.chat.talking import connected, conversation, received, send

HERE, THERE = "127.0.0.7", "127.0.0.8"
NGINX = [*inventory.FORWARDED, inventory.COMPONENTS["nginx"]]
SITE = Site(
    "",
    "",
    {
        "app1": Node(HERE, ("application",)),
        "app2": Node(THERE, ("application",)),
        "db1": Node(THERE, ("postgres",)),
    },
)


def certified(folder: Path, name: str, *, of: str = "site", at: datetime | None = None) -> SiteTls:
    """The files of a machine: of this site, or another, and made at some time."""
    issued = certificates.ensure(SITE, folder / of, name, at)
    own = Path(mkdtemp(dir=folder))
    own.chmod(0o755)
    authority, pem = own / "authority.pem", own / "chitlaq.pem"
    authority.write_text(issued.authority)
    pem.write_text(issued.certificate)
    return SiteTls(str(authority), str(pem))


def settings_of(host: str, site: SiteTls, elsewhere: Sequence[str] = ()) -> Settings:
    ports = dict(zip([row.setting for row in NGINX], free_ports(len(NGINX)), strict=True))
    site = SiteTls(site.authority, site.certificate, elsewhere=tuple(elsewhere))
    return Settings(host=host, ports=Ports(**ports), site=site)


def places(settings: Settings, *services: str) -> list[str]:
    return [f"{one}@{settings.host}:{settings.port_of(one)}" for one in services]


def lead_to(stack: Stack, home: Home, *services: str) -> None:
    """Let nginx of a machine find the services of the stack at its own sockets."""
    for one in services:
        home.service_socket(one, 0).symlink_to(Home(stack.home).service_socket(one, 0))


Homes = Callable[[], Home]


@pytest.fixture
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    return lambda: Home(tmp_path_factory.mktemp("edge"))


@asynccontextmanager
async def machine(stack: Stack, home: Home, settings: Settings) -> AsyncIterator[Edge]:
    """nginx of a machine, with the stack's services for those that the settings have here."""
    async with running(home, settings) as edge:
        lead_to(
            stack, home, *(row.name for row in inventory.FORWARDED if settings.embeds(row.name))
        )
        yield edge


def log_of(edge: Edge) -> str:
    return (edge.home.logs / "nginx.log").read_text()


async def test_members_use_services_of_another_machine(
    stack: Stack, homes: Homes, tmp_path: Path, name: Callable[[], str]
) -> None:
    there = settings_of(THERE, certified(tmp_path, "app2"))
    here = settings_of(HERE, certified(tmp_path, "app1"), places(there, *TARGETS))
    async with (
        machine(stack, homes(), there),
        machine(stack, homes(), here) as edge,
        httpx.AsyncClient(base_url=f"http://{HERE}:{edge.port}", timeout=20) as client,
    ):
        ada, ben = [await become_member(stack, client, name()) for _ in range(2)]
        await ada.write("from here")
        assert [one["text"] for one in await ada.home()] == ["from here"]
        assert (await ada.get("/api/search/users", params={"q": ben.username})).status_code == 200
        talk = await conversation(ada, ben)
        gateway = replace(stack, ports=stack.ports | {"gateway": here.port_of("api-gateway")})
        async with connected(gateway, ada) as one, connected(gateway, ben) as other:
            await send(one, talk["id"], "hello", client_id="a")
            assert (await received(other, "message"))["text"] == "hello"
        # The machine's own programs find each service at its usual port.
        for service in TARGETS:
            answer = await http_client.get(f"{here.url_of(service)}/health", timeout_seconds=5)
            assert f'"service":"{service}"' in answer.text


async def test_machine_that_is_none_of_the_site_or_away_is_passed_by(
    stack: Stack, homes: Homes, tmp_path: Path
) -> None:
    long_ago = datetime.now(UTC) - certificates.LIFE - timedelta(days=2)
    bad = {
        # Who says so, and what is said of it.
        "auth-service": (certified(tmp_path, "app2", of="other"), "certificate verify error"),
        "feed-service": (certified(tmp_path, "app2", of="site", at=long_ago), "has expired"),
        "search-service": (certified(tmp_path, "db1"), "does not match"),
    }
    good = settings_of(THERE, certified(tmp_path, "app2", of="site"))
    (closed,) = free_ports(1)
    async with AsyncExitStack() as opened:
        named = [f"websocket@{THERE}:{closed}", *places(good, "websocket")]
        for service, (site, _) in bad.items():
            there = settings_of(THERE, site)
            await opened.enter_async_context(machine(stack, homes(), there))
            named += places(there, service)
        await opened.enter_async_context(machine(stack, homes(), good))
        here = settings_of(HERE, certified(tmp_path, "app1"), named)
        edge = await opened.enter_async_context(machine(stack, homes(), here))
        async with httpx.AsyncClient(base_url=f"http://{HERE}:{edge.port}") as client:
            for path, service in (
                ("/api/auth/sessions", "auth-service"),
                ("/api/feed/home", "feed-service"),
                ("/api/search/users", "search-service"),
            ):
                answer = await client.get(path)
                assert answer.status_code == 503, service
                assert answer.json()["detail"].startswith(f"{service} does not answer")
                await eventually(lambda: re.search(bad[service][1], log_of(edge)))  # noqa: B023
            # Nothing was sent to the one that is away, so a POST goes to the next as well.
            for _ in range(3):
                answer = await client.post("/api/conversations", json={})
                assert answer.status_code == 401, answer.text
    # Nor does a machine of the site answer one that is not, and only that one.
    there = settings_of(THERE, certified(tmp_path, "app2", of="site"))
    async with machine(stack, homes(), there):
        for of, status in (("other", 503), ("site", 200)):
            site = SiteTls(there.site.authority, certified(tmp_path, "app1", of=of).certificate)
            here = settings_of(HERE, site, places(there, "feed-service"))
            async with (
                machine(stack, homes(), here) as edge,
                httpx.AsyncClient(base_url=f"http://{HERE}:{edge.port}") as client,
            ):
                assert (await client.get("/api/feed/home")).status_code == status, of


async def test_machine_that_is_refused_is_in_the_log_of_errors_with_the_reason(
    stack: Stack, homes: Homes, tmp_path: Path
) -> None:
    """The operator at 3:00 finds who it was by the usual checks; the machine itself knows nothing."""
    there = settings_of(THERE, certified(tmp_path, "app2"))
    long_ago = datetime.now(UTC) - certificates.LIFE - timedelta(days=2)
    url = f"https://{THERE}:{there.port_of('feed-service')}/health"
    refused = {
        certified(tmp_path, "app1", of="other").certificate: "verify error: unable to",
        certified(
            tmp_path, "app1", at=long_ago
        ).certificate: "verify error: certificate has expired",
        "": "no SSL certificate came",
    }

    async def ask(certificate: str) -> int:
        context = ssl.create_default_context(cafile=there.site.authority)
        if certificate:
            context.load_cert_chain(certificate)
        async with httpx.AsyncClient(verify=context) as client:
            return (await client.get(url)).status_code

    async with machine(stack, homes(), there) as edge:
        for certificate, said in refused.items():
            with pytest.raises(httpx.TransportError):
                await ask(certificate)
            who = 'subject: "CN=app1", issuer: "CN=ChitLaq nodes' if certificate else 'subject: "-"'
            line = rf"\[error\] .*{said}.*, client: 127\.0\.0\.1, server: {THERE}:\d+, {who}"
            await eventually(lambda: re.search(line, log_of(edge)))  # noqa: B023
        assert await ask(there.site.certificate) == 200
        # Who looks whether the port is open is not refused.
        socket.create_connection((THERE, there.port_of("feed-service"))).close()
        assert await ask(there.site.certificate) == 200
        for check, name in {"nginx.errors": "errors", "nginx.tls": "lines"}.items():
            assert (await run_check(edge.home, check)).values[name].value == len(refused), log_of(
                edge
            )


async def test_service_that_answers_again_is_used_again(
    stack: Stack, homes: Homes, tmp_path: Path
) -> None:
    there = settings_of(THERE, certified(tmp_path, "app2"))
    here = settings_of(HERE, certified(tmp_path, "app1"), places(there, "feed-service"))

    async def asked(client: httpx.AsyncClient) -> int:
        return (await client.get("/api/feed/home")).status_code

    async with (
        machine(stack, homes(), here) as edge,
        httpx.AsyncClient(base_url=f"http://{HERE}:{edge.port}") as client,
    ):
        assert await asked(client) == 503

        async def is_back() -> bool:
            return await asked(client) == 200

        for _ in range(2):
            async with machine(stack, homes(), there):
                await eventually(is_back)
            assert await asked(client) == 503
