"""Alerts on backups and the WAL archive."""

from __future__ import annotations

from chitlaq.monitoring.alerts.alert import (
    Alert,
    InputSeries,
    above,
    absent,
    fires,
    older,
    silent,
    steady,
    zero,
)

_HOUR = 3_600


def _made(kind: str) -> str:
    return f'backup_last_success_timestamp_seconds{{kind="{kind}"}}'


def _verified(kind: str) -> str:
    return f'backup_last_verified_timestamp_seconds{{kind="{kind}"}}'


def _drilled(kind: str) -> str:
    return f'backup_last_drilled_timestamp_seconds{{kind="{kind}"}}'


def _wanted(kind: str, value: float = 1) -> InputSeries:
    return steady(f'backup_wanted{{kind="{kind}"}}', value)


_RECEIVING, _UNCOPIED = steady("backup_log_receiving", 1), steady("backup_uncopied", 0)

ALERTS = (
    Alert(
        name="BackupMissing",
        expr="backup_wanted == 1 unless backup_last_success_timestamp_seconds",
        for_="1h",
        severity="P1",
        summary="There is no {{ $labels.kind }} backup.",
        procedure="Check Backup Status",
        family="Backup",
        cases=(
            fires(
                *map(_wanted, ("physical", "dump", "configuration")),
                steady(_made("dump"), 0),
                steady(_made("configuration"), 0),
                kind="physical",
            ),
            silent(_wanted("physical", 0), _wanted("dump"), steady(_made("dump"), 0)),
        ),
        absence=absent('backup_wanted{kind="dump"}', through="ops-service"),
    ),
    Alert(
        name="BackupTooOld",
        expr=f"time() - backup_last_success_timestamp_seconds > {26 * _HOUR}",
        for_="5m",
        severity="P1",
        summary="The last {{ $labels.kind }} backup is {{ $value | humanizeDuration }} old.",
        procedure="Check Backup Status",
        family="Backup",
        cases=older(_made("dump"), 26 * _HOUR, "1d 2h 20m 0s", kind="dump"),
    ),
    Alert(
        name="BackupBad",
        expr="backup_bad > 0",
        for_="1m",
        severity="P1",
        summary="Damaged {{ $labels.kind }} backups, or backups that differ from what was backed"
        " up: {{ $value }}.",
        procedure="Test Backup Restoration",
        family="Backup",
        cases=above('backup_bad{kind="dump"}', 0, "1", kind="dump"),
        absence=absent('backup_bad{kind="dump"}', through="ops-service"),
    ),
    Alert(
        name="BackupUnverified",
        expr=f"time() - backup_last_verified_timestamp_seconds > {50 * _HOUR}",
        for_="5m",
        severity="P2",
        summary="No {{ $labels.kind }} backup has passed verification for"
        " {{ $value | humanizeDuration }}.",
        procedure="Check Backup Status",
        family="Backup",
        cases=older(_verified("dump"), 50 * _HOUR, "2d 2h 20m 0s", kind="dump"),
    ),
    Alert(
        name="BackupNeverVerified",
        expr=(
            "backup_last_success_timestamp_seconds unless backup_last_verified_timestamp_seconds"
        ),
        for_="3h",
        severity="P2",
        summary="There are {{ $labels.kind }} backups, but none has ever passed verification.",
        procedure="Check Backup Status",
        family="Backup",
        cases=(
            fires(
                steady(_made("dump"), 0),
                steady(_made("configuration"), 0),
                steady(_verified("dump"), 0),
                kind="configuration",
            ),
            silent(steady(_made("dump"), 0), steady(_verified("dump"), 0)),
        ),
    ),
    Alert(
        name="BackupUndrilled",
        expr=f"time() - backup_last_drilled_timestamp_seconds > {50 * _HOUR}",
        for_="5m",
        severity="P2",
        summary="No {{ $labels.kind }} backup has passed a restore drill for"
        " {{ $value | humanizeDuration }}: whether one can be restored is unknown.",
        procedure="Test Backup Restoration",
        family="Backup",
        cases=older(_drilled("dump"), 50 * _HOUR, "2d 2h 20m 0s", kind="dump"),
    ),
    Alert(
        name="BackupNeverDrilled",
        expr=(
            'backup_last_success_timestamp_seconds{kind!="configuration"}'
            " unless backup_last_drilled_timestamp_seconds"
        ),
        for_="3h",
        severity="P2",
        summary="There are {{ $labels.kind }} backups, but none has ever passed a restore drill.",
        procedure="Test Backup Restoration",
        family="Backup",
        cases=(
            fires(steady(_made("dump"), 0), steady(_drilled("physical"), 0), kind="dump"),
            silent(
                steady(_made("dump"), 0),
                steady(_made("configuration"), 0),
                steady(_drilled("dump"), 0),
            ),
        ),
    ),
    Alert(
        name="BackupNotCopied",
        expr="backup_uncopied > 0",
        # The daily backup is copied after it has been verified.
        for_="4h",
        severity="P2",
        summary="Newest backups that exist only on this machine: {{ $value }}.",
        procedure="Check Backup Status",
        family="Backup",
        cases=above("backup_uncopied", 0, "1"),
    ),
    Alert(
        name="LogNotCopied",
        expr=f"time() - backup_log_copied_timestamp_seconds > {_HOUR}",
        for_="15m",
        severity="P2",
        summary="The WAL archive has not been copied off-site for {{ $value | humanizeDuration }}.",
        procedure="Check Backup Status",
        family="Backup",
        cases=older("backup_log_copied_timestamp_seconds", _HOUR, "1h 20m 0s"),
    ),
    Alert(
        name="LogNeverCopied",
        # The first exists where WAL is archived, the second where off-site copies are configured.
        expr=(
            "backup_log_receiving and backup_uncopied unless backup_log_copied_timestamp_seconds"
        ),
        for_="1h",
        severity="P2",
        summary="The WAL archive has never been copied off-site.",
        procedure="Check Backup Status",
        family="Backup",
        cases=(
            fires(_RECEIVING, _UNCOPIED),
            silent(_RECEIVING),
            silent(_UNCOPIED),
            silent(_RECEIVING, _UNCOPIED, steady("backup_log_copied_timestamp_seconds", _HOUR)),
        ),
    ),
    Alert(
        name="LogNotReceived",
        expr="backup_log_receiving == 0",
        for_="1m",
        severity="P1",
        summary="Nothing receives the database's WAL: what is written now would be lost with its"
        " disk.",
        procedure="Check Backup Status",
        family="ArchiveStopped",
        stands_on=("DatabaseDown",),
        cases=(*zero("backup_log_receiving"), silent()),
    ),
)
