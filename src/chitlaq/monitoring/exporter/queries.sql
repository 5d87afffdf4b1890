-- name: connections (prepared)
-- Client sessions by state, and the maximum.
SELECT coalesce(replace(state, 'idle in transaction (aborted)', 'idle in transaction'), 'other') AS state,
       count(*) AS connections, current_setting('max_connections')::integer AS most
FROM pg_stat_activity WHERE backend_type = 'client backend'
GROUP BY 1;

-- name: databases (prepared)
-- Size and counters of this database since its statistics were reset.
SELECT datname, pg_database_size(datid) AS bytes, xact_commit, xact_rollback, deadlocks, blks_hit, blks_read
FROM pg_stat_database WHERE datname = current_database();

-- name: takes_writes (prepared)
-- Whether the server takes writes: a standby does not, nor one that is set to be read only.
SELECT NOT current_setting('transaction_read_only')::boolean AS takes_writes;

-- name: clock (prepared)
-- The server's time, in seconds since 1970.
SELECT extract(epoch FROM clock_timestamp())::float8 AS seconds;

-- name: locks (prepared)
-- Locks held or awaited, by mode.
SELECT mode, count(*) AS locks FROM pg_locks GROUP BY mode;

-- name: oldest_transaction (prepared)
-- Age of the oldest open transaction of a client, or prepared one, in seconds; 0 when there is none.
SELECT coalesce(extract(epoch FROM now() - min(began_at)), 0)::float8 AS seconds
FROM (
    SELECT xact_start FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    UNION ALL SELECT prepared FROM pg_prepared_xacts
) AS open (began_at);

-- name: transaction_ids (prepared)
-- How much of the transaction IDs and multixacts is used since the oldest row; at 1, PostgreSQL takes no more writes.
SELECT 'xid' AS kind, max(age(datfrozenxid)) / 2147483647.0::float8 AS used FROM pg_database
UNION ALL
SELECT 'multixact', max(mxid_age(datminmxid)) / 2147483647.0::float8 FROM pg_database;

-- name: dead_rows (prepared)
-- The tables with the most dead rows.
SELECT schemaname || '.' || relname AS name, n_dead_tup AS rows
FROM pg_stat_user_tables ORDER BY n_dead_tup DESC, 1 LIMIT 20;

-- name: replication (prepared)
-- How far each standby or archiver is behind, in bytes of WAL; null if it has confirmed nothing yet. For several
-- with one name, the one that is furthest behind.
SELECT application_name, bool_or(state = 'streaming') AS is_streaming,
       max(pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(replay_lsn, write_lsn)))::float8 AS bytes,
       min(pg_wal_lsn_diff(coalesce(replay_lsn, write_lsn), '0/0'))::float8 AS position
FROM pg_stat_replication
GROUP BY 1;

-- name: replication_slots (prepared)
-- Replication slots: whether they are read, and how much WAL they retain. A slot outlives its reader.
SELECT slot_name, active, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 AS bytes
FROM pg_replication_slots WHERE NOT temporary;

-- name: archive (prepared)
-- Failures of the WAL archiver, and seconds since its last success; null when archiving is off.
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
-- Whether pg_stat_statements is installed.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') AS is_there;

-- name: backlogs (prepared)
-- Backlogs of post deliveries, mails, digests and announcements, and the age of the ranking of posts and tags.
SELECT d.waiting AS deliveries, d.oldest_seconds AS oldest_delivery, m.waiting AS mails, m.oldest_seconds AS oldest_mail,
       g.waiting AS digests, g.oldest_seconds AS oldest_digest, r.seconds AS ranking_age,
       a.under_way AS announcements, a.still_seconds AS announcement_still
FROM feed.delivery_backlog d, mail.backlog m, websocket.digest_backlog g, websocket.announcement_backlog a,
     feed.ranking_age r;

-- name: jobs (prepared)
-- Jobs that are not done, and dead ones, by kind.
SELECT kind, waiting, dead, oldest_seconds FROM jobs.backlog;

-- name: accounts (prepared)
-- Accounts by state.
SELECT state, accounts FROM auth.account_counts;

-- name: active_members (prepared)
-- Members active within a day, a week, a month.
SELECT day, week, month FROM auth.active_members;

-- name: table_sizes (prepared)
-- The largest tables, with their indexes.
SELECT schemaname || '.' || relname AS name, pg_total_relation_size(relid)::float8 AS bytes
FROM pg_stat_user_tables ORDER BY 2 DESC, 1 LIMIT 20;

-- name: messages (prepared)
-- Messages of members' conversations.
SELECT messages FROM websocket.message_count;

-- name: files_of_pictures
-- The files that the store must have of $1 pictures, chosen by chance.
SELECT object FROM feed.sampled_media($1);
