-- name: keep_alert
-- Store a firing or resolved alert; repeating a notification changes nothing.
INSERT INTO alerts (fingerprint, name, severity, labels, summary, procedure, started_at, ended_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT DO UPDATE
SET ended_at = coalesce(excluded.ended_at, ended_at), summary = excluded.summary;

-- name: end_earlier_episodes
-- End the earlier episodes of an alert that started again, in any order of reports.
UPDATE alerts AS earlier INDEXED BY alerts_firing
SET ended_at = (SELECT min(started_at) FROM alerts AS later
                WHERE later.fingerprint = earlier.fingerprint AND later.started_at > earlier.started_at)
WHERE fingerprint = ?1 AND ended_at IS NULL
  AND EXISTS (SELECT 1 FROM alerts AS later
              WHERE later.fingerprint = earlier.fingerprint AND later.started_at > earlier.started_at);

-- name: firing_alerts
-- Alerts that have not ended, but those whose fingerprint begins with ?1; uses the index alerts_active.
SELECT fingerprint, started_at FROM alerts
WHERE ended_at IS NULL AND substr(fingerprint, 1, length(?1)) <> ?1;

-- name: own_firing_alerts
-- Alerts that have not ended and whose fingerprint begins with ?1.
SELECT fingerprint, started_at FROM alerts
WHERE ended_at IS NULL AND substr(fingerprint, 1, length(?1)) = ?1;

-- name: end_alert
-- End an alert at ?3, if it has not ended.
UPDATE alerts SET ended_at = max(started_at, ?3)
WHERE fingerprint = ?1 AND started_at = ?2 AND ended_at IS NULL;

-- name: alerts
-- Alerts, firing ones first, then the newest: all (?1 null), only firing (1) or only resolved (0).
SELECT name, severity, labels, summary, procedure, started_at, ended_at
FROM alerts
WHERE ?1 IS NULL OR (ended_at IS NULL) = ?1
ORDER BY ended_at IS NOT NULL, started_at DESC
LIMIT ?2;

-- name: own_alerts
-- Alerts of ops-service's own that fire, the newest first, by how their fingerprints begin (?1).
SELECT name, severity, labels, summary, procedure, started_at, ended_at
FROM alerts
WHERE ended_at IS NULL AND substr(fingerprint, 1, length(?1)) = ?1
ORDER BY started_at DESC
LIMIT ?2;

-- name: alerts_ended_since
-- Alerts that ended since ?1, most frequent first, with the seconds that the longest lasted.
SELECT name, severity, count(*) AS times, max(ended_at) AS last_ended,
       max((julianday(ended_at) - julianday(started_at)) * 86400) AS longest
FROM alerts WHERE ended_at > ?1
GROUP BY name, severity ORDER BY times DESC, name;

-- name: store_run
-- Store a run; repeating it changes nothing.
INSERT INTO runs (id, routine, verdict, started_at, duration_seconds, started_by, host)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO NOTHING;

-- name: store_results
-- Store the results of a run, a JSON array in their order.
INSERT INTO results (run_id, position, check_id, verdict, record)
SELECT ?1, key, value ->> 'check', value ->> 'verdict', value FROM json_each(?2) WHERE true
ON CONFLICT DO NOTHING;

-- name: runs
-- The newest runs of one routine or (?1 null) of all, with the number of results of each verdict.
SELECT *, (SELECT json_group_object(verdict, number)
           FROM (SELECT verdict, count(*) AS number FROM results WHERE run_id = runs.id GROUP BY verdict)
          ) AS counts
FROM runs
WHERE ?1 IS NULL OR routine = ?1
ORDER BY started_at DESC LIMIT ?2;

-- name: run_by_id
-- The newest run whose ID starts with ?1.
SELECT * FROM runs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY started_at DESC LIMIT 1;

-- name: run_before
-- The newest run of a routine before a moment.
SELECT * FROM runs WHERE routine = ?1 AND started_at < ?2 ORDER BY started_at DESC LIMIT 1;

-- name: results
-- The results of a run, in its order.
SELECT record FROM results WHERE run_id = ?1 ORDER BY position;

-- name: recorded_days
-- The newest days until ?1 of which there is any record.
SELECT substr(at, 1, 10) AS day
FROM (SELECT started_at AS at FROM runs UNION ALL SELECT started_at FROM actions
      UNION ALL SELECT started_at FROM alerts UNION ALL SELECT created_at FROM notes)
WHERE at <= ?1
GROUP BY day ORDER BY day DESC LIMIT ?2;

-- name: prune_runs
-- Delete runs that started before ?1.
DELETE FROM runs WHERE started_at < ?1;

-- name: prune_actions
-- Delete actions that started before ?1.
DELETE FROM actions WHERE started_at < ?1;

-- name: prune_alerts
-- Delete alerts that ended before ?1; firing ones stay.
DELETE FROM alerts WHERE ended_at < ?1;

-- name: prune_notes
-- Delete notes from before ?1, and acknowledgements that ended before it; open ones stay.
DELETE FROM notes WHERE CASE kind WHEN 'note' THEN created_at ELSE ended_at END < ?1;

-- name: prune_patterns
-- Delete error patterns that were last seen before ?1.
DELETE FROM log_patterns WHERE last_seen < ?1;

-- name: prune_scheduled
-- Delete claims of what was due before ?1.
DELETE FROM scheduled_runs WHERE due_at < ?1;

-- name: end_acknowledgement
-- End the open acknowledgement of a check at ?2.
UPDATE notes SET ended_at = max(created_at, ?2)
WHERE check_id = ?1 AND kind = 'acknowledgement' AND ended_at IS NULL;

-- name: add_note
-- Store a note or an acknowledgement.
INSERT INTO notes (id, check_id, kind, text, operator, created_at, ended_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING;

-- name: notes
-- Notes and acknowledgements on these checks (a JSON array) or (?1 null) on all, newest first.
SELECT check_id AS "check", kind, text, operator, created_at, ended_at
FROM notes WHERE ?1 IS NULL OR check_id IN (SELECT value FROM json_each(?1))
ORDER BY created_at DESC LIMIT ?2;

-- name: notes_around
-- Notes on these checks (a JSON array), oldest first: acknowledgements that held at ?2, notes of the time
-- since ?3, and both until ?4.
SELECT check_id AS "check", kind, text, operator, created_at, ended_at
FROM notes
WHERE check_id IN (SELECT value FROM json_each(?1)) AND created_at < ?4
  AND CASE kind WHEN 'note' THEN created_at > ?3 ELSE ended_at IS NULL OR ended_at > ?2 END
ORDER BY created_at;

-- name: end_acknowledgements
-- End the acknowledgements of these checks (a JSON array) that were made before ?2, at ?2.
UPDATE notes SET ended_at = ?2
WHERE kind = 'acknowledgement' AND ended_at IS NULL AND created_at <= ?2
  AND check_id IN (SELECT value FROM json_each(?1));

-- name: note_patterns
-- Store the patterns of error lines at ?2 (a JSON array of [service, pattern, when last seen]); those first
-- seen after ?3 are new.
INSERT INTO log_patterns (service, pattern, first_seen, last_seen)
SELECT value ->> 0, value ->> 1, ?2, value ->> 2 FROM json_each(?1) WHERE true
ON CONFLICT DO UPDATE SET last_seen = max(last_seen, excluded.last_seen)
RETURNING pattern, first_seen > ?3 AS is_new;

-- name: copy_pattern
-- Store a pattern with the time when it was first seen.
INSERT INTO log_patterns (service, pattern, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET first_seen = min(first_seen, excluded.first_seen);
