"""The metrics that ops-service exports for others: each declared once, and filled at every scrape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@dataclass(frozen=True, slots=True)
class Family:
    """A metric's name (a counter's without ``_total``), what it says, and its labels."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


FAMILIES = (
    Family("component_up", "gauge", "Whether ops-service reached the component.", ("component",)),
    Family(
        "clock_difference_seconds",
        "gauge",
        "How far a component's clock is ahead of ops-service's.",
        ("component",),
    ),
    Family("postgresql_connections_active", "gauge", "Sessions of clients, by state.", ("state",)),
    Family("postgresql_connections_max", "gauge", "Sessions that the server takes."),
    Family(
        "postgresql_cache_hit_ratio",
        "gauge",
        "Blocks found in PostgreSQL's memory, of all that were asked for since its statistics began.",
    ),
    Family("postgresql_blocks_hit", "counter", "Blocks found in PostgreSQL's memory."),
    Family("postgresql_blocks_read", "counter", "Blocks that had to be read."),
    Family("postgresql_database_size_bytes", "gauge", "Size on disk.", ("database",)),
    Family("postgresql_locks_count", "gauge", "Locks held or waited for, by mode.", ("mode",)),
    Family("postgresql_transactions", "counter", "Transactions ended, by result.", ("result",)),
    Family("postgresql_deadlocks", "counter", "Deadlocks that were broken."),
    Family("postgresql_oldest_transaction_seconds", "gauge", "Age of the oldest open transaction."),
    Family(
        "postgresql_dead_rows",
        "gauge",
        "Rows that wait for vacuum, in the twenty tables with most of them.",
        ("table",),
    ),
    Family(
        "postgresql_replication_lag_bytes",
        "gauge",
        "WAL that a standby or archiver has not confirmed yet; of several of one name the last one's.",
        ("application",),
    ),
    Family(
        "postgresql_replication_slot_active",
        "gauge",
        "Whether somebody reads from the replication slot.",
        ("slot",),
    ),
    Family(
        "postgresql_replication_slot_retained_bytes",
        "gauge",
        "WAL that is kept for the replication slot.",
        ("slot",),
    ),
    Family("postgresql_archive_failures", "counter", "Attempts to archive a WAL file that failed."),
    Family(
        "postgresql_archive_age_seconds",
        "gauge",
        "Time since a WAL file was last archived; only where archiving is on.",
    ),
    Family(
        "postgresql_statements_seconds",
        "counter",
        "Time spent executing statements, by role; only with pg_stat_statements.",
        ("role",),
    ),
    Family("postgresql_statements_calls", "counter", "Statements executed, by role.", ("role",)),
    Family("valkey_memory_bytes", "gauge", "Memory in use."),
    Family("valkey_memory_max_bytes", "gauge", "Memory that it may use; 0 is no limit."),
    Family("valkey_clients", "gauge", "Open connections."),
    Family("valkey_evictions", "counter", "Keys given up for want of room."),
    Family("valkey_hits", "counter", "Keys asked for and found."),
    Family("valkey_misses", "counter", "Keys asked for and not found."),
    Family("valkey_commands", "counter", "Commands answered."),
    Family(
        "component_memory_bytes",
        "gauge",
        "Memory that a component's processes hold (proportional share), as the supervisor knows them.",
        ("component",),
    ),
    Family("nginx_connections", "gauge", "Connections of clients, by state.", ("state",)),
    Family("feed_deliveries_waiting", "gauge", "Posts not yet in their followers' timelines."),
    Family("feed_delivery_oldest_seconds", "gauge", "Age of the oldest of them."),
    Family("mails_waiting", "gauge", "Mails that failed at least once."),
    Family("mail_oldest_seconds", "gauge", "Age of the oldest of them."),
    Family("jobs_waiting", "gauge", "Jobs that are not done, running ones included.", ("kind",)),
    Family("jobs_oldest_seconds", "gauge", "Age of the oldest of them.", ("kind",)),
    Family("jobs_dead", "gauge", "Jobs that failed for the last time.", ("kind",)),
    Family(
        "members_active",
        "gauge",
        "Members who logged in or went on within the time; looked at once a minute.",
        ("window",),
    ),
    Family("accounts", "gauge", "Accounts, by whether their address was proved.", ("state",)),
    Family(
        "ssl_certificate_expiry_seconds",
        "gauge",
        "Time until the certificate expires; negative when it has.",
        ("source", "name"),
    ),
    Family(
        "ssl_certificate_readable",
        "gauge",
        "Whether a certificate that is watched could be read.",
        ("source", "name"),
    ),
    Family(
        "fail2ban_banned",
        "counter",
        "Addresses banned: those that fail2ban's database held at the start, and each since.",
        ("jail",),
    ),
    Family(
        "backup_wanted",
        "gauge",
        "Whether backups of the kind are to be made here.",
        ("kind",),
    ),
    Family(
        "backup_last_success_timestamp_seconds",
        "gauge",
        "When the newest backup was made: a physical one, a dump, a configuration.",
        ("kind",),
    ),
    Family(
        "backup_last_verified_timestamp_seconds",
        "gauge",
        "When a backup was last found unchanged and complete.",
        ("kind",),
    ),
    Family(
        "backup_last_drilled_timestamp_seconds",
        "gauge",
        "When a backup was last restored into a scratch server and found the same.",
        ("kind",),
    ),
    Family("backup_size_bytes", "gauge", "Size of the newest backup.", ("kind",)),
    Family("backup_duration_seconds", "gauge", "What making the newest backup took.", ("kind",)),
    Family(
        "backup_drill_seconds",
        "gauge",
        "What the last good drill took, from the backup to an answering service.",
        ("kind",),
    ),
    Family(
        "backup_lost_seconds",
        "gauge",
        "How much of the newest writes the last good drill would have lost.",
        ("kind",),
    ),
    Family("backup_bad", "gauge", "Backups that were found damaged or different.", ("kind",)),
    Family(
        "backup_uncopied",
        "gauge",
        "Newest backups that should be elsewhere and are not; only where copies are wished.",
    ),
    Family(
        "backup_log_copied_timestamp_seconds",
        "gauge",
        "When all of the archived log was last elsewhere; only where copies are wished.",
    ),
    Family(
        "backup_log_receiving",
        "gauge",
        "Whether the log (WAL) is being received; only where it is archived.",
    ),
    Family("exporter_errors", "counter", "Times that a source could not be read.", ("source",)),
)

_BY_NAME = {family.name: family for family in FAMILIES}


def of(name: str, values: float | Mapping[str, float] | Mapping[tuple[str, ...], float]) -> Metric:
    """Return a declared metric with its values: one, or one for each label's value."""
    family = _BY_NAME[name]
    make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = make(family.name, family.help, labels=family.labels)
    by_label = values if isinstance(values, Mapping) else {(): values}
    for labels, value in by_label.items():
        metric.add_metric([labels] if isinstance(labels, str) else list(labels), float(value))
    return metric
