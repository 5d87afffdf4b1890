"""The dashboard on a site of several machines; on one machine it is empty."""

from __future__ import annotations

from chitlaq.monitoring.dashboards.model import dashboard, graph, row

SITE = dashboard(
    "chitlaq-site",
    "ChitLaq: Several machines",
    row(
        "PostgreSQL under Patroni",
        graph("Primary", "patroni_primary", "{{name}}", "bool_on_off"),
        graph("Synchronous standby", "patroni_sync_standby", "{{name}}", "bool_on_off"),
        graph("Streams from the primary", "patroni_postgres_streaming", "{{name}}", "bool_on_off"),
        graph(
            "WAL not replayed",
            "max by (scope) (patroni_xlog_location) - on (scope) group_right ()"
            " (patroni_xlog_replayed_location and on (scope, name) patroni_replica == 1)",
            "{{name}}",
            "bytes",
            threshold="standby_lag_bytes",
        ),
        graph("Timeline", "patroni_postgres_timeline", "{{name}}"),
        graph(
            "Reads that a standby may answer",
            "sum by (result) (rate(standby_reads_total[$__rate_interval]))",
            "{{result}}",
            "reqps",
        ),
        graph("Time since etcd was seen", "time() - patroni_dcs_last_seen", "{{name}}", "s"),
    ),
    row(
        "etcd",
        graph("Sees a leader", "etcd_server_has_leader", "{{instance}}", "bool_on_off"),
        graph("Leads", "etcd_server_is_leader", "{{instance}}", "bool_on_off"),
        graph(
            "Leader changes per hour",
            "increase(etcd_server_leader_changes_seen_total[1h])",
            "{{instance}}",
        ),
        graph("Size", "etcd_mvcc_db_total_size_in_bytes", "{{instance}}", "bytes"),
    ),
    row(
        "Certificates between nodes",
        graph("Time left", "site_certificate_expiry_seconds", "{{name}}", "s"),
    ),
    row(
        "Valkey under Sentinel",
        graph("Sentinel answers", "sentinel_up", "{{sentinel}}", "bool_on_off"),
        graph("Reaches a quorum", "sentinel_quorum", "{{sentinel}}", "bool_on_off"),
        graph("Primaries that they name", "sentinel_primaries_named", "primaries"),
        graph("Replicas in sync", "sentinel_replicas_in_sync", "{{sentinel}}"),
        graph("Other Sentinels known", "sentinel_others", "{{sentinel}}"),
        graph("Fails over", "sentinel_failover_in_progress", "{{sentinel}}", "bool_on_off"),
    ),
    row(
        "Lease of operations",
        graph("Held here", "operations_lease_here", "{{instance}}", "bool_on_off"),
        graph("Held for", "operations_lease_left_seconds", "{{instance}}", "s"),
        graph("Holder number", "operations_lease_epoch", "{{instance}}"),
    ),
)
