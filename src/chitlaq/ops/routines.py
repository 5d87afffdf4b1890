"""The runbook's routines: which checks each has, and how a run of one is recorded."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import cpu_affinity
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks import logs, runner, services
from chitlaq.ops.checks.model import Check
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import OnResult, Run
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.database.database import OpsDatabase, OpsDatabaseUnavailableError
from chitlaq.ops.history import notes, run_history

RECORDED_BESIDE = ("check", "benchmark")
"""What the history has besides routines: single checks, and `chitlaq bench --here`."""
_HEALTH = tuple(one.id for one in services.HEALTH)
_LOGS = tuple(one.id for one in logs.LOGS)
_SITE = ("site.patroni", "site.etcd", "site.sentinel")
# What others stand on is in every routine: it explains their problems, and comes first.
_GROUND = (
    "services.processes", "database.ready", "database.connections", "redis.ready", "database.locks",
    "host.disk_sync", *_HEALTH, "services.targets",
)  # fmt: skip
WATCHED = (
    *_GROUND, "alerts.active", "api.latency", "api.throughput", "api.errors",
    "api.refusals", "websocket.connections",
    "database.activity", *_SITE, "redis.memory", "redis.stats", "host.load", "host.memory", "host.disk",
    "host.cpu", "host.bandwidth",
)  # fmt: skip
"""Checks that are quick, and that change from one moment to the next."""


@dataclass(frozen=True, slots=True)
class Routine:
    """Checks that run together at a time of day.

    Args:
        name: the word that operators type.
        title: the runbook's name for it, and the question it answers.
        checks: ids, in the runbook's order.
    """

    name: str
    title: str
    checks: tuple[str, ...]


_ONCALL = ("oncall.now", "oncall.roster", "oncall.channels", "oncall.heartbeat", "operations.lease")
_BACKUPS = (
    "backup.database", "backup.physical", "backup.archive", "backup.configuration", "backup.copies",
)  # fmt: skip

ROUTINES: Mapping[str, Routine] = {
    one.name: one
    for one in (
        Routine(
            "morning",
            "Morning routine: is everything up, and what happened overnight?",
            (
                *_GROUND,
                "host.uptime", "host.load", "host.cpu", "host.memory", "host.disk", "host.disk_io",
                "host.interfaces", "host.sockets", "host.reachability", "host.clock", "database.clock",
                "services.resources", "services.containers", "services.versions",
                "gateway.metrics", "gateway.api", "websocket.metrics", "websocket.ping",
                "websocket.round_trip", "notifications.queues", "feed.home", "feed.round_trip", "media.store",
                "search.users", "auth.status", "mail.server", "security.certificates",
                "database.size", "database.slow_statements", "database.activity", "database.cache",
                "redis.memory", "redis.clients", "redis.stats", *_SITE,
                "alerts.active", "alerts.resolved", "incidents.unacknowledged",
                *_ONCALL, "installation.decisions", "statuspage.fresh",
                *_LOGS, "nginx.errors", "nginx.statuses",
                *_BACKUPS,
            ),
        ),
        Routine(
            "midday",
            "Midday check: how fast and how reliably are members served?",
            (
                *_GROUND,
                "api.latency", "api.feed", "api.login", "api.throughput", "api.errors", "api.refusals",
                "database.latency", "database.transactions", "database.cache",
                "websocket.connections", "websocket.messages", "websocket.latency", "websocket.ping",
                "websocket.round_trip", "feed.round_trip", "mail.server", "security.certificates",
                "host.load", "host.memory", "host.bandwidth", "database.clock",
                "alerts.active",
            ),
        ),
        Routine(
            "evening",
            "Evening routine: the day in review, backups, security, and capacity for tomorrow.",
            (
                *_GROUND,
                "api.day", "api.latency", "api.errors", "api.refusals", "api.throughput",
                "websocket.connections", "websocket.repairs", "websocket.numbering", "feed.counters",
                "search.index", "notifications.deliveries", "mail.server",
                "growth.members",
                *_LOGS, "nginx.addresses", "nginx.limits", "nginx.statuses", "nginx.errors", "nginx.tls",
                "system.journal", "alerts.active", "alerts.resolved", "statuspage.fresh",
                *_BACKUPS,
                "security.ssh_failed", "security.ssh_accepted", "security.fail2ban", "security.bans",
                "security.audit", "security.logins", "security.certificates", "site.certificates",
                "host.disk", "host.memory", "capacity.disk", "capacity.memory",
                "capacity.connections", "capacity.database", "capacity.tables", "media.store", "media.files",
                "memory.growth",
            ),
        ),
        Routine(
            "weekly",
            "Weekly maintenance: updates, log rotation, files that are safe to delete, and action items.",
            (
                *_GROUND,
                "updates.all", "updates.security", "updates.programs", "logs.rotation", "cleanup.candidates",
                "incidents.unacknowledged", "incidents.action_items",
                "host.large_files", "database.dead_rows", "database.transaction_ids",
                "database.slow_statements",
                "security.certificates", "site.certificates", *_BACKUPS,
                "capacity.disk", "capacity.database", "capacity.tables", "memory.growth",
            ),
        ),
        Routine(
            "monthly",
            "Monthly review: speed, capacity and growth.",
            (
                *_GROUND,
                "api.month", "growth.members", "capacity.disk", "capacity.memory",
                "capacity.connections", "capacity.database", "capacity.tables", "memory.growth",
                "database.size", "media.store",
                "updates.all", "updates.security",
            ),
        ),
    )
}  # fmt: skip


def routine(name: str) -> Routine:
    """Return the routine with this name.

    Raises:
        OperatorError: there is no such routine.
    """
    if name not in ROUTINES:
        raise OperatorError(f"There is no routine {name}; there are {', '.join(ROUTINES)}.")
    return ROUTINES[name]


def checks_of(name: str) -> list[Check]:
    """Return the checks of a routine, in its order.

    Raises:
        OperatorError: there is no such routine.
    """
    return [CHECKS[one] for one in routine(name).checks]


def containing(check: str) -> list[str]:
    """Return the routines that have this check."""
    return [one.name for one in ROUTINES.values() if check in one.checks]


def require_recorded(name: str) -> None:
    """Make sure that the history can have runs of this name.

    Raises:
        OperatorError: it cannot; the message suggests the nearest name.
    """
    known = [*ROUTINES, *RECORDED_BESIDE]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise OperatorError(
            f"There is no routine {name}.{hint} The history has {', '.join(known)}."
        )


async def run_and_store(
    home: Home,
    settings: Settings,
    name: str,
    checks: Sequence[Check],
    operator: str,
    on_result: OnResult = lambda *_: None,
) -> tuple[Run, str]:
    """Run checks, record the run, and add the operators' notes to it.

    Returns:
        The run, and why it could not be stored, or an empty string.
    """
    # Observing the system must not be what makes it slow.
    cpu_affinity.pin(os.getpid(), cpu_affinity.background_cpus())
    system = SystemView(home, settings)
    try:
        run = await runner.run(system, name, checks, operator, on_result)
    finally:
        await system.close()
    with OpsDatabase(home) as database:
        trouble = await run_history.store(database, run)
        return await with_notes_if_available(database, run), trouble


async def with_notes_if_available(database: OpsDatabase, run: Run) -> Run:
    """Return a run with the operators' notes, or unchanged if they cannot be read."""
    try:
        return await notes.with_notes(database, run)
    except OpsDatabaseUnavailableError:
        return run
