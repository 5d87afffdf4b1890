"""Dashboards on requests: the overview, the services, WebSockets."""

from __future__ import annotations

from chitlaq.core.host import file_systems
from chitlaq.monitoring.dashboards.model import (
    RATE,
    bars,
    dashboard,
    graph,
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
        number(
            "Error rate",
            _share(f'{_EDGE},status=~"5.."', _EDGE),
            "percentunit",
            threshold="server_errors_ratio",
        ),
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
            threshold="cpu_used_ratio",
        ),
        graph(
            "Memory available",
            "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
            "{{instance}}",
            "percentunit",
            threshold="memory_available_ratio",
        ),
        graph(
            "Disk available",
            f"node_filesystem_avail_bytes{{{file_systems.SELECTOR}}} / node_filesystem_size_bytes",
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
        graph(
            "Errors (5xx)",
            _share('status=~"5.."', "", "service"),
            "{{service}}",
            "percentunit",
            threshold="server_errors_ratio",
        ),
        p95(
            "Duration",
            "http_request_duration_seconds",
            "service",
            matchers='route!="/ws"',
            threshold="latency_p95_seconds",
        ),
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
        p95(
            "Queries",
            "postgresql_query_duration_seconds",
            "service, query",
            top=10,
            threshold="query_p95_seconds",
        ),
        rates(
            "Log lines",
            "log_lines_total",
            "service, level",
            "eps",
            matchers='level=~"warning|error"',
        ),
        rates("Failed Valkey commands", "valkey_errors_total", "service, purpose", "eps"),
    ),
)

WEBSOCKET = dashboard(
    "chitlaq-websocket",
    "ChitLaq: WebSocket",
    row(
        "Connections and frames",
        graph("Open connections", "sum(websocket_connections_active)", "open"),
        rates("Frames", "websocket_messages_total", "direction, type", "eps"),
        p95(
            "Time to respond or deliver",
            "websocket_message_duration_seconds",
            "type",
            threshold="websocket_p95_seconds",
        ),
        graph(
            "Round trip between synthetic members",
            "chat_round_trip_seconds",
            "slower direction",
            "s",
            threshold="round_trip_seconds",
        ),
        graph("Round trips that arrive", "chat_round_trip_ok", "arrived", "bool_on_off"),
        graph("Messages that wait to be stored", "sum(websocket_messages_waiting)", "waiting"),
        graph("Messages not in the search index yet", "search_index_lag_seconds", "waiting", "s"),
        graph(
            "Messages repaired",
            f"sum(rate(websocket_messages_repaired_total{RATE}))",
            "repaired",
            "eps",
        ),
        rates("Resumptions", "websocket_resumes_total", "result", "eps"),
        rates("Connections closed", "websocket_closed_total", "code", "eps"),
    ),
)
