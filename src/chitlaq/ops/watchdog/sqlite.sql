-- name: answered_components
-- Components that have answered a probe once.
SELECT component FROM answered_components;

-- name: component_answered
-- Note that a component has answered.
INSERT INTO answered_components (component, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING;

-- name: expected_heartbeats
-- The heartbeats that are expected.
SELECT name, within_seconds, made_at, last_at FROM heartbeats ORDER BY name;

-- name: expect_heartbeat
-- Expect a heartbeat, with this hash of its token, or change how.
INSERT INTO heartbeats (name, token_hash, within_seconds, made_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE
SET token_hash = excluded.token_hash, within_seconds = excluded.within_seconds, made_at = excluded.made_at,
    last_at = NULL;

-- name: forget_heartbeat
-- Expect a heartbeat no longer, and return its name.
DELETE FROM heartbeats WHERE name = ?1 RETURNING name;

-- name: heartbeat_came
-- Note a heartbeat with this hash of its token.
UPDATE heartbeats SET last_at = ?2 WHERE token_hash = ?1 RETURNING name;
