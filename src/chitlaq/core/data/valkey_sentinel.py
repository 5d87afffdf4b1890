"""A Valkey that Sentinel watches: which server is the primary, also after another has taken its place.

The Sentinels are asked at the first command, and again when the primary does not answer or turns out to be a
replica (https://valkey.io/topics/sentinel-clients/). What was sent to a server that is gone fails at once, as
it does with one server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
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


class Sentinel:
    """The primary of a name, as the Sentinels tell it.

    Args:
        seeds: the Sentinels; the primary has their password.
        name: what they call the primary and its replicas.
    """

    def __init__(self, seeds: Sequence[Address], name: str) -> None:
        self._sentinels = [Server(seed) for seed in seeds]
        self._name = name
        self._primary: Server | None = None
        self._is_doubted = True
        self._asked_at = -PAUSE_SECONDS
        self._asking = asyncio.Lock()

    async def execute(self, command: Command) -> Any:
        """Send a command to the primary, and return the answer.

        Raises:
            ValkeyUnavailableError, ValkeyReplyError: it is not there, or refuses.
        """
        server = await self._found()
        try:
            return await server.execute(command)
        except ValkeyUnavailableError as error:
            self.doubt()
            raise ValkeyUnavailableError(f"{server.address.name}: {error}") from error
        except ValkeyReplyError as error:
            self._learn(error)
            raise

    def post(self, command: Command) -> bool:
        """Send a command whose answer nobody waits for, if the primary is connected; return whether."""
        connection = None if self._primary is None else self._primary.connection
        if connection is None:
            return False
        connection.send(command).add_done_callback(lambda answer: self._learn(answer.exception()))
        return True

    def together(self, keys: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
        """Group keys by what one command may have: all."""
        return [keys]

    async def serving(self, channels: Sequence[str]) -> dict[Server, Sequence[str]]:
        """Group channels by the server that serves them.

        Raises:
            ValkeyUnavailableError: no Sentinel says which.
        """
        return {await self._found(): channels}

    async def servers(self) -> Sequence[Server]:
        """Return the primary.

        Raises:
            ValkeyUnavailableError: no Sentinel says which.
        """
        return [await self._found()]

    def doubt(self) -> None:
        """Ask the Sentinels before the next command."""
        self._is_doubted = True

    def close(self) -> None:
        for server in (*self._sentinels, *([self._primary] if self._primary else [])):
            server.close()

    def _learn(self, error: BaseException | None) -> None:
        if isinstance(error, ValkeyUnavailableError) or str(error).startswith("READONLY"):
            self.doubt()

    async def _found(self) -> Server:
        if self._primary is not None and not self._is_doubted:
            return self._primary
        async with self._asking:
            # At most five times a second: meanwhile the one that was told last.
            if self._is_doubted and monotonic() - self._asked_at >= PAUSE_SECONDS:
                self._asked_at = monotonic()
                await self._ask()
            if self._primary is None:
                raise ValkeyUnavailableError("no Sentinel answered a moment ago")
            return self._primary

    async def _ask(self) -> None:
        """Ask the Sentinels one after the other; the next time, begin with the one that answered."""
        faults = []
        for sentinel in list(self._sentinels):
            try:
                answer = await sentinel.execute(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name))
            except (ValkeyUnavailableError, ValkeyReplyError) as error:
                faults.append(f"{sentinel.address.name}: {error}")
                continue
            if answer is None:
                faults.append(f"{sentinel.address.name} knows no {self._name}")
                continue
            self._take(sentinel, answer[0].decode(), int(answer[1]))
            return
        raise ValkeyUnavailableError(f"no Sentinel names the primary: {'; '.join(faults)}")

    def _take(self, sentinel: Server, host: str, port: int) -> None:
        self._is_doubted = False
        self._sentinels.remove(sentinel)
        self._sentinels.insert(0, sentinel)
        address = replace(sentinel.address, host=host, port=port)
        if self._primary is None or self._primary.address != address:
            if self._primary is not None:
                self._primary.close()
            self._primary = Server(address)
