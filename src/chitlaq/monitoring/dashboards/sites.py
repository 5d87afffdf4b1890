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
)
