"""What operators are told of a site: each of its checks, green and red, and what Prometheus scrapes."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.monitoring.alerts import sites
from chitlaq.monitoring.dashboards.sites import SITE
from chitlaq.monitoring.exporter import sentinels
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result, judge
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.stack.site import engines, rendering
from tests.conftest import eventually
from tests.lone_edge import running
from tests.site_cluster import DATABASES, HERE, SiteCluster

pytestmark = pytest.mark.long

Says = Callable[[str, Verdict, str], Awaitable[Result]]


@pytest.fixture
async def says(cluster: SiteCluster) -> AsyncIterator[Says]:
    """Waits until a check of the node of operations has a verdict, and says some words."""
    await cluster.primary()
    home = Home(cluster.folder / "nodes" / HERE)
    system = SystemView(home, settings_loading.load(home, {"PATH": ""}))

    async def says(check: str, verdict: Verdict, words: str) -> Result:
        async def is_said() -> Result:
            result = await judge(CHECKS[check], system)
            assert (result.verdict, words in result.summary) == (verdict, True), result.summary
            return result

        return await eventually(is_said, 90)

    yield says
    await system.close()


@asynccontextmanager
async def stopped(cluster: SiteCluster, server: str, *nodes: str) -> AsyncIterator[None]:
    for node in nodes:
        cluster.signal(node, server, number=signal.SIGSTOP)
    try:
        yield
    finally:
        for node in nodes:
            cluster.signal(node, server, number=signal.SIGCONT)


async def test_patroni(cluster: SiteCluster, says: Says) -> None:
    primary = await cluster.primary()
    (standby,) = {*DATABASES} - {primary}
    found = await says("site.patroni", Verdict.OK, f"{primary} is the primary of 2")
    assert f"lag of {standby}" in found.values
    cluster.signal(standby, "postgres")
    await says("site.patroni", Verdict.WARNING, "no synchronous standby")
    await says("site.patroni", Verdict.WARNING, "Patroni does not answer at")
    # The standby misses what is written now, so Patroni promotes nobody.
    await cluster.sql("CREATE TABLE public.missed (id int)")
    cluster.signal(primary, "postgres")
    await says("site.patroni", Verdict.UNKNOWN, "Patroni does not answer at")
    cluster.start_servers(standby, "postgres")
    await says("site.patroni", Verdict.CRITICAL, "there is no primary")
    cluster.start_servers(primary, "postgres")
    assert await cluster.primary() == primary
    await says("site.patroni", Verdict.OK, f"{primary} is the primary of 2")


async def test_etcd(cluster: SiteCluster, says: Says) -> None:
    await says("site.etcd", Verdict.OK, "3 of 3 healthy")
    async with stopped(cluster, "etcd", "db1"):
        await says("site.etcd", Verdict.WARNING, "2379: not healthy")
        async with stopped(cluster, "etcd", "db2"):
            await says("site.etcd", Verdict.CRITICAL, "no majority")
    await says("site.etcd", Verdict.OK, "3 of 3 healthy")


async def test_sentinel(cluster: SiteCluster, says: Says) -> None:
    node = await cluster.valkey_primary()
    before = cluster.site.nodes[node].address
    await says("site.sentinel", Verdict.OK, f"{before}:6379 is the primary")
    async with stopped(cluster, "sentinel", "db1"):
        await says("site.sentinel", Verdict.WARNING, "no answer")
        async with stopped(cluster, "sentinel", "db2"):
            await says("site.sentinel", Verdict.CRITICAL, "no majority")
            await sampled(cluster, "sentinel_quorum", {0.0})
            await sampled(cluster, "sentinel_up", {0.0, 1.0})
    await says("site.sentinel", Verdict.OK, f"{before}:6379 is the primary")

    await sampled(cluster, "sentinel_quorum", {1.0})
    await sampled(cluster, "sentinel_others", {2.0})
    await sampled(cluster, "sentinel_primaries_named", {1.0})
    (other,) = {*DATABASES} - {node}
    async with stopped(cluster, "valkey", other):
        await says("site.sentinel", Verdict.WARNING, "no replica follows")
        await sampled(cluster, "sentinel_replicas_in_sync", {0.0})
    await says("site.sentinel", Verdict.OK, f"{before}:6379 is the primary")
    await sampled(cluster, "sentinel_replicas_in_sync", {1.0})


async def sampled(cluster: SiteCluster, name: str, values: set[float]) -> None:
    """Wait until a metric of the Sentinels has these values: they find out within seconds."""
    home = Home(cluster.folder / "nodes" / HERE)
    settings = settings_loading.load(home, {"PATH": ""})

    async def has_them() -> bool:
        found = await sentinels.metrics(settings)
        return values == {
            sample.value for one in found if one.name == name for sample in one.samples
        }

    await eventually(has_them)


async def test_certificates(
    cluster: SiteCluster, says: Says, tmp_path_factory: pytest.TempPathFactory
) -> None:
    node = Home(cluster.folder / "nodes" / HERE)
    settings = settings_loading.load(node, {"PATH": ""})
    async with running(Home(tmp_path_factory.mktemp("edge")), settings):
        found = await says("site.certificates", Verdict.OK, "next expiry")
        assert set(found.values) == set(rendering.servers(cluster.site))
        async with stopped(cluster, "etcd", "db1"):
            await says("site.certificates", Verdict.UNKNOWN, "2379 cannot be read")
    await says("site.certificates", Verdict.UNKNOWN, "3001 cannot be read")


async def test_services_that_use_another_valkey_are_named(cluster: SiteCluster, says: Says) -> None:
    """Somebody has made it a replica by hand."""
    node = await cluster.valkey_primary()
    (other,) = {*DATABASES} - {node}
    await says("site.sentinel", Verdict.OK, "is the primary")
    address = cluster.site.nodes[other].address
    async with stopped(cluster, "sentinel", HERE, "db1", "db2"):
        await cluster.valkey_at(node, "REPLICAOF", address, str(engines.VALKEY))
    await says("site.sentinel", Verdict.CRITICAL, "which is not the primary")
    await cluster.valkey_at(node, "REPLICAOF", "NO", "ONE")
    await says("site.sentinel", Verdict.OK, "is the primary")


async def test_metrics_of_alerts_and_dashboard_are_there(cluster: SiteCluster) -> None:
    await cluster.primary()
    exprs = [asked.expr for panel in SITE.panels for asked in panel.queries]
    exprs += [alert.expr for alert in sites.ALERTS]
    wanted = {one for expr in exprs for one in re.findall(r"(?:patroni|etcd|sentinel)_\w+", expr)}
    found: set[str] = set()
    async with httpx.AsyncClient(timeout=5, verify=cluster.tls()) as client:
        for group in rendering.targets(cluster.site, HERE):
            for target in group["targets"]:
                with suppress(httpx.ConnectError):
                    text = (await client.get(f"https://{target}/metrics")).text
                    found |= set(re.findall(r"^(\w+)", text, re.M))
    home = Home(cluster.folder / "nodes" / HERE)
    found |= {
        one.name
        for one in await sentinels.metrics(settings_loading.load(home, {"PATH": ""}))
        if one.samples
    }
    assert len(wanted) > 14
    assert wanted - found == set()
