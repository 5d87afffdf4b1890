"""Metrics of the websocket service: connections, frames, latency."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram
from websockets.frames import CloseCode

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

MESSAGES_WAITING = Gauge(
    "websocket_messages_waiting",
    "Messages that wait for the group commit that stores them.",
    multiprocess_mode="livesum",
)
RESUMES = Counter(
    "websocket_resumes_total",
    "Resumptions after a connection was lost, by whether a part was left to HTTP.",
    ["result"],
)
metrics.initialize(RESUMES, ("complete",), ("gap",))
PROCESSES_DEAF = Gauge(
    "websocket_processes_deaf",
    "Processes that do not hear the others over Valkey, and read messages from PostgreSQL.",
    multiprocess_mode="livesum",
)
CLOSED = Counter(
    "websocket_closed_total",
    "WebSocket connections closed, by code; 1013: the client read too slowly.",
    ["code"],
)

# The series of each type, looked up once.
_RECEIVED = {
    kind: (WEBSOCKET_MESSAGES.labels("in", kind), WEBSOCKET_MESSAGE_DURATION.labels(kind))
    for kind in (*protocol.INCOMING, "invalid")
}
_MESSAGE_DURATION = WEBSOCKET_MESSAGE_DURATION.labels("message")
_OWN_CODES = frozenset(
    {
        CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.PROTOCOL_ERROR,
        CloseCode.NO_STATUS_RCVD, CloseCode.ABNORMAL_CLOSURE, CloseCode.INVALID_DATA,
        CloseCode.POLICY_VIOLATION, CloseCode.MESSAGE_TOO_BIG, CloseCode.INTERNAL_ERROR,
        CloseCode.SERVICE_RESTART, CloseCode.TRY_AGAIN_LATER,
    }
)  # fmt: skip
_tally = metrics.Tally()
_SENT = {kind: WEBSOCKET_MESSAGES.labels("out", kind) for kind in protocol.OUTGOING}


def received(kind: str, seconds: float) -> None:
    """Count a frame from a client, and the time until it was answered."""
    counter, duration = _RECEIVED[kind]
    _tally.count(counter)
    _tally.observe(duration, seconds)


def closed(code: int) -> None:
    """Count a connection that is over; a code that is not one of ours came from the client."""
    CLOSED.labels(str(int(code)) if code in _OWN_CODES else "other").inc()


def sent(kind: str, count: int = 1) -> None:
    """Count a frame to a client, or to so many."""
    _tally.count(_SENT[kind], count)


def delivered(count: int, seconds: float | None) -> None:
    """Count a message to so many clients, and the time since it arrived from its sender if that is known."""
    sent("message", count)
    if seconds is not None:
        _tally.observe(_MESSAGE_DURATION, seconds)
