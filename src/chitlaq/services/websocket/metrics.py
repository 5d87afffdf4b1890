"""Metrics of the websocket service: connections, frames, latency."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from chitlaq.core.telemetry import metrics

WEBSOCKET_CONNECTIONS = Gauge(
    "websocket_connections_active", "Open WebSocket connections.", multiprocess_mode="livesum"
)
WEBSOCKET_MESSAGES = Counter(
    "websocket_messages_total", "WebSocket frames, by direction and type.", ["direction", "type"]
)
WEBSOCKET_MESSAGE_DURATION = Histogram(
    "websocket_message_duration_seconds",
    "Time from a frame's arrival to its answer, and from an event's origin to its delivery.",
    ["type"],
    buckets=metrics.LATENCY_BUCKETS,
)

metrics.initialize(
    WEBSOCKET_MESSAGES,
    *(("in", kind) for kind in ("ping", "auth", "invalid")),
    *(("out", kind) for kind in ("pong", "signed_in", "error", "post")),
)
