"""Several PostgreSQL servers of which one takes writes: which it is, and a connection to it.

All are asked at once, and the first that takes writes is used. One after the other, as drivers do it, a
machine that is frozen or cut off would use up the time in which a healthy one could have answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

PORT = 5432
_FAULTS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def hosts_of(url: str) -> Sequence[tuple[str, int]]:
    """Return the hosts and ports of a URL such as ``postgresql://me@one:5432,two:5432/chitlaq``.

    Raises:
        ValueError: a port is no number.
    """
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    parts = [urlsplit(f"//{host}") for host in hosts]
    return [(one.hostname or "", one.port or PORT) for one in parts]


def has_several(url: str) -> bool:
    return len(urlsplit(url).netloc.rpartition("@")[2].split(",")) > 1


def with_host(url: str, host: str, port: int) -> str:
    """Return the URL of one server alone."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    written = f"[{host}]" if ":" in host else host
    return urlunsplit(parts._replace(netloc=f"{user}{at}{written}:{port}"))


async def pool(url: str, **options: Any) -> asyncpg.Pool[Any]:
    """Open a pool whose connections are made by `connect`; the options are asyncpg's."""
    made: asyncpg.Pool[Any]
    made = await asyncpg.create_pool(url, connect=connect, **options)  # type: ignore[call-overload]
    return made


async def connect(url: str, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
    """Connect to the server of a URL, or to the one of several that its ``target_session_attrs`` asks for.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError: none can be
            used.
    """
    if not has_several(url):
        return await asyncpg.connect(url, **options)
    asked = [
        asyncio.create_task(asyncpg.connect(with_host(url, *host), **options))
        for host in hosts_of(url)
    ]
    chosen: asyncpg.Connection[asyncpg.Record] | None = None
    fault: Exception | None = None
    try:
        for answer in asyncio.as_completed(asked):
            try:
                chosen = await answer
                return chosen
            except _FAULTS as error:
                # That a standby takes no writes explains nothing if another server is not reachable.
                if fault is None or not isinstance(error, asyncpg.TargetServerAttributeNotMatched):
                    fault = error
        assert fault is not None
        raise fault
    finally:
        for task in asked:
            task.add_done_callback(lambda task: _drop(task, chosen))
            task.cancel()


def _drop(
    task: asyncio.Task[asyncpg.Connection[asyncpg.Record]],
    chosen: asyncpg.Connection[asyncpg.Record] | None,
) -> None:
    """Close what nobody takes: two servers took writes for a moment, or the caller has gone."""
    if not task.cancelled() and task.exception() is None and task.result() is not chosen:
        task.result().terminate()
