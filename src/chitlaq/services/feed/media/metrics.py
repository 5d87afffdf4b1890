"""Metrics of pictures: uploaded, rendered, refused, stored, collected."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from chitlaq.core.telemetry import metrics

UPLOADS = Counter(
    "media_uploads_total",
    "Uploaded pictures, by what they are for and result.",
    ["purpose", "result"],
)
FAILURES = Counter("media_failures_total", "Pictures that cannot be shown, by reason.", ["reason"])
RENDER_DURATION = Histogram(
    "media_render_duration_seconds",
    "Seconds from a picture's claim to its renditions.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
STORED_BYTES = Counter("media_stored_bytes_total", "Bytes of renditions that were stored.")
COLLECTED = Counter(
    "media_collected_total", "Pictures whose files were deleted: of deleted posts, or in none."
)
SWEPT = Counter(
    "media_swept_files_total", "Files without a picture that were deleted, as after a restore."
)
COLLECTED_BYTES = Counter("media_collected_bytes_total", "Bytes of the pictures that were deleted.")
STORE_FAILURES = Counter(
    "media_store_failures_total", "Requests to the pictures' store that failed.", ["purpose"]
)

metrics.initialize(
    UPLOADS,
    *(
        (purpose, result)
        for purpose in ("post", "avatar", "banner")
        for result in ("accepted", "refused")
    ),
)
metrics.initialize(FAILURES, ("picture",), ("process",), ("lost",))
metrics.initialize(STORE_FAILURES, ("upload",), ("render",), ("serve",), ("collect",))
