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
from chitlaq.core.data.heartbeat import Heartbeat
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.http.service import Context

CHECK_SECONDS = 0.7

Status = Literal["healthy", "degraded", "unhealthy"]


class _Process:
    """Since when this process runs: the fork server has imported this module before."""

    started_at = time.monotonic()

    @classmethod
    def begin(cls) -> None:
        cls.started_at = time.monotonic()


os.register_at_fork(after_in_child=_Process.begin)


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
    """The answer of ``GET /live`` and ``GET /ready``; ``fault``: why the process cannot do its work."""

    status: str
    pid: int
    fault: str = ""


def alive(status: str = "alive", fault: str = "") -> Alive:
    return Alive(status, os.getpid(), fault)


async def report(context: Context) -> Health:
    """Check what the service depends on, and whether it can do its work.

    It is unhealthy if it cannot, or without PostgreSQL, and degraded without Valkey.
    """
    asked = {"postgres": _postgres(context.database), "redis": _redis(context.valkey)}
    if context.heartbeat.is_wanted:
        asked["work"] = _work(context.heartbeat)
    answers = await asyncio.gather(*asked.values())
    return summary(context.service, dict(zip(asked, answers, strict=True)))


def summary(service: str, checks: dict[str, DependencyHealth]) -> Health:
    """Summarise: the status of the worst check."""
    states = {check.status for check in checks.values()}
    worst: Status = (
        "unhealthy" if "unhealthy" in states else "degraded" if "degraded" in states else "healthy"
    )
    uptime = int(time.monotonic() - _Process.started_at)
    return Health(worst, datetime.now(UTC), __version__, uptime, service, checks)


async def _postgres(database: Database) -> DependencyHealth:
    started = time.perf_counter()
    try:
        await database.ping(CHECK_SECONDS)
    except PostgresUnavailableError as error:
        return DependencyHealth("unhealthy", str(error), _since(started))
    return DependencyHealth("healthy", "answers", _since(started))


async def _work(heartbeat: Heartbeat) -> DependencyHealth:
    started = time.perf_counter()
    fault = await heartbeat.ask(CHECK_SECONDS)
    if fault:
        return DependencyHealth("unhealthy", fault, _since(started))
    return DependencyHealth("healthy", "can be done", _since(started))


async def _redis(client: Valkey) -> DependencyHealth:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await client.require_writes()
    except (*valkey.UNAVAILABLE, TimeoutError) as error:
        detail = str(error) or f"no answer within {CHECK_SECONDS:g} s"
        return DependencyHealth("degraded", f"working without: {detail}", _since(started))
    return DependencyHealth("healthy", "answers", _since(started))


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)
