"""A dump of the site's PostgreSQL, which an application node takes over mutual TLS.

It is that of whoever is the primary.

Attacks the promises that a dump is of the site's database and nobody else's, and that a failover costs none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from chitlaq.stack.site import certificates
from chitlaq.stack.site.nodes import Node, Site
from tests.conftest import become_member, eventually
from tests.site_cluster import SiteCluster, SiteStack, application

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
async def stack(cluster: SiteCluster) -> AsyncIterator[SiteStack]:
    await cluster.primary()
    with application(cluster) as stack:
        yield stack


def dumped(stack: SiteStack) -> str:
    """Take a dump, restore it into a server of its own, and compare the two; return its id."""
    answer = stack.command("backup", "run", "dump", timeout=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (*_, newest) = [one["id"] for one in stack.json("backup", "list") if one["kind"] == "dump"]
    answer = stack.command("backup", "drill", newest, timeout=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return str(newest)


async def test_dump_is_taken_of_the_primary_also_after_a_failover(
    cluster: SiteCluster, stack: SiteStack, name: Callable[[], str]
) -> None:
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
        member = await become_member(stack, client, name())
        await member.write("kept")
    first = dumped(stack)
    before = await cluster.primary()
    cluster.signal(before, "postgres")
    try:

        async def is_other() -> bool:
            return await cluster.leader() != before

        await eventually(is_other, 90)
        assert dumped(stack) != first
    finally:
        cluster.start_servers(before, "postgres")
    await cluster.primary()


async def test_database_of_another_authority_is_not_dumped(
    cluster: SiteCluster, stack: SiteStack, tmp_path: Path
) -> None:
    other = certificates.ensure(Site("", "", {"app": Node("127.0.0.1", ())}), tmp_path, "app")
    theirs = tmp_path / "authority.crt"
    theirs.write_text(other.authority)
    theirs.chmod(0o644)
    tmp_path.chmod(0o755)
    url = cluster.database_url.replace(cluster.authority, str(theirs))
    assert url != cluster.database_url
    answer = stack.command("backup", "run", "dump", env={"DATABASE_URL": url}, timeout=120)
    assert answer.returncode != 0
    assert "certificate verify failed" in answer.stdout + answer.stderr
