"""Dashboards on what members notice and do: requests, objectives, WebSockets, activity."""

from __future__ import annotations

from chitlaq.monitoring.alerts.slos import BURNS, OBJECTIVES, WINDOWS, Objective
from chitlaq.monitoring.dashboards.panels import (
    RATE,
    Panel,
    Row,
    bars,
    dashboard,
    graph,
    graphs,
    number,
    p95,
    quantiles,
    rates,
    row,
)

_EDGE = 'service="api-gateway"'
# A WebSocket "request" lasts as long as its connection.
_SHORT = f'{_EDGE},route!="/ws"'


def _share(bad: str, all_: str, by: str = "") -> str:
    """The share of bad requests by label: 0 without bad requests, absent without any requests."""
    grouped = f"sum by ({by})" if by else "sum"
    return (
        f"({grouped} (rate(http_requests_total{{{bad}}}{RATE}))"
        f" or 0 * {grouped} (rate(http_requests_total{{{all_}}}{RATE})))"
        f" / ({grouped} (rate(http_requests_total{{{all_}}}{RATE})) > 0)"
    )


OVERVIEW = dashboard(
    "chitlaq-overview",
    "ChitLaq: overview",
    row(
        "Now",
        number("Scrape jobs down", "sum(up == bool 0)"),
        number("Components down", "sum(component_up == bool 0)"),
        number("Alerts", 'count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)'),
        number("Requests", f"sum(rate(http_requests_total{{{_EDGE}}}{RATE}))", "reqps"),
        number("Error rate", _share(f'{_EDGE},status=~"5.."', _EDGE), "percentunit"),
        number("Open WebSockets", "sum(websocket_connections_active)"),
    ),
    row(
        "At the edge",
        rates(
            "Requests by status", "http_requests_total", "status", "reqps", matchers=_EDGE, width=12
        ),
        quantiles("Response time", "http_request_duration_seconds", matchers=_SHORT, width=12),
    ),
    row(
        "Up",
        bars("Services", "min by (job) (up)", "{{job}}", "bool_on_off", width=12),
        bars("Components", "component_up", "{{component}}", "bool_on_off", width=12),
    ),
    row(
        "Resources",
        graph(
            "CPU busy",
            f'1 - avg by (instance) (rate(node_cpu_seconds_total{{mode="idle"}}{RATE}))',
            "{{instance}}",
            "percentunit",
        ),
        graph(
            "Memory available",
            "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
            "{{instance}}",
            "percentunit",
        ),
        graph(
            "Disk available",
            'node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"} / node_filesystem_size_bytes',
            "{{mountpoint}}",
            "percentunit",
        ),
    ),
)

SERVICES = dashboard(
    "chitlaq-services",
    "ChitLaq: services (rate, errors, duration)",
    row(
        "Rate, errors, duration",
        rates("Rate", "http_requests_total", "service", "reqps"),
        graph("Errors (5xx)", _share('status=~"5.."', "", "service"), "{{service}}", "percentunit"),
        p95("Duration", "http_request_duration_seconds", "service", matchers='route!="/ws"'),
    ),
    row(
        "Routes",
        rates(
            "Busiest routes at the edge",
            "http_requests_total",
            "route",
            "reqps",
            matchers=_EDGE,
            top=10,
            width=12,
        ),
        p95(
            "Slowest routes at the edge",
            "http_request_duration_seconds",
            "route",
            matchers=_SHORT,
            top=10,
            width=12,
        ),
    ),
    row(
        "Processes",
        p95("Event loop lag", "event_loop_lag_seconds", "service"),
        graph(
            "Connections to PostgreSQL",
            "sum by (service, state) (postgresql_pool_connections)",
            "{{service}} {{state}}",
        ),
        graph(
            "Requests waiting for a connection",
            "sum by (service) (postgresql_pool_waiting)",
            "{{service}}",
        ),
        p95("Queries", "postgresql_query_duration_seconds", "service, query", top=10),
        rates(
            "Log lines",
            "log_lines_total",
            "service, level",
            "eps",
            matchers='level=~"warning|error"',
        ),
        rates("Commands that Valkey failed", "valkey_errors_total", "service, purpose", "eps"),
    ),
)

WEBSOCKET = dashboard(
    "chitlaq-websocket",
    "ChitLaq: WebSocket",
    row(
        "Connections and frames",
        graph("Open connections", "sum(websocket_connections_active)", "open"),
        rates("Frames", "websocket_messages_total", "direction, type", "eps"),
        p95("Time to respond or deliver", "websocket_message_duration_seconds", "type"),
    ),
)

BUSINESS = dashboard(
    "chitlaq-business",
    "ChitLaq: member activity",
    row(
        "Accounts",
        number("Accounts", 'sum(accounts{state="verified"})'),
        number("Not verified", 'sum(accounts{state="unverified"})'),
        graph("Active members", "members_active", "within {{window}}"),
        graph("Registrations per day", "sum(increase(user_registrations_total[1d]))", "verified"),
    ),
    row(
        "Activity",
        graph("Posts per hour", "sum(increase(posts_created_total[1h]))", "posts"),
        graph(
            "Logins per hour", 'sum(increase(auth_attempts_total{result="success"}[1h]))', "logins"
        ),
        graph(
            "Messages and posts delivered live, per hour",
            'sum by (type) (increase(websocket_messages_total{direction="out"}[1h]))',
            "{{type}}",
            description="Outgoing WebSocket frames by type. Messages appear here once there are"
            " conversations.",
        ),
    ),
    row(
        "Delivery",
        rates("Deliveries", "jobs_total", "result", "eps", matchers='kind="deliver_post"'),
        graphs(
            "Waiting",
            "short",
            ("feed_deliveries_waiting", "deliveries"),
            ("mails_waiting", "mails"),
        ),
        graphs(
            "Oldest waiting",
            "s",
            ("feed_delivery_oldest_seconds", "delivery"),
            ("mail_oldest_seconds", "mail"),
        ),
        rates("Timelines read", "feed_timeline_reads_total", "source", "ops"),
        rates("Mails", "jobs_total", "result", "eps", matchers='kind="send_mail"'),
    ),
    span="now-7d",
)


def _promise(objective: Objective) -> Row:
    title, budget = objective.name.capitalize(), objective.budget
    burn_rates: list[Panel] = [
        bars(
            f"{title}: burn rate over {window} (1 spends exactly the budget)",
            f"{objective.errors(window)} / {budget:g}",
            "{{service}}",
            width=6,
        )
        for window in WINDOWS
        if window != "30m"
    ]
    limits = ((f"vector({burn.factor * budget:g})", f"limit, {burn.factor:g}x") for burn in BURNS)
    share = graphs(
        f"{title}: share of bad requests over an hour",
        "percentunit",
        (objective.errors("1h"), "{{service}}"),
        *limits,
        width=24,
    )
    return row(f"{title}: {objective.target:.1%} of requests", *burn_rates, share)


PROMISES = dashboard(
    "chitlaq-slos", "ChitLaq: service level objectives", *map(_promise, OBJECTIVES), span="now-3d"
)
