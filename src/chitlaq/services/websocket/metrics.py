"""Metrics of the websocket service: connections, frames, latency."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from chitlaq.core.telemetry import metrics
from chitlaq.services.websocket.sockets import frames

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

# The series of each type, looked up once.
_RECEIVED = {
    kind: (WEBSOCKET_MESSAGES.labels("in", kind), WEBSOCKET_MESSAGE_DURATION.labels(kind))
    for kind in (*frames.INCOMING, "invalid")
}
_SENT = {kind: WEBSOCKET_MESSAGES.labels("out", kind) for kind in frames.OUTGOING}


def received(kind: str, seconds: float) -> None:
    """Count a frame from a client, and the time until it was answered."""
    counter, duration = _RECEIVED[kind]
    counter.inc()
    duration.observe(seconds)


def sent(frame: frames.Outgoing) -> None:
    """Count a frame to a client."""
    _SENT[frames.type_of(frame)].inc()
