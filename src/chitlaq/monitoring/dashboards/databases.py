"""Dashboards on PostgreSQL and Valkey."""

from __future__ import annotations

from chitlaq.monitoring.dashboards.model import (
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
            threshold="connections_ratio",
        ),
        rates("Transactions", "postgresql_transactions_total", "result", "ops"),
        rates("Time spent by role", "postgresql_statements_seconds_total", "role", "percentunit"),
        rates("Statements by role", "postgresql_statements_calls_total", "role", "ops"),
        graph("Size", "postgresql_database_size_bytes", "{{database}}", "bytes"),
        graph("Largest tables", "topk(10, postgresql_table_size_bytes)", "{{table}}", "bytes"),
    ),
    row(
        "Problems",
        graph("Locks", "postgresql_locks_count", "{{mode}}"),
        graph(
            "Oldest transaction",
            "postgresql_oldest_transaction_seconds",
            "oldest",
            "s",
            threshold="transaction_seconds",
        ),
        graph(
            "Lock waits",
            "postgresql_lock_wait_seconds",
            "longest",
            "s",
            threshold="lock_wait_seconds",
        ),
        graph(
            "Transaction IDs in use",
            "postgresql_transaction_ids_ratio",
            "{{kind}}",
            "percentunit",
            threshold="transaction_ids_ratio",
        ),
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
            threshold="cache_hit_ratio",
        ),
        bars("Dead rows", "topk(10, postgresql_dead_rows)", "{{table}}"),
        p95(
            "Slowest queries of services",
            "postgresql_query_duration_seconds",
            "query",
            top=10,
            threshold="query_p95_seconds",
        ),
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
        graph("Damaged or differing backups", "backup_bad", "{{kind}}"),
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
            ("valkey_memory_bytes", "used {{node}}"),
            ("valkey_memory_max_bytes > 0", "limit {{node}}"),
        ),
        graph("Clients", "sum(valkey_clients)", "clients"),
        graph("Commands", f"sum(rate(valkey_commands_total{RATE}))", "commands", "ops"),
        graph(
            "Keys found",
            f"sum(rate(valkey_hits_total{RATE}))"
            f" / (sum(rate(valkey_hits_total{RATE})) + sum(rate(valkey_misses_total{RATE})) > 0)",
            "found",
            "percentunit",
        ),
        graph("Keys evicted", f"sum(rate(valkey_evictions_total{RATE}))", "evictions", "eps"),
        rates("Failed Valkey commands", "valkey_errors_total", "service, purpose", "eps"),
    ),
)
