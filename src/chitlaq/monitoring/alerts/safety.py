"""Alerts on what would be missed too late: backups and certificates."""

from __future__ import annotations

from chitlaq.monitoring.alerts.alert import Alert, Series, Unseen, fires, silent, steady

_HOUR = 3_600
_DAY = 24 * _HOUR
_CERTIFICATE = 'ssl_certificate_expiry_seconds{source="endpoint",name="chat.example.edu:443"}'
_READABLE = 'ssl_certificate_readable{source="endpoint",name="chat.example.edu:443"}'
_CERTIFICATE_LABELS = {"source": "endpoint", "name": "chat.example.edu:443"}


def alerts() -> list[Alert]:
    return [*_backup_alerts(), *_certificate_alerts()]


def _backup_alerts() -> list[Alert]:
    # The tests' clock starts at 0: a backup of the day before has a negative time.
    return [
        Alert(
            name="BackupMissing",
            expr="backup_wanted == 1 unless backup_last_success_timestamp_seconds",
            for_="1h",
            severity="P1",
            summary="Nobody knows of any backup ({{ $labels.kind }}).",
            procedure="Check Backup Status",
            family="Backup",
            cases=(
                fires(
                    *_wanted(),
                    steady(_made("dump"), 0, 90),
                    steady(_made("configuration"), 0, 90),
                    labels={"kind": "physical"},
                    summary="Nobody knows of any backup (physical).",
                    at="90m",
                ),
                silent(
                    steady('backup_wanted{kind="physical"}', 0, 90),
                    steady('backup_wanted{kind="dump"}', 1, 90),
                    steady(_made("dump"), 0, 90),
                    at="90m",
                ),
            ),
            unseen=Unseen(('backup_wanted{kind="dump"}',), "ops-service"),
        ),
        Alert(
            name="BackupTooOld",
            expr=f"time() - backup_last_success_timestamp_seconds > {26 * _HOUR}",
            for_="5m",
            severity="P1",
            summary="The last backup ({{ $labels.kind }}) is {{ $value | humanizeDuration }} old.",
            procedure="Check Backup Status",
            family="Backup",
            cases=(
                fires(
                    steady(_made("dump"), -30 * _HOUR),
                    steady(_made("physical"), -2 * _HOUR),
                    labels={"kind": "dump"},
                    summary="The last backup (dump) is 1d 6h 30m 0s old.",
                ),
                silent(steady(_made("dump"), -25 * _HOUR)),
            ),
        ),
        Alert(
            name="BackupBad",
            expr="backup_bad > 0",
            for_="5m",
            severity="P1",
            summary="{{ $value }} backups ({{ $labels.kind }}) are damaged, or not what was backed up.",
            procedure="Test Backup Restoration",
            family="Backup",
            cases=(
                fires(
                    steady('backup_bad{kind="dump"}', 2),
                    labels={"kind": "dump"},
                    summary="2 backups (dump) are damaged, or not what was backed up.",
                ),
                silent(steady('backup_bad{kind="dump"}', 0)),
            ),
            unseen=Unseen(('backup_bad{kind="dump"}',), "ops-service"),
        ),
        Alert(
            name="BackupUnverified",
            expr=f"time() - backup_last_verified_timestamp_seconds > {50 * _HOUR}",
            for_="5m",
            severity="P2",
            summary="No backup ({{ $labels.kind }}) was found whole for"
            " {{ $value | humanizeDuration }}.",
            procedure="Check Backup Status",
            family="Backup",
            cases=(
                fires(
                    steady(_verified("dump"), -60 * _HOUR),
                    labels={"kind": "dump"},
                    summary="No backup (dump) was found whole for 2d 12h 30m 0s.",
                ),
                silent(steady(_verified("dump"), -40 * _HOUR)),
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
            summary="There are backups ({{ $labels.kind }}), and none was ever found whole.",
            procedure="Check Backup Status",
            family="Backup",
            cases=(
                fires(
                    steady(_made("dump"), 0, 240),
                    steady(_made("configuration"), 0, 240),
                    steady(_verified("dump"), 0, 240),
                    labels={"kind": "configuration"},
                    summary="There are backups (configuration), and none was ever found whole.",
                    at="4h",
                ),
                silent(steady(_made("dump"), 0, 240), steady(_verified("dump"), 0, 240), at="4h"),
            ),
        ),
        Alert(
            name="BackupUndrilled",
            expr=f"time() - backup_last_drilled_timestamp_seconds > {50 * _HOUR}",
            for_="5m",
            severity="P2",
            summary="No backup ({{ $labels.kind }}) was restored and compared for"
            " {{ $value | humanizeDuration }}: whether one can be is not known.",
            procedure="Test Backup Restoration",
            family="Backup",
            cases=(
                fires(
                    steady(_drilled("dump"), -60 * _HOUR),
                    labels={"kind": "dump"},
                    summary="No backup (dump) was restored and compared for 2d 12h 30m 0s: whether"
                    " one can be is not known.",
                ),
                silent(steady(_drilled("dump"), -40 * _HOUR)),
            ),
        ),
        Alert(
            name="BackupNeverDrilled",
            expr=(
                'backup_last_success_timestamp_seconds{kind!="configuration"}'
                " unless backup_last_drilled_timestamp_seconds"
            ),
            for_="3h",
            severity="P2",
            summary="There are backups ({{ $labels.kind }}), and none was ever restored.",
            procedure="Test Backup Restoration",
            family="Backup",
            cases=(
                fires(
                    steady(_made("dump"), 0, 240),
                    steady(_drilled("physical"), 0, 240),
                    labels={"kind": "dump"},
                    summary="There are backups (dump), and none was ever restored.",
                    at="4h",
                ),
                silent(
                    steady(_made("dump"), 0, 240),
                    steady(_made("configuration"), 0, 240),
                    steady(_drilled("dump"), 0, 240),
                    at="4h",
                ),
            ),
        ),
        Alert(
            name="BackupNotCopied",
            expr="backup_uncopied > 0",
            # The day's backup is copied after it was verified.
            for_="4h",
            severity="P2",
            summary="{{ $value }} of the newest backups are only on this machine.",
            procedure="Check Backup Status",
            family="Backup",
            cases=(
                fires(
                    steady("backup_uncopied", 2, 360),
                    summary="2 of the newest backups are only on this machine.",
                    at="5h",
                ),
                silent(steady("backup_uncopied", 0, 360), at="5h"),
            ),
        ),
        Alert(
            name="LogNotCopied",
            expr=f"time() - backup_log_copied_timestamp_seconds > {_HOUR}",
            for_="15m",
            severity="P2",
            summary="The log of the database was not copied elsewhere for"
            " {{ $value | humanizeDuration }}.",
            procedure="Check Backup Status",
            family="Backup",
            cases=(
                fires(
                    steady("backup_log_copied_timestamp_seconds", -2 * _HOUR),
                    summary="The log of the database was not copied elsewhere for 2h 30m 0s.",
                ),
                silent(steady("backup_log_copied_timestamp_seconds", 0)),
            ),
        ),
        Alert(
            name="LogNeverCopied",
            # The first is there where the log is archived, the second where copies are wished.
            expr=(
                "backup_log_receiving and backup_uncopied"
                " unless backup_log_copied_timestamp_seconds"
            ),
            for_="1h",
            severity="P2",
            summary="The log of the database was never copied elsewhere.",
            procedure="Check Backup Status",
            family="Backup",
            cases=(
                fires(
                    steady("backup_log_receiving", 1, 120),
                    steady("backup_uncopied", 0, 120),
                    summary="The log of the database was never copied elsewhere.",
                    at="90m",
                ),
                silent(steady("backup_log_receiving", 1, 120), at="90m"),
                silent(steady("backup_uncopied", 0, 120), at="90m"),
                silent(
                    steady("backup_log_receiving", 1, 120),
                    steady("backup_uncopied", 0, 120),
                    steady("backup_log_copied_timestamp_seconds", 3_600, 120),
                    at="90m",
                ),
            ),
        ),
        Alert(
            name="LogNotReceived",
            expr="backup_log_receiving == 0",
            for_="5m",
            severity="P1",
            summary="Nobody receives the log of the database: what is written now would be lost with"
            " its disk.",
            procedure="Check Backup Status",
            family="ArchiveStopped",
            cases=(
                fires(
                    steady("backup_log_receiving", 0),
                    summary="Nobody receives the log of the database: what is written now would be"
                    " lost with its disk.",
                ),
                silent(steady("backup_log_receiving", 1)),
                silent(),
            ),
        ),
    ]


def _made(kind: str) -> str:
    return f'backup_last_success_timestamp_seconds{{kind="{kind}"}}'


def _wanted() -> tuple[Series, ...]:
    """What is wanted where the log is archived, too."""
    return tuple(
        steady(f'backup_wanted{{kind="{kind}"}}', 1, 90)
        for kind in ("physical", "dump", "configuration")
    )


def _verified(kind: str) -> str:
    return f'backup_last_verified_timestamp_seconds{{kind="{kind}"}}'


def _drilled(kind: str) -> str:
    return f'backup_last_drilled_timestamp_seconds{{kind="{kind}"}}'


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
            expr="ssl_certificate_readable == 0",
            for_="15m",
            severity="P2",
            summary="The certificate of {{ $labels.name }} cannot be read: when it ends is not known.",
            procedure="Security Metrics",
            cases=(
                fires(
                    steady(_READABLE, 0, 1_900),
                    labels=_CERTIFICATE_LABELS,
                    summary="The certificate of chat.example.edu:443 cannot be read: when it ends is"
                    " not known.",
                    at="30h",
                ),
                silent(steady(_READABLE, 1), at="40m"),
                silent(at="40m"),
            ),
        ),
    ]
