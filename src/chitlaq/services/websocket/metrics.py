"""Metrics of the websocket service: connections, frames, latency."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from chitlaq.core.telemetry import metrics
from chitlaq.services.websocket import protocol

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

MESSAGES_REPAIRED = Counter(
    "websocket_messages_repaired_total",
    "Messages read from PostgreSQL because another process's publication was missed.",
)

# The series of each type, looked up once.
_RECEIVED = {
    kind: (WEBSOCKET_MESSAGES.labels("in", kind), WEBSOCKET_MESSAGE_DURATION.labels(kind))
    for kind in (*protocol.INCOMING, "invalid")
}
_SENT = {kind: WEBSOCKET_MESSAGES.labels("out", kind) for kind in protocol.OUTGOING}


def received(kind: str, seconds: float) -> None:
    """Count a frame from a client, and the time until it was answered."""
    counter, duration = _RECEIVED[kind]
    counter.inc()
    duration.observe(seconds)


def sent(kind: str) -> None:
    """Count a frame to a client."""
    _SENT[kind].inc()
