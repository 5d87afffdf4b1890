-- name: begin_action
-- Record an action before it begins.
INSERT INTO ops.actions (id, action, target, operator, reason, started_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO NOTHING;

-- name: end_action
-- Record the outcome and the output of an action.
UPDATE ops.actions SET ended_at = $2, succeeded = $3, output = $4 WHERE id = $1;

-- name: actions
-- Recorded actions, newest first.
SELECT id, action, target, operator, reason, started_at, ended_at, succeeded, output
FROM ops.actions ORDER BY started_at DESC LIMIT $1;
