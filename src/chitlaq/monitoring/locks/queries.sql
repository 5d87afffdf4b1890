-- name: lock_waits
-- Sessions that wait for a lock, longest first, each with the root of its chain: who holds a lock and waits for nobody.
-- A prepared transaction has no session, so PostgreSQL calls it process 0; it is found by its own transaction ID.
WITH RECURSIVE waiting AS MATERIALIZED (
    SELECT a.pid, b.pid AS blocker FROM pg_stat_activity a
    CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS b (pid)
    WHERE a.wait_event_type = 'Lock'
), chains AS (
    SELECT pid, pid AS last, blocker FROM waiting
    UNION
    SELECT c.pid, w.pid, w.blocker FROM chains c JOIN waiting w ON w.pid = c.blocker
), roots AS (
    SELECT DISTINCT c.pid, c.blocker AS root, p.gid, p.database, p.owner, p.prepared
    FROM chains c
    LEFT JOIN LATERAL (
        SELECT x.gid, x.database, x.owner, x.prepared
        FROM pg_locks w
        JOIN pg_locks h ON h.granted AND h.pid IS NULL AND h.locktype = w.locktype
            AND (h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid, h.objid, h.objsubid)
                IS NOT DISTINCT FROM
                (w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid, w.objsubid)
        JOIN pg_locks own ON own.pid IS NULL AND own.locktype = 'transactionid' AND own.granted
            AND own.virtualtransaction = h.virtualtransaction
        JOIN pg_prepared_xacts x ON x.transaction = own.transactionid
        WHERE c.blocker = 0 AND w.pid = c.last AND NOT w.granted
    ) p ON true
    WHERE c.blocker NOT IN (SELECT pid FROM waiting)
)
SELECT a.pid, a.query,
       extract(epoch FROM clock_timestamp() - coalesce(l.waitstart, a.state_change))::float8 AS seconds,
       r.root, r.gid, r.database, coalesce(r.owner, h.usename, '?') AS role, coalesce(h.application_name, '') AS application,
       CASE r.root WHEN 0 THEN 'prepared transaction' ELSE coalesce(h.backend_type, '?') END AS kind,
       coalesce(h.state, '') AS state, coalesce(h.query, '') AS root_query,
       coalesce(r.prepared, h.xact_start, h.backend_start) AS began_at
FROM roots r
JOIN pg_stat_activity a ON a.pid = r.pid
LEFT JOIN pg_stat_activity h ON h.pid = r.root
LEFT JOIN LATERAL (SELECT min(waitstart) AS waitstart FROM pg_locks WHERE pid = a.pid AND NOT granted) l ON true
ORDER BY 3 DESC, 1;

-- name: table_locks
-- Who holds whole tables so that nobody else can write to them, waiting for nobody; and for how long at least, or, of who
-- is at work, how long this statement has taken. Vacuum lets go of a table as soon as somebody wants it.
WITH held AS (
    SELECT l.pid, l.virtualtransaction, string_agg(DISTINCT l.relation::regclass::text, ', ') AS tables
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE l.granted AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^(pg_|information_schema)'
    GROUP BY 1, 2
)
SELECT coalesce(h.pid, 0) AS root, x.gid, current_database()::text AS database, coalesce(x.owner, a.usename, '?') AS role,
       coalesce(a.application_name, '') AS application,
       CASE WHEN h.pid IS NULL THEN 'prepared transaction' ELSE a.backend_type END AS kind, coalesce(a.state, '') AS state,
       coalesce(a.query, '') AS root_query, coalesce(x.prepared, a.xact_start) AS began_at, h.tables,
       extract(epoch FROM clock_timestamp() - coalesce(x.prepared, a.state_change))::float8 AS seconds
FROM held h
LEFT JOIN pg_stat_activity a ON a.pid = h.pid
LEFT JOIN LATERAL (
    SELECT x.gid, x.owner, x.prepared FROM pg_locks own JOIN pg_prepared_xacts x ON x.transaction = own.transactionid
    WHERE h.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid' AND own.granted
        AND own.virtualtransaction = h.virtualtransaction
) x ON true
WHERE (x.gid IS NOT NULL OR a.xact_start IS NOT NULL) AND a.wait_event_type IS DISTINCT FROM 'Lock'
    AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = h.pid);
