"""A Valkey Cluster from the files that a site's six nodes get: made by its script, and without a primary."""

from __future__ import annotations

import asyncio
import os
import random
import shlex
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from chitlaq.core.data import valkey
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.stack.site import engines, rendering
from chitlaq.stack.site import nodes as nodes_of_site
from chitlaq.stack.site.engines import Places
from chitlaq.stack.site.nodes import Node, Site
from tests.conftest import eventually
from tests.valkey_with_tls import valkey_with_tls

KEYS = [f"key:{number}" for number in range(60)]


class Cluster:
    """Six Valkeys on addresses of this machine that nobody else has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._program = valkey_with_tls()
        network = f"127.{random.randrange(64, 250)}.{random.randrange(256)}"
        watched = Node(f"{network}.10", ("application", "operations", "etcd", "postgres"))
        others = {
            f"db{number}": Node(f"{network}.{number}", ("etcd", "postgres")) for number in (11, 12)
        }
        valkeys = {
            f"v{number}": Node(f"{network}.{number}", ("valkey-cluster",)) for number in range(1, 7)
        }
        self.site = Site(
            public_url="https://social.example.edu",
            media_url="s3://chitlaq/media",
            nodes={"app1": watched, **others, **valkeys},
        )
        assert list(nodes_of_site.found(self.site)) == []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def places(self, name: str) -> Places:
        return Places(str(self.folder / "nodes" / name), str(self.folder / "data" / name))

    def start(self) -> None:
        for name in ("app1", *self.site.having("valkey-cluster")):
            rendering.render_node(self.site, self.folder, name, self.places(name))
        for name in self.site.having("valkey-cluster"):
            (Path(self.places(name).data) / "valkey").mkdir(parents=True)
            self.run(name)

    def run(self, name: str, *more: str) -> None:
        """Run what the node's unit does, as if ``more`` were rendered into its configuration."""
        places = self.places(name)
        unit = Path(places.configuration, "chitlaq-valkey.service").read_text()
        _, _, command = unit.partition("ExecStart=")
        file = Path(shlex.split(command.splitlines()[0])[1])
        file.write_text("\n".join([self._program.configuration(file.read_text()), *more]))
        with Path(places.data, "valkey", "log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [self._program.path, file],
                env=self._program.environment,
                stdout=log,
                stderr=log,
            )

    def become_one(self) -> subprocess.CompletedProcess[str]:
        """Run the script that the first of them got."""
        client = self._program.path.with_name(
            "redis-cli" if self._program.is_redis else "valkey-cli"
        )
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "valkey-cli").unlink(missing_ok=True)
        (programs / "valkey-cli").symlink_to(client)
        return subprocess.run(
            [f"{self.places('v1').configuration}/{rendering.CREATES_CLUSTER}"],
            env={**self._program.environment, "PATH": f"{programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def client(self) -> Valkey:
        known = Secrets(Home(self.folder).secrets)
        return Valkey(rendering.redis_url(self.site, known, self.places("app1")))

    async def is_copied(self) -> bool:
        """Return whether three replicas have what their primaries have."""
        links = 0
        for node in self.site.having("valkey-cluster").values():
            client = self._client_of(node)
            with suppress(*valkey.UNAVAILABLE):
                links += b"master_link_status:up" in await client.execute("INFO", "replication")
            await client.close()
        return links == 3

    async def memory_of(self, name: str) -> int:
        client = self._client_of(self.site.nodes[name])
        _, limit = await client.execute("CONFIG", "GET", "maxmemory")
        await client.close()
        return int(limit)

    def _client_of(self, node: Node) -> Valkey:
        known, own = Secrets(Home(self.folder).secrets), self.places("app1")
        return Valkey(
            f"rediss://:{known.redis_password}@{node.address}:{engines.VALKEY}"
            f"?ssl_ca_certs={own.authority}&ssl_certfile={own.certificate('application')}"
        )

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes[name].wait()

    def stop(self) -> None:
        for name in self._processes:
            self.kill(name)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


async def test_six_nodes_become_a_cluster_that_one_may_leave(cluster: Cluster) -> None:
    async def is_made() -> bool:
        made = await asyncio.to_thread(cluster.become_one)
        assert made.returncode == 0, made.stdout + made.stderr
        return True

    await eventually(is_made)
    client = cluster.client()

    async def takes_all(value: str) -> bool:
        with suppress(*valkey.UNAVAILABLE):
            await asyncio.gather(*(client.execute("SET", key, value) for key in KEYS))
            found = await asyncio.gather(*(client.execute("GET", key) for key in KEYS))
            return found == [value.encode()] * len(KEYS)
        return False

    try:
        await eventually(lambda: takes_all("1"))
        # A replica that has nothing is no primary's successor.
        await eventually(cluster.is_copied)
        # Of a primary that goes, its replica takes the slots.
        cluster.kill("v1")
        await eventually(lambda: takes_all("2"))
        # When it is back, it is what was rendered last, and still one of them.
        cluster.run("v1", "maxmemory 7mb")
        await eventually(cluster.is_copied)
        assert await cluster.memory_of("v1") == 7 << 20
    finally:
        await client.close()


def test_certificate_of_each_is_watched(tmp_path: Path) -> None:
    site = Cluster(tmp_path).site
    watched = {engines.at(node, engines.VALKEY) for node in site.having("valkey-cluster").values()}
    assert len(watched) == 6
    assert watched <= {*rendering.servers(site)}
