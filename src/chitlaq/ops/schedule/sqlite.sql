-- name: begin_schedule
-- Mark what is due as finished if this routine has never been due: a new installation catches up on nothing.
INSERT INTO scheduled_runs (routine, due_at, claimed_at, attempts, finished_at)
SELECT ?1, ?2, ?3, 0, ?3 WHERE NOT EXISTS (SELECT 1 FROM scheduled_runs WHERE routine = ?1);

-- name: finished_run
-- Whether a due run is finished.
SELECT 1 FROM scheduled_runs WHERE routine = ?1 AND due_at = ?2 AND finished_at IS NOT NULL;

-- name: claim_run
-- Claim a due run at ?3: once, and again if the run did not finish and the last claim was before ?4, or after
-- ?5: by a clock that has been set back since.
INSERT INTO scheduled_runs (routine, due_at, claimed_at, attempts) VALUES (?1, ?2, ?3, 1)
ON CONFLICT DO UPDATE SET claimed_at = excluded.claimed_at, attempts = attempts + 1
WHERE finished_at IS NULL AND (claimed_at < ?4 OR claimed_at > ?5)
RETURNING attempts;

-- name: finish_run
-- Mark a due run as finished.
INSERT INTO scheduled_runs (routine, due_at, claimed_at, attempts, finished_at) VALUES (?1, ?2, ?3, ?4, ?3)
ON CONFLICT DO UPDATE SET finished_at = excluded.finished_at;
