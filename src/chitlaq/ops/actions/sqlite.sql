-- name: store_action
-- Store an action that has begun or ended; repeating it, in any order, changes nothing.
INSERT INTO actions (id, action, target, operator, reason, started_at, ended_at, succeeded, output)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT DO UPDATE SET ended_at = excluded.ended_at, succeeded = excluded.succeeded, output = excluded.output
WHERE excluded.ended_at IS NOT NULL;

-- name: actions
-- The newest actions.
SELECT * FROM actions ORDER BY started_at DESC LIMIT ?1;

-- name: action
-- One action.
SELECT * FROM actions WHERE id = ?1;
