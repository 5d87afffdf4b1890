-- name: keep_alert
-- Note that an alert fires, or how it ended; the same report again changes nothing.
INSERT INTO ops.alerts (fingerprint, name, severity, labels, summary, procedure, started_at, ended_at)
VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8)
ON CONFLICT (fingerprint, started_at) DO UPDATE
SET ended_at = coalesce(excluded.ended_at, ops.alerts.ended_at), summary = excluded.summary,
    reported_at = now();

-- name: end_earlier_times
-- An alert that began anew is over as it was before; whichever of its times was reported first.
UPDATE ops.alerts AS earlier
SET ended_at = (SELECT min(started_at) FROM ops.alerts later
                WHERE later.fingerprint = earlier.fingerprint AND later.started_at > earlier.started_at)
WHERE fingerprint = $1 AND ended_at IS NULL
  AND EXISTS (SELECT FROM ops.alerts later
              WHERE later.fingerprint = earlier.fingerprint AND later.started_at > earlier.started_at);

-- name: alerts_going_on
-- What has not ended; alerts_active.
SELECT fingerprint, started_at FROM ops.alerts WHERE ended_at IS NULL;

-- name: end_alert
-- It is over: since it began anew ($3), or since now, as nobody knows better.
UPDATE ops.alerts SET ended_at = greatest(started_at, coalesce($3, now()))
WHERE fingerprint = $1 AND started_at = $2 AND ended_at IS NULL;

-- name: alerts
-- Alerts, those that go on first, then the newest: all ($1 null), only those that go on (true) or are over
-- (false).
SELECT name, severity, labels::text AS labels, summary, procedure, started_at, ended_at
FROM ops.alerts
WHERE $1::boolean IS NULL OR (ended_at IS NULL) = $1
ORDER BY ended_at IS NOT NULL, started_at DESC
LIMIT $2;

-- name: store_run
-- Keep a run; the same again changes nothing.
INSERT INTO ops.runs (id, routine, verdict, started_at, duration_seconds, started_by, host)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING;

-- name: store_results
-- Keep the results of a run.
INSERT INTO ops.results
    (run_id, check_id, title, section, verdict, summary, measured, evidence, remedy, duration_seconds)
SELECT $1::uuid, check_id, title, section, verdict, summary, measured::jsonb, evidence::jsonb, remedy, seconds
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::float8[])
     AS given (check_id, title, section, verdict, summary, measured, evidence, remedy, seconds);

-- name: runs
-- The newest runs, of one routine or ($1 null) of all, with how many results of each verdict.
SELECT r.*, coalesce((SELECT json_object_agg(verdict, number)
                      FROM (SELECT verdict, count(*) AS number FROM ops.results
                            WHERE run_id = r.id GROUP BY 1) counted), '{}')::text AS counts
FROM ops.runs r
WHERE $1::text IS NULL OR routine = $1
ORDER BY started_at DESC LIMIT $2;

-- name: run_by_id
-- The newest run whose id begins so.
SELECT * FROM ops.runs WHERE starts_with(id::text, $1) ORDER BY started_at DESC LIMIT 1;

-- name: results
-- The results of a run, worst first.
SELECT check_id, title, section, verdict, summary, measured::text AS measured, evidence::text AS evidence, remedy,
       duration_seconds
FROM ops.results WHERE run_id = $1
ORDER BY array_position(ARRAY['CRITICAL', 'UNKNOWN', 'WARNING', 'OK', 'SKIPPED'], verdict), check_id;

-- name: prune_runs
-- Forget runs older than so many days.
DELETE FROM ops.runs WHERE started_at < now() - make_interval(days => $1);

-- name: prune_actions
-- Forget actions older than so many days.
DELETE FROM ops.actions WHERE started_at < now() - make_interval(days => $1);

-- name: prune_alerts
-- Forget alerts that ended more than so many days ago; one that goes on stays.
DELETE FROM ops.alerts WHERE ended_at < now() - make_interval(days => $1);

-- name: prune_notes
-- Forget notes older than so many days, and acknowledgements that ended before; one that holds stays.
DELETE FROM ops.notes
WHERE CASE kind WHEN 'note' THEN created_at ELSE ended_at END < now() - make_interval(days => $1);

-- name: prune_patterns
-- Forget error patterns that were not seen for so many days.
DELETE FROM ops.log_patterns WHERE last_seen < now() - make_interval(days => $1);

-- name: prune_scheduled
-- Forget claims older than so many days.
DELETE FROM ops.scheduled_runs WHERE due_at < now() - make_interval(days => $1);

-- name: add_note
-- Keep what an operator said to a check; a new acknowledgement takes the place of the one before.
WITH ended AS (
    UPDATE ops.notes SET ended_at = now()
    WHERE check_id = $1 AND $2 = 'acknowledgement' AND kind = $2 AND ended_at IS NULL
)
INSERT INTO ops.notes (check_id, kind, text, operator) VALUES ($1, $2, $3, $4);

-- name: notes
-- Notes and acknowledgements, newest first: to these checks, or ($1 null) to all.
SELECT check_id, kind, text, operator, created_at, ended_at
FROM ops.notes WHERE $1::text[] IS NULL OR check_id = ANY ($1)
ORDER BY created_at DESC LIMIT $2;

-- name: said
-- What was said to these checks about the time of a run: acknowledgements that held then, notes of the week
-- before, and both of the day after it; oldest first.
SELECT check_id, kind, text, operator, created_at, ended_at
FROM ops.notes
WHERE check_id = ANY ($1::text[]) AND created_at < $2::timestamptz + interval '1 day'
  AND CASE kind WHEN 'note' THEN created_at > $2 - interval '7 days'
                ELSE ended_at IS NULL OR ended_at > $2 END
ORDER BY created_at;

-- name: end_acknowledgements
-- These checks are OK again: what was acknowledged is over.
UPDATE ops.notes SET ended_at = now()
WHERE kind = 'acknowledgement' AND ended_at IS NULL AND check_id = ANY ($1::text[]);

-- name: claim_run
-- Claim a run of the schedule: once, and again when whoever claimed it was not heard of for ten minutes.
INSERT INTO ops.scheduled_runs AS known (routine, due_at) VALUES ($1, $2)
ON CONFLICT (routine, due_at) DO UPDATE SET claimed_at = now()
WHERE known.finished_at IS NULL AND known.claimed_at < now() - interval '10 minutes'
RETURNING true AS is_claimed;

-- name: finish_run
-- A run of the schedule is done; also one that was claimed while PostgreSQL was away.
INSERT INTO ops.scheduled_runs (routine, due_at, finished_at) VALUES ($1, $2, now())
ON CONFLICT (routine, due_at) DO UPDATE SET finished_at = now();

-- name: is_run_finished
-- Whether nothing is left to be done for a run of the schedule.
SELECT EXISTS (SELECT FROM ops.scheduled_runs
               WHERE routine = $1 AND due_at = $2 AND finished_at IS NOT NULL) AS is_finished;

-- name: has_schedule
-- Whether this routine was ever due.
SELECT EXISTS (SELECT FROM ops.scheduled_runs WHERE routine = $1) AS is_known;

-- name: begin_action
-- Note that an operator does something, before it is done.
INSERT INTO ops.actions (id, action, target, operator, reason, started_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO NOTHING;

-- name: end_action
-- Note how it went, and what it said.
UPDATE ops.actions SET ended_at = $2, succeeded = $3, output = $4 WHERE id = $1;

-- name: actions
-- What operators did, newest first.
SELECT id, action, target, operator, reason, started_at, ended_at, succeeded, output
FROM ops.actions ORDER BY started_at DESC LIMIT $1;
