"""What feed-service counts: posts, their deliveries, and where timelines come from."""

from __future__ import annotations

from prometheus_client import Counter

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
