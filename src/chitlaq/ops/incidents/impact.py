"""What an incident did to members, from nginx's access log, so that it needs no Prometheus."""

from __future__ import annotations

from datetime import datetime

import msgspec


class RouteImpact(msgspec.Struct, frozen=True):
    """The requests of a route, and how many of them failed."""

    route: str
    requests: int
    failed: int


class Impact(msgspec.Struct, frozen=True):
    """What members felt.

    Args:
        began_at: the first minute in which requests failed; null if none did.
        ended_at: the end of the last such minute; null as well while they still fail.
        requests: of members, from the first to the last of these minutes.
        failed: of these, answered with a fault (5xx).
        members: an estimate: different addresses and browsers among signed-in requests that failed.
        routes: those with the most failures first.
        silence_seconds: the longest time in which no request arrived: a network or nginx that was down.
        reach: why the figures do not cover the whole incident, or an empty string.
    """

    began_at: datetime | None
    ended_at: datetime | None
    requests: int
    failed: int
    members: int
    routes: list[RouteImpact]
    silence_seconds: float
    reach: str = ""
