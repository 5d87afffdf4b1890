"""How fast and how reliably members are served, from Prometheus: rate, errors, duration."""

from __future__ import annotations

import math

from chitlaq.core.errors import UnknownResult
from chitlaq.core.formatting import count, duration, share
from chitlaq.core.installation.settings import Threshold
from chitlaq.ops.checks.model import (
    Check,
    CheckOutcome,
    Section,
    Table,
    TimeSeries,
    Value,
    Verdict,
    check,
    outcome,
)
from chitlaq.ops.checks.sources.judged_by import SERVING
from chitlaq.ops.checks.sources.prometheus import promql
from chitlaq.ops.checks.sources.system import SystemView

GATEWAY = 'service="api-gateway"'
EDGE = ("nginx", "api-gateway")
"""Whom members' requests come through."""
# These routes are requested by probes. With them, an unused system would look busy and healthy.
MEMBERS = f'{GATEWAY},route!~"(/api)?/(health|live|ready|metrics)"'
# A socket stays open for hours, so the duration of its request says nothing about speed.
TIMED = f'{MEMBERS},route!="/ws"'
# A counter without a count has no series; these series tell zero from an unobserved service.
GATEWAY_IS_SEEN = f"0 * sum(event_loop_lag_seconds_count{{{GATEWAY}}})"
WEBSOCKET_IS_SEEN = "0 * sum(websocket_connections_active)"
FEW_REQUESTS = 20
DAY_SECONDS = 86_400.0
STEPS = 96


def _p95(
    selector: str, window: str = "5m", by: str = "le", metric: str = "http_request_duration_seconds"
) -> str:
    chosen = f"{{{selector}}}" if selector else ""
    return f"histogram_quantile(0.95, sum by ({by}) (rate({metric}_bucket{chosen}[{window}])))"


def _query_p95(by: str = "le") -> str:
    return _p95("", by=by, metric="postgresql_query_duration_seconds")


FRAME_P95 = _p95("", metric="websocket_message_duration_seconds")


async def _day(system: SystemView, title: str, unit: str, expression: str) -> TimeSeries:
    """Return the last 24 hours of an expression that yields one series; it may have no points."""
    found = await system.prometheus.range(expression, DAY_SECONDS, DAY_SECONDS / STEPS)
    points = [point for one in found[:1] for point in one.points if math.isfinite(point[1])]
    return TimeSeries(title, unit, points)


async def _requests(system: SystemView, selector: str) -> float:
    """Return the number of requests within five minutes.

    Raises:
        UnknownResult: Prometheus is unavailable, or does not scrape the gateway.
    """
    expression = f"sum(increase(http_requests_total{{{selector}}}[5m])) or {GATEWAY_IS_SEEN}"
    return await system.prometheus.number(expression)


@check(
    "api.latency",
    "Response times",
    section=Section.PERFORMANCE,
    looks_at="http_request_duration_seconds of the gateway without probes, 95th percentile over five minutes",
    commands=(promql(_p95(TIMED)), promql(_p95(TIMED, by="le, route"))),
    remedy="The slowest route tells the service: `chitlaq logs --slow --since 15m`, then `database.locks`.",
    stands_on=SERVING,
    samples_of=EDGE,
)
async def latency(system: SystemView) -> CheckOutcome:
    requests = await _requests(system, TIMED)
    if not requests:
        return outcome("no requests within five minutes", {"requests": Value(0)})
    overall = await system.prometheus.number(_p95(TIMED))
    routes = sorted(
        await system.prometheus.query(_p95(TIMED, by="le, route")), key=lambda one: -one.number
    )
    return outcome(
        f"95th percentile {duration(overall)}; slowest route: {routes[0].metric['route']} with"
        f" {duration(routes[0].number)}",
        {
            "p95": Value(overall, "seconds", *system.thresholds.latency_p95_seconds),
            "requests": Value(requests),
        },
        Table(
            "routes",
            ["route", "95th percentile"],
            [[one.metric["route"], duration(one.number)] for one in routes],
        ),
        await _day(system, "95th percentile", "seconds", _p95(TIMED)),
    )


def _route(id: str, title: str, route: str, service: str) -> Check:  # noqa: A002
    selector = f'{GATEWAY},route="{route}"'

    @check(
        id,
        title,
        section=Section.PERFORMANCE,
        looks_at=f"http_request_duration_seconds of {route}, 95th percentile over five minutes",
        commands=(promql(_p95(f'route="{route}"')),),
        remedy="`chitlaq logs --slow --since 15m`, then `chitlaq ops check database.slow_statements`.",
        stands_on=SERVING,
        samples_of=(*EDGE, service),
    )
    async def one_route(system: SystemView) -> CheckOutcome:
        requests = await _requests(system, selector)
        if not requests:
            return outcome("no requests within five minutes", {"requests": Value(0)})
        seconds = await system.prometheus.number(_p95(selector))
        return outcome(
            f"95th percentile {duration(seconds)} of {count(requests, 'request')}",
            {
                "p95": Value(seconds, "seconds", *system.thresholds.latency_p95_seconds),
                "requests": Value(requests),
            },
        )

    return one_route


feed_latency = _route(
    "api.feed", "Response times of the home feed", "/api/feed/home", "feed-service"
)
login_latency = _route("api.login", "Response times of sign-in", "/api/auth/login", "auth-service")


@check(
    "api.throughput",
    "Requests",
    section=Section.PERFORMANCE,
    looks_at="http_requests_total of the gateway over five minutes, without probes",
    commands=(promql(f"sum(rate(http_requests_total{{{MEMBERS}}}[5m]))"),),
    remedy="More than usual: see `nginx.addresses`. None at all: see `host.reachability`.",
    samples_of=EDGE,
)
async def throughput(system: SystemView) -> CheckOutcome:
    expression = f"sum(rate(http_requests_total{{{MEMBERS}}}[5m]))"
    rate = await system.prometheus.number(f"{expression} or {GATEWAY_IS_SEEN}")
    return outcome(
        f"{rate:.3g} requests/s" if rate else "no requests within five minutes",
        {"rate": Value(rate)},
        await _day(system, "requests per second", "", expression),
    )


def _share(id: str, title: str, statuses: str, setting: str, remedy: str) -> Check:  # noqa: A002
    selector = f'{MEMBERS},status=~"{statuses}"'

    @check(
        id,
        title,
        section=Section.PERFORMANCE,
        looks_at="http_requests_total of the gateway by status, over five minutes, without probes",
        commands=(promql(f"sum by (route) (rate(http_requests_total{{{selector}}}[5m]))"),),
        remedy=remedy,
        stands_on=SERVING,
        samples_of=EDGE,
    )
    async def answers(system: SystemView) -> CheckOutcome:
        requests = await _requests(system, MEMBERS)
        found = await _requests(system, selector)
        ratio = found / requests if requests else 0.0
        # A ratio of few requests is noise.
        threshold: Threshold = getattr(system.thresholds, setting)
        value = Value(ratio, "ratio", *(threshold if requests >= FEW_REQUESTS else ()))
        rows = []
        if found:
            by = f"sum by (route, status) (increase(http_requests_total{{{selector}}}[5m])) > 0"
            rows = [
                [one.metric.get("status", ""), one.metric.get("route", ""), f"{one.number:.0f}"]
                for one in sorted(await system.prometheus.query(by), key=lambda one: -one.number)
            ]
        return outcome(
            f"{share(ratio)} of {count(requests, 'request')} within five minutes"
            if requests
            else "no requests within five minutes",
            {"share": value, "requests": Value(requests)},
            Table("by route", ["status", "route", "requests"], rows),
            await _day(
                system,
                "share of requests",
                "ratio",
                f"sum(rate(http_requests_total{{{selector}}}[5m]))"
                f" / sum(rate(http_requests_total{{{MEMBERS}}}[5m]))",
            ),
        )

    return answers


server_errors = _share(
    "api.errors",
    "Server errors (5xx)",
    "5..",
    "server_errors_ratio",
    "`chitlaq logs --errors --since 15m`; for a component that is down: `chitlaq ps`.",
)
refusals = _share(
    "api.refusals",
    "Refused requests (4xx)",
    "4..",
    "refusals_ratio",
    "429: a limit was reached (`nginx.limits`). 401: expired tokens, or password guessing."
    " 404: a broken link.",
)


@check(
    "database.latency",
    "Query times",
    section=Section.PERFORMANCE,
    looks_at="postgresql_query_duration_seconds, 95th percentile over five minutes",
    commands=(promql(_query_p95()),),
    remedy="`chitlaq ops check database.slow_statements database.locks --details`.",
    stands_on=("database.ready", "database.locks"),
    samples_of=("postgres",),
)
async def query_latency(system: SystemView) -> CheckOutcome:
    try:
        overall = await system.prometheus.number(_query_p95())
    except UnknownResult:
        queries = "sum(rate(postgresql_query_duration_seconds_count[5m]))"
        if await system.prometheus.number(queries) == 0:
            return outcome("no queries within five minutes")
        raise
    found = await system.prometheus.query(_query_p95("le, service, query"))
    slowest = sorted(found, key=lambda one: -one.number)
    return outcome(
        f"95th percentile {duration(overall)}; slowest query: {slowest[0].metric['query']} with"
        f" {duration(slowest[0].number)}",
        {"p95": Value(overall, "seconds", *system.thresholds.query_p95_seconds)},
        Table(
            "queries",
            ["service", "query", "95th percentile"],
            [
                [one.metric["service"], one.metric["query"], duration(one.number)]
                for one in slowest[:20]
            ],
        ),
    )


@check(
    "database.transactions",
    "Transactions",
    section=Section.PERFORMANCE,
    looks_at="postgresql_transactions_total over five minutes",
    commands=(promql("rate(postgresql_transactions_total[5m])"),),
    remedy="If many are rolled back, a service meets errors; its log shows them.",
    stands_on=("database.ready",),
    # ops-service counts them.
    samples_of=("postgres", "ops-service"),
)
async def transactions(system: SystemView) -> CheckOutcome:
    rates = {
        one.metric.get("result", ""): one.number
        for one in await system.prometheus.query("rate(postgresql_transactions_total[5m])")
    }
    committed, back = rates.get("committed", 0.0), rates.get("rolled_back", 0.0)
    return outcome(
        f"{committed:.3g}/s committed, {back:.3g}/s rolled back",
        {"committed": Value(committed), "rolled_back": Value(back)},
        least=Verdict.WARNING if back > 1 and back > committed / 10 else Verdict.OK,
    )


@check(
    "websocket.connections",
    "Open WebSocket connections",
    section=Section.PERFORMANCE,
    looks_at="websocket_connections_active",
    commands=(promql("websocket_connections_active"),),
    remedy="After a sudden drop: `chitlaq logs websocket --since 15m`; clients reconnect automatically.",
    stands_on=("websocket.health",),
    samples_of=("websocket",),
)
async def websocket_connections(system: SystemView) -> CheckOutcome:
    now = await system.prometheus.number("sum(websocket_connections_active)")
    before = await system.prometheus.number(
        "sum(websocket_connections_active offset 10m) or vector(0)"
    )
    has_fallen = before >= FEW_REQUESTS and now < before / 2
    return outcome(
        f"{now:.0f} open" + (f", down from {before:.0f} ten minutes ago" if has_fallen else ""),
        {"open": Value(now), "ten_minutes_ago": Value(before)},
        await _day(system, "open connections", "", "sum(websocket_connections_active)"),
        least=Verdict.WARNING if has_fallen else Verdict.OK,
    )


@check(
    "websocket.messages",
    "WebSocket frames",
    section=Section.PERFORMANCE,
    looks_at="websocket_messages_total over five minutes",
    commands=(promql("rate(websocket_messages_total[5m])"),),
    remedy="Many invalid frames come from a broken client or an attack: `nginx.addresses`.",
    samples_of=("websocket",),
)
async def websocket_messages(system: SystemView) -> CheckOutcome:
    found = await system.prometheus.query(
        "sum by (direction, type) (rate(websocket_messages_total[5m]))"
    )
    rates = {(one.metric["direction"], one.metric["type"]): one.number for one in found}
    came = sum(rate for (direction, _), rate in rates.items() if direction == "in")
    went = sum(rate for (direction, _), rate in rates.items() if direction == "out")
    invalid = rates.get(("in", "invalid"), 0.0)
    return outcome(
        f"{came:.3g}/s in, {went:.3g}/s out",
        {"in": Value(came), "out": Value(went), "invalid": Value(invalid)},
        Table(
            "by type",
            ["direction", "type", "per second"],
            [[d, kind, f"{rate:.3g}"] for (d, kind), rate in sorted(rates.items())],
        ),
        least=Verdict.WARNING if invalid > 1 and invalid > came / 10 else Verdict.OK,
    )


@check(
    "websocket.latency",
    "WebSocket frame times",
    section=Section.PERFORMANCE,
    looks_at="websocket_message_duration_seconds, 95th percentile over five minutes",
    commands=(promql(FRAME_P95),),
    remedy="`chitlaq ops check websocket.ping database.latency`; slow events: `chitlaq jobs list`.",
    stands_on=SERVING,
    samples_of=("websocket",),
)
async def websocket_latency(system: SystemView) -> CheckOutcome:
    frames = await system.prometheus.number(
        f"sum(increase(websocket_message_duration_seconds_count[5m])) or {WEBSOCKET_IS_SEEN}"
    )
    if not frames:
        return outcome("no frames within five minutes", {"frames": Value(0)})
    seconds = await system.prometheus.number(FRAME_P95)
    return outcome(
        f"95th percentile {duration(seconds)}",
        {
            "p95": Value(seconds, "seconds", *system.thresholds.websocket_p95_seconds),
            "frames": Value(frames),
        },
    )


@check(
    "api.month",
    "Response times over a month",
    section=Section.MAINTENANCE,
    looks_at="http_request_duration_seconds of the gateway, over 30 days and the 30 days before",
    commands=(promql(_p95(TIMED, "30d")),),
    remedy="If it is slower than the month before: compare `chitlaq bench --here`, and see"
    " `database.slow_statements`.",
    timeout_seconds=10.0,
)
async def month(system: SystemView) -> CheckOutcome:
    now = await system.prometheus.number(_p95(TIMED, "30d"))
    values = {"p95": Value(now, "seconds", *system.thresholds.latency_p95_seconds)}
    said = f"95th percentile {duration(now)}"
    try:
        before = await system.prometheus.number(
            _p95(TIMED, "30d").replace("[30d]", "[30d] offset 30d")
        )
    except UnknownResult:
        return outcome(f"{said}; no data for the month before", values)
    is_slower = now > 1.5 * before
    values["p95_before"] = Value(before, "seconds")
    return outcome(
        f"{said}; the month before: {duration(before)}",
        values,
        least=Verdict.WARNING if is_slower else Verdict.OK,
    )
