-- What PostgreSQL kept for operations before they had a database of their own (`postgres_import`).

-- name: old_runs
-- The oldest runs, as JSON.
SELECT id, json_build_object(
           'id', id, 'routine', routine, 'verdict', verdict, 'started_at', started_at,
           'duration_seconds', duration_seconds, 'started_by', started_by, 'host', host,
           'results', coalesce((
               SELECT json_agg(json_build_object(
                          'check', check_id, 'title', title, 'section', section, 'verdict', verdict,
                          'summary', summary, 'values', measured, 'evidence', evidence, 'remedy', remedy,
                          'duration_seconds', duration_seconds)
                      ORDER BY array_position(
                          ARRAY['CRITICAL', 'UNKNOWN', 'WARNING', 'OK', 'SKIPPED'], verdict), check_id)
               FROM ops.results WHERE run_id = runs.id), '[]'))::text AS record
FROM ops.runs ORDER BY started_at LIMIT 50;

-- name: forget_old_runs
-- Delete runs that were copied.
DELETE FROM ops.runs WHERE id = ANY ($1::uuid[]);

-- name: old_notes
-- All notes and acknowledgements; they are deleted when the transaction commits.
DELETE FROM ops.notes RETURNING id, check_id, kind, text, operator, created_at, ended_at;

-- name: old_actions
-- All actions; they are deleted when the transaction commits.
DELETE FROM ops.actions
RETURNING id, action, target, operator, reason, started_at, ended_at, succeeded, output;

-- name: old_alerts
-- All alerts; they are deleted when the transaction commits.
DELETE FROM ops.alerts
RETURNING fingerprint, name, severity, labels::text AS labels, summary, procedure, started_at, ended_at;

-- name: old_schedule
-- All claims; they are deleted when the transaction commits.
DELETE FROM ops.scheduled_runs RETURNING routine, due_at, claimed_at, finished_at;

-- name: old_patterns
-- All error patterns; they are deleted when the transaction commits.
DELETE FROM ops.log_patterns RETURNING service, pattern, first_seen, last_seen;
