-- name: server
-- Version, uptime in seconds, and whether the server takes no writes, as a standby never does.
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_standby,
       current_setting('transaction_read_only')::boolean AS is_read_only,
       extract(epoch FROM now() - pg_postmaster_start_time())::float8 AS uptime;

-- name: clock
-- The server's time, in seconds since 1970.
SELECT extract(epoch FROM clock_timestamp())::float8 AS seconds;

-- name: sessions
-- Client sessions by role, application and state, most first, and the maximum.
SELECT coalesce(usename, '?') AS role, application_name AS application, coalesce(state, '?') AS state,
       count(*) AS sessions, current_setting('max_connections')::integer AS most,
       extract(epoch FROM now() - min(backend_start))::float8 AS oldest
FROM pg_stat_activity WHERE backend_type = 'client backend'
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3;

-- name: tables
-- The largest tables, with their indexes, and the whole database.
SELECT schemaname || '.' || relname AS name, pg_total_relation_size(relid)::float8 AS bytes,
       pg_indexes_size(relid)::float8 AS index_bytes, n_live_tup::float8 AS rows,
       pg_database_size(current_database())::float8 AS database_bytes
FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT 10;

-- name: has_statements
-- Whether pg_stat_statements is installed.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') AS is_there;

-- name: statements_by_mean
-- The statements with the longest mean time; times in seconds.
SELECT coalesce(r.rolname, '?') AS role, s.query, s.calls, s.mean_exec_time / 1000 AS mean_seconds,
       s.total_exec_time / 1000 AS total_seconds
FROM pg_stat_statements s
LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  -- Statements that ran once are from startup or an operator, not from members' requests.
  AND s.calls > 1
ORDER BY s.mean_exec_time DESC LIMIT 10;

-- name: lock_count
-- Locks held or awaited.
SELECT count(*) AS locks FROM pg_locks;

-- name: members_of_a_day
-- Members active within a day.
SELECT day AS members FROM auth.active_members;

-- name: activity
-- Sessions that are active or in a transaction, and prepared transactions, which have none; oldest first.
SELECT pid, usename AS role, coalesce(state, '?') AS state, query, backend_type AS kind, NULL AS gid, datname AS database,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle'
UNION ALL
SELECT 0, owner, 'prepared', '', 'prepared transaction', gid, database,
       extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts
ORDER BY transaction_seconds DESC NULLS LAST LIMIT 20;

-- name: transaction_ids
-- How much of the transaction IDs and multixacts each database has used since its oldest row, the most used first;
-- at 1, PostgreSQL takes no more writes.
SELECT datname AS database, age(datfrozenxid) / 2147483647.0::float8 AS xid,
       mxid_age(datminmxid) / 2147483647.0::float8 AS multixact
FROM pg_database ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC;

-- name: cache
-- Blocks of this database found in memory, and read from disk.
SELECT blks_hit, blks_read FROM pg_stat_database WHERE datname = current_database();

-- name: dead_rows
-- Tables by dead rows; among those without any, the largest first.
SELECT schemaname || '.' || relname AS name, n_live_tup AS live, n_dead_tup AS dead,
       greatest(last_vacuum, last_autovacuum) AS vacuumed
FROM pg_stat_user_tables ORDER BY n_dead_tup DESC, n_live_tup DESC, 1;

-- name: growth
-- Members and posts, in total and new within 30 days, and messages in total.
SELECT f.members, f.members_month, f.posts, f.posts_month, w.messages
FROM feed.growth f CROSS JOIN websocket.message_count w;

-- name: pictures
-- Members' pictures: how many, how large, and what waits.
SELECT pictures, bytes, bytes_month, uploaded, failed, oldest FROM feed.media_totals;

-- name: sampled_media
-- The files that the store must have of $1 pictures, chosen by chance.
SELECT object, bytes, name FROM feed.sampled_media($1);

-- name: expected_media
-- The files that the store must still have of pictures with these names. Index: media's unique index.
SELECT object FROM feed.media_objects WHERE name = ANY ($1::text[]);

-- name: numbering_faults
-- What is wrong with numbers, markers and participants of conversations since $1.
SELECT conversation_id, fault, expected, found FROM websocket.numbering_faults($1) LIMIT 1000;

-- name: counter_faults
-- Counters that are not what they count, of about $1 members, chosen by chance.
SELECT id, counter, stored, counted FROM feed.counter_faults($1) LIMIT 1000;

-- name: index_faults
-- What search's index has otherwise than it should, of about $1 posts and messages, chosen by chance.
SELECT kind, id, fault FROM search.index_faults($1) LIMIT 1000;

-- name: notification_queues
-- What waits of notifications, and for how long.
SELECT coalesce(j.waiting, 0) AS notify, coalesce(j.oldest_seconds, 0)::float8 AS oldest_notify,
       d.waiting AS digests, d.oldest_seconds AS oldest_digest, a.under_way AS announcements,
       a.still_seconds AS announcement_still
FROM websocket.announcement_backlog a, websocket.digest_backlog d LEFT JOIN jobs.backlog j ON j.kind = 'notify';

-- name: mail_backlog
-- Mails that failed at least once, and the age of the oldest.
SELECT waiting, oldest_seconds AS oldest FROM mail.backlog;

-- name: tablespaces
-- Those besides PostgreSQL's own.
SELECT quote_ident(spcname) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global');

-- name: archive
-- The receiver of the WAL, how many bytes it is behind, and the WAL retained for it; always one row.
SELECT r.state, r.sync_state,
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), r.write_lsn), 0)::float8 AS behind,
       s.wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::float8 AS kept
FROM (VALUES (1)) one
LEFT JOIN pg_stat_replication r ON r.application_name = $1
LEFT JOIN pg_replication_slots s ON s.slot_name = $2
LIMIT 1;
