-- name: keep_alert
-- Store a firing or resolved alert; repeating a notification changes nothing.
INSERT INTO ops.alerts (fingerprint, name, severity, labels, summary, procedure, started_at, ended_at)
VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8)
ON CONFLICT (fingerprint, started_at) DO UPDATE
SET ended_at = coalesce(excluded.ended_at, ops.alerts.ended_at), summary = excluded.summary,
    reported_at = now();

-- name: end_earlier_times
-- End the earlier episodes of an alert that started again, in any order of reports.
UPDATE ops.alerts AS earlier
SET ended_at = (SELECT min(started_at) FROM ops.alerts later
                WHERE later.fingerprint = earlier.fingerprint AND later.started_at > earlier.started_at)
WHERE fingerprint = $1 AND ended_at IS NULL
  AND EXISTS (SELECT FROM ops.alerts later
              WHERE later.fingerprint = earlier.fingerprint AND later.started_at > earlier.started_at);

-- name: alerts_going_on
-- Alerts that have not ended; uses the index alerts_active.
SELECT fingerprint, started_at FROM ops.alerts WHERE ended_at IS NULL;

-- name: end_alert
-- End an alert: when it started again ($3), or now if that is not known.
UPDATE ops.alerts SET ended_at = greatest(started_at, coalesce($3, now()))
WHERE fingerprint = $1 AND started_at = $2 AND ended_at IS NULL;

-- name: alerts
-- Alerts, firing ones first, then the newest: all ($1 null), only firing (true) or only resolved (false).
SELECT name, severity, labels::text AS labels, summary, procedure, started_at, ended_at
FROM ops.alerts
WHERE $1::boolean IS NULL OR (ended_at IS NULL) = $1
ORDER BY ended_at IS NOT NULL, started_at DESC
LIMIT $2;

-- name: store_run
-- Store a run; repeating it changes nothing.
INSERT INTO ops.runs (id, routine, verdict, started_at, duration_seconds, started_by, host)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING;

-- name: store_results
-- Store the results of a run.
INSERT INTO ops.results
    (run_id, check_id, title, section, verdict, summary, measured, evidence, remedy, duration_seconds)
SELECT $1::uuid, check_id, title, section, verdict, summary, measured::jsonb, evidence::jsonb, remedy, seconds
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::float8[])
     AS given (check_id, title, section, verdict, summary, measured, evidence, remedy, seconds);

-- name: runs
-- The newest runs of one routine or ($1 null) of all, with the number of results of each verdict.
SELECT r.*, coalesce((SELECT json_object_agg(verdict, number)
                      FROM (SELECT verdict, count(*) AS number FROM ops.results
                            WHERE run_id = r.id GROUP BY 1) counted), '{}')::text AS counts
FROM ops.runs r
WHERE $1::text IS NULL OR routine = $1
ORDER BY started_at DESC LIMIT $2;

-- name: run_by_id
-- The newest run whose ID starts with $1.
SELECT * FROM ops.runs WHERE starts_with(id::text, $1) ORDER BY started_at DESC LIMIT 1;

-- name: results
-- The results of a run, worst first.
SELECT check_id, title, section, verdict, summary, measured::text AS measured, evidence::text AS evidence, remedy,
       duration_seconds
FROM ops.results WHERE run_id = $1
ORDER BY array_position(ARRAY['CRITICAL', 'UNKNOWN', 'WARNING', 'OK', 'SKIPPED'], verdict), check_id;

-- name: prune_runs
-- Delete runs older than $1 days.
DELETE FROM ops.runs WHERE started_at < now() - make_interval(days => $1);

-- name: prune_actions
-- Delete actions older than $1 days.
DELETE FROM ops.actions WHERE started_at < now() - make_interval(days => $1);

-- name: prune_alerts
-- Delete alerts that ended more than $1 days ago; firing ones stay.
DELETE FROM ops.alerts WHERE ended_at < now() - make_interval(days => $1);

-- name: prune_notes
-- Delete notes older than $1 days, and acknowledgements that ended before that; open ones stay.
DELETE FROM ops.notes
WHERE CASE kind WHEN 'note' THEN created_at ELSE ended_at END < now() - make_interval(days => $1);

-- name: prune_patterns
-- Delete error patterns that were not seen for $1 days.
DELETE FROM ops.log_patterns WHERE last_seen < now() - make_interval(days => $1);

-- name: prune_scheduled
-- Delete claims older than $1 days.
DELETE FROM ops.scheduled_runs WHERE due_at < now() - make_interval(days => $1);

-- name: add_note
-- Store a note on a check; a new acknowledgement ends the previous one.
WITH ended AS (
    UPDATE ops.notes SET ended_at = now()
    WHERE check_id = $1 AND $2 = 'acknowledgement' AND kind = $2 AND ended_at IS NULL
)
INSERT INTO ops.notes (check_id, kind, text, operator) VALUES ($1, $2, $3, $4);

-- name: notes
-- Notes and acknowledgements on these checks or ($1 null) on all, newest first.
SELECT check_id, kind, text, operator, created_at, ended_at
FROM ops.notes WHERE $1::text[] IS NULL OR check_id = ANY ($1)
ORDER BY created_at DESC LIMIT $2;

-- name: notes_around
-- Notes on these checks from around a run, oldest first: acknowledgements that held then, notes of the week
-- before, and both of the day after it.
SELECT check_id, kind, text, operator, created_at, ended_at
FROM ops.notes
WHERE check_id = ANY ($1::text[]) AND created_at < $2::timestamptz + interval '1 day'
  AND CASE kind WHEN 'note' THEN created_at > $2 - interval '7 days'
                ELSE ended_at IS NULL OR ended_at > $2 END
ORDER BY created_at;

-- name: end_acknowledgements
-- End the acknowledgements of checks that are OK again.
UPDATE ops.notes SET ended_at = now()
WHERE kind = 'acknowledgement' AND ended_at IS NULL AND check_id = ANY ($1::text[]);
