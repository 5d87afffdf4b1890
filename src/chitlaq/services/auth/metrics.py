"""Metrics of auth-service: login attempts and verified accounts."""

from __future__ import annotations

from prometheus_client import Counter

from chitlaq.core.telemetry import metrics

AUTH_ATTEMPTS = Counter("auth_attempts_total", "Login attempts, by result.", ["result"])
SECOND_FACTORS = Counter(
    "auth_second_factor_attempts_total",
    "Second factors that were shown, by method and result.",
    ["method", "result"],
)
USER_REGISTRATIONS = Counter("user_registrations_total", "Accounts whose address was verified.")

metrics.initialize(AUTH_ATTEMPTS, ("success",), ("failure",), ("limited",), ("incomplete",))
metrics.initialize(
    SECOND_FACTORS,
    *(
        (method, result)
        for method in ("totp", "recovery_code", "passkey")
        for result in ("success", "failure")
    ),
    ("totp", "limited"),
)
metrics.initialize(metrics.RATE_LIMITED, ("auth-service", "mails"))
metrics.initialize(metrics.MAILS, ("sent",), ("refused",), ("deferred",), ("unreachable",))


def count_limited_mail() -> None:
    """Count a mail that was not written, because its recipient has got enough."""
    metrics.RATE_LIMITED.labels("auth-service", "mails").inc()
