"""Machines of a site fail under load: what was acknowledged is there afterwards, once.

Attacks the promises that no acknowledged write is lost, that two primaries never both acknowledge, and that
only machines of the site are answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from chitlaq.core.data import postgres
from chitlaq.core.host import files
from chitlaq.stack.site import certificates, engines
from chitlaq.stack.site.nodes import Node, Site
from tests.conftest import become_member, eventually
from tests.site_balancer import Balancer
from tests.site_cluster import SiteCluster, SiteStack, application
from tests.site_load import Direct, load

MOST_SECONDS = 30.0
ROUNDS = 3
FAILOVERS = 10
"""Of PostgreSQL, of which the worst of ten is told."""


@pytest.fixture(scope="module")
async def stack(cluster: SiteCluster) -> AsyncIterator[SiteStack]:
    await cluster.primary()
    with application(cluster) as stack:
        yield stack


@pytest.fixture(scope="module")
def other_stack(cluster: SiteCluster, stack: SiteStack) -> Iterator[SiteStack]:
    with application(cluster) as other:
        yield other


Undo = Callable[[], None]
"""Ends a failure."""


async def under_load(
    cluster: SiteCluster,
    stack: SiteStack,
    name: Callable[[], str],
    folder: Path,
    fault: Callable[[], Undo],
    failed_over: Callable[[], Awaitable[object]],
    recovered: Callable[[], Awaitable[object]],
) -> float:
    """Let something fail under load, and come back.

    Args:
        cluster: the machines.
        stack: what members use.
        name: gives unused names.
        folder: for what the machines write down.
        fault: lets it fail.
        failed_over: waits until another has taken its place.
        recovered: waits until it is back.

    Returns:
        After how many seconds a post of everybody is acknowledged that was begun later.
    """
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
        members = [await become_member(stack, client, name()) for _ in range(4)]
        async with load(cluster, stack, members, folder) as running:
            undo = fault()
            since = time.monotonic()
            try:
                seconds = await running.goes_on(since)
                await failed_over()
            finally:
                undo()
            await recovered()
            await running.goes_on(time.monotonic())
        await running.check(stack)
    return seconds


def report(what: str, took: Sequence[float]) -> None:
    load, _, _ = os.getloadavg()
    print(
        f"{what}: median {median(took):.1f} s, worst {max(took):.1f} s of {len(took)}; load {load:.1f}"
    )


def crash(cluster: SiteCluster, node: str) -> Undo:
    """PostgreSQL alone is gone: Patroni sees it at its next look."""
    cluster.postmaster(node).kill()
    return lambda: None


def kill(cluster: SiteCluster, node: str) -> Undo:
    cluster.signal(node, "postgres")
    return lambda: cluster.start_servers(node, "postgres")


def stop(cluster: SiteCluster, node: str) -> Undo:
    """It goes on later, and knows nothing of what happened meanwhile."""
    cluster.signal(node, "postgres", number=signal.SIGSTOP)
    return lambda: cluster.signal(node, "postgres", number=signal.SIGCONT)


def cut_off(cluster: SiteCluster, node: str) -> Undo:
    """With its etcd, Valkey and Sentinel; it works on, and serves what is on the machine itself."""
    cluster.network.pull(node)
    return lambda: cluster.network.plug_in(node)


FAULTS = {"crash": crash, "kill": kill, "stop": stop, "cut off": cut_off}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> certificates.Issued:
    """What a machine of this name would have on another site."""
    site = Site("", "", {"app": Node("127.0.0.1", ())})
    return certificates.ensure(site, tmp_path_factory.mktemp("others"), "app")


@pytest.mark.parametrize(
    ("server", "port", "asked"),
    [
        ("etcd", engines.ETCD, b"GET /health HTTP/1.0\r\n\r\n"),
        ("etcd", engines.ETCD_PEERS, b"GET /version HTTP/1.0\r\n\r\n"),
        ("postgres", engines.PATRONI, b"GET /patroni HTTP/1.0\r\n\r\n"),
        ("valkey", engines.VALKEY, b"PING\r\n"),
        ("sentinel", engines.SENTINEL, b"PING\r\n"),
    ],
)
async def test_server_answers_only_machines_of_the_site(
    cluster: SiteCluster,
    others: certificates.Issued,
    tmp_path: Path,
    server: str,
    port: int,
    asked: bytes,
) -> None:
    address = cluster.site.nodes["db1"].address

    async def answered(context: ssl.SSLContext | None) -> bytes:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(address, port, ssl=context)
            try:
                writer.write(asked)
                return await reader.read(100)
            except OSError:  # a refusal by TLS is one
                return b""
            finally:
                writer.transport.abort()

    assert await eventually(lambda: answered(cluster.tls()))
    own = ssl.create_default_context(cafile=cluster.authority)
    assert await answered(own) == b"", "without a certificate"
    (tmp_path / "other.pem").write_text(others.certificate)
    own.load_cert_chain(tmp_path / "other.pem")
    assert await answered(own) == b"", "with another authority's"
    plain = await answered(None)
    assert not [word for word in (b" 200 ", b"PONG", b"NOAUTH") if word in plain]
    # Nor does one of ours talk to a server of another site.
    with pytest.raises(ssl.SSLCertVerificationError):
        await answered(ssl.create_default_context(cadata=others.authority))


async def test_database_answers_only_machines_of_the_site(
    cluster: SiteCluster, others: certificates.Issued, tmp_path: Path
) -> None:
    url = cluster.url_of(await cluster.primary())

    async def connected(changed: str, to: str) -> int:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query)) | dict.fromkeys(changed.split(), to)
        query = urlencode({name: value for name, value in given.items() if value})
        async with postgres.connection(urlunsplit(parts._replace(query=query))) as connection:
            return int(await connection.fetchval("SELECT 1"))

    assert await connected("", "") == 1
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="client certificate"):
        await connected("sslcert sslkey", "")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await connected("sslmode", "disable")
    other, theirs = tmp_path / "other.pem", tmp_path / "authority.pem"
    files.write(other, others.certificate, mode=0o600)
    theirs.write_text(others.authority)
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await connected("sslcert sslkey", str(other))
    with pytest.raises(ssl.SSLCertVerificationError):
        await connected("sslrootcert", str(theirs))


async def test_renewed_certificate_is_presented_without_a_restart(cluster: SiteCluster) -> None:
    primary = await cluster.primary()
    address = cluster.site.nodes[primary].address
    context = cluster.tls()
    context.set_alpn_protocols(["postgresql", "http/1.1"])

    async def presented(port: int) -> bytes:
        _, writer = await asyncio.open_connection(address, port, ssl=context)
        try:
            found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return found
        finally:
            writer.transport.abort()

    async def is_other(port: int) -> bool:
        return await presented(port) != before[port]

    ports = (engines.ETCD, engines.ETCD_PEERS, engines.PATRONI, engines.POSTGRES)
    before = {port: await presented(port) for port in ports}
    cluster.renew_certificate(primary)
    for port in ports:
        await eventually(lambda: is_other(port))  # noqa: B023 - it is called here
    assert await cluster.primary() == primary


async def test_primary_that_crashes_takes_nothing_acknowledged_with_it(
    cluster: SiteCluster, tmp_path: Path
) -> None:
    """The short form, without an application node."""
    before = await cluster.primary()
    direct = Direct(cluster, tmp_path)
    async with direct.running():
        crash(cluster, before)
        (after,) = cluster.site.having("postgres").keys() - {before}
        await eventually(lambda: direct.acknowledged().get(after))
        assert await cluster.primary() == after
    await direct.check()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS)
async def test_primary_of_postgresql_fails_and_comes_back_as_standby(
    cluster: SiteCluster, stack: SiteStack, name: Callable[[], str], tmp_path: Path, fault: str
) -> None:
    took: list[float] = []
    rewound = 0
    for _ in range(FAILOVERS):
        before = await cluster.primary()
        log = len(cluster.log(before, "postgres"))
        took.append(
            await under_load(
                cluster,
                stack,
                name,
                tmp_path,
                lambda: FAULTS[fault](cluster, before),  # noqa: B023 - it is called here
                lambda: eventually(lambda: _is_other(cluster.leader(), before)),  # noqa: B023
                recovered=cluster.primary,
            )
        )
        assert await cluster.primary() != before
        said = cluster.log(before, "postgres")[log:]
        assert "using basebackup" not in said, "it took what it had, and copied no database"
        rewound += "running pg_rewind" in said
    report(f"PostgreSQL, {fault}, pg_rewind {rewound} times", took)
    assert max(took) < MOST_SECONDS


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["kill", "stop"])
async def test_primary_of_valkey_fails_and_comes_back_as_replica(
    cluster: SiteCluster, stack: SiteStack, name: Callable[[], str], tmp_path: Path, fault: str
) -> None:
    """Posts do not wait for it; another takes its place."""
    posts: list[float] = []
    took: list[float] = []
    for _ in range(ROUNDS):
        before = await cluster.valkey_primary()
        began = 0.0

        def fail() -> Undo:
            nonlocal began
            began = time.monotonic()
            return _server_fails(cluster, before, "valkey", fault)  # noqa: B023 - it is called here

        async def failed_over() -> None:
            await eventually(lambda: _is_other(cluster.valkey_primary(), before))  # noqa: B023
            await eventually(cluster.valkey_takes_writes)
            took.append(time.monotonic() - began)  # noqa: B023 - it is called here

        posts.append(
            await under_load(
                cluster,
                stack,
                name,
                tmp_path,
                fail,
                failed_over,
                lambda: eventually(lambda: cluster.is_valkey_replica(before)),  # noqa: B023
            )
        )
    report(f"Valkey, {fault}: posts", posts)
    report(f"Valkey, {fault}: another primary", took)
    assert max(posts + took) < MOST_SECONDS


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["kill", "stop"])
async def test_leader_of_etcd_fails_and_postgresql_keeps_its_primary(
    cluster: SiteCluster, stack: SiteStack, name: Callable[[], str], tmp_path: Path, fault: str
) -> None:
    took: list[float] = []
    for _ in range(ROUNDS):
        primary, before = await cluster.primary(), await cluster.etcd_leader()
        took.append(
            await under_load(
                cluster,
                stack,
                name,
                tmp_path,
                lambda: _server_fails(cluster, before, "etcd", fault),  # noqa: B023
                lambda: eventually(lambda: _is_other(cluster.etcd_leader(), before)),  # noqa: B023
                recovered=cluster.primary,
            )
        )
        assert await cluster.primary() == primary
    report(f"etcd, {fault}", took)
    assert max(took) < MOST_SECONDS


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["kill", "stop"])
async def test_application_node_fails_and_the_other_goes_on(
    cluster: SiteCluster,
    stack: SiteStack,
    other_stack: SiteStack,
    name: Callable[[], str],
    tmp_path: Path,
    fault: str,
) -> None:
    ports = [one.ports["gateway"] for one in (stack, other_stack)]
    balancer = Balancer(ports)

    def fail() -> Undo:
        if fault == "kill":
            other_stack.signal()
            return other_stack.up
        other_stack.signal(signal.SIGSTOP)
        return lambda: other_stack.signal(signal.SIGCONT)

    async def both() -> None:
        await eventually(lambda: balancer.healthy == set(ports))

    async with balancer.running() as port:
        await both()
        balanced = replace(stack, ports=stack.ports | {"gateway": port})
        took = [
            await under_load(
                cluster,
                balanced,
                name,
                tmp_path,
                fail,
                lambda: eventually(lambda: balancer.healthy == set(ports[:1])),
                recovered=both,
            )
            for _ in range(ROUNDS)
        ]
    report(f"application node, {fault}", took)
    assert max(took) < MOST_SECONDS


def _server_fails(cluster: SiteCluster, node: str, server: str, fault: str) -> Undo:
    if fault == "kill":
        cluster.signal(node, server)
        return lambda: cluster.start_servers(node, server)
    cluster.signal(node, server, number=signal.SIGSTOP)
    return lambda: cluster.signal(node, server, number=signal.SIGCONT)


async def _is_other(found: Awaitable[str], before: str) -> bool:
    return await found != before


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_another_ops_service_takes_over(
    stack: SiteStack, other_stack: SiteStack, number: signal.Signals
) -> None:
    """Attacks the promise that one acts, and another within 30 s of its end."""
    stacks = {True: stack, False: other_stack}

    async def holder() -> SiteStack | None:
        said = stack.command("ops", "lease", "--json")
        return stacks[json.loads(said.stdout)["is_here"]] if said.returncode == 0 else None

    before = await eventually(holder)
    began = time.monotonic()
    before.signal(number)
    try:

        async def is_taken() -> bool:
            found = await holder()
            return found is not None and found is not before

        await eventually(is_taken, MOST_SECONDS)
        report(f"ops-service, {number.name}", [time.monotonic() - began])
    finally:
        if number == signal.SIGSTOP:
            before.signal(signal.SIGCONT)
        else:
            before.up()
    await eventually(before.is_healthy)
    assert await holder() is not before
