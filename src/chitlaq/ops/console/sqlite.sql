-- name: store_console_session
-- Store a session that begins; repeating it changes nothing.
INSERT INTO console_sessions (token_hash, operator, is_by_link, address, started_at, seen_at, totp_step)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6) ON CONFLICT DO NOTHING;

-- name: console_session
-- A session that has not ended.
SELECT operator, is_by_link, started_at, seen_at FROM console_sessions
WHERE token_hash = ?1 AND ended_at IS NULL;

-- name: see_console_session
-- Note that a session was used at ?2.
UPDATE console_sessions SET seen_at = max(seen_at, ?2) WHERE token_hash = ?1;

-- name: end_console_session
-- End a session at ?2.
UPDATE console_sessions SET ended_at = max(started_at, ?2) WHERE token_hash = ?1 AND ended_at IS NULL;

-- name: end_console_sessions
-- End all sessions of an operator that began until ?2.
UPDATE console_sessions SET ended_at = max(started_at, ?2)
WHERE operator = ?1 AND started_at <= ?2 AND ended_at IS NULL;

-- name: last_totp_step
-- The time step of an operator's last one-time code since ?2, or null.
SELECT max(totp_step) AS step FROM console_sessions WHERE operator = ?1 AND started_at >= ?2;

-- name: prune_console_sessions
-- Delete sessions that began before ?1.
DELETE FROM console_sessions WHERE started_at < ?1;

-- name: deeds
-- What operators did: what is recorded, what people did to incidents, said of checks and told members, sign-ins;
-- newest first.
SELECT at, operator, what, why, place FROM (
    SELECT started_at AS at, operator, rtrim(action || ' ' || target) AS what, reason AS why,
           '/ops/actions/' || id AS place
    FROM (SELECT * FROM actions ORDER BY started_at DESC LIMIT ?1)
    UNION ALL
    SELECT at, actor, kind || ' incident ' || incident_id, text, '/ops/incidents/' || incident_id
    FROM (SELECT * FROM timeline
          WHERE actor NOT IN ('ChitLaq', 'escalation')
            AND kind IN ('opened', 'acknowledged', 'severity', 'merged', 'split', 'resolved', 'reopened', 'note',
                         'helped', 'hindered', 'item')
          ORDER BY at DESC LIMIT ?1)
    UNION ALL
    SELECT published_at, published_by, 'told members of incident ' || incident_id || ': ' || status, text,
           '/ops/status'
    FROM (SELECT * FROM published_updates ORDER BY published_at DESC LIMIT ?1)
    UNION ALL
    SELECT created_at, operator, kind || ' on ' || check_id, text, ''
    FROM (SELECT * FROM notes ORDER BY created_at DESC LIMIT ?1)
    UNION ALL
    SELECT started_at, operator, iif(is_by_link, 'signed in by link', 'signed in'), 'from ' || address, ''
    FROM (SELECT * FROM console_sessions ORDER BY started_at DESC LIMIT ?1)
) ORDER BY at DESC LIMIT ?1;

-- name: last_change
-- What changed last: a restart, a new version, or what an operator did.
SELECT at, text FROM (
    SELECT * FROM (SELECT at, text FROM changes ORDER BY at DESC LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT started_at, rtrim(action || ' ' || target) || ' by ' || operator
                   FROM actions ORDER BY started_at DESC LIMIT 1)
) ORDER BY at DESC LIMIT 1;
