"""The metrics that ops-service exports for other components, each declared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """A metric's name (a counter's without ``_total``), its help text, and its labels."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, help_: str, *labels: str) -> MetricFamily:
    return MetricFamily(name, "gauge", help_, labels)


def _counter(name: str, help_: str, *labels: str) -> MetricFamily:
    return MetricFamily(name, "counter", help_, labels)


FAMILIES = (
    _gauge(
        "component_up",
        "Whether the component answers ops-service and, if it keeps data, takes writes.",
        "component",
    ),
    _gauge(
        "clock_difference_seconds",
        "How far the component's clock is ahead of ops-service's clock.",
        "component",
    ),
    _gauge(
        "memory_limit_bytes",
        "Memory that the services' control group may use; only where that is less than the machine's.",
    ),
    _gauge(
        "memory_limit_available_bytes",
        "Of that, what is available, and at most what the machine has available.",
    ),
    _gauge("postgresql_connections_active", "Client sessions, by state.", "state"),
    _gauge("postgresql_connections_max", "Maximum number of sessions."),
    _gauge(
        "postgresql_cache_hit_ratio",
        "Blocks found in PostgreSQL's buffer cache, of all blocks read since the statistics reset.",
    ),
    _counter("postgresql_blocks_hit", "Blocks found in PostgreSQL's buffer cache."),
    _counter("postgresql_blocks_read", "Blocks read from disk or the kernel's cache."),
    _gauge("postgresql_database_size_bytes", "Size on disk.", "database"),
    _gauge(
        "postgresql_table_size_bytes",
        "Size on disk with indexes, of the twenty largest tables; measured once a minute.",
        "table",
    ),
    _gauge("postgresql_locks_count", "Locks held or awaited, by mode.", "mode"),
    _counter("postgresql_transactions", "Completed transactions, by result.", "result"),
    _counter("postgresql_deadlocks", "Deadlocks detected and resolved."),
    _gauge(
        "postgresql_lock_wait_seconds",
        "How long others have waited for locks of one and the same transaction, one after another, or it has"
        " held a table that nobody else can write to.",
    ),
    _gauge(
        "postgresql_oldest_transaction_seconds",
        "Age of the oldest open transaction, prepared ones included.",
    ),
    _gauge(
        "postgresql_transaction_ids_ratio",
        "Transaction IDs and multixacts used since the oldest row; at 1, no more writes are taken.",
        "kind",
    ),
    _gauge(
        "postgresql_dead_rows",
        "Dead rows that await vacuum, in the twenty tables with the most of them.",
        "table",
    ),
    _gauge(
        "postgresql_replication_lag_bytes",
        "WAL that a standby or archiver has not confirmed yet; the maximum for several of one name.",
        "application",
    ),
    _gauge(
        "postgresql_replication_slot_active",
        "Whether a standby or archiver reads from the replication slot.",
        "slot",
    ),
    _gauge(
        "postgresql_replication_slot_retained_bytes",
        "WAL retained for the replication slot.",
        "slot",
    ),
    _counter("postgresql_archive_failures", "Failed attempts to archive a WAL file."),
    _gauge(
        "postgresql_archive_age_seconds",
        "Time since a WAL file was last archived; only where archiving is on.",
    ),
    _counter(
        "postgresql_statements_seconds",
        "Time spent executing statements, by role; only with pg_stat_statements.",
        "role",
    ),
    _counter("postgresql_statements_calls", "Executed statements, by role.", "role"),
    _gauge("valkey_memory_bytes", "Memory in use, of a cluster by node.", "node"),
    _gauge("valkey_memory_max_bytes", "Memory limit; 0 means no limit.", "node"),
    _gauge("valkey_clients", "Open connections.", "node"),
    _counter("valkey_evictions", "Keys evicted to stay under maxmemory.", "node"),
    _counter("valkey_hits", "Key lookups that found a key.", "node"),
    _counter("valkey_misses", "Key lookups that found none.", "node"),
    _counter("valkey_commands", "Processed commands.", "node"),
    _gauge(
        "sentinel_up",
        "Whether the Sentinel answers; only where Sentinels watch Valkey.",
        "sentinel",
    ),
    _gauge(
        "sentinel_primaries_named",
        "How many different primaries the Sentinels name: one, if they agree.",
    ),
    _gauge(
        "sentinel_quorum",
        "Whether the Sentinel reaches as many others as a failover takes.",
        "sentinel",
    ),
    _gauge("sentinel_others", "Other Sentinels that it knows.", "sentinel"),
    _gauge(
        "sentinel_replicas_in_sync",
        "Replicas that run and are connected to the primary, as the Sentinel sees them.",
        "sentinel",
    ),
    _gauge(
        "sentinel_failover_in_progress",
        "Whether the Sentinel makes another Valkey the primary just now.",
        "sentinel",
    ),
    _gauge(
        "component_memory_bytes",
        "Memory of a component's processes (proportional share), as known to the supervisor.",
        "component",
    ),
    _gauge(
        "disk_sync_seconds",
        "Time to write a page to the disk of CHITLAQ_HOME for good, six times a minute.",
    ),
    _gauge(
        "component_version_differs",
        "Whether a component's process runs another version of ChitLaq than the supervisor; once a minute.",
        "component",
    ),
    _gauge("nginx_connections", "Client connections, by state.", "state"),
    _gauge("feed_deliveries_waiting", "Posts not yet in their followers' timelines."),
    _gauge("feed_delivery_oldest_seconds", "Age of the oldest of them."),
    _gauge(
        "feed_ranking_age_seconds",
        "Time since posts and tags were ranked, for explore and trending.",
    ),
    _gauge(
        "media_files_missing",
        "Share of the files of twenty pictures, chosen by chance, that their folder lacks; once a minute.",
    ),
    _gauge("mails_waiting", "Mails that failed at least once."),
    _gauge("mail_oldest_seconds", "Age of the oldest of them."),
    _gauge(
        "mail_server_up",
        "Whether the mail server takes mails of our sender, asked twice a minute; only with smtp.host.",
    ),
    _gauge("digests_due", "Digests that are due and not written yet."),
    _gauge("digest_oldest_seconds", "For how long the first of them has been due."),
    _gauge("announcements_under_way", "Announcements that are delivered or withdrawn just now."),
    _gauge("announcement_still_seconds", "For how long the first of them has not gone on."),
    _gauge("jobs_waiting", "Jobs that are not done, running ones included.", "kind"),
    _gauge("jobs_oldest_seconds", "Age of the oldest of them.", "kind"),
    _gauge("jobs_dead", "Jobs that have failed for the last time.", "kind"),
    _gauge(
        "members_active",
        "Members who logged in or used a session within the window; counted once a minute.",
        "window",
    ),
    _gauge(
        "chat_messages",
        "Messages of members' conversations, deleted ones included; counted once a minute.",
    ),
    _gauge(
        "chat_round_trip_ok",
        "Whether messages between the synthetic members arrived in both directions, once a minute.",
    ),
    _gauge(
        "chat_round_trip_seconds",
        "Time from sending to arrival, in the slower direction; only if they arrived.",
    ),
    _gauge(
        "post_round_trip_ok",
        "Whether a synthetic member's post was read by its author alone, and deleted, once a minute.",
    ),
    _gauge(
        "post_round_trip_seconds",
        "Time from writing the post to reading it; only if it was.",
    ),
    _gauge(
        "probe_ok",
        "Whether a service answered a member's request through the edge as it should, every ten seconds.",
        "service",
    ),
    _gauge("probe_seconds", "How long that took; only if it answered.", "service"),
    _counter(
        "synthetic_requests",
        "Our own probes' requests, posts and messages, by whom they ask and result: good, slow or failed.",
        "service",
        "result",
    ),
    _gauge("accounts", "Accounts, by whether their address is verified.", "state"),
    _gauge(
        "ssl_certificate_expiry_seconds",
        "Time until the first certificate of the chain expires; negative once it has.",
        "source",
        "name",
    ),
    _gauge(
        "ssl_certificate_readable", "Whether a watched certificate could be read.", "source", "name"
    ),
    _gauge(
        "ssl_certificate_right",
        "Whether a watched certificate is for its host, valid already, and signed by what follows it.",
        "source",
        "name",
    ),
    _gauge(
        "site_certificate_expiry_seconds",
        "Time until the certificate of one of a site's servers expires, by its endpoint.",
        "name",
    ),
    _gauge(
        "ssl_certificate_renewal_failures",
        "Tries in a row to renew nginx's certificate by ACME that failed; only if it comes by ACME.",
    ),
    _counter(
        "fail2ban_banned",
        "Banned addresses: those in fail2ban's database at the start, and each ban since.",
        "jail",
    ),
    _gauge("backup_wanted", "Whether backups of the kind are configured.", "kind"),
    _gauge(
        "backup_last_success_timestamp_seconds",
        "When the newest backup was made: physical, dump or configuration.",
        "kind",
    ),
    _gauge(
        "backup_last_verified_timestamp_seconds", "When a backup last passed verification.", "kind"
    ),
    _gauge(
        "backup_last_drilled_timestamp_seconds",
        "When a backup was last restored into a scratch server and found identical.",
        "kind",
    ),
    _gauge("backup_size_bytes", "Size of the newest backup.", "kind"),
    _gauge("backup_duration_seconds", "Time it took to make the newest backup.", "kind"),
    _gauge(
        "backup_drill_seconds",
        "Duration of the last successful drill, from the backup to a running service.",
        "kind",
    ),
    _gauge(
        "backup_lost_seconds",
        "How much of the newest writes the last successful drill would have lost.",
        "kind",
    ),
    _gauge("backup_bad", "Backups that are damaged or differ from their source.", "kind"),
    _gauge(
        "backup_uncopied",
        "Newest backups without an off-site copy; only where copies are configured.",
    ),
    _gauge(
        "backup_log_copied_timestamp_seconds",
        "When the whole WAL archive was last off-site; only where copies are configured.",
    ),
    _gauge("backup_log_receiving", "Whether WAL is being received; only where it is archived."),
    _gauge(
        "operations_database_damaged",
        "Damaged files of the operations database that were set aside and are still there.",
    ),
    _gauge("oncall_roster_valid", "Whether oncall.toml is valid; without one, too."),
    _gauge(
        "oncall_people_on_call", "People at the first level now; only where people are configured."
    ),
    _gauge("escalation_pages_failed", "Messages on incidents not accepted within the last hour."),
    _gauge(
        "escalation_page_overdue_seconds",
        "For how long the oldest message that waits has been due.",
    ),
    _gauge(
        "heartbeat_sent_timestamp_seconds",
        "When operations.heartbeat_url last took a heartbeat; only where it is set.",
    ),
    _gauge("operations_lease_here", "Whether this ops-service holds the lease of operations."),
    _gauge(
        "operations_lease_left_seconds",
        "For how long the lease is held unless it is renewed; negative since nobody holds it.",
    ),
    _gauge("operations_lease_epoch", "Rises each time that another ops-service takes the lease."),
    _counter("exporter_errors", "Failed reads of a source.", "source"),
)

_BY_NAME = {family.name: family for family in FAMILIES}


def metric(
    name: str, values: float | Mapping[str, float] | Mapping[tuple[str, ...], float]
) -> Metric:
    """Return a declared metric with one value, or one for each label value."""
    family = _BY_NAME[name]
    make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    made = make(family.name, family.help, labels=family.labels)
    by_label = values if isinstance(values, Mapping) else {(): values}
    for labels, value in by_label.items():
        made.add_metric([labels] if isinstance(labels, str) else list(labels), float(value))
    return made
