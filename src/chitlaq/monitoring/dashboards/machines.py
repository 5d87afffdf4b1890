"""Dashboards on PostgreSQL, Valkey, the host, and security."""

from __future__ import annotations

from chitlaq.monitoring.dashboards.panels import (
    RATE,
    bars,
    dashboard,
    graph,
    graphs,
    p95,
    rates,
    row,
)

POSTGRESQL = dashboard(
    "chitlaq-postgresql",
    "ChitLaq: PostgreSQL",
    row(
        "Use",
        graph("Sessions", "postgresql_connections_active", "{{state}}"),
        graph(
            "Share of sessions in use",
            "sum without (state) (postgresql_connections_active) / postgresql_connections_max",
            "in use",
            "percentunit",
        ),
        rates("Transactions", "postgresql_transactions_total", "result", "ops"),
        rates("Time spent by role", "postgresql_statements_seconds_total", "role", "percentunit"),
        rates("Statements by role", "postgresql_statements_calls_total", "role", "ops"),
        graph("Size", "postgresql_database_size_bytes", "{{database}}", "bytes"),
    ),
    row(
        "Problems",
        graph("Locks", "postgresql_locks_count", "{{mode}}"),
        graph("Oldest transaction", "postgresql_oldest_transaction_seconds", "oldest", "s"),
        graph("Deadlocks per hour", "increase(postgresql_deadlocks_total[1h])", "deadlocks"),
        graph(
            "Cache hits",
            f"rate(postgresql_blocks_hit_total{RATE}) / (rate(postgresql_blocks_hit_total{RATE})"
            f" + rate(postgresql_blocks_read_total{RATE}) > 0)",
            "hits",
            "percentunit",
        ),
        graph(
            "Cache hits since the statistics reset",
            "postgresql_cache_hit_ratio",
            "hits",
            "percentunit",
        ),
        bars("Dead rows", "topk(10, postgresql_dead_rows)", "{{table}}"),
        p95("Slowest queries of services", "postgresql_query_duration_seconds", "query", top=10),
    ),
    row(
        "Replication and archive",
        graph("Unconfirmed WAL", "postgresql_replication_lag_bytes", "{{application}}", "bytes"),
        graph(
            "Active replication slots",
            "postgresql_replication_slot_active",
            "{{slot}}",
            "bool_on_off",
        ),
        graph(
            "WAL retained for replication slots",
            "postgresql_replication_slot_retained_bytes",
            "{{slot}}",
            "bytes",
        ),
        graph("Time since WAL was archived", "postgresql_archive_age_seconds", "age", "s"),
        graph(
            "Archive failures per hour",
            "increase(postgresql_archive_failures_total[1h])",
            "failures",
        ),
        graph("WAL received", "backup_log_receiving", "receiving"),
    ),
    row(
        "Backups",
        graph(
            "Age of the newest backup",
            "time() - backup_last_success_timestamp_seconds",
            "{{kind}}",
            "s",
        ),
        graph(
            "Time since a verification",
            "time() - backup_last_verified_timestamp_seconds",
            "{{kind}}",
            "s",
        ),
        graph(
            "Time since a restore drill",
            "time() - backup_last_drilled_timestamp_seconds",
            "{{kind}}",
            "s",
        ),
        graph("Damaged or different", "backup_bad", "{{kind}}"),
        graph("Size", "backup_size_bytes", "{{kind}}", "bytes"),
        graph("Drill duration", "backup_drill_seconds", "{{kind}}", "s"),
        graph("Writes a restore would lose", "backup_lost_seconds", "{{kind}}", "s"),
        graph("Backup duration", "backup_duration_seconds", "{{kind}}", "s"),
        graph("Not copied off-site", "backup_uncopied", "backups"),
        graph(
            "Time since WAL was copied off-site",
            "time() - backup_log_copied_timestamp_seconds",
            "age",
            "s",
        ),
    ),
)

VALKEY = dashboard(
    "chitlaq-valkey",
    "ChitLaq: Valkey",
    row(
        "Use",
        graphs(
            "Memory",
            "bytes",
            ("valkey_memory_bytes", "used"),
            ("valkey_memory_max_bytes > 0", "limit"),
        ),
        graph("Clients", "valkey_clients", "clients"),
        graph("Commands", f"rate(valkey_commands_total{RATE})", "commands", "ops"),
        graph(
            "Keys found",
            f"rate(valkey_hits_total{RATE})"
            f" / (rate(valkey_hits_total{RATE}) + rate(valkey_misses_total{RATE}) > 0)",
            "found",
            "percentunit",
        ),
        graph("Keys evicted", f"rate(valkey_evictions_total{RATE})", "evictions", "eps"),
        rates("Commands that Valkey failed", "valkey_errors_total", "service, purpose", "eps"),
    ),
)

_DISK = 'device!~"loop.*|ram.*"'
_WIRE = 'device!~"lo|veth.*"'

HOST = dashboard(
    "chitlaq-host",
    "ChitLaq: host (use, saturation, errors)",
    row(
        "CPU",
        graph(
            "Use",
            "sum by (mode) (rate(node_cpu_seconds_total"
            f'{{mode!="idle"}}{RATE})) / scalar(count(node_cpu_seconds_total{{mode="idle"}}))',
            "{{mode}}",
            "percentunit",
            width=12,
        ),
        graph(
            "Saturation: load per CPU",
            'node_load1 / on (instance) count by (instance) (node_cpu_seconds_total{mode="idle"})',
            "load",
            width=12,
        ),
    ),
    row(
        "Memory",
        graphs(
            "Use",
            "bytes",
            ("node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes", "used"),
            ("node_memory_MemTotal_bytes", "all"),
            width=12,
        ),
        graph(
            "Saturation: pages swapped",
            f"rate(node_vmstat_pswpin{RATE}) + rate(node_vmstat_pswpout{RATE})",
            "pages",
            "ops",
            width=12,
        ),
    ),
    row(
        "Disks",
        graph(
            "Use: time busy",
            f"rate(node_disk_io_time_seconds_total{{{_DISK}}}{RATE})",
            "{{device}}",
            "percentunit",
        ),
        graph(
            "Saturation: requests waiting",
            f"rate(node_disk_io_time_weighted_seconds_total{{{_DISK}}}{RATE})",
            "{{device}}",
        ),
        graph(
            "Free space",
            'node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"}',
            "{{mountpoint}}",
            "bytes",
        ),
        graphs(
            "Bytes",
            "Bps",
            (f"rate(node_disk_read_bytes_total{{{_DISK}}}{RATE})", "{{device}} read"),
            (f"rate(node_disk_written_bytes_total{{{_DISK}}}{RATE})", "{{device}} written"),
            width=12,
        ),
        graph(
            "Free space in 24 hours",
            'predict_linear(node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"}[6h], 86400)',
            "{{mountpoint}}",
            "bytes",
            width=12,
        ),
    ),
    row(
        "Network and clock",
        graphs(
            "Use",
            "Bps",
            (f"rate(node_network_receive_bytes_total{{{_WIRE}}}{RATE})", "{{device}} in"),
            (f"rate(node_network_transmit_bytes_total{{{_WIRE}}}{RATE})", "{{device}} out"),
        ),
        graphs(
            "Errors",
            "eps",
            (f"rate(node_network_receive_errs_total{{{_WIRE}}}{RATE})", "{{device}} in"),
            (f"rate(node_network_transmit_errs_total{{{_WIRE}}}{RATE})", "{{device}} out"),
        ),
        graph("Clock offset", "node_timex_offset_seconds", "offset", "s"),
        graph("Clock synchronized", "node_timex_sync_status", "synchronized", "bool_on_off"),
        graph("Clock difference of components", "clock_difference_seconds", "{{component}}", "s"),
    ),
)

SECURITY = dashboard(
    "chitlaq-security",
    "ChitLaq: security",
    row(
        "Login",
        rates("Attempts", "auth_attempts_total", "result", "eps"),
        rates("Requests rejected by rate limits", "rate_limited_total", "service, limit", "reqps"),
        rates(
            "Requests not rate-limited for want of Valkey",
            "rate_limit_fail_open_total",
            "service, limit",
            "reqps",
        ),
    ),
    row(
        "Access",
        rates(
            "Unauthorized, forbidden, too many requests",
            "http_requests_total",
            "status",
            "reqps",
            matchers='service="api-gateway",status=~"401|403|429"',
        ),
        graph(
            "Addresses banned per hour",
            "sum by (jail) (increase(fail2ban_banned_total[1h]))",
            "{{jail}}",
        ),
        bars("Readable certificates", "ssl_certificate_readable", "{{name}}", "bool_on_off"),
        bars("Time until certificates expire", "ssl_certificate_expiry_seconds", "{{name}}", "s"),
        graph("Client connections", "nginx_connections", "{{state}}"),
        graph(
            "Failed exporter reads per hour",
            "sum by (source) (increase(exporter_errors_total[1h]))",
            "{{source}}",
        ),
    ),
    span="now-1d",
)
