"""Dashboards on what members notice and do: requests, objectives, WebSockets, activity."""

from __future__ import annotations

from chitlaq.monitoring.alerts.slos import BURNS, OBJECTIVES, WINDOWS, Objective
from chitlaq.monitoring.dashboards.panels import (
    RATE,
    Dashboard,
    Panel,
    Row,
    bars,
    graph,
    graphs,
    number,
    quantiles,
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


OVERVIEW = Dashboard(
    "chitlaq-overview",
    "ChitLaq: overview",
    (
        Row(
            "Now",
            (
                number("Scrape jobs down", "sum(up == bool 0)"),
                number("Components down", "sum(component_up == bool 0)"),
                number(
                    "Alerts", 'count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)'
                ),
                number("Requests", f"sum(rate(http_requests_total{{{_EDGE}}}{RATE}))", "reqps"),
                number("Error rate", _share(f'{_EDGE},status=~"5.."', _EDGE), "percentunit"),
                number("Open WebSockets", "sum(websocket_connections_active)"),
            ),
        ),
        Row(
            "At the edge",
            (
                graph(
                    "Requests by status",
                    f"sum by (status) (rate(http_requests_total{{{_EDGE}}}{RATE}))",
                    "{{status}}",
                    "reqps",
                    width=12,
                ),
                quantiles(
                    "Response time", "http_request_duration_seconds", matchers=_SHORT, width=12
                ),
            ),
        ),
        Row(
            "Up",
            (
                bars("Services", "min by (job) (up)", "{{job}}", "bool_on_off", width=12),
                bars("Components", "component_up", "{{component}}", "bool_on_off", width=12),
            ),
        ),
        Row(
            "Resources",
            (
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
        ),
    ),
)

SERVICES = Dashboard(
    "chitlaq-services",
    "ChitLaq: services (rate, errors, duration)",
    (
        Row(
            "Rate, errors, duration",
            (
                graph(
                    "Rate",
                    f"sum by (service) (rate(http_requests_total{RATE}))",
                    "{{service}}",
                    "reqps",
                ),
                graph(
                    "Errors (5xx)",
                    _share('status=~"5.."', "", "service"),
                    "{{service}}",
                    "percentunit",
                ),
                graph(
                    "Duration, 95 %",
                    "histogram_quantile(0.95, sum by (service, le)"
                    f' (rate(http_request_duration_seconds_bucket{{route!="/ws"}}{RATE})))',
                    "{{service}}",
                    "s",
                ),
            ),
        ),
        Row(
            "Routes",
            (
                graph(
                    "Busiest routes at the edge",
                    f"topk(10, sum by (route) (rate(http_requests_total{{{_EDGE}}}{RATE})))",
                    "{{route}}",
                    "reqps",
                    width=12,
                ),
                graph(
                    "Slowest routes at the edge, 95 %",
                    "topk(10, histogram_quantile(0.95, sum by (route, le)"
                    f" (rate(http_request_duration_seconds_bucket{{{_SHORT}}}{RATE}))))",
                    "{{route}}",
                    "s",
                    width=12,
                ),
            ),
        ),
        Row(
            "Processes",
            (
                graph(
                    "Event loop lag, 95 %",
                    "histogram_quantile(0.95, sum by (service, le)"
                    f" (rate(event_loop_lag_seconds_bucket{RATE})))",
                    "{{service}}",
                    "s",
                ),
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
                graph(
                    "Queries, 95 %",
                    "topk(10, histogram_quantile(0.95, sum by (service, query, le)"
                    f" (rate(postgresql_query_duration_seconds_bucket{RATE}))))",
                    "{{service}} {{query}}",
                    "s",
                ),
                graph(
                    "Log lines",
                    "sum by (service, level)"
                    f' (rate(log_lines_total{{level=~"warning|error"}}{RATE}))',
                    "{{service}} {{level}}",
                    "eps",
                ),
                graph(
                    "Commands that Valkey failed",
                    f"sum by (service, purpose) (rate(valkey_errors_total{RATE}))",
                    "{{service}} {{purpose}}",
                    "eps",
                ),
            ),
        ),
    ),
)

WEBSOCKET = Dashboard(
    "chitlaq-websocket",
    "ChitLaq: WebSocket",
    (
        Row(
            "Connections and frames",
            (
                graph("Open connections", "sum(websocket_connections_active)", "open"),
                graph(
                    "Frames",
                    f"sum by (direction, type) (rate(websocket_messages_total{RATE}))",
                    "{{direction}} {{type}}",
                    "eps",
                ),
                graph(
                    "Time to respond or deliver, 95 %",
                    "histogram_quantile(0.95, sum by (type, le)"
                    f" (rate(websocket_message_duration_seconds_bucket{RATE})))",
                    "{{type}}",
                    "s",
                ),
            ),
        ),
    ),
)

BUSINESS = Dashboard(
    "chitlaq-business",
    "ChitLaq: member activity",
    (
        Row(
            "Accounts",
            (
                number("Accounts", 'sum(accounts{state="verified"})', width=4),
                number("Not verified", 'sum(accounts{state="unverified"})', width=4),
                graph("Active members", "members_active", "within {{window}}"),
                graph(
                    "Registrations per day",
                    "sum(increase(user_registrations_total[1d]))",
                    "verified",
                ),
            ),
        ),
        Row(
            "Activity",
            (
                graph("Posts per hour", "sum(increase(posts_created_total[1h]))", "posts"),
                graph(
                    "Logins per hour",
                    'sum(increase(auth_attempts_total{result="success"}[1h]))',
                    "logins",
                ),
                graph(
                    "Messages and posts delivered live, per hour",
                    'sum by (type) (increase(websocket_messages_total{direction="out"}[1h]))',
                    "{{type}}",
                    description="Outgoing WebSocket frames by type. Messages appear here once there are"
                    " conversations.",
                ),
            ),
        ),
        Row(
            "Delivery",
            (
                graph(
                    "Deliveries",
                    f'sum by (result) (rate(jobs_total{{kind="deliver_post"}}{RATE}))',
                    "{{result}}",
                    "eps",
                ),
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
                graph(
                    "Timelines read",
                    f"sum by (source) (rate(feed_timeline_reads_total{RATE}))",
                    "{{source}}",
                    "ops",
                ),
                graph(
                    "Mails",
                    f'sum by (result) (rate(jobs_total{{kind="send_mail"}}{RATE}))',
                    "{{result}}",
                    "eps",
                ),
            ),
        ),
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
    return Row(f"{title}: {objective.target:.1%} of requests", (*burn_rates, share))


PROMISES = Dashboard(
    "chitlaq-slos",
    "ChitLaq: service level objectives",
    tuple(map(_promise, OBJECTIVES)),
    span="now-3d",
)
