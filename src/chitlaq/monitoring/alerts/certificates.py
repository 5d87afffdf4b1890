"""Alerts on TLS certificates."""

from __future__ import annotations

from chitlaq.monitoring.alerts.alert import Alert, below, fires, silent, steady, zero

_DAY = 86_400
_NAME = "chat.example.edu:443"
_EXPIRY = f'ssl_certificate_expiry_seconds{{source="endpoint",name="{_NAME}"}}'
_RIGHT = f'ssl_certificate_right{{source="endpoint",name="{_NAME}"}}'
_READABLE = f'ssl_certificate_readable{{source="endpoint",name="{_NAME}"}}'


ALERTS = (
    Alert(
        name="CertificateExpiresNow",
        expr=f"ssl_certificate_expiry_seconds < {3 * _DAY}",
        for_="1m",
        severity="P1",
        summary="The certificate of {{ $labels.name }} expires in {{ $value | humanizeDuration }}:"
        " browsers will then refuse to connect.",
        procedure="Security Metrics",
        family="CertificateExpires",
        cases=below(_EXPIRY, 3 * _DAY, "2d 16h 48m 0s", source="endpoint", name=_NAME),
    ),
    Alert(
        name="CertificateExpires",
        expr=f"ssl_certificate_expiry_seconds < {14 * _DAY}",
        for_="1m",
        severity="P2",
        summary="The certificate of {{ $labels.name }} expires in {{ $value | humanizeDuration }}.",
        procedure="Security Metrics",
        cases=below(_EXPIRY, 14 * _DAY, "12d 14h 24m 0s", source="endpoint", name=_NAME),
    ),
    Alert(
        name="CertificateWrong",
        expr="ssl_certificate_right == 0",
        for_="1m",
        severity="P1",
        summary="The certificate of {{ $labels.name }} is not for its host, or not signed by what follows it:"
        " browsers refuse to connect. `chitlaq ops check security.certificates` says which.",
        procedure="Security Metrics",
        family="CertificateExpires",
        cases=zero(_RIGHT, source="endpoint", name=_NAME),
    ),
    Alert(
        name="CertificateUnread",
        # No absence alert: an installation that watches no certificate has none to miss.
        expr="ssl_certificate_readable == 0",
        for_="15m",
        severity="P2",
        summary="The certificate of {{ $labels.name }} cannot be read: its expiry is unknown.",
        procedure="Security Metrics",
        cases=(
            *zero(_READABLE, source="endpoint", name=_NAME),
            # It keeps firing.
            fires(steady(_READABLE, 0, 1_900), at="30h", source="endpoint", name=_NAME),
            silent(),
        ),
    ),
    Alert(
        name="CertificateRenewalFails",
        # No absence alert: most have no certificate by ACME. The third try is after three hours.
        expr="ssl_certificate_renewal_failures >= 3",
        for_="5m",
        severity="P2",
        summary="nginx's certificate was not renewed {{ $value }} times in a row; the one in use stays."
        " `chitlaq certificates` says why, and when the next try is.",
        procedure="Security Metrics",
        cases=(
            fires(steady("ssl_certificate_renewal_failures", 3), value="3"),
            silent(steady("ssl_certificate_renewal_failures", 2)),
        ),
    ),
)
