"""Whether a service can work; answers within a second even if a dependency hangs."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from typing import Literal

import msgspec

from chitlaq import __version__
from chitlaq.core.data import valkey
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.data.valkey import Valkey

CHECK_SECONDS = 0.7

Status = Literal["healthy", "degraded", "unhealthy"]

_started = time.monotonic()


class DependencyHealth(msgspec.Struct, frozen=True):
    """One dependency of a service: its state, and the reason if it is not healthy."""

    status: Status
    detail: str
    duration_seconds: float


class Health(msgspec.Struct, frozen=True):
    """The answer of ``GET /health``; ``uptime`` in whole seconds."""

    status: Status
    timestamp: datetime
    version: str
    uptime: int
    service: str
    checks: dict[str, DependencyHealth]


class Alive(msgspec.Struct, frozen=True):
    """The answer of ``GET /live`` and ``GET /ready``."""

    status: str
    pid: int


def alive(status: str = "alive") -> Alive:
    return Alive(status, os.getpid())


async def report(service: str, database: Database, client: Valkey) -> Health:
    """Check the service's dependencies. It is unhealthy without PostgreSQL, degraded without Valkey."""
    postgres, redis = await asyncio.gather(_postgres(database), _redis(client))
    return summary(service, {"postgres": postgres, "redis": redis})


def summary(service: str, checks: dict[str, DependencyHealth]) -> Health:
    """Summarise: the status of the worst check."""
    states = {check.status for check in checks.values()}
    worst: Status = (
        "unhealthy" if "unhealthy" in states else "degraded" if "degraded" in states else "healthy"
    )
    uptime = int(time.monotonic() - _started)
    return Health(worst, datetime.now(UTC), __version__, uptime, service, checks)


async def _postgres(database: Database) -> DependencyHealth:
    started = time.perf_counter()
    try:
        await database.ping(CHECK_SECONDS)
    except PostgresUnavailableError as error:
        return DependencyHealth("unhealthy", str(error), _since(started))
    return DependencyHealth("healthy", "answers", _since(started))


async def _redis(client: Valkey) -> DependencyHealth:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await client.each("PING")
    except (*valkey.UNAVAILABLE, TimeoutError) as error:
        detail = str(error) or f"no answer within {CHECK_SECONDS:g} s"
        return DependencyHealth("degraded", f"working without: {detail}", _since(started))
    return DependencyHealth("healthy", "answers", _since(started))


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)
