"""The same client on a Valkey that Sentinel watches: the primary is killed, and comes back as a replica."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from chitlaq.core.data import valkey
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.servers import valkey as program
from tests.conftest import eventually, free_ports

SECRET = "p@ss/word"
SERVERS, SENTINELS = 2, 3


class Watched:
    """A primary, a replica and three Sentinels."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.ports = free_ports(SERVERS + SENTINELS)

    @property
    def url(self) -> str:
        """It names all Sentinels."""
        one, *others = self.ports[SERVERS:]
        nodes = "".join(f"node=127.0.0.1:{port}&" for port in others)
        return f"valkey-sentinel://:p%40ss%2Fword@127.0.0.1:{one}?{nodes}name=test"

    def start(self, number: int) -> None:
        port, primary = self.ports[number], self.ports[0]
        lines = [f"port {port}", "bind 127.0.0.1", f'requirepass "{SECRET}"', f"dir {self._folder}"]
        if number >= SERVERS:
            lines += [
                f"sentinel monitor test 127.0.0.1 {primary} 2",
                f'sentinel auth-pass test "{SECRET}"',
                f'sentinel sentinel-pass "{SECRET}"',
                "sentinel down-after-milliseconds test 500",
                "sentinel failover-timeout test 1000",
            ]
        else:
            lines += [f'primaryauth "{SECRET}"', 'save ""', "repl-diskless-sync-delay 0"]
            lines += [f"replicaof 127.0.0.1 {primary}"] if number else []
        file = self._folder / f"{port}.conf"
        if not file.exists():
            file.write_text("\n".join(lines) + "\n")
        words = ["--sentinel"] if number >= SERVERS else []
        with file.with_suffix(".log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                [program.program(Settings()).path, file, *words], stdout=log, stderr=log
            )

    def kill(self, number: int) -> None:
        self._processes[number].kill()
        self._processes[number].wait()

    async def is_replicating(self) -> bool:
        client = Valkey(f"redis://:p%40ss%2Fword@127.0.0.1:{self.ports[1]}")
        try:
            return b"master_link_status:up" in await client.execute("INFO", "replication")
        except valkey.UNAVAILABLE:
            return False
        finally:
            await client.close()

    async def is_whole(self) -> bool:
        """Whether each Sentinel knows the replica and the others."""
        for port in self.ports[SERVERS:]:
            client = Valkey(f"redis://:p%40ss%2Fword@127.0.0.1:{port}")
            try:
                answer = await client.execute("SENTINEL", "MASTER", "test")
            except valkey.UNAVAILABLE:
                return False
            finally:
                await client.close()
            told = dict(zip(answer[::2], answer[1::2], strict=True))
            known = (told[b"num-slaves"], told[b"num-other-sentinels"], told[b"flags"])
            if known != (b"1", b"2", b"master"):
                return False
        return True

    def stop(self) -> None:
        for number in self._processes:
            self.kill(number)


async def primary_of(watched: Watched, client: Valkey) -> int:
    """Which server a client goes to; -1 if none."""
    with suppress(*valkey.UNAVAILABLE):
        (name,) = await client.each("PING")
        return watched.ports.index(int(name.rpartition(":")[2]))
    return -1


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("sentinel"))
    try:
        for number in range(SERVERS):
            watched.start(number)
        # Sentinels look at a replica every ten seconds.
        await eventually(watched.is_replicating)
        for number in range(SERVERS, SERVERS + SENTINELS):
            watched.start(number)
        await eventually(watched.is_whole)
        yield watched
    finally:
        watched.stop()


async def test_nobody_who_knows_the_name_is_an_outage(watched: Watched) -> None:
    client = Valkey(watched.url.replace("name=test", "name=other"))
    with pytest.raises(valkey.UNAVAILABLE, match="no Sentinel names the primary"):
        await client.execute("PING")
    await client.close()


async def test_client_of_a_server_that_has_become_a_replica_goes_to_the_primary(
    watched: Watched,
) -> None:
    """Nothing has failed: an operator has the two change places."""
    client = Valkey(watched.url)
    assert await primary_of(watched, client) == 0
    sentinel = Valkey(f"redis://:p%40ss%2Fword@127.0.0.1:{watched.ports[-1]}")
    await sentinel.execute("SENTINEL", "FAILOVER", "test")
    await sentinel.close()

    async def has_changed() -> bool:
        with suppress(*valkey.UNAVAILABLE):
            await client.execute("SET", "a", "1")
        return await primary_of(watched, client) == 1

    await eventually(has_changed)
    await client.execute("SET", "a", "2")
    await client.close()
    await eventually(watched.is_whole)


async def test_replica_that_takes_the_dead_primarys_place_is_found(watched: Watched) -> None:
    """One of the Sentinels, the first of the URL, is dead as well."""
    client = Valkey(watched.url)
    heard: list[bytes] = []

    async def listen() -> None:
        while True:
            with suppress(*valkey.UNAVAILABLE):
                async for _, message in client.subscribed("news"):
                    heard.append(message)
            await asyncio.sleep(0.1)

    listening = asyncio.create_task(listen())
    try:
        before = await primary_of(watched, client)
        watched.kill(SERVERS)
        watched.kill(before)
        with pytest.raises(valkey.UNAVAILABLE):
            await client.execute("SET", "a", "2")

        async def is_served() -> bool:
            with suppress(*valkey.UNAVAILABLE):
                await client.execute("SET", "a", "3")
                return True
            return False

        await eventually(is_served)
        assert await primary_of(watched, client) == 1 - before

        async def is_heard() -> bool:
            client.post("SPUBLISH", "news", "x")
            return bool(heard)

        await eventually(is_heard)
        # The old primary comes back as one, until Sentinel tells it: nobody is sent there.
        watched.start(before)
        for _ in range(20):
            await client.execute("SET", "a", "4")
            await asyncio.sleep(0.05)
        assert await primary_of(watched, client) == 1 - before
    finally:
        listening.cancel()
        await client.close()
