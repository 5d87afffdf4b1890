"""Valkey, one server, a cluster or what Sentinel watches: a client that fails fast when it is unavailable.

Everything in Valkey can be lost at any time: every caller works without it.

The client is our own, on hiredis' parser. All tasks of a process share one connection to each server, and the
commands of one event-loop iteration leave in one write. A command costs 15 to 50 µs of Python; libraries take
four to ten times that (docs/decisions/0002-own-valkey-client.md).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any
from urllib.parse import quote

from chitlaq.core.data.valkey_cluster import Cluster
from chitlaq.core.data.valkey_connection import (
    WRITE_PROBE,
    Argument,
    Pushed,
    Server,
    ValkeyReplyError,
    ValkeyUnavailableError,
    open_connection,
    parse_cluster_url,
    parse_sentinel_url,
    parse_url,
    refusal,
)
from chitlaq.core.data.valkey_sentinel import Sentinel
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import tracing

PING_SECONDS = 1.0
"""How often a subscription, which may be quiet, asks whether the server is still there."""

HASH_TAGS = 64
"""So many spread keys evenly over the nodes of a cluster, and let those with the same one share a command."""

UNAVAILABLE = (ValkeyUnavailableError, ValkeyReplyError)
"""The exceptions to catch in order to continue without Valkey."""


def url(settings: Settings, home: Home) -> str:
    """Return ``REDIS_URL``, or the URL of the embedded server's Unix socket."""
    if settings.redis_url:
        return settings.redis_url.reveal()
    return f"unix://:{quote(Secrets(home.secrets).redis_password)}@{quote(str(home.redis_socket))}"


def connect(settings: Settings, home: Home) -> Valkey:
    """Return a client; it connects at its first command."""
    return Valkey(url(settings, home))


def hash_tag(number: int) -> bytes:
    """Return what the names of keys contain that are to share a slot of a cluster."""
    return b"{%d}" % (number % HASH_TAGS)


def _ignore() -> None:
    return


class Valkey:
    """The connections that all tasks of this process share; they reconnect automatically.

    Raises:
        ValueError: the URL is not that of a server, a cluster or Sentinels.
    """

    def __init__(self, text: str) -> None:
        self._servers: Server | Cluster | Sentinel
        sentinels, name = parse_sentinel_url(text)
        if sentinels:
            self._servers = Sentinel(sentinels, name)
        elif nodes := parse_cluster_url(text):
            self._servers = Cluster(nodes)
        else:
            self._servers = Server(parse_url(text))

    async def execute(self, *command: Argument) -> Any:
        """Send one command and return its answer: bytes, int, None, or a list of these.

        Raises:
            ValkeyUnavailableError: no connection, or no answer within half a second.
            ValkeyReplyError: Valkey refused the command.
        """
        with tracing.command(str(command[0])):
            return await self._servers.execute(command)

    async def each(self, *command: Argument) -> dict[str, Any]:
        """Send one command to every node of a cluster, or to the server, and return the answers by name.

        Raises:
            ValkeyUnavailableError, ValkeyReplyError: one of them has no answer; the message names it.
        """
        servers = await self._servers.servers()
        if len(servers) == 1:
            return {servers[0].address.name: await servers[0].execute(command)}
        answers = await asyncio.gather(*(_asked(server, command) for server in servers))
        return {
            server.address.name: answer for server, answer in zip(servers, answers, strict=True)
        }

    async def require_writes(self) -> None:
        """Make sure that the server, or every node of a cluster, takes writes.

        Raises:
            ValkeyUnavailableError, ValkeyReplyError: one of them does not; the message says why.
        """
        try:
            await self.each(*WRITE_PROBE)
        except ValkeyReplyError as error:
            raise ValkeyReplyError(refusal(str(error))) from None

    def post(self, *command: Argument) -> bool:
        """Send one command whose answer nobody waits for, if there is a connection; return whether."""
        return self._servers.post(command)

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: Argument) -> Any:
        """Run a Lua script by its hash; send its text if Valkey does not know it yet.

        Args:
            script: what to run.
            keys: what it reads and writes; on a cluster, all of one slot.
            arguments: its other arguments.
        """
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except ValkeyReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await self.execute("EVAL", script.text, len(keys), *keys, *arguments)

    async def run_for_each(
        self, script: Script, keys: Sequence[bytes], *arguments: Argument
    ) -> None:
        """Run a script that treats each of its keys by itself: on a cluster, once for each slot."""
        groups = self._servers.together(keys)
        await asyncio.gather(*(self._run_together(script, group, *arguments) for group in groups))

    async def _run_together(
        self, script: Script, keys: Sequence[bytes], *arguments: Argument
    ) -> None:
        try:
            await self.run(script, keys, *arguments)
        except ValkeyReplyError as error:
            if not str(error).startswith("TRYAGAIN"):
                raise
            # Their slot is moving, and some have moved already.
            await asyncio.gather(*(self.run(script, [key], *arguments) for key in keys))

    async def subscribed(
        self, *channels: str, ready: Callable[[], None] = _ignore
    ) -> AsyncGenerator[tuple[str, bytes]]:
        """Yield what is published in sharded channels, over separate connections, until one is lost.

        A caller that falls behind by `MAX_PUSHED_BYTES` lets Valkey wait, which ends the subscription
        when its own buffer for it (`client-output-buffer-limit pubsub`) is full.

        Args:
            channels: what to subscribe to; the nodes of a cluster share them.
            ready: called when nothing more that is published can be missed.

        Yields:
            A channel, and a message.

        Raises:
            ValkeyUnavailableError: a connection could not be made, or was lost, or a channel has moved.
        """
        pushed = Pushed()
        pinging = asyncio.create_task(_ping(pushed))
        try:
            for server, served in (await self._servers.serving(channels)).items():
                connection = await open_connection(server.address)
                pushed.take_from(connection)
                await asyncio.gather(*(connection.send(("SSUBSCRIBE", one)) for one in served))
            ready()
            while (message := await pushed.get()) is not None:
                yield message
            raise ValkeyUnavailableError("the subscription's connection was lost")
        except UNAVAILABLE:
            self._servers.doubt()
            raise
        finally:
            pinging.cancel()
            pushed.close()

    async def close(self) -> None:
        self._servers.close()


class Script:
    """A Lua script and the hash by which Valkey remembers it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


async def _asked(server: Server, command: tuple[Argument, ...]) -> Any:
    try:
        return await server.execute(command)
    except UNAVAILABLE as error:
        raise type(error)(f"{server.address.name}: {error}") from error


async def _ping(pushed: Pushed) -> None:
    while True:
        await asyncio.sleep(PING_SECONDS)
        pushed.ping()
