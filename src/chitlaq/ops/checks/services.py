"""The services: processes, health, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from chitlaq import inventory
from chitlaq.core.data.postgres import IN_USE
from chitlaq.core.errors import TooLate, UnknownResult
from chitlaq.core.formatting import count, duration
from chitlaq.ops.checks.model import (
    Check,
    CheckOutcome,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
)
from chitlaq.ops.checks.sources.judged_by import CONNECTIONS, DISK, JUDGED_BY, LOCKS
from chitlaq.ops.checks.sources.system import NotRunning, SystemView
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status

RESTARTED_SECONDS = 3600
SETTLED_SECONDS = 240
"""After a restart, until what keeps running counts as well again."""
GATEWAY = next(row for row in inventory.SERVICES if row.is_gateway)
_NGINX_FIRST = (
    "If it is nginx: `chitlaq logs nginx --tail 50`, `chitlaq restart nginx`. Otherwise: "
)
PING_SECONDS = 3.0
COUNTED_SECONDS = 1.0
"""Within this time, the gateway reads a request from nginx's log."""


class _Health(msgspec.Struct):
    """The fields that are read from ``GET /health``."""

    service: str
    status: str
    uptime: int
    version: str
    checks: dict[str, dict[str, Any]] = {}


@check(
    "services.processes",
    "Processes",
    section=Section.SERVICES,
    looks_at="the supervisor; in containers, each component's own answer",
    commands=("chitlaq ps",),
    remedy="Read its last log lines (`chitlaq logs SERVICE --tail 50`), then run `chitlaq restart SERVICE`.",
    stands_on=(DISK,),
)
async def processes(system: SystemView) -> CheckOutcome:
    try:
        statuses = await system.statuses()
    except NotRunning as error:
        if not system.settings.embeds("postgres"):
            # Something else may keep the services running: a container engine, or systemd.
            raise
        return outcome(str(error), {"processes": Value(0)}, least=Verdict.CRITICAL)
    beginning = [one for one in statuses if not one.is_well and system.is_beginning(one)]
    bad = [one for one in statuses if not one.is_well and one not in beginning]
    young = [
        status
        for status in statuses
        if status.restarts and status.pid is not None and status.uptime < RESTARTED_SECONDS
    ]
    rows = [
        [s.name, s.state, str(s.pid or ""), duration(s.uptime), str(s.restarts), s.reason]
        for s in statuses
    ]
    if bad:
        said = ", ".join(f"{s.name} is {s.state}" for s in bad)
    elif young:
        said = "restarted within the last hour: " + ", ".join(s.name for s in young)
    elif beginning:
        said = "started for the first time: " + ", ".join(one.name for one in beginning)
        said += f"; the other {len(statuses) - len(beginning)} are up"
    else:
        said = f"all {len(statuses)} are up"
    is_down = not control.is_up(statuses)
    unsettled = bad + [one for one in young if one.uptime < SETTLED_SECONDS and one not in bad]
    least = Verdict.CRITICAL if is_down else Verdict.WARNING if unsettled else Verdict.OK
    judges = [_judge(one) for one in unsettled]
    return outcome(
        said,
        {
            "processes": Value(sum(s.pid is not None for s in statuses)),
            "restarts": Value(sum(s.restarts for s in statuses)),
        },
        Table("processes", ["service", "state", "pid", "uptime", "restarts", "reason"], rows),
        least=least,
        because=judges,
    )


def _causes(dependencies: Mapping[str, str]) -> list[str]:
    """Return the checks that explain why dependencies of a service are not healthy.

    Args:
        dependencies: what is not healthy, as in the answer of ``/health``, and why.
    """
    if "postgres" in dependencies:
        # It cannot do its work, either.
        dependencies = {name: why for name, why in dependencies.items() if name != "work"}
    return [_cause(name, why) for name, why in dependencies.items()]


def _judge(status: Status) -> str:
    """Return the check that explains why a process is not well."""
    is_service = any(one.name == status.service for one in inventory.SERVICES)
    if is_service and status.state == "unable":
        return _cause("work", status.reason)
    return JUDGED_BY.get(status.service, "")


def _cause(dependency: str, why: str) -> str:
    if dependency in inventory.COMPONENTS:
        return JUDGED_BY.get(dependency, "")
    # What heartbeat.py and PostgreSQL say.
    # A connection is in use for long where somebody waits for a lock.
    if "is locked by others" in why or IN_USE in why:
        return LOCKS
    if "too many clients" in why or "connection slots" in why:
        return CONNECTIONS
    if "has not written for" in why:
        return DISK
    return "host.disk" if "No space left" in why else "database.ready"


async def _silent(system: SystemView, service: str) -> str:
    """Say what does not answer on a service's port; the gateway's is nginx's."""
    if nodes := system.settings.elsewhere(service):
        return f"no answer from where it runs ({', '.join(nodes)})"
    if service == GATEWAY.name:
        with suppress(UnknownResult):
            behind = [one for one in await system.statuses() if one.service == service]
            if behind and all(one.is_well for one in behind):
                return f"nginx does not answer, though {service} behind it does"
    return "does not answer"


def _health(
    id: str,  # noqa: A002
    title: str,
    service: str,
    path: str = "/health",
) -> Check:
    @check(
        id,
        title,
        section=Section.SERVICES,
        looks_at=f"GET {path} of {service}",
        commands=("curl -s http://localhost:{port:" + service + "}" + path + " | jq .",),
        remedy=(_NGINX_FIRST if service == GATEWAY.name else "")
        + f"`chitlaq logs {service} --errors --since 1h`; then `chitlaq restart {service}`.",
        is_timed=True,
        # Each writes its metrics there, and stands still with it.
        stands_on=(DISK,),
    )
    async def health(system: SystemView) -> CheckOutcome:
        started = time.perf_counter()
        try:
            answer = await system.get(service, path)
        except UnknownResult as error:
            # A service that does not answer is not UNKNOWN: it is down.
            why = await system.why_nothing_runs() or (error.judged_by,)
            who = await _silent(system, service)
            return outcome(
                f"{who}: {error}",
                least=Verdict.CRITICAL,
                because=why,
                is_late=isinstance(error, TooLate),
            )
        seconds = time.perf_counter() - started
        try:
            said = msgspec.json.decode(answer.body, type=_Health)
        except msgspec.DecodeError as error:
            raise UnknownResult(f"the answer is not {service}'s: {error}") from None
        if said.service != service:
            raise UnknownResult(f"{said.service} answers on the port of {service}")
        levels = {"healthy": Verdict.OK, "degraded": Verdict.WARNING}
        rows = [
            [thing, str(seen.get("status")), str(seen.get("detail"))]
            for thing, seen in said.checks.items()
        ]
        faults = {row[0]: row[2] for row in rows if row[1] != "healthy"}
        reasons = "; ".join(f"{what}: {why}" for what, why in faults.items())
        return outcome(
            f"{said.status}{': ' + reasons if faults else ''}, up {duration(said.uptime)}",
            {
                "answer": Value(seconds, "seconds", *system.thresholds.answer_seconds),
                "uptime": Value(said.uptime, "seconds"),
            },
            Table("dependencies", ["what", "state", "detail"], rows),
            least=levels.get(said.status, Verdict.CRITICAL),
            because=_causes(faults),
        )

    return health


HEALTH = tuple(
    _health(f"{row.setting}.health", f"Health of {row.name}", row.name)
    for row in inventory.SERVICES
)
gateway_api = _health(
    "gateway.api", "Health of all services, through the gateway", "api-gateway", "/api/health"
)


def _missing(text: str, service: str, wanted: tuple[str, ...]) -> list[str]:
    """Return the names with which no line of an exposition begins, and the service if no line is its own."""
    lines = text.splitlines()
    whose = f'service="{service}"'
    others = [] if any(whose in line for line in lines) else [whose]
    return others + [name for name in wanted if not any(line.startswith(name) for line in lines)]


def _metrics(id: str, title: str, service: str, wanted: tuple[str, ...]) -> Check:  # noqa: A002
    @check(
        id,
        title,
        section=Section.SERVICES,
        looks_at=f"GET /metrics of {service}",
        commands=(
            "curl -s http://localhost:{port:" + service + "}/metrics"
            f' | grep -E "({"|".join(wanted)})"',
        ),
        remedy=f"Without metrics, its alerts cannot fire: `chitlaq restart {service}`, then read its log.",
        stands_on=(JUDGED_BY[service],),
    )
    async def metrics(system: SystemView) -> CheckOutcome:
        try:
            answer = await system.get(service, "/metrics")
            if answer.status == 200 and _missing(answer.text, service, wanted):
                # A counter appears with its first count, and this request is one.
                await asyncio.sleep(COUNTED_SECONDS)
                answer = await system.get(service, "/metrics")
        except UnknownResult as error:
            is_late = isinstance(error, TooLate)
            return outcome(f"no answer: {error}", least=Verdict.CRITICAL, is_late=is_late)
        missing = _missing(answer.text, service, wanted)
        samples = sum(not line.startswith("#") for line in answer.text.splitlines())
        return outcome(
            f"{', '.join(missing)} missing" if missing else f"{count(samples, 'sample')}",
            {"samples": Value(samples), "bytes": Value(len(answer.body), "bytes")},
            least=Verdict.CRITICAL if missing or answer.status != 200 else Verdict.OK,
        )

    return metrics


gateway_metrics = _metrics(
    "gateway.metrics",
    "Metrics of the gateway",
    "api-gateway",
    ("http_requests_total", "http_request_duration_seconds"),
)
websocket_metrics = _metrics(
    "websocket.metrics",
    "Metrics of the WebSocket service",
    "websocket",
    ("websocket_connections_active", "websocket_messages_total"),
)


@check(
    "websocket.ping",
    "WebSocket ping",
    section=Section.SERVICES,
    looks_at="a new connection to /ws",
    commands=(
        "chitlaq ws ping",
        'wscat -c ws://localhost:{port:websocket}/ws -x \'{"type":"ping"}\'',
    ),
    remedy="`chitlaq logs websocket --tail 50`, then `chitlaq restart websocket`: clients reconnect.",
    is_timed=True,
    stands_on=("websocket.health",),
)
async def ping(system: SystemView) -> CheckOutcome:
    from chitlaq.client import pinging
    from chitlaq.client.errors import UnreachableError

    url = system.settings.url_of("websocket", "ws") + "/ws"
    try:
        pong = await pinging.ping(url, PING_SECONDS)
    except UnreachableError as error:
        return outcome(f"no pong: {error}", least=Verdict.CRITICAL)
    return outcome(
        f"pong after {duration(pong.answer_seconds)}",
        {
            "connect": Value(pong.connect_seconds, "seconds", *system.thresholds.answer_seconds),
            "pong": Value(pong.answer_seconds, "seconds", *system.thresholds.answer_seconds),
        },
    )
