"""Alerts on PostgreSQL and Valkey, as ops-service's exporter sees them."""

from __future__ import annotations

from chitlaq.core.installation.secrets import BACKUP
from chitlaq.monitoring.alerts.alert import Alert, Series, Unseen, fires, rising, silent, steady

_MEGABYTE = 1e6
_LAG = 'postgresql_replication_lag_bytes{application="barman"}'


def _connections(active: int) -> tuple[Series, ...]:
    """So many busy sessions and ten idle ones, of a hundred."""
    return (
        steady('postgresql_connections_active{state="active"}', active),
        steady('postgresql_connections_active{state="idle"}', 10),
        steady("postgresql_connections_max", 100),
    )


def _blocks(hit: float, read: float) -> tuple[Series, ...]:
    """So many blocks a minute that were in memory, after a billion; and that were not."""
    return (
        rising("postgresql_blocks_hit_total", hit, start=1e9),
        rising("postgresql_blocks_read_total", read, start=1e6),
    )


def _slot_active(slot: str, value: float) -> Series:
    return steady(f'postgresql_replication_slot_active{{slot="{slot}"}}', value)


def alerts() -> list[Alert]:
    return [*_connection_alerts(), *_archive_alerts(), *_work_alerts(), *_valkey_alerts()]


def _connection_alerts() -> list[Alert]:
    share = "sum without (state) (postgresql_connections_active) / postgresql_connections_max"
    return [
        Alert(
            name="DatabaseConnectionsExhausted",
            expr=f"{share} > 0.95",
            for_="2m",
            severity="P1",
            summary="{{ $value | humanizePercentage }} of PostgreSQL's connections are taken:"
            " requests begin to fail.",
            procedure="Database Health",
            family="DatabaseConnectionsHigh",
            cases=(
                fires(
                    *_connections(87),
                    summary="97% of PostgreSQL's connections are taken: requests begin to fail.",
                ),
                silent(*_connections(83)),
            ),
            unseen=Unseen(("postgresql_connections_max",), "postgres"),
        ),
        Alert(
            name="DatabaseConnectionsHigh",
            expr=f"{share} > 0.8",
            for_="10m",
            severity="P2",
            summary="{{ $value | humanizePercentage }} of PostgreSQL's connections are taken.",
            procedure="Database Health",
            cases=(
                fires(*_connections(75), summary="85% of PostgreSQL's connections are taken."),
                silent(*_connections(60)),
            ),
        ),
    ]


def _archive_alerts() -> list[Alert]:
    return [
        Alert(
            name="ReplicationFarBehind",
            expr="postgresql_replication_lag_bytes > 1e9",
            for_="5m",
            severity="P1",
            summary="{{ $labels.application }} is {{ $value | humanize1024 }}B of WAL behind: that"
            " much would be lost with this server.",
            procedure="Database Health Metrics",
            family="ReplicationBehind",
            cases=(
                fires(
                    steady(_LAG, 2 * 1024**3),
                    labels={"application": "barman"},
                    summary="barman is 2GiB of WAL behind: that much would be lost with this"
                    " server.",
                ),
                silent(steady(_LAG, 500 * _MEGABYTE)),
            ),
        ),
        Alert(
            name="ReplicationBehind",
            expr="postgresql_replication_lag_bytes > 1e8",
            for_="10m",
            severity="P2",
            summary="{{ $labels.application }} is {{ $value | humanize1024 }}B of WAL behind.",
            procedure="Database Health Metrics",
            cases=(
                fires(
                    steady(_LAG, 512 * 1024**2),
                    labels={"application": "barman"},
                    summary="barman is 512MiB of WAL behind.",
                ),
                silent(steady(_LAG, _MEGABYTE)),
            ),
        ),
        Alert(
            name="ReplicationStopped",
            # Whoever is gone has left pg_stat_replication; the slot stays. The archive's own is watched by
            # LogNotReceived.
            expr=f'postgresql_replication_slot_active{{slot!="{BACKUP}"}} == 0',
            for_="5m",
            severity="P1",
            summary="Nobody reads from the replication slot {{ $labels.slot }}: its standby is away, and"
            " the log is kept for it until the disk is full.",
            procedure="Database Health Metrics",
            cases=(
                fires(
                    _slot_active("standby", 0),
                    _slot_active("other", 1),
                    labels={"slot": "standby"},
                    summary="Nobody reads from the replication slot standby: its standby is away, and"
                    " the log is kept for it until the disk is full.",
                ),
                silent(_slot_active("standby", 1), _slot_active(BACKUP, 0)),
            ),
        ),
        Alert(
            name="SlotRetainsMuch",
            # PostgreSQL here gives a slot up at 8 GB (stack/servers/postgres.py).
            expr="postgresql_replication_slot_retained_bytes > 4e9",
            for_="10m",
            severity="P2",
            summary="{{ $value | humanize1024 }}B of WAL are kept for the replication slot"
            " {{ $labels.slot }}.",
            procedure="Database Health Metrics",
            family="ReplicationStopped",
            cases=(
                fires(
                    steady(
                        'postgresql_replication_slot_retained_bytes{slot="standby"}', 6 * 1024**3
                    ),
                    labels={"slot": "standby"},
                    summary="6GiB of WAL are kept for the replication slot standby.",
                ),
                silent(
                    steady('postgresql_replication_slot_retained_bytes{slot="standby"}', 1e9),
                ),
            ),
        ),
        Alert(
            name="ArchiveFailing",
            expr="increase(postgresql_archive_failures_total[15m]) > 2",
            for_="5m",
            severity="P1",
            summary="PostgreSQL cannot archive its WAL: a restore would lose what was written"
            " since, and the disk will fill.",
            procedure="Check Backup Status",
            family="ArchiveStopped",
            cases=(
                fires(
                    rising("postgresql_archive_failures_total", 1),
                    summary="PostgreSQL cannot archive its WAL: a restore would lose what was"
                    " written since, and the disk will fill.",
                ),
                silent(steady("postgresql_archive_failures_total", 90)),
            ),
        ),
        Alert(
            name="ArchiveStopped",
            # Absent where nothing is archived by choice.
            expr="postgresql_archive_age_seconds > 3600",
            for_="5m",
            severity="P2",
            summary="No WAL was archived for {{ $value | humanizeDuration }}.",
            procedure="Check Backup Status",
            cases=(
                fires(
                    steady("postgresql_archive_age_seconds", 7_200),
                    summary="No WAL was archived for 2h 0m 0s.",
                ),
                silent(steady("postgresql_archive_age_seconds", 300)),
                silent(),
            ),
        ),
    ]


def _work_alerts() -> list[Alert]:
    hits = "rate(postgresql_blocks_hit_total[15m])"
    reads = "rate(postgresql_blocks_read_total[15m])"
    return [
        Alert(
            name="DeadlocksOften",
            expr="increase(postgresql_deadlocks_total[1h]) > 5",
            for_="0m",
            severity="P3",
            summary="PostgreSQL broke {{ $value | humanize }} deadlocks within an hour.",
            procedure="Database Health Metrics",
            cases=(
                fires(
                    rising("postgresql_deadlocks_total", 1, 120),
                    summary="PostgreSQL broke 60 deadlocks within an hour.",
                    at="90m",
                ),
                silent(steady("postgresql_deadlocks_total", 12, 120), at="90m"),
            ),
        ),
        Alert(
            name="TransactionOpenLong",
            expr="postgresql_oldest_transaction_seconds > 600",
            for_="1m",
            severity="P2",
            summary="A transaction has been open for {{ $value | humanizeDuration }}: vacuum cannot"
            " clean behind it.",
            procedure="Performance Issues",
            cases=(
                fires(
                    steady("postgresql_oldest_transaction_seconds", 900),
                    summary="A transaction has been open for 15m 0s: vacuum cannot clean behind"
                    " it.",
                ),
                silent(steady("postgresql_oldest_transaction_seconds", 20)),
            ),
            unseen=Unseen(("postgresql_oldest_transaction_seconds",), "postgres"),
        ),
        Alert(
            name="CacheHitRatioLow",
            # Of what is asked for now; what is read at night, a block here and there, is no trouble.
            expr=f"{hits} / ({hits} + {reads}) < 0.9 and {reads} > 100",
            for_="30m",
            severity="P3",
            summary="PostgreSQL found {{ $value | humanizePercentage }} of its blocks in memory;"
            " less than 90% means that it wants more.",
            procedure="Database Performance Monitoring",
            cases=(
                fires(
                    *_blocks(40_000, 10_000),
                    summary="PostgreSQL found 80% of its blocks in memory; less than 90% means that"
                    " it wants more.",
                    at="50m",
                ),
                silent(*_blocks(990_000, 10_000), at="50m"),
                silent(*_blocks(40, 10), at="50m"),
                silent(*_blocks(0, 0), at="50m"),
            ),
        ),
    ]


def _valkey_alerts() -> list[Alert]:
    return [
        Alert(
            name="ValkeyMemoryHigh",
            # A limit of 0 is none.
            expr="valkey_memory_bytes / (valkey_memory_max_bytes > 0) > 0.9",
            for_="15m",
            severity="P3",
            summary="Valkey uses {{ $value | humanizePercentage }} of the memory it may: it will"
            " give up timelines, which are then made anew from PostgreSQL.",
            procedure="Redis Health",
            cases=(
                fires(
                    steady("valkey_memory_bytes", 95 * _MEGABYTE),
                    steady("valkey_memory_max_bytes", 100 * _MEGABYTE),
                    summary="Valkey uses 95% of the memory it may: it will give up timelines, which"
                    " are then made anew from PostgreSQL.",
                ),
                silent(
                    steady("valkey_memory_bytes", 95 * _MEGABYTE),
                    steady("valkey_memory_max_bytes", 0),
                ),
            ),
            unseen=Unseen(("valkey_memory_bytes",), "redis"),
        ),
        Alert(
            name="ValkeyCommandsFail",
            expr="sum by (service) (increase(valkey_errors_total[5m])) > 10",
            for_="5m",
            severity="P2",
            summary="{{ $labels.service }} works without Valkey: {{ $value | humanize }} commands"
            " were not answered within five minutes.",
            procedure="Redis Health",
            cases=(
                fires(
                    rising('valkey_errors_total{service="feed-service",purpose="timelines"}', 6),
                    labels={"service": "feed-service"},
                    summary="feed-service works without Valkey: 30 commands were not answered"
                    " within five minutes.",
                ),
                silent(
                    steady('valkey_errors_total{service="feed-service",purpose="timelines"}', 70)
                ),
            ),
        ),
        Alert(
            name="RequestsUncounted",
            expr="sum by (service) (increase(rate_limit_fail_open_total[10m])) > 10",
            for_="5m",
            severity="P2",
            summary="{{ $labels.service }} lets requests pass uncounted: passwords can be guessed"
            " without a limit.",
            procedure="Security Metrics",
            cases=(
                fires(
                    rising('rate_limit_fail_open_total{service="auth-service",limit="login"}', 3),
                    labels={"service": "auth-service"},
                    summary="auth-service lets requests pass uncounted: passwords can be guessed"
                    " without a limit.",
                ),
                silent(
                    steady('rate_limit_fail_open_total{service="auth-service",limit="login"}', 9)
                ),
            ),
        ),
    ]
