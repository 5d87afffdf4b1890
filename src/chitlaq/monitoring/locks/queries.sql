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
