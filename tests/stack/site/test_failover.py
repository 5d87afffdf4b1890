"""Machines of a site fail under load: what was acknowledged is there afterwards, once.

Attacks the promises that no acknowledged write is lost, and that two primaries never both acknowledge.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from statistics import median

import httpx
import pytest

from tests.conftest import become_member
from tests.site_cluster import SiteCluster, SiteStack, application, site_cluster
from tests.site_load import load

MOST_SECONDS = 30.0
ROUNDS = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[SiteCluster]:
    with site_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
async def stack(cluster: SiteCluster) -> AsyncIterator[SiteStack]:
    await cluster.primary()
    with application(cluster) as stack:
        yield stack


Fault = Callable[[SiteCluster, str], Callable[[], None]]
"""Lets a machine fail, and returns what ends the failure."""


def crash(cluster: SiteCluster, node: str) -> Callable[[], None]:
    """PostgreSQL alone is gone: Patroni sees it at its next look."""
    cluster.postmaster(node).kill()
    return lambda: None


def kill(cluster: SiteCluster, node: str) -> Callable[[], None]:
    cluster.signal(node, "postgres")
    return lambda: cluster.start_servers(node, "postgres")


def stop(cluster: SiteCluster, node: str) -> Callable[[], None]:
    """It goes on later, and knows nothing of what happened meanwhile."""
    cluster.signal(node, "postgres", number=signal.SIGSTOP)
    return lambda: cluster.signal(node, "postgres", number=signal.SIGCONT)


def cut_off(cluster: SiteCluster, node: str) -> Callable[[], None]:
    """With its etcd, Valkey and Sentinel; it works on, and serves what is on the machine itself."""
    cluster.network.pull(node)
    return lambda: cluster.network.plug_in(node)


FAULTS: dict[str, Fault] = {"crash": crash, "kill": kill, "stop": stop, "cut off": cut_off}


async def failover(
    cluster: SiteCluster, stack: SiteStack, name: Callable[[], str], folder: Path, fault: Fault
) -> tuple[float, bool]:
    """Let the primary fail under load.

    Returns:
        After how many seconds everybody's posts are acknowledged; whether the old primary took WAL back.
    """
    before = await cluster.primary()
    log = len(cluster.log(before, "postgres"))
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
        members = [await become_member(stack, client, name()) for _ in range(4)]
        async with load(cluster, stack, members, folder) as running:
            since = time.monotonic()
            undo = fault(cluster, before)
            try:
                seconds = await running.goes_on(since)
            finally:
                undo()
            assert await cluster.primary() != before
            await running.goes_on(time.monotonic())
        await running.check(stack)
    said = cluster.log(before, "postgres")[log:]
    assert "using basebackup" not in said, "it took what it had, and copied no database"
    return seconds, "running pg_rewind" in said


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS)
async def test_primary_of_postgresql_fails_and_comes_back_as_standby(
    cluster: SiteCluster, stack: SiteStack, name: Callable[[], str], tmp_path: Path, fault: str
) -> None:
    took: list[float] = []
    rewound = 0
    for _ in range(ROUNDS):
        seconds, is_rewound = await failover(cluster, stack, name, tmp_path, FAULTS[fault])
        took.append(seconds)
        rewound += is_rewound
    print(
        f"{fault}: median {median(took):.1f} s, worst {max(took):.1f} s, pg_rewind {rewound} times"
    )
    assert max(took) < MOST_SECONDS
