"""Alerts on what would be missed too late: backups and certificates."""

from __future__ import annotations

from chitlaq.ops.alerts.alert import Alert, fires, silent, steady

_HOUR = 3_600
_DAY = 24 * _HOUR
_CERTIFICATE = 'ssl_certificate_expiry_seconds{source="endpoint",name="chat.example.edu:443"}'
_CERTIFICATE_LABELS = {"source": "endpoint", "name": "chat.example.edu:443"}


def alerts() -> list[Alert]:
    return [*_backup_alerts(), *_certificate_alerts()]


def _backup_alerts() -> list[Alert]:
    # The tests' clock starts at 0: a backup of the day before has a negative time.
    return [
        Alert(
            name="BackupMissing",
            expr="absent(backup_last_success_timestamp_seconds)",
            for_="1h",
            severity="P1",
            summary="Nobody knows of any backup.",
            procedure="Check Backup Status",
            family="Backup",
            cases=(
                fires(summary="Nobody knows of any backup.", at="90m"),
                silent(steady("backup_last_success_timestamp_seconds", 0, 90), at="90m"),
            ),
        ),
        Alert(
            name="BackupTooOld",
            expr=f"time() - backup_last_success_timestamp_seconds > {26 * _HOUR}",
            for_="5m",
            severity="P1",
            summary="The last backup is {{ $value | humanizeDuration }} old.",
            procedure="Check Backup Status",
            family="Backup",
            cases=(
                fires(
                    steady("backup_last_success_timestamp_seconds", -30 * _HOUR),
                    summary="The last backup is 1d 6h 30m 0s old.",
                ),
                silent(steady("backup_last_success_timestamp_seconds", -25 * _HOUR)),
            ),
        ),
        Alert(
            name="BackupUnverified",
            expr=f"time() - backup_last_verified_timestamp_seconds > {50 * _HOUR}",
            for_="5m",
            severity="P2",
            summary="No backup was verified for {{ $value | humanizeDuration }}: whether one can be"
            " restored is not known.",
            procedure="Test Backup Restoration",
            family="Backup",
            cases=(
                fires(
                    steady("backup_last_verified_timestamp_seconds", -60 * _HOUR),
                    summary="No backup was verified for 2d 12h 30m 0s: whether one can be restored"
                    " is not known.",
                ),
                silent(steady("backup_last_verified_timestamp_seconds", -40 * _HOUR)),
            ),
        ),
        Alert(
            name="BackupNeverVerified",
            expr=(
                "backup_last_success_timestamp_seconds"
                " unless backup_last_verified_timestamp_seconds"
            ),
            for_="3h",
            severity="P2",
            summary="There are backups, and none was ever verified.",
            procedure="Test Backup Restoration",
            family="Backup",
            cases=(
                fires(
                    steady("backup_last_success_timestamp_seconds", 0, 240),
                    summary="There are backups, and none was ever verified.",
                    at="4h",
                ),
                silent(
                    steady("backup_last_success_timestamp_seconds", 0, 240),
                    steady("backup_last_verified_timestamp_seconds", 0, 240),
                    at="4h",
                ),
            ),
        ),
    ]


def _certificate_alerts() -> list[Alert]:
    return [
        Alert(
            name="CertificateExpiresNow",
            expr=f"ssl_certificate_expiry_seconds < {3 * _DAY}",
            for_="5m",
            severity="P1",
            summary="The certificate of {{ $labels.name }} has {{ $value | humanizeDuration }} left:"
            " then no browser comes in.",
            procedure="Security Metrics",
            family="CertificateExpires",
            cases=(
                fires(
                    steady(_CERTIFICATE, 2 * _DAY),
                    labels=_CERTIFICATE_LABELS,
                    summary="The certificate of chat.example.edu:443 has 2d 0h 0m 0s left: then no"
                    " browser comes in.",
                ),
                silent(steady(_CERTIFICATE, 5 * _DAY)),
            ),
        ),
        Alert(
            name="CertificateExpires",
            expr=f"ssl_certificate_expiry_seconds < {14 * _DAY}",
            for_="5m",
            severity="P2",
            summary="The certificate of {{ $labels.name }} has {{ $value | humanizeDuration }} left.",
            procedure="Security Metrics",
            cases=(
                fires(
                    steady(_CERTIFICATE, 10 * _DAY),
                    labels=_CERTIFICATE_LABELS,
                    summary="The certificate of chat.example.edu:443 has 10d 0h 0m 0s left.",
                ),
                silent(steady(_CERTIFICATE, 60 * _DAY)),
            ),
        ),
        Alert(
            name="CertificateUnread",
            # No twin by `absent`: who watches no certificate has none to miss.
            expr=(
                "last_over_time(ssl_certificate_expiry_seconds[1d])"
                " unless ssl_certificate_expiry_seconds"
            ),
            for_="15m",
            severity="P2",
            summary="The certificate of {{ $labels.name }} can no longer be read.",
            procedure="Security Metrics",
            labels={"seen_through": "ops-service"},
            cases=(
                fires(
                    steady(_CERTIFICATE, 60 * _DAY, 10),
                    labels=_CERTIFICATE_LABELS,
                    summary="The certificate of chat.example.edu:443 can no longer be read.",
                    at="40m",
                ),
                silent(steady(_CERTIFICATE, 60 * _DAY), at="40m"),
                silent(at="40m"),
            ),
        ),
    ]
