-- name: connections (prepared)
-- Sessions of clients by state, and how many the server takes.
SELECT coalesce(replace(state, 'idle in transaction (aborted)', 'idle in transaction'), 'other') AS state,
       count(*) AS connections, current_setting('max_connections')::integer AS most
FROM pg_stat_activity WHERE backend_type = 'client backend'
GROUP BY 1;

-- name: databases (prepared)
-- Size and counters of this database since its statistics began.
SELECT datname, pg_database_size(datid) AS bytes, xact_commit, xact_rollback, deadlocks, blks_hit, blks_read
FROM pg_stat_database WHERE datname = current_database();

-- name: locks (prepared)
-- Locks that are held or waited for, by mode.
SELECT mode, count(*) AS locks FROM pg_locks GROUP BY mode;

-- name: oldest_transaction (prepared)
-- Seconds since the oldest open transaction of a client began; 0 when there is none.
SELECT coalesce(extract(epoch FROM now() - min(xact_start)), 0)::float8 AS seconds
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();

-- name: dead_rows (prepared)
-- The tables with the most rows that wait for vacuum.
SELECT schemaname || '.' || relname AS name, n_dead_tup AS rows
FROM pg_stat_user_tables ORDER BY n_dead_tup DESC, 1 LIMIT 20;

-- name: replication (prepared)
-- How far each standby or archiver is behind, in bytes of WAL.
SELECT application_name, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(replay_lsn, write_lsn)), 0)::float8
       AS bytes
FROM pg_stat_replication;

-- name: archive (prepared)
-- Failures of the WAL archiver, and seconds since its last success; null when nothing is archived.
SELECT failed_count,
       CASE WHEN current_setting('archive_mode') <> 'off'
            THEN extract(epoch FROM now() - greatest(last_archived_time, stats_reset))::float8 END AS seconds
FROM pg_stat_archiver;

-- name: statements
-- Time and calls by role, from pg_stat_statements.
SELECT r.rolname AS role, sum(s.total_exec_time) / 1000 AS seconds, sum(s.calls)::float8 AS calls
FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
GROUP BY 1;

-- name: has_statements (prepared)
-- Whether pg_stat_statements is there to be asked.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') AS is_there;

-- name: backlogs (prepared)
-- What waits to be done: deliveries of posts, and mails.
SELECT d.waiting AS deliveries, d.oldest_seconds AS oldest_delivery, m.waiting AS mails, m.oldest_seconds AS oldest_mail
FROM feed.delivery_backlog d, mail.backlog m;

-- name: accounts (prepared)
-- Accounts by state.
SELECT state, accounts FROM auth.account_counts;

-- name: keep_alert
-- Note that an alert fires, or how it ended; the same report again changes nothing.
INSERT INTO ops.alerts (fingerprint, name, severity, labels, summary, procedure, started_at, ended_at)
VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8)
ON CONFLICT (fingerprint, started_at) DO UPDATE
SET ended_at = coalesce(excluded.ended_at, ops.alerts.ended_at), summary = excluded.summary,
    reported_at = now();

-- name: alerts
-- Alerts, those that go on first, then the newest: all ($1 null), only those that go on (true) or are over
-- (false).
SELECT name, severity, labels::text AS labels, summary, procedure, started_at, ended_at
FROM ops.alerts
WHERE $1::boolean IS NULL OR (ended_at IS NULL) = $1
ORDER BY ended_at IS NOT NULL, started_at DESC
LIMIT $2;
