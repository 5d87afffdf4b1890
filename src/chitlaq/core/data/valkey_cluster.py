"""A Valkey Cluster: which node serves which key, also while slots move and nodes fail.

A key belongs to one of 16,384 slots, and each slot to one node
(https://valkey.io/topics/cluster-spec/). The map of slots is read at the first command, and again when a node
answers that a slot is elsewhere or does not answer at all: a replica may have taken its place. What was sent
to a node that is gone fails at once, as it does with one server.
"""

from __future__ import annotations

import asyncio
import binascii
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from chitlaq.core.data.valkey_connection import (
    PAUSE_SECONDS,
    Address,
    Command,
    Server,
    ValkeyReplyError,
    ValkeyUnavailableError,
)

SLOTS = 16_384
# A slot is seldom moved twice while a command looks for it.
MAX_REDIRECTIONS = 5

_SCRIPTS = ("EVAL", "EVALSHA")


class Cluster:
    """The nodes of a cluster that serve slots.

    Args:
        seeds: some of its nodes, which name all.
    """

    def __init__(self, seeds: Sequence[Address]) -> None:
        self._seeds = frozenset(seed.name for seed in seeds)
        self._known = {seed.name: Server(seed) for seed in seeds}
        self._owners: list[Server | None] = [None] * SLOTS
        self._read_at = -PAUSE_SECONDS
        self._fault: str | None = None
        self._reading = asyncio.Lock()
        self._doubting: asyncio.Task[None] | None = None

    async def execute(self, command: Command) -> Any:
        """Send a command to the node that serves its key, and return the answer.

        Raises:
            ValkeyUnavailableError, ValkeyReplyError: that node is not there, or refuses.
        """
        server, is_asking = await self._owner(slot_of(_key(command))), False
        for _ in range(MAX_REDIRECTIONS):
            send = server.execute_asking if is_asking else server.execute
            try:
                return await send(command)
            except ValkeyReplyError as error:
                server, is_asking = self._redirected(server, error)
            except ValkeyUnavailableError as error:
                self.doubt()
                raise ValkeyUnavailableError(f"{server.address.name}: {error}") from error
        raise ValkeyUnavailableError(f"redirected more than {MAX_REDIRECTIONS} times")

    def post(self, command: Command) -> bool:
        """Send a command whose answer nobody waits for, if its node is connected; return whether."""
        server = self._owners[slot_of(_key(command))]
        connection = None if server is None else server.connection
        if server is None or connection is None:
            return False
        connection.send(command).add_done_callback(partial(self._posted, server))
        return True

    def together(self, keys: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
        """Group keys by what one command may have: those of the same slot."""
        groups: defaultdict[int, list[bytes]] = defaultdict(list)
        for key in keys:
            groups[slot_of(key)].append(key)
        return list(groups.values())

    async def serving(self, channels: Sequence[str]) -> dict[Server, list[str]]:
        """Group channels by the node that serves them.

        Raises:
            ValkeyUnavailableError: no node says which, or none serves one of them.
        """
        found: defaultdict[Server, list[str]] = defaultdict(list)
        for channel in channels:
            found[await self._owner(slot_of(channel.encode()))].append(channel)
        return found

    async def servers(self) -> Sequence[Server]:
        """Return all nodes that serve slots.

        Raises:
            ValkeyUnavailableError: no node says which they are, or none serves some of the slots.
        """
        if missing := self._owners.count(None):
            await self._read()
            missing = self._owners.count(None)
        if missing:
            raise ValkeyUnavailableError(f"no node serves {missing} of the {SLOTS} slots")
        return [server for server in dict.fromkeys(self._owners) if server is not None]

    def doubt(self) -> None:
        """Read the map anew, soon."""
        if self._doubting is None:
            self._doubting = asyncio.create_task(self._read_anew())

    def close(self) -> None:
        if self._doubting is not None:
            self._doubting.cancel()
        for server in self._known.values():
            server.close()

    async def _owner(self, slot: int) -> Server:
        server = self._owners[slot]
        if server is None:
            await self._read()
            server = self._owners[slot]
        if server is None:
            raise ValkeyUnavailableError(f"no node serves slot {slot}")
        return server

    def _posted(self, server: Server, answer: asyncio.Future[Any]) -> None:
        """Learn from an answer for which nobody waits where to send the next command."""
        error = answer.exception()
        if isinstance(error, ValkeyReplyError):
            with suppress(ValkeyReplyError):
                self._redirected(server, error)
        elif error is not None:
            self.doubt()

    def _redirected(self, asked: Server, error: ValkeyReplyError) -> tuple[Server, bool]:
        """Return which node to ask instead, and whether only this once, since it still imports the slot.

        Raises:
            ValkeyReplyError: the error, if it says neither.
        """
        kind, _, rest = str(error).partition(" ")
        if kind == "CLUSTERDOWN":
            self.doubt()
        if kind not in {"MOVED", "ASK"}:
            raise error
        slot, _, name = rest.partition(" ")
        host, _, port = name.rpartition(":")
        server = self._server(asked, host, int(port))
        if kind == "MOVED":
            self._owners[int(slot)] = server
            self.doubt()
        return server, kind == "ASK"

    def _server(self, asked: Server, host: str, port: int) -> Server:
        """Return the node of this address; a node that does not know its host's name means its own."""
        address = replace(asked.address, host=host or asked.address.host, port=port)
        return self._known.setdefault(address.name, Server(address))

    async def _read_anew(self) -> None:
        try:
            with suppress(ValkeyUnavailableError):
                await self._read()
            await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._doubting = None

    async def _read(self) -> None:
        """Read who serves which slot, from the first node that answers, at most five times a second."""
        async with self._reading:
            if monotonic() - self._read_at >= PAUSE_SECONDS:
                self._fault = await self._read_from_any()
                self._read_at = monotonic()
            if self._fault is not None:
                raise ValkeyUnavailableError(self._fault)

    async def _read_from_any(self) -> str | None:
        """Return why no node has answered, if none has."""
        faults = []
        for name, server in list(self._known.items()):
            try:
                rows = await server.execute(("CLUSTER", "SLOTS"))
            except (ValkeyUnavailableError, ValkeyReplyError) as error:
                faults.append(f"{name}: {error}")
            else:
                self._learn(server, rows)
                return None
        return f"no node answers: {'; '.join(faults)}"

    def _learn(self, asked: Server, rows: Sequence[Any]) -> None:
        owners: list[Server | None] = [None] * SLOTS
        for first, last, (host, port, *_), *_replicas in rows:
            server = self._server(asked, (host or b"").decode(), port)
            owners[first : last + 1] = [server] * (last + 1 - first)
        self._owners = owners
        serving = set(owners)
        for name, server in list(self._known.items()):
            if server not in serving and name not in self._seeds:
                server.close()
                del self._known[name]
        # The next time, another one is asked: this one may be cut off from the others, and not know it.
        self._known[asked.address.name] = self._known.pop(asked.address.name, asked)


def _key(command: Command) -> bytes:
    """The key of a command: its first word, or what follows the number of keys. Others redirect."""
    at = 3 if command[0] in _SCRIPTS else 1
    key = command[at] if len(command) > at else b""
    return key if isinstance(key, bytes) else str(key).encode()


def slot_of(key: bytes) -> int:
    """The slot of a key: of its hash tag, ``{…}``, if it has one."""
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    if start >= 0 and end > start + 1:
        key = key[start + 1 : end]
    return binascii.crc_hqx(key, 0) % SLOTS
