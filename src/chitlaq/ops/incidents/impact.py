"""What an incident did to members, from nginx's access log, so that it needs no Prometheus.

It is computed anew as long as the incident goes on, and stored once it is over: logs are rotated away.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec

from chitlaq.core.formatting import count, duration, share
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.local_time import local
from chitlaq.core.telemetry import logs
from chitlaq.logs import failures
from chitlaq.logs.failures import Failures, minute_of, moment_of
from chitlaq.ops.database.database import (
    OpsDatabase,
    OpsDatabaseUnavailableError,
    statement,
)
from chitlaq.ops.incidents import changes

BEFORE = timedelta(minutes=15)
"""An alert fires some time after what it is about has begun."""
FAILED_RATIO = 0.01
"""A minute in which more of a route's requests fail is part of the outage, however much else is asked for."""
SETTLED = timedelta(minutes=2)
"""A request that hangs is logged when it ends: nginx waits for at most a minute."""
SHOWN = 10
SILENT_SECONDS = 120
"""A shorter silence is nothing to speak of."""
STORE_SECONDS = 10.0

log = logs.get("incidents")


class RouteImpact(msgspec.Struct, frozen=True):
    """The requests of a route, and how many of them failed."""

    route: str
    requests: int
    failed: int


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """What members felt.

    Args:
        began_at: the first minute in which requests failed; null if none did.
        ended_at: the end of the last such minute; null as well while they still fail.
        requests: of members, from the first to the last of these minutes.
        failed: of these, answered with a fault (5xx).
        members: accounts with a failed request. Who was signed out, or gave up, is not counted.
        routes: those with the most failures first.
        silence_seconds: the longest time in which nothing arrived: a network or nginx that was down.
        reach: why the figures do not cover the whole incident, or an empty string.
        is_early: nothing has failed yet, and the incident is so young that this says nothing.
    """

    began_at: datetime | None = None
    ended_at: datetime | None = None
    requests: int = 0
    failed: int = 0
    members: int = 0
    routes: tuple[RouteImpact, ...] = ()
    silence_seconds: float = 0.0
    reach: str = ""
    is_early: bool = False

    @property
    def failed_ratio(self) -> float:
        return self.failed / self.requests if self.requests else 0.0


async def of(database: OpsDatabase, home: Home, settings: Settings, number: int) -> Impact:
    """Return what an incident did, up to now or to its end.

    Raises:
        OperatorError: there is no such incident.
    """
    rows = await database.rows("incident_began", number)
    if not rows:
        raise changes.unknown(number)
    if rows[0]["impact"]:
        return msgspec.json.decode(rows[0]["impact"], type=Impact)
    since = datetime.fromisoformat(rows[0]["began_at"]) - BEFORE
    resolved = rows[0]["resolved_at"]
    now = datetime.now(UTC)
    until = datetime.fromisoformat(resolved) if resolved else now
    if not home.access_log.exists():
        return Impact(reach=f"there is no access log at {home.access_log}")
    found = await asyncio.to_thread(failures.failures, home, since, until, settings.logs.keep_files)
    return measured(found, since, until, is_over=resolved is not None)


def measured(found: Failures, since: datetime, until: datetime, *, is_over: bool) -> Impact:
    """Return the impact of a period, which begins `BEFORE` the incident."""
    all_of_them, failed = _by_minute(found.requests), _by_minute(found.failed)
    bad = {
        minute
        for (minute, route), times in found.failed.items()
        if times >= FAILED_RATIO * found.requests[minute, route]
    }
    reach = ""
    if found.is_cut and (found.first is None or found.first > since):
        reach = "earlier lines of the access log are deleted or were too many to count"
    if found.unread:
        unread = f"{count(found.unread, 'line')} of the access log cannot be read"
        reach = "; ".join(filter(None, (reach, unread)))
    # Before its first line there was no log to be silent.
    known_since = max(since, found.first or since)
    silence = _silence(found.minutes, minute_of(known_since), minute_of(until))
    newest = max(found.minutes, default=0)
    if not is_over and newest < minute_of(until) - 1:
        # ops-service itself asks twice a minute, so nobody gets through.
        since_when = f" since {_local(moment_of(newest))}" if newest else ""
        reach = "; ".join(filter(None, (f"no request has arrived{since_when}", reach)))
    if not bad:
        is_early = not is_over and until - since < BEFORE + SETTLED
        return Impact(silence_seconds=silence, reach=reach, is_early=is_early)
    first, last = min(bad), max(bad)
    is_going_on = not is_over and last >= minute_of(until) - 1
    return Impact(
        began_at=moment_of(first),
        ended_at=None if is_going_on else moment_of(last + 1),
        requests=sum(times for minute, times in all_of_them.items() if first <= minute <= last),
        failed=sum(times for minute, times in failed.items() if first <= minute <= last),
        members=len({account for minute, account in found.accounts if first <= minute <= last}),
        routes=_routes(found, first, last),
        silence_seconds=silence,
        reach=reach,
    )


def _by_minute(counted: Counter[tuple[int, str]]) -> Counter[int]:
    found: Counter[int] = Counter()
    for (minute, _), times in counted.items():
        found[minute] += times
    return found


def _routes(found: Failures, first: int, last: int) -> tuple[RouteImpact, ...]:
    def by_route(counted: Counter[tuple[int, str]]) -> Counter[str]:
        routes: Counter[str] = Counter()
        for (minute, route), times in counted.items():
            if first <= minute <= last:
                routes[route] += times
        return routes

    requests, failed = by_route(found.requests), by_route(found.failed)
    return tuple(
        RouteImpact(route, requests[route], times) for route, times in failed.most_common(SHOWN)
    )


def _silence(minutes: Iterable[int], first: int, last: int) -> float:
    """Return the longest time without a line, in seconds; that of the last minute may still come."""
    known = sorted({first - 1, *minutes, last})
    return 60.0 * max(after - before - 1 for before, after in pairwise(known))


def said(impact: Impact) -> str:
    """Return the impact in a sentence."""
    if impact.began_at is None and impact.reach:
        text = f"not known, because {impact.reach}"
    elif impact.is_early:
        text = "not measured yet: it has only begun"
    elif impact.began_at is None:
        text = "no request failed"
    else:
        until = f"to {_local(impact.ended_at)}" if impact.ended_at else "until now"
        text = (
            f"from {_local(impact.began_at)} {until} {share(impact.failed_ratio)} of"
            f" {count(impact.requests, 'request')} failed,"
            f" {count(impact.members, 'member')} affected"
        )
    if impact.silence_seconds >= SILENT_SECONDS:
        text += f"; nothing arrived at all for {duration(impact.silence_seconds)}"
    return text + (f" ({impact.reach})" if impact.reach and impact.began_at else "")


def _local(at: datetime) -> str:
    return f"{local(at):%Y-%m-%d %H:%M}"


async def store_forever(database: OpsDatabase, home: Home, settings: Settings) -> None:
    """Store the impact of incidents that are over."""
    while True:
        await asyncio.sleep(STORE_SECONDS)
        try:
            await store(database, home, settings)
        except OpsDatabaseUnavailableError as error:
            log.warning("impact not stored", error=str(error))


async def store(database: OpsDatabase, home: Home, settings: Settings) -> None:
    """Store the impact of each incident that is over and has none."""
    for row in await database.rows("incidents_without_impact"):
        found = await of(database, home, settings, row["id"])
        encoded = msgspec.json.encode(found).decode()
        await database.write(statement("store_impact", row["id"], row["version"], encoded))
