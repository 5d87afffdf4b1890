"""Metrics of pushes and digests."""

from __future__ import annotations

from prometheus_client import Counter

from chitlaq.core.telemetry import metrics

PUSHES = Counter(
    "notification_pushes_total",
    "Web Push messages, by what their push service answered; gone: the browser has ended its subscription.",
    ["result"],
)
DIGESTS = Counter(
    "notification_digests_total",
    "Digests that were due, by whether there was something to tell.",
    ["result"],
)
metrics.initialize(PUSHES, ("delivered",), ("gone",), ("refused",), ("unreachable",))
metrics.initialize(DIGESTS, ("sent",), ("empty",))
