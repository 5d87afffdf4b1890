"""Metrics of auth-service: login attempts and verified accounts."""

from __future__ import annotations

from prometheus_client import Counter

from chitlaq.core.telemetry import metrics

AUTH_ATTEMPTS = Counter("auth_attempts_total", "Login attempts, by result.", ["result"])
USER_REGISTRATIONS = Counter("user_registrations_total", "Accounts whose address was verified.")

metrics.initialize(AUTH_ATTEMPTS, ("success",), ("failure",), ("limited",))
metrics.initialize(metrics.RATE_LIMITED, ("auth-service", "mails"))


def count_limited_mail() -> None:
    """Count a mail that was not written, because its recipient has got enough."""
    metrics.RATE_LIMITED.labels("auth-service", "mails").inc()
