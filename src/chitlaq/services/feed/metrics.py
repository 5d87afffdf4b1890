"""Metrics of feed-service: posts, and where timelines are read from."""

from __future__ import annotations

from prometheus_client import Counter

from chitlaq.core.telemetry import metrics

POSTS_CREATED = Counter("posts_created_total", "Posts written.")
COUNTERS_REPAIRED = Counter(
    "feed_counters_repaired_total", "Members and posts whose counters were not what they count."
)
TIMELINE_READS = Counter(
    "feed_timeline_reads_total", "Home timeline reads, by source of the ids.", ["source"]
)

metrics.initialize(TIMELINE_READS, ("valkey",), ("postgres",))
metrics.initialize(
    metrics.VALKEY_ERRORS,
    *(
        ("feed-service", purpose)
        for purpose in ("forget timelines", "read timeline", "start timeline", "store timeline")
    ),
)
