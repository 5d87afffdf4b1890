-- name: incidents
-- Incidents with this status, or (?1 null) all; those not resolved first, then the newest. What was merged into
-- another is left out.
SELECT incidents.*, level AS escalation_level,
       iif(id IN (SELECT incident_id FROM waiting_escalations), NULL, next_at) AS next_escalation_at,
       (SELECT count(DISTINCT fingerprint) FROM incident_alerts WHERE incident_id = id) AS alert_count
FROM (SELECT * FROM incidents WHERE (?1 IS NULL OR status = ?1) AND merged_into IS NULL
      ORDER BY status = 'resolved', id DESC LIMIT ?2) AS incidents
LEFT JOIN escalations ON incident_id = id
ORDER BY status = 'resolved', id DESC;

-- name: incident
-- One incident.
SELECT incidents.*, level AS escalation_level,
       iif(id IN (SELECT incident_id FROM waiting_escalations), NULL, next_at) AS next_escalation_at,
       (SELECT count(DISTINCT fingerprint) FROM incident_alerts WHERE incident_id = id) AS alert_count
FROM incidents LEFT JOIN escalations ON incident_id = id WHERE id = ?1;

-- name: stored_incident
-- One incident as it is stored.
SELECT * FROM incidents WHERE id = ?1;

-- name: alerts_of_incidents
-- The alerts of these incidents (a JSON array), firing ones first, at most ?2 of each incident.
SELECT incident_id, fingerprint, name, severity, summary, labels, started_at, ended_at, times
FROM (SELECT incident_id, fingerprint, name, severity, summary, labels,
             min(started_at) AS started_at, ended_at, times,
             row_number() OVER (PARTITION BY incident_id
                                ORDER BY ended_at IS NOT NULL, severity, started_at, fingerprint) AS position
      FROM (SELECT incident_id, fingerprint, name, severity, summary, labels, started_at,
                   first_value(ended_at) OVER newest AS ended_at,
                   count(*) OVER (PARTITION BY incident_id, fingerprint) AS times
            FROM incident_alerts JOIN alerts USING (fingerprint, started_at)
            WHERE incident_id IN (SELECT value FROM json_each(?1))
            WINDOW newest AS (PARTITION BY incident_id, fingerprint ORDER BY started_at DESC))
      GROUP BY incident_id, fingerprint)
WHERE position <= ?2
ORDER BY incident_id, position;

-- name: open_incident
-- Open an incident, and return its number.
INSERT INTO incidents (title, severity, status, subject, opened_at, opened_by, resolves_itself, is_apart)
VALUES (?1, ?2, 'open', ?3, ?4, ?5, ?6, ?7) RETURNING id;

-- name: change_incident
-- Store a changed incident. What it did to members is computed again when it is over. It is counted how often it
-- became one that nobody takes care of.
UPDATE incidents
SET severity = ?2, status = ?3, title = ?4, subject = ?5, acknowledged_at = ?6, acknowledged_by = ?7,
    acknowledged_until = ?8, resolved_at = ?9, resolved_by = ?10, merged_into = ?11, is_apart = ?12,
    resolves_itself = ?13, impact = NULL, version = version + ?14,
    openings = openings + (status <> 'open' AND ?3 = 'open')
WHERE id = ?1;

-- name: move_alerts
-- Make the alerts of incident ?1 those of ?2.
UPDATE incident_alerts SET incident_id = ?2 WHERE incident_id = ?1;

-- name: move_some_alerts
-- Make these alerts (a JSON array of fingerprints) of incident ?1 those of ?2.
UPDATE incident_alerts SET incident_id = ?2
WHERE incident_id = ?1 AND fingerprint IN (SELECT value FROM json_each(?3));

-- name: merge_again
-- What was merged into incident ?1 is part of ?2 now.
UPDATE incidents SET merged_into = ?2 WHERE merged_into = ?1;

-- name: add_to_timeline
-- Add a line to a timeline; the same line again replaces its text.
INSERT INTO timeline (id, incident_id, at, kind, actor, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO UPDATE SET text = excluded.text;

-- name: timeline
-- What was written on an incident and on those that were merged into it.
SELECT at, kind, actor, text FROM timeline
WHERE incident_id = ?1 OR incident_id IN (SELECT id FROM incidents WHERE merged_into = ?1)
ORDER BY at, id;

-- name: alerts_in_no_incident
-- Alerts of P0 to P2 that are in no incident, and are firing or ended after ?1; the ?2 oldest after
-- the first ?3.
SELECT fingerprint, name, severity, summary, labels, started_at, ended_at
FROM (SELECT * FROM alerts WHERE ended_at IS NULL
      UNION ALL SELECT * FROM alerts WHERE ended_at > ?1) AS recent
WHERE severity IN ('P0', 'P1', 'P2') AND NOT EXISTS (
    SELECT 1 FROM incident_alerts AS known
    WHERE known.fingerprint = recent.fingerprint AND known.started_at = recent.started_at)
ORDER BY started_at, fingerprint LIMIT ?2 OFFSET ?3;

-- name: incidents_to_join
-- Incidents that an alert may join, with when their last alert began: those not resolved, and those resolved
-- after ?1.
SELECT *, (SELECT max(started_at) FROM incident_alerts WHERE incident_id = id) AS last_started_at
FROM (SELECT * FROM incidents WHERE status <> 'resolved'
      UNION ALL
      SELECT * FROM incidents WHERE status = 'resolved' AND resolved_at > ?1 AND merged_into IS NULL);

-- name: first_episodes
-- The first episodes of the ?2 oldest alerts of each of these incidents (a JSON array), with when the last ended.
SELECT incident_id, fingerprint, name, severity, summary, labels, started_at, last.ended_at
FROM (SELECT incident_id, fingerprint, min(started_at) AS started_at,
             iif(count(*) = count(ended_at), max(ended_at), NULL) AS ended_at,
             row_number() OVER (PARTITION BY incident_id ORDER BY min(started_at), fingerprint) AS position
      FROM incident_alerts JOIN alerts USING (fingerprint, started_at)
      WHERE incident_id IN (SELECT value FROM json_each(?1))
      GROUP BY incident_id, fingerprint) AS last
JOIN alerts USING (fingerprint, started_at)
WHERE position <= ?2;

-- name: incidents_of_alerts
-- Which of these incidents have episodes of which of these alerts (JSON arrays ?2 and ?1).
SELECT DISTINCT incident_id, fingerprint FROM incident_alerts
WHERE fingerprint IN (SELECT value FROM json_each(?1)) AND incident_id IN (SELECT value FROM json_each(?2));

-- name: add_alert_to_incident
-- Make an episode of an alert part of an incident, once.
INSERT INTO incident_alerts (fingerprint, started_at, incident_id) VALUES (?1, ?2, ?3)
ON CONFLICT DO NOTHING;

-- name: expired_acknowledgements
-- Incidents whose acknowledgement held until before ?1.
SELECT * FROM incidents WHERE status = 'acknowledged' AND acknowledged_until <= ?1;

-- name: incidents_that_are_over
-- Incidents of alerts that ended before ?1, or before ?2 if one of them began at least ?3 times. An end after ?4 is
-- that of a clock that was ahead: waiting for it could take years.
SELECT incidents.*, max(last_ended) AS last_ended
FROM incidents JOIN (
    SELECT incident_id, fingerprint, count(*) AS times, max(ended_at) AS last_ended,
           count(*) - count(ended_at) AS firing
    FROM incident_alerts JOIN alerts USING (fingerprint, started_at)
    WHERE incident_id IN (SELECT id FROM incidents WHERE status <> 'resolved' AND resolves_itself)
    GROUP BY incident_id, fingerprint
) ON incident_id = id
GROUP BY id
HAVING sum(firing) = 0
   AND (max(last_ended) <= iif(max(times) >= ?3, ?2, ?1) OR max(last_ended) > ?4);

-- name: move_acknowledgements
-- Move when acknowledgements expire by a modifier of strftime: the clock was set.
UPDATE incidents SET acknowledged_until = strftime('%Y-%m-%dT%H:%M:%f', acknowledged_until, ?1) || '000Z'
WHERE status = 'acknowledged';

-- name: episodes
-- The episodes of the alerts of an incident, at most ?2.
SELECT fingerprint, name, severity, summary, started_at, ended_at
FROM incident_alerts JOIN alerts USING (fingerprint, started_at)
WHERE incident_id = ?1 ORDER BY fingerprint, started_at LIMIT ?2;

-- name: incident_span
-- From when to when an incident was open.
SELECT opened_at, resolved_at FROM incidents WHERE id = ?1;

-- name: actions_between
-- Lines on what operators did from ?1 to ?2, at most ?3.
SELECT started_at AS at, 'action' AS kind, operator AS actor,
       trim(action || ' ' || target)
       || CASE succeeded WHEN 1 THEN ' succeeded' WHEN 0 THEN ' failed' ELSE ' began' END
       || iif(reason = '', '', ': ' || reason) || iif(output = '', '', ' → ' || substr(output, 1, 500)) AS text
FROM actions WHERE started_at BETWEEN ?1 AND ?2 ORDER BY started_at LIMIT ?3;

-- name: failed_runs_between
-- Lines on runs from ?1 to ?2 that were not OK, with the checks that were not, at most ?3.
SELECT started_at AS at, 'run' AS kind, started_by AS actor,
       routine || ' is ' || verdict || ': ' || (
           SELECT coalesce(group_concat(check_id || ' (' || substr(record ->> 'summary', 1, 200) || ')', '; '), '')
           FROM (SELECT check_id, record FROM results
                 WHERE run_id = runs.id AND verdict IN ('CRITICAL', 'WARNING', 'UNKNOWN')
                 ORDER BY position LIMIT 10)) AS text
FROM runs
WHERE started_at BETWEEN ?1 AND ?2 AND verdict IN ('CRITICAL', 'WARNING', 'UNKNOWN')
ORDER BY started_at LIMIT ?3;

-- name: changes_between
-- Lines on restarts and deploys from ?1 to ?2, at most ?3.
SELECT at, kind, 'ChitLaq' AS actor, text FROM changes WHERE at BETWEEN ?1 AND ?2 ORDER BY at LIMIT ?3;

-- name: components_seen
-- What each component was when it was last seen.
SELECT component, state FROM components_seen;

-- name: see_component
-- Store what a component is now.
INSERT INTO components_seen (component, state) VALUES (?1, ?2)
ON CONFLICT DO UPDATE SET state = excluded.state;

-- name: add_change
-- Store a restart or a deploy.
INSERT INTO changes (id, at, kind, text) VALUES (?1, ?2, ?3, ?4);

-- name: incident_began
-- When the first alert of an incident began, or it was opened, and its impact if that is stored.
SELECT min(opened_at, coalesce((SELECT min(started_at) FROM incident_alerts WHERE incident_id = id), opened_at))
           AS began_at, resolved_at, impact
FROM incidents WHERE id = ?1;

-- name: incidents_without_impact
-- Incidents that are over and have no impact yet.
SELECT id, version FROM incidents WHERE status = 'resolved' AND impact IS NULL AND merged_into IS NULL LIMIT 20;

-- name: store_impact
-- Store the impact of an incident, unless it has changed since.
UPDATE incidents SET impact = ?3 WHERE id = ?1 AND version = ?2 AND status = 'resolved';

-- name: add_action_item
-- Store an action item, and return it.
INSERT INTO action_items (incident_id, text, owner, due_on, made_at) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING *;

-- name: finish_action_item
-- Mark an open action item as done at ?2, and return it.
UPDATE action_items SET done_at = ?2 WHERE id = ?1 AND done_at IS NULL RETURNING *;

-- name: action_items
-- Action items of incident ?1 and of those that were merged into it, or (null) of all; only open (?2 is 1) or
-- done (0) ones, or (null) all.
SELECT * FROM action_items
WHERE (?1 IS NULL OR incident_id = ?1 OR incident_id IN (SELECT id FROM incidents WHERE merged_into = ?1))
  AND (?2 IS NULL OR (done_at IS NULL) = ?2)
ORDER BY done_at IS NOT NULL, due_on, id LIMIT ?3;

-- name: prune_incidents
-- Delete incidents that were resolved before ?1, unless something is still to be done for them.
DELETE FROM incidents
WHERE status = 'resolved' AND resolved_at < ?1
  AND NOT EXISTS (SELECT 1 FROM action_items JOIN incidents AS its ON its.id = incident_id
                  WHERE incidents.id IN (its.id, its.merged_into) AND done_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM incidents AS into_it WHERE into_it.id = incidents.merged_into);

-- name: prune_changes
-- Delete restarts and deploys from before ?1.
DELETE FROM changes WHERE at < ?1;

-- name: unacknowledged_incidents
-- Incidents that nobody takes care of, most severe first.
SELECT id, severity, title, opened_at FROM incidents WHERE status = 'open' ORDER BY severity, opened_at;

-- name: open_action_items
-- What is still to be done, the most urgent first.
SELECT id, incident_id, text, owner, due_on FROM action_items WHERE done_at IS NULL ORDER BY due_on, id;

-- name: alerts_of_incident
-- Each alert of an incident, the most severe first.
SELECT fingerprint, name, severity, summary, min(started_at) AS started_at
FROM incident_alerts JOIN alerts USING (fingerprint, started_at)
WHERE incident_id = ?1 GROUP BY fingerprint ORDER BY severity, min(started_at), fingerprint;

-- name: firing_of_incident
-- How many alerts of an incident fire.
SELECT count(*) AS firing FROM incident_alerts JOIN alerts USING (fingerprint, started_at)
WHERE incident_id = ?1 AND ended_at IS NULL;

-- name: incidents_to_tell
-- What others have to know of incidents that are not resolved, or of which members were told since ?1: ?2 at most, each
-- with ?3 fingerprints.
SELECT subject, severity, status, acknowledged_at, acknowledged_by, acknowledged_until,
       (SELECT json_group_array(fingerprint)
        FROM (SELECT fingerprint FROM incident_alerts WHERE incident_id = incidents.id
              GROUP BY fingerprint ORDER BY min(started_at), fingerprint LIMIT ?3)) AS fingerprints,
       (SELECT json_object(
            'title', title, 'title_tr', title_tr, 'impact', impact, 'components', components, 'status', p.status,
            'published_at', published_at, 'updated_at', updated_at,
            'updates', (SELECT json_group_array(json_object('id', u.id, 'status', u.status, 'text', u.text,
                                                            'text_tr', u.text_tr, 'published_at', u.published_at,
                                                            'published_by', u.published_by))
                        FROM (SELECT * FROM published_updates WHERE incident_id = p.incident_id ORDER BY id) AS u))
        FROM published_incidents AS p WHERE p.incident_id = incidents.id) AS words
FROM (SELECT * FROM incidents WHERE status <> 'resolved'
      UNION ALL
      SELECT * FROM incidents WHERE status = 'resolved' AND merged_into IS NULL
          AND id IN (SELECT incident_id FROM published_incidents WHERE updated_at >= ?1)) AS incidents
ORDER BY status = 'resolved', severity, id LIMIT ?2;

-- name: told_incidents
-- What the ops-service that acts, or acted until lately, told of its incidents, at ?1.
SELECT told, kept_until FROM told_incidents WHERE kept_until IS NULL OR kept_until > ?1;

-- name: keep_told_incidents
-- Keep that of ?1, a JSON object of `told_here`; until ?2, or (null) the next is told.
INSERT INTO told_incidents (id, told, kept_until) VALUES (1, coalesce(json_extract(?1, '$.incidents'), '[]'), ?2)
ON CONFLICT (id) DO UPDATE SET told = excluded.told, kept_until = excluded.kept_until;

-- name: keep_told_incidents_left
-- Those incidents are still waited for.
UPDATE told_incidents SET told = ?1;

-- name: incidents_to_follow
-- Incidents that are not resolved, with the fingerprints of their alerts as a JSON array.
SELECT *, (SELECT json_group_array(DISTINCT fingerprint) FROM incident_alerts WHERE incident_id = incidents.id)
              AS fingerprints
FROM incidents WHERE status <> 'resolved' ORDER BY id;
