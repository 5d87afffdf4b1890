-- name: clocks
-- Incidents that somebody must handle or whose clock has not stopped, with their clocks, most severe first.
-- `begun` is how many runs began since ?1, until ?2; `fires_since` is when the first of the alerts that fire began.
SELECT incidents.id, incidents.severity, incidents.status, incidents.opened_at,
       incidents.acknowledged_until, incidents.acknowledged_by,
       run, escalations.severity AS run_severity, state, level, next_at,
       escalations.acknowledged_until AS seen_until, resumes_at, openings, opening,
       incidents.id IN (SELECT incident_id FROM waiting_escalations) AS waits,
       (SELECT min(started_at) FROM incident_alerts JOIN alerts USING (fingerprint, started_at)
        WHERE incident_alerts.incident_id = incidents.id AND ended_at IS NULL) AS fires_since,
       (SELECT count(DISTINCT pages.run) FROM pages
        WHERE pages.incident_id = incidents.id AND pages.due_at > ?1 AND pages.due_at <= ?2) AS begun
FROM incidents LEFT JOIN escalations ON escalations.incident_id = incidents.id
WHERE incidents.id IN (SELECT id FROM incidents WHERE status <> 'resolved'
                       UNION SELECT incident_id FROM escalations WHERE state <> 'stopped')
ORDER BY incidents.severity, incidents.id;

-- name: set_clock
-- Store the clock of an incident.
INSERT INTO escalations
    (incident_id, run, severity, state, level, next_at, acknowledged_until, resumes_at, opening)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT DO UPDATE
SET run = excluded.run, severity = excluded.severity, state = excluded.state, level = excluded.level,
    next_at = excluded.next_at, acknowledged_until = excluded.acknowledged_until,
    resumes_at = excluded.resumes_at, opening = excluded.opening;

-- name: plan_page
-- Add a page to a run.
INSERT INTO pages (incident_id, run, step, level, role, person, channel, due_at)
SELECT ?1, ?2, coalesce(max(step), 0) + 1, ?3, ?4, ?5, ?6, ?7
FROM pages WHERE incident_id = ?1 AND run = ?2;

-- name: drop_pages
-- Drop what is planned for an incident and not being sent.
UPDATE pages SET ended_at = ?2, outcome = 'dropped', detail = ?3
WHERE incident_id = ?1 AND ended_at IS NULL AND claimed_at IS NULL;

-- name: planned_pages
-- Pages that are to be sent, of incidents whose clock does not wait: most severe first, then by when they are due.
SELECT pages.*, incidents.severity
FROM pages JOIN incidents ON incidents.id = pages.incident_id
WHERE ended_at IS NULL AND claimed_at IS NULL AND incident_id NOT IN (SELECT incident_id FROM waiting_escalations)
ORDER BY incidents.severity, due_at, incident_id, step;

-- name: claim_page
-- Claim a page, if it still waits and nobody has acknowledged the incident.
UPDATE pages SET claimed_at = ?4
WHERE incident_id = ?1 AND run = ?2 AND step = ?3 AND claimed_at IS NULL AND ended_at IS NULL
  AND EXISTS (SELECT 1 FROM incidents WHERE id = pages.incident_id AND status = 'open')
RETURNING *, (SELECT severity FROM incidents WHERE id = incident_id) AS severity;

-- name: end_page
-- Note how a page went, once.
UPDATE pages SET ended_at = ?4, outcome = ?5, detail = ?6, claimed_at = coalesce(claimed_at, ?4)
WHERE incident_id = ?1 AND run = ?2 AND step = ?3 AND ended_at IS NULL;

-- name: abandoned_pages
-- Give pages that a process that died was sending back to be sent, marked.
UPDATE pages SET claimed_at = NULL, may_be_repeated = 1
WHERE claimed_at IS NOT NULL AND ended_at IS NULL
RETURNING incident_id, run, step, role, person, channel;

-- name: hurry_channel
-- Make the next channel of a person at this level due at ?5, at the latest.
UPDATE pages SET due_at = min(due_at, ?5)
WHERE (incident_id, run, step) IN (
    SELECT incident_id, run, step FROM pages
    WHERE incident_id = ?1 AND run = ?2 AND level = ?3 AND person = ?4
      AND ended_at IS NULL AND claimed_at IS NULL
    ORDER BY due_at, step LIMIT 1)
RETURNING channel;

-- name: level_outcomes
-- How the pages of a level went so far.
SELECT count(*) FILTER (WHERE ended_at IS NULL) AS open, count(*) FILTER (WHERE outcome = 'sent') AS sent
FROM pages WHERE incident_id = ?1 AND run = ?2 AND level = ?3;

-- name: hurry_level
-- Tell the level after ?3 at ?4, at the latest.
UPDATE escalations SET next_at = min(next_at, ?4)
WHERE incident_id = ?1 AND run = ?2 AND level = ?3 + 1 AND state = 'running' AND next_at IS NOT NULL;

-- name: recent_messages
-- How many messages went to each person by each channel since ?1, until ?2, and when the last did.
SELECT person, channel, count(DISTINCT claimed_at) AS messages, max(claimed_at) AS last
FROM pages WHERE claimed_at > ?1 AND claimed_at <= ?2 GROUP BY person, channel;

-- name: paged_incident
-- What a page says of an incident.
SELECT incidents.id, title, incidents.severity, opened_at,
       (SELECT count(DISTINCT fingerprint) FROM incident_alerts WHERE incident_id = incidents.id) AS alert_count,
       coalesce((SELECT max(times) FROM (SELECT count(*) AS times FROM incident_alerts
                                         WHERE incident_id = incidents.id GROUP BY fingerprint)), 0) AS times,
       (SELECT json_group_array(DISTINCT procedure) FROM incident_alerts JOIN alerts USING (fingerprint, started_at)
        WHERE incident_id = incidents.id AND procedure <> '') AS procedures
FROM incidents WHERE id = ?1;

-- name: clock_of_page
-- The clock of incident ?1, and how many runs began since ?2, until ?3.
SELECT level, next_at,
       (SELECT count(DISTINCT run) FROM pages
        WHERE incident_id = ?1 AND due_at > ?2 AND due_at <= ?3) AS begun
FROM escalations WHERE incident_id = ?1;

-- name: incident_pages
-- The pages of an incident that wait, by when they are due.
SELECT role, person, channel, due_at FROM pages
WHERE incident_id = ?1 AND ended_at IS NULL ORDER BY due_at, step;

-- name: incident_clock
-- The clock of an incident, and whether it waits for an alert to fire again.
SELECT *, incident_id IN (SELECT incident_id FROM waiting_escalations) AS waits
FROM escalations WHERE incident_id = ?1;

-- name: clock_anchor
-- How the clocks belonged together when they were last compared.
SELECT boot_id, elapsed, wall FROM clock_anchor;

-- name: anchor_clock
-- Store how the clocks belong together.
INSERT INTO clock_anchor (id, boot_id, elapsed, wall) VALUES (1, ?1, ?2, ?3)
ON CONFLICT DO UPDATE SET boot_id = excluded.boot_id, elapsed = excluded.elapsed, wall = excluded.wall;

-- name: move_clocks
-- Move when levels are told, and what is known of acknowledgements.
UPDATE escalations
SET acknowledged_until = strftime('%Y-%m-%dT%H:%M:%f', acknowledged_until, ?1) || '000Z',
    next_at = strftime('%Y-%m-%dT%H:%M:%f', next_at, ?1) || '000Z',
    resumes_at = strftime('%Y-%m-%dT%H:%M:%f', resumes_at, ?1) || '000Z'
WHERE next_at IS NOT NULL OR resumes_at IS NOT NULL;

-- name: move_pages
-- Move when pages are due.
UPDATE pages SET due_at = strftime('%Y-%m-%dT%H:%M:%f', due_at, ?1) || '000Z' WHERE ended_at IS NULL;

-- name: open_of_severity
-- Incidents of a severity that are not resolved, oldest first.
SELECT id, title, opened_at FROM incidents WHERE status <> 'resolved' AND severity = ?1 ORDER BY id;

-- name: page_figures
-- How many pages were not accepted since ?1, and for how many seconds the oldest has been due at ?2.
SELECT (SELECT count(*) FROM pages WHERE outcome = 'failed' AND claimed_at > ?1) AS failed,
       (SELECT (julianday(?2) - julianday(min(due_at))) * 86400 FROM pages
        WHERE ended_at IS NULL AND incident_id NOT IN (SELECT incident_id FROM waiting_escalations)) AS overdue;
