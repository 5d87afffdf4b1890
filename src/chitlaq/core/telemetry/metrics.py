"""The metrics that every service keeps, under the runbook's names; a service's own are beside its code.

Processes of one service share their numbers through files (prometheus-client's multiprocess mode),
so any worker's ``/metrics`` covers all of them, and a counter outlives its worker. The client library
reads the folder from ``PROMETHEUS_MULTIPROC_DIR`` at the first count, so `core.http.server` sets it before.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections import Counter as Tallied
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from chitlaq.core.telemetry import multiprocess_metrics

# Dense where people begin to notice, so that a quantile is accurate within a few per cent.
LATENCY_BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0
)  # fmt: skip
QUERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Statuses that must show from their first burst: refused, not found, too many, not waited for, broken.
STATUSES = (400, 401, 403, 404, 422, 429, 499, 500, 503)

HTTP_REQUESTS = Counter(
    "http_requests_total", "Requests answered.", ["service", "method", "route", "status"]
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
POSTGRESQL_POOL_WAITING = Gauge(
    "postgresql_pool_waiting",
    "Requests that wait for a connection of their process's pool.",
    ["service"],
    multiprocess_mode="livesum",
)
SERVICE_PROCESSES_UNABLE = Gauge(
    "service_processes_unable",
    "Processes that cannot do their work: lock their tables, write a row, and use the disk.",
    ["service"],
    multiprocess_mode="livesum",
)
SERVICE_MEMORY = Gauge(
    "service_memory_bytes",
    "Resident memory of a service's processes; what they share counts in each.",
    ["service"],
    multiprocess_mode="livesum",
)
SERVICE_MEMORY_LIMIT = Gauge(
    "service_memory_limit_bytes",
    "Memory that a service's control group may use; only where that is less than the machine's.",
    ["service"],
    multiprocess_mode="livemax",
)
SERVICE_MEMORY_AVAILABLE = Gauge(
    "service_memory_available_bytes",
    "Of that, what is available.",
    ["service"],
    multiprocess_mode="livemax",
)
EVENT_LOOP_LAG = Histogram(
    "event_loop_lag_seconds",
    "Event-loop lag: how much later than due a task ran; measured each second.",
    ["service"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0),
)
LOG_LINES = Counter("log_lines_total", "Lines logged, by level.", ["service", "level"])
VALKEY_ERRORS = Counter(
    "valkey_errors_total",
    "Commands that Valkey did not answer, by fallback.",
    ["service", "purpose"],
)
STANDBY_READS = Counter(
    "standby_reads_total",
    "Reads that a standby may answer, by who did: the standby; or the primary, because all were late, the"
    " member had just written, or the standby failed.",
    ["service", "result"],
)
RATE_LIMITED = Counter(
    "rate_limited_total",
    "Requests refused because an account or address asked too often.",
    ["service", "limit"],
)
RATE_LIMITED_MEMBERS = Gauge(
    "rate_limited_members",
    "Accounts that a limit refused within ten minutes, by nginx's access log.",
    ["service", "limit"],
    multiprocess_mode="livesum",
)
RATE_LIMIT_LOCAL_LEASES = Counter(
    "rate_limit_local_leases_total",
    "Leases of a rate limit that a process counted alone because Valkey did not answer.",
    ["service", "limit"],
)
EVENTS = Counter(
    "events_total",
    "Events between services, by result; a type that only a newer version knows is skipped.",
    ["type", "result"],
)
JOBS = Counter(
    "jobs_total",
    "Attempts at jobs, by result; postponed ones found PostgreSQL or Valkey down.",
    ["kind", "result"],
)
JOB_DURATION = Histogram(
    "job_duration_seconds", "Time of an attempt at a job.", ["kind"], buckets=LATENCY_BUCKETS
)
MAILS = Counter(
    "mails_total",
    "Attempts at sending a mail; the server answered 5xx (refused), 4xx (deferred), or not at all.",
    ["result"],
)


def initialize(counter: Counter, *labels: tuple[str, ...]) -> None:
    """Initialize a series to zero, so that a rate sees its first increase."""
    for one in labels:
        counter.labels(*one)


class RequestCounter:
    """Counts a service's requests and their durations; the labels of each series are looked up once.

    `core.http.app` counts what a process answers, `services.gateway.access_log_metrics` what nginx did.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; unknown methods share the label ``other``."""
        known = method if method in METHODS else "other"
        series = self._series.get((known, route, status))
        if series is None:
            series = self._series[known, route, status] = (
                HTTP_REQUESTS.labels(self._service, known, route, str(status)),
                HTTP_REQUEST_DURATION.labels(self._service, known, route),
            )
        series[0].inc()
        series[1].observe(seconds)


def initialize_requests(service: str, method: str, route: str, *statuses: int) -> None:
    """Initialize a route's counters: its own statuses, and those that any route may return."""
    for status in {*statuses, *STATUSES}:
        HTTP_REQUESTS.labels(service, method, route, str(status))
    HTTP_REQUEST_DURATION.labels(service, method, route)


class Tally:
    """What is counted in one turn of the event loop, and written together at its end.

    For what happens thousands of times a second: a count takes a microsecond in the shared file.
    """

    def __init__(self) -> None:
        self._counts: dict[Counter, int] = {}
        self._seconds: dict[Histogram, list[float]] = {}

    def count(self, counter: Counter, count: int = 1) -> None:
        self._begin()
        self._counts[counter] = self._counts.get(counter, 0) + count

    def observe(self, histogram: Histogram, seconds: float) -> None:
        self._begin()
        self._seconds.setdefault(histogram, []).append(seconds)

    def _begin(self) -> None:
        if not self._counts and not self._seconds:
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        counts, self._counts = self._counts, {}
        durations, self._seconds = self._seconds, {}
        for counter, count in counts.items():
            counter.inc(count)
        for histogram, seconds in durations.items():
            # As `Histogram.observe` does for each.
            histogram._sum.inc(sum(seconds))
            buckets = Tallied(bisect_left(histogram._upper_bounds, one) for one in seconds)
            for bucket, count in buckets.items():
                histogram._buckets[bucket].inc(count)


def line_counter(service: str) -> Callable[[str], None]:
    """Return a counter of log lines of this level, with the labels looked up once."""
    levels = {level: LOG_LINES.labels(service, level) for level in ("info", "warning", "error")}
    return lambda level: levels[level].inc()


def exposition() -> tuple[bytes, str]:
    """Return the response of ``GET /metrics``: (text, content type), over all workers."""
    registry: CollectorRegistry = REGISTRY
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        registry.register(_Shared(Path(folder)))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Shared:
    """The metrics of all processes of the service, including exited ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        merged: Iterable[Metric] = multiprocess_metrics.read(
            self._folder, MultiProcessCollector.merge
        )
        return merged
