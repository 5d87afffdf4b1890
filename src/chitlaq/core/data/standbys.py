"""Reads that may be a little late go to a standby: docs/decisions/0011-reads-on-standbys.md.

A standby has everything that was acknowledged by a moment if it has replayed the WAL that the primary had
written then. Each second the primary is asked how far it is, and each server how far it has replayed;
moments are this process's own, so no clocks are compared. Who has just written reads from the primary.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from chitlaq.core.data import postgres_hosts, valkey
from chitlaq.core.data.postgres import Database, PostgresUnavailableError, Query
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.telemetry import logs, metrics

T = TypeVar("T")

MEASURE_SECONDS = 1.0
QUERY_SECONDS = 2.0
"""A standby that has not answered by then is given up, and the primary asked."""
WRITTEN_MARGIN_SECONDS = 1.0
"""A member's write is remembered for so much longer than a standby may be late."""
_FAULTS = (PostgresUnavailableError, asyncpg.PostgresError)

log = logs.get("standbys")


class Progress:
    """How far the primary was when, and since when a standby has all of it."""

    def __init__(self, kept_seconds: float) -> None:
        self._kept_seconds = kept_seconds
        self._written: deque[tuple[float, int]] = deque()

    def note(self, at: float, written: int) -> None:
        """Note that the primary had written so much WAL at a moment or later."""
        if self._written and written < self._written[-1][1]:
            self._written.clear()  # another primary
        self._written.append((at, written))
        while self._written[0][0] < at - self._kept_seconds:
            self._written.popleft()

    def complete_at(self, replayed: int) -> float:
        """Return a moment by which a standby that has replayed so much has everything."""
        return max(
            (at for at, written in self._written if written <= replayed), default=float("-inf")
        )


class _Server:
    """One server, which is a standby or not."""

    def __init__(self, host: str, database: Database) -> None:
        self.host = host
        self.database = database
        self.complete_at = float("-inf")


class Standbys:
    """A process's pools of the standbys.

    Args:
        url: names several servers.
        service: for the metrics.
        queries: the pool's.
        primary: the service's pool.
        client: remembers who has just written, for all processes.
        most_seconds: how late a read may be; 0: no standby is used.
    """

    def __init__(
        self,
        url: str,
        service: str,
        queries: Mapping[str, Query],
        primary: Database,
        client: Valkey,
        most_seconds: float,
    ) -> None:
        self._primary = primary
        self._valkey = client
        self._service = service
        self._most_seconds = most_seconds
        self._progress = Progress(2 * most_seconds)
        self._servers: Sequence[_Server] = []
        if most_seconds and postgres_hosts.has_several(url):
            self._servers = [
                _Server(
                    host,
                    Database(
                        _any_state(postgres_hosts.with_host(url, host, port)),
                        service,
                        queries,
                        query_seconds=QUERY_SECONDS,
                    ),
                )
                for host, port in postgres_hosts.hosts_of(url)
            ]

    async def watch_forever(self) -> None:
        """Measure how late each standby is; for services that read from them."""
        while self._servers:
            started = monotonic()
            try:
                self._progress.note(started, await self._primary.value("written_wal"))
            except _FAULTS as error:
                log.warning("the primary does not say how far it is", error=str(error))
            await asyncio.gather(*map(self._measure, self._servers))
            await asyncio.sleep(max(0.0, started + MEASURE_SECONDS - monotonic()))

    async def read(self, member: UUID | None, work: Callable[[Database], Awaitable[T]]) -> T:
        """Read for a member, or for somebody who is not signed in, from a standby if that may be.

        Args:
            member: sees at least what they have written themselves.
            work: reads, and does nothing else: it is done again where the standby fails.

        Raises:
            PostgresUnavailableError: the primary is not available either.
        """
        if not self._servers:
            return await work(self._primary)
        server = self._chosen()
        if server is None:
            self._count("late")
        elif await self._has_written(member):
            self._count("written")
        else:
            try:
                answer = await work(server.database)
            except (PostgresUnavailableError, asyncpg.SerializationError) as error:
                # What the query read was cleaned up on the primary, or the standby is gone.
                log.warning("standby not used", host=server.host, error=str(error))
                server.complete_at = float("-inf")
                self._count("failed")
            else:
                self._count("standby")
                return answer
        return await work(self._primary)

    async def note_write(self, member: UUID) -> None:
        """Let the member's reads go to the primary until any standby that is used has what they wrote."""
        if not self._servers:
            return
        milliseconds = round((self._most_seconds + WRITTEN_MARGIN_SECONDS) * 1000)
        try:
            await self._valkey.execute("SET", _key(member), 1, "PX", milliseconds)
        except valkey.UNAVAILABLE:
            # Nobody reads from a standby while Valkey does not say who has written.
            metrics.VALKEY_ERRORS.labels(self._service, "standbys").inc()

    async def close(self) -> None:
        await asyncio.gather(*(server.database.close() for server in self._servers))

    def _chosen(self) -> _Server | None:
        """The standby that is the least late, if it is not too late."""
        server = max(self._servers, key=lambda one: one.complete_at)
        return server if monotonic() - server.complete_at <= self._most_seconds else None

    async def _measure(self, server: _Server) -> None:
        try:
            row = await server.database.row("replayed_wal")
        except _FAULTS:
            server.complete_at = float("-inf")
            return
        # None of the primary itself.
        replayed = row["replayed"] if row is not None else None
        server.complete_at = (
            self._progress.complete_at(replayed) if replayed is not None else float("-inf")
        )

    async def _has_written(self, member: UUID | None) -> bool:
        if member is None:
            return False
        try:
            return bool(await self._valkey.execute("EXISTS", _key(member)))
        except valkey.UNAVAILABLE:
            metrics.VALKEY_ERRORS.labels(self._service, "standbys").inc()
            return True

    def _count(self, result: str) -> None:
        metrics.STANDBY_READS.labels(self._service, result).inc()


def _key(member: UUID) -> str:
    return f"wrote:{member.hex}"


def _any_state(url: str) -> str:
    """Return the URL without the wish for a server that takes writes."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query) if pair[0] != "target_session_attrs"]
    return urlunsplit(parts._replace(query=urlencode(query)))
