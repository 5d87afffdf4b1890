"""Whether alerts arrive: the Watchdog, which always fires, comes from Prometheus through Alertmanager."""

from __future__ import annotations

from time import monotonic

from chitlaq.ops.history.alert_history import WATCHDOG, AlertmanagerPayload

SILENT_AFTER_SECONDS = 150.0
"""Alertmanager repeats the Watchdog once a minute (`monitoring.alerts.routing`)."""


class AlertPath:
    """When the Watchdog arrived last; a process that has just started has not heard it yet."""

    def __init__(self) -> None:
        self._heard_at: float | None = None

    def look(self, report: AlertmanagerPayload) -> None:
        """Take note of a Watchdog in a notification; one that has ended no longer comes from Prometheus."""
        statuses = {one.status for one in report.alerts if one.labels.get("alertname") == WATCHDOG}
        if statuses:
            self._heard_at = monotonic() if "firing" in statuses else None

    @property
    def works(self) -> bool:
        return self._heard_at is not None and monotonic() - self._heard_at < SILENT_AFTER_SECONDS
