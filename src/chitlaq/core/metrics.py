"""The metrics that every service keeps, under the names of the runbook.

Processes of one service share their numbers through files (prometheus-client's multiprocess mode),
so any worker's ``/metrics`` answers for all of them, and a counter outlives the worker that counted.
The folder is named in ``PROMETHEUS_MULTIPROC_DIR`` before this module is imported: `core.serve` does
that, and the client library decides at import.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
QUERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

HTTP_REQUESTS = Counter(
    "http_requests_total",
    "Requests answered.",
    ["service", "method", "route", "status"],
)
HTTP_REQUEST_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request's first byte to its answer's last.",
    ["service", "method", "route"],
    buckets=LATENCY_BUCKETS,
)
POSTGRESQL_QUERY_DURATION = Histogram(
    "postgresql_query_duration_seconds",
    "Time a service waited for a named query.",
    ["service", "query"],
    buckets=QUERY_BUCKETS,
)
POSTGRESQL_POOL_CONNECTIONS = Gauge(
    "postgresql_pool_connections",
    "Connections that a service's processes hold, by state.",
    ["service", "state"],
    multiprocess_mode="livesum",
)
VALKEY_ERRORS = Counter(
    "valkey_errors_total",
    "Commands that Valkey did not answer, by what was done without it.",
    ["service", "purpose"],
)
RATE_LIMITED = Counter(
    "rate_limited_total",
    "Requests refused because an account or address asked too often.",
    ["service", "limit"],
)
RATE_LIMIT_FAIL_OPEN = Counter(
    "rate_limit_fail_open_total",
    "Requests let through uncounted because Valkey did not answer.",
    ["service", "limit"],
)
WEBSOCKET_CONNECTIONS = Gauge(
    "websocket_connections_active",
    "Open WebSocket connections.",
    multiprocess_mode="livesum",
)
WEBSOCKET_MESSAGES = Counter(
    "websocket_messages_total",
    "WebSocket frames, by direction and type.",
    ["direction", "type"],
)
WEBSOCKET_MESSAGE_DURATION = Histogram(
    "websocket_message_duration_seconds",
    "Time from a frame's arrival to its answer, and from an event's origin to its delivery.",
    ["type"],
    buckets=LATENCY_BUCKETS,
)
AUTH_ATTEMPTS = Counter(
    "auth_attempts_total",
    "Attempts to log in, by result.",
    ["result"],
)
USER_REGISTRATIONS = Counter(
    "user_registrations_total",
    "Accounts whose address was verified.",
)
POSTS_CREATED = Counter("posts_created_total", "Posts written.")
DELIVERIES = Counter(
    "feed_deliveries_total",
    "Posts added to their followers' timelines and announced, by result.",
    ["result"],
)
TIMELINE_READS = Counter(
    "feed_timeline_reads_total",
    "Home timelines read, by where the ids came from.",
    ["source"],
)
MAILS = Counter("mails_total", "Mails handed over, by result.", ["result"])


def exposition() -> tuple[bytes, str]:
    """Return what ``GET /metrics`` answers: (text, content type), over all workers."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
