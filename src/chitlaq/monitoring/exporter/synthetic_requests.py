"""What came of our own probes' requests, counted, so that objectives have requests while members sleep."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Literal

from prometheus_client.core import Metric

from chitlaq.monitoring.alerts.slos import SLOW_SECONDS
from chitlaq.monitoring.exporter.exported_metrics import metric

Result = Literal["good", "slow", "failed"]
RESULTS: Sequence[Result] = ("good", "slow", "failed")
SERVICES = ("auth-service", "feed-service", "search-service", "websocket")
"""Those that are asked."""
SETTLED_SECONDS = 60.0
"""Services that start together are not up at once: what is asked before this time is not counted."""


class SyntheticRequests:
    """Counts what a member would ask for at once as one request: a page, a post and its reading, a message.

    Args:
        settled_seconds: from now on, until requests count.
    """

    def __init__(self, settled_seconds: float = SETTLED_SECONDS) -> None:
        self._settled_at = monotonic() + settled_seconds
        # From zero on, so that a rate sees the first failure.
        self._counted: dict[tuple[str, ...], float] = {
            (service, result): 0 for service in SERVICES for result in RESULTS
        }

    def count(self, service: str, seconds: float | None) -> None:
        """Count one request.

        Args:
            service: whom it asked.
            seconds: how long the right answer took; None if there was none.
        """
        if monotonic() < self._settled_at:
            return
        result: Result = "failed"
        if seconds is not None:
            result = "slow" if seconds > SLOW_SECONDS else "good"
        self._counted[service, result] += 1

    async def metrics(self) -> list[Metric]:
        return [metric("synthetic_requests", self._counted)]
