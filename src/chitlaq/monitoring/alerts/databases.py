"""Alerts on PostgreSQL and Valkey, as ops-service's exporter sees them."""

from __future__ import annotations

from typing import Any

from chitlaq.core.installation.secrets import BACKUP
from chitlaq.monitoring.alerts.alert import (
    Alert,
    InputSeries,
    above,
    absent,
    ended,
    fires,
    rising,
    silent,
    steady,
)

_LAG = 'postgresql_replication_lag_bytes{application="barman"}'


def recording_rules() -> list[dict[str, Any]]:
    """Return the rules for query times under their histogram's name, which itself has no series of it.

    The runbook asks for ``postgresql_query_duration_seconds``. Without queries there is no time.
    """
    name = "postgresql_query_duration_seconds"
    rate = f"sum by (service) (rate({name}_%s[5m]))"
    times = {
        f"p{100 * quantile:.0f}": f"histogram_quantile({quantile},"
        f" sum by (service, le) (rate({name}_bucket[5m])))"
        for quantile in (0.5, 0.95, 0.99)
    }
    times["mean"] = f"{rate % 'sum'} / {rate % 'count'}"
    return [
        # NaN, where there were none, is not at least 0.
        {"record": name, "labels": {"stat": stat}, "expr": f"{expr} >= 0"}
        for stat, expr in times.items()
    ]


def _connections(active: int) -> tuple[InputSeries, ...]:
    """This many busy sessions and ten idle ones, of a hundred."""
    return (
        steady('postgresql_connections_active{state="active"}', active),
        steady('postgresql_connections_active{state="idle"}', 10),
        steady("postgresql_connections_max", 100),
    )


def _blocks(hit: float, read: float) -> tuple[InputSeries, ...]:
    """Blocks per minute found in memory, after a billion; and not found."""
    return (
        rising("postgresql_blocks_hit_total", hit, start=1e9),
        rising("postgresql_blocks_read_total", read, start=1e6),
    )


def _slot_active(slot: str, value: float) -> InputSeries:
    return steady(f'postgresql_replication_slot_active{{slot="{slot}"}}', value)


def _valkey_memory(used: float, limit: float) -> tuple[InputSeries, ...]:
    return steady("valkey_memory_bytes", used), steady("valkey_memory_max_bytes", limit)


_LOCK_WAIT = "postgresql_lock_wait_seconds"
_SHARE = "sum without (state) (postgresql_connections_active) / postgresql_connections_max"
_HITS = "rate(postgresql_blocks_hit_total[15m])"
_READS = "rate(postgresql_blocks_read_total[15m])"
_ERRORS = 'valkey_errors_total{service="feed-service",purpose="timelines"}'
_UNCOUNTED = 'rate_limit_local_leases_total{service="auth-service",limit="address"}'

ALERTS = (
    Alert(
        name="DatabaseConnectionsExhausted",
        expr=f"{_SHARE} > 0.95",
        for_="1m",
        severity="P1",
        summary="{{ $value | humanizePercentage }} of PostgreSQL's connections are in use:"
        " requests are starting to fail.",
        procedure="Database Health",
        family="DatabaseConnectionsHigh",
        cases=(fires(*_connections(86), value="96%"), silent(*_connections(85))),
        absence=absent("postgresql_connections_max", through="postgres"),
    ),
    Alert(
        name="DatabaseConnectionsHigh",
        expr=f"{_SHARE} > 0.8",
        for_="10m",
        severity="P2",
        summary="{{ $value | humanizePercentage }} of PostgreSQL's connections are in use.",
        procedure="Database Health",
        cases=(fires(*_connections(71), value="81%"), silent(*_connections(70))),
    ),
    Alert(
        name="ReplicationFarBehind",
        expr="postgresql_replication_lag_bytes > 1e9",
        for_="5m",
        severity="P1",
        summary="{{ $labels.application }} is {{ $value | humanize1024 }}B of WAL behind: that"
        " much would be lost with this server.",
        procedure="Database Health Metrics",
        family="ReplicationBehind",
        cases=above(_LAG, 1e9, "1.024Gi", application="barman"),
    ),
    Alert(
        name="ReplicationBehind",
        expr="postgresql_replication_lag_bytes > 1e8",
        for_="10m",
        severity="P2",
        summary="{{ $labels.application }} is {{ $value | humanize1024 }}B of WAL behind.",
        procedure="Database Health Metrics",
        cases=above(_LAG, 1e8, "104.9Mi", application="barman"),
    ),
    Alert(
        name="ReplicationStopped",
        # A standby that is gone has left pg_stat_replication; its slot stays. LogNotReceived covers the
        # slot of the archive.
        expr=f'postgresql_replication_slot_active{{slot!="{BACKUP}"}} == 0',
        for_="5m",
        severity="P1",
        summary="Nothing reads from replication slot {{ $labels.slot }}: its standby is gone, and"
        " WAL is kept for it until the disk is full.",
        procedure="Database Health Metrics",
        cases=(
            fires(_slot_active("standby", 0), _slot_active("other", 1), slot="standby"),
            silent(_slot_active("standby", 1), _slot_active(BACKUP, 0)),
        ),
    ),
    Alert(
        name="SlotRetainsMuch",
        # Our PostgreSQL invalidates a slot at 8 GB (stack/servers/postgres.py).
        expr="postgresql_replication_slot_retained_bytes > 4e9",
        for_="10m",
        severity="P2",
        summary="Replication slot {{ $labels.slot }} retains {{ $value | humanize1024 }}B of WAL.",
        procedure="Database Health Metrics",
        family="ReplicationStopped",
        cases=above(
            'postgresql_replication_slot_retained_bytes{slot="standby"}',
            4e9,
            "4.098Gi",
            slot="standby",
        ),
    ),
    Alert(
        name="ArchiveFailing",
        # It tries again each minute. What has ended wakes nobody.
        expr="increase(postgresql_archive_failures_total[15m]) > 2"
        " and increase(postgresql_archive_failures_total[3m]) > 0",
        for_="5m",
        severity="P1",
        summary="PostgreSQL cannot archive its WAL: a restore would lose everything written"
        " since, and the disk will fill up.",
        procedure="Check Backup Status",
        family="ArchiveStopped",
        cases=(
            fires(rising("postgresql_archive_failures_total", 0.2)),
            silent(rising("postgresql_archive_failures_total", 0.1)),
            silent(steady("postgresql_archive_failures_total", 90)),
            silent(ended("postgresql_archive_failures_total", 3, 27), at="31m"),
        ),
    ),
    Alert(
        name="ArchiveStopped",
        # Absent where archiving is off by choice.
        expr="postgresql_archive_age_seconds > 3600",
        for_="5m",
        severity="P2",
        summary="No WAL has been archived for {{ $value | humanizeDuration }}.",
        procedure="Check Backup Status",
        cases=(*above("postgresql_archive_age_seconds", 3600, "1h 6m 0s"), silent()),
    ),
    Alert(
        name="DeadlocksOften",
        expr="increase(postgresql_deadlocks_total[1h]) > 5",
        for_="0m",
        severity="P3",
        summary="PostgreSQL resolved {{ $value | humanize }} deadlocks within an hour.",
        procedure="Database Health Metrics",
        cases=(
            fires(rising("postgresql_deadlocks_total", 0.1), value="6", at="90m"),
            silent(steady("postgresql_deadlocks_total", 12), at="90m"),
        ),
    ),
    Alert(
        name="LocksWaiting",
        expr=f"{_LOCK_WAIT} > 30",
        for_="0m",
        severity="P1",
        summary="Others have waited for {{ $value | humanizeDuration }} for locks of one and the same"
        " transaction: what members do there stands still. `chitlaq ops check database.locks` says whose,"
        " and how to end it.",
        procedure="Performance Issues",
        stands_on=("DatabaseDown",),
        cases=above(_LOCK_WAIT, 30, "33s"),
        absence=absent(_LOCK_WAIT, through="postgres"),
    ),
    Alert(
        name="TransactionOpenLong",
        expr="postgresql_oldest_transaction_seconds > 600",
        for_="1m",
        severity="P2",
        summary="A transaction has been open for {{ $value | humanizeDuration }}: vacuum cannot"
        " clean up behind it.",
        procedure="Performance Issues",
        cases=above("postgresql_oldest_transaction_seconds", 600, "11m 0s"),
        absence=absent("postgresql_oldest_transaction_seconds", through="postgres"),
    ),
    Alert(
        name="TransactionIdsRunOut",
        # autovacuum begins at 0.1, and at 0.75 does nothing else.
        expr="postgresql_transaction_ids_ratio > 0.4",
        for_="10m",
        severity="P1",
        summary="{{ $value | humanizePercentage }} of PostgreSQL's {{ $labels.kind }}s are used: something"
        " keeps autovacuum from freezing old rows, and at 100% no more is written."
        " `chitlaq ops check database.transaction_ids database.activity` says what.",
        procedure="Database Health Metrics",
        family="TransactionOpenLong",
        cases=above('postgresql_transaction_ids_ratio{kind="xid"}', 0.4, "44%", kind="xid"),
    ),
    Alert(
        name="CacheHitRatioLow",
        # Of current reads; a few reads at night say nothing.
        expr=f"{_HITS} / ({_HITS} + {_READS}) < 0.9 and {_READS} > 100",
        for_="30m",
        severity="P3",
        summary="PostgreSQL found {{ $value | humanizePercentage }} of the blocks it needed in"
        " memory; below 90% it needs more memory.",
        procedure="Database Performance Monitoring",
        cases=(
            fires(*_blocks(88_000, 12_000), value="88%"),
            silent(*_blocks(990_000, 10_000)),
            silent(*_blocks(40, 10)),
            silent(*_blocks(0, 0)),
        ),
    ),
    Alert(
        name="ValkeyMemoryHigh",
        # A limit of 0 is none.
        expr="valkey_memory_bytes / (valkey_memory_max_bytes > 0) > 0.9",
        for_="15m",
        severity="P3",
        summary="Valkey uses {{ $value | humanizePercentage }} of its memory limit: it will evict"
        " timelines, which are then rebuilt from PostgreSQL.",
        procedure="Redis Health",
        cases=(
            fires(*_valkey_memory(91e6, 100e6), value="91%"),
            silent(*_valkey_memory(90e6, 100e6)),
            silent(*_valkey_memory(95e6, 0)),
        ),
        absence=absent("valkey_memory_bytes", through="redis"),
    ),
    Alert(
        name="ValkeyCommandsFail",
        expr="sum by (service) (increase(valkey_errors_total[2m])) > 4",
        for_="2m",
        severity="P2",
        summary="{{ $labels.service }} works without Valkey: {{ $value | humanize }} commands"
        " failed within two minutes.",
        procedure="Redis Health",
        stands_on=("CacheDown",),
        cases=(
            fires(rising(_ERRORS, 3), value="6", service="feed-service"),
            silent(rising(_ERRORS, 2)),
            silent(steady(_ERRORS, 70)),
        ),
    ),
    Alert(
        name="RateLimitsWithoutValkey",
        expr="sum by (service) (increase(rate_limit_local_leases_total[2m])) > 2",
        for_="2m",
        severity="P2",
        summary="Each process of {{ $labels.service }} counts requests for itself, without Valkey:"
        " limits are as many times as high as there are processes.",
        procedure="Security Metrics",
        stands_on=("CacheDown",),
        cases=(
            fires(rising(_UNCOUNTED, 1.2), service="auth-service"),
            silent(rising(_UNCOUNTED, 1)),
            silent(steady(_UNCOUNTED, 70)),
        ),
    ),
)
