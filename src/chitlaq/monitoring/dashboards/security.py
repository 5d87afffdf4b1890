"""The dashboard on security: what is refused and who is banned."""

from __future__ import annotations

from chitlaq.monitoring.dashboards.model import bars, dashboard, graph, rates, row

SECURITY = dashboard(
    "chitlaq-security",
    "ChitLaq: security",
    row(
        "Login",
        rates("Attempts", "auth_attempts_total", "result", "eps"),
        rates("Requests rejected by rate limits", "rate_limited_total", "service, limit", "reqps"),
        rates(
            "Requests not rate-limited because Valkey was down",
            "rate_limit_local_leases_total",
            "service, limit",
            "reqps",
        ),
    ),
    row(
        "Access",
        rates(
            "Unauthorized, forbidden, too many requests",
            "http_requests_total",
            "status",
            "reqps",
            matchers='service="api-gateway",status=~"401|403|429"',
        ),
        graph(
            "Addresses banned per hour",
            "sum by (jail) (increase(fail2ban_banned_total[1h]))",
            "{{jail}}",
        ),
        bars("Readable certificates", "ssl_certificate_readable", "{{name}}", "bool_on_off"),
        bars("Right certificates", "ssl_certificate_right", "{{name}}", "bool_on_off"),
        bars("Time until certificates expire", "ssl_certificate_expiry_seconds", "{{name}}", "s"),
        graph("Failed renewals of the certificate", "ssl_certificate_renewal_failures", "in a row"),
        graph("Client connections", "nginx_connections", "{{state}}"),
        graph(
            "Failed exporter reads per hour",
            "sum by (source) (increase(exporter_errors_total[1h]))",
            "{{source}}",
        ),
    ),
    span="now-1d",
)
