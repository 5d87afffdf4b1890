"""Metrics of the index of messages."""

from __future__ import annotations

from prometheus_client import Gauge

INDEX_LAG = Gauge(
    "search_index_lag_seconds",
    "How long the first message that is not in the index yet has waited; less than a second if none does.",
    multiprocess_mode="livemostrecent",
)
