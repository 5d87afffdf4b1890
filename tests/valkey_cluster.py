"""A Valkey Cluster of three nodes, whose slots a test moves and whose nodes it kills."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from chitlaq.core.data import valkey
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.data.valkey_cluster import SLOTS
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.servers import valkey as program
from tests.conftest import eventually, free_ports

NODES = 3
PASSWORD = "p@ss/word"
OPTIONS = (
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000"),
    *("--requirepass", PASSWORD, "--primaryauth", PASSWORD, "--bind", "127.0.0.1"),
    *("--save", "", "--loglevel", "warning"),
)


class ValkeyCluster:
    """Three primaries, each with a third of the slots, and no replica before `add_replica`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        ports = free_ports(2 * NODES + 2)
        self.ports, self._bus_ports = ports[: NODES + 1], ports[NODES + 1 :]

    @property
    def url(self) -> str:
        """It names two nodes; they name the third."""
        first, second, *_ = self.ports
        return f"valkey-cluster://:p%40ss%2Fword@127.0.0.1:{first}?node=127.0.0.1:{second}"

    def start(self, node: int) -> None:
        """Start a node: a new one, or as it was."""
        folder = self._folder / str(node)
        folder.mkdir(exist_ok=True)
        where = ("--port", self.ports[node], "--cluster-port", self._bus_ports[node])
        with (folder / "log").open("ab") as log:
            self._processes[node] = subprocess.Popen(
                [program.program(Settings()).path, *map(str, where), *OPTIONS],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self, node: int) -> None:
        self._processes[node].kill()
        self._processes[node].wait()

    async def on(self, node: int, *command: str | int) -> Any:
        """Send a command to one node, whatever it serves."""
        client = Valkey(f"redis://:p%40ss%2Fword@127.0.0.1:{self.ports[node]}")
        try:
            return await client.execute(*command)
        finally:
            await client.close()

    async def everywhere(self, *command: str | int) -> list[Any]:
        return [await self.on(node, *command) for node in range(NODES)]

    async def id_of(self, node: int) -> str:
        found: bytes = await self.on(node, "CLUSTER", "MYID")
        return found.decode()

    async def become_one(self) -> None:
        """Share the slots among the nodes, and let them meet."""
        await eventually(lambda: self._answer("PING"))
        for node in range(NODES):
            first, last = node * SLOTS // NODES, (node + 1) * SLOTS // NODES - 1
            await self.on(node, "CLUSTER", "ADDSLOTSRANGE", first, last)
            await self.on(node, "CLUSTER", "SET-CONFIG-EPOCH", node + 1)
            await self.on(node, "CLUSTER", "MEET", "127.0.0.1", self.ports[0], self._bus_ports[0])
        await self.is_whole()

    async def is_whole(self) -> None:
        """Wait until every node sees all."""

        async def agrees() -> bool:
            states = await self._answer("CLUSTER", "INFO")
            return bool(states) and all(b"cluster_state:ok" in state for state in states)

        await eventually(agrees)

    async def add_replica(self, of: int) -> None:
        """Add a node that takes a primary's place when that is gone."""
        self.start(NODES)
        primary = await self.id_of(of)

        async def is_replicating() -> bool:
            with suppress(*valkey.UNAVAILABLE):
                # The nodes must have met before.
                await self.on(
                    NODES, "CLUSTER", "MEET", "127.0.0.1", self.ports[of], self._bus_ports[of]
                )
                await self.on(NODES, "CLUSTER", "REPLICATE", primary)
                return b"master_link_status:up" in await self.on(NODES, "INFO", "replication")
            return False

        await eventually(is_replicating)

    async def _answer(self, *command: str) -> list[Any]:
        with suppress(*valkey.UNAVAILABLE):
            return await self.everywhere(*command)
        return []

    async def owner_of(self, slot: int) -> int:
        for first, last, (_, port, *_), *_ in await self.on(0, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return self.ports.index(port)
        raise LookupError(slot)

    @asynccontextmanager
    async def moving(self, slot: int) -> AsyncIterator[int]:
        """Move a slot to the next node; within the block it is on both."""
        source = await self.owner_of(slot)
        target = (source + 1) % NODES
        source_id, target_id = await self.id_of(source), await self.id_of(target)
        await self.on(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        await self.on(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        yield source
        while keys := await self.on(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            where = ("127.0.0.1", self.ports[target])
            await self.on(source, "MIGRATE", *where, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *keys)
        for node in (target, source, 3 - source - target):
            await self.on(node, "CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


@asynccontextmanager
async def valkey_cluster(folder: Path) -> AsyncIterator[ValkeyCluster]:
    cluster = ValkeyCluster(folder)
    try:
        for node in range(NODES):
            cluster.start(node)
        await asyncio.wait_for(cluster.become_one(), 60)
        yield cluster
    finally:
        cluster.stop()
