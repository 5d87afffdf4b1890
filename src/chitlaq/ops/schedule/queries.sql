-- name: claim_run
-- Claim a due run: once, and again if it was not finished within ten minutes of the last claim.
INSERT INTO ops.scheduled_runs AS known (routine, due_at) VALUES ($1, $2)
ON CONFLICT (routine, due_at) DO UPDATE SET claimed_at = now()
WHERE known.finished_at IS NULL AND known.claimed_at < now() - interval '10 minutes'
RETURNING true AS is_claimed;

-- name: finish_run
-- Mark a due run as finished, even if it was claimed while PostgreSQL was unavailable.
INSERT INTO ops.scheduled_runs (routine, due_at, finished_at) VALUES ($1, $2, now())
ON CONFLICT (routine, due_at) DO UPDATE SET finished_at = now();

-- name: is_run_finished
-- Whether a due run is finished.
SELECT EXISTS (SELECT FROM ops.scheduled_runs
               WHERE routine = $1 AND due_at = $2 AND finished_at IS NOT NULL) AS is_finished;

-- name: has_schedule
-- Whether this routine has ever been due.
SELECT EXISTS (SELECT FROM ops.scheduled_runs WHERE routine = $1) AS is_known;
