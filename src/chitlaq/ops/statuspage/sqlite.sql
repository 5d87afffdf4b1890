-- name: alerts_on_members
-- The labels of all alerts that fire.
SELECT labels FROM alerts WHERE ended_at IS NULL;

-- name: component_states
-- What was measured of each component, after hysteresis.
SELECT component, state, since FROM component_states;

-- name: keep_component_state
-- Remember what is measured of a component, and since when.
INSERT INTO component_states (component, state, since) VALUES (?1, ?2, ?3)
ON CONFLICT (component) DO UPDATE SET state = excluded.state, since = excluded.since
WHERE state <> excluded.state;

-- name: component_overrides
-- What people say of components.
SELECT component, state, set_by, set_at FROM component_overrides;

-- name: set_component
-- A person's word on a component.
INSERT INTO component_overrides (component, state, set_by, set_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (component) DO UPDATE SET state = excluded.state, set_by = excluded.set_by, set_at = excluded.set_at;

-- name: clear_component
-- Let what is measured count again.
DELETE FROM component_overrides WHERE component = ?1;

-- name: component_days
-- How long each component was in each state, by day, from a day on.
SELECT component, day, state, seconds FROM component_days WHERE day >= ?1;

-- name: keep_component_seconds
-- How long a component was in a state on a day, in all so far: repeating it changes nothing.
INSERT INTO component_days (component, day, state, seconds) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (component, day, state) DO UPDATE SET seconds = max(seconds, excluded.seconds);

-- name: add_maintenance
-- Announce work; the answer is its number.
INSERT INTO maintenances (title, title_tr, text, text_tr, components, starts_at, ends_at, made_at, made_by)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id;

-- name: maintenances
-- Announced work that ends after a moment, the next first.
SELECT id, title, title_tr, text, text_tr, components, starts_at, ends_at, ended_at, made_at, made_by
FROM maintenances WHERE ends_at > ?1 ORDER BY starts_at, id;

-- name: maintenance
-- One announcement of work.
SELECT id, title, title_tr, text, text_tr, components, starts_at, ends_at, ended_at, made_at, made_by
FROM maintenances WHERE id = ?1;

-- name: end_maintenance
-- End work early, or withdraw it before it begins; nothing if it is over.
UPDATE maintenances SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL AND ends_at > ?2 RETURNING title;

-- name: maintenance_silences
-- The silences of all maintenances.
SELECT maintenance_id, target, silence_id FROM maintenance_silences;

-- name: keep_maintenance_silence
-- Remember a silence that was made for a maintenance.
INSERT INTO maintenance_silences (maintenance_id, target, silence_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING;

-- name: drop_maintenance_silence
-- Forget a silence that is over.
DELETE FROM maintenance_silences WHERE maintenance_id = ?1 AND target = ?2;

-- name: publish_incident
-- Tell of an incident for the first time, or again. What operators call more severe later is so here too.
INSERT INTO published_incidents
    (incident_id, title, title_tr, impact, components, status, published_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
ON CONFLICT (incident_id) DO UPDATE
SET title = excluded.title, title_tr = excluded.title_tr, impact = excluded.impact,
    components = excluded.components, status = excluded.status, updated_at = excluded.updated_at;

-- name: publish_update
-- What is said of it now.
INSERT INTO published_updates (id, incident_id, status, text, text_tr, published_at, published_by)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: published_incident
-- One incident as members see it.
SELECT incident_id, title, title_tr, impact, components, status, published_at, updated_at
FROM published_incidents WHERE incident_id = ?1;

-- name: published_incidents
-- Incidents that are not over, or were updated since a moment; the newest first.
SELECT incident_id, title, title_tr, impact, components, status, published_at, updated_at
FROM published_incidents WHERE status <> 'resolved' OR updated_at >= ?1 ORDER BY published_at DESC, incident_id DESC;

-- name: published_updates
-- What was said of these incidents (a JSON array), the newest first.
SELECT id, incident_id, status, text, text_tr, published_at
FROM published_updates WHERE incident_id IN (SELECT value FROM json_each(?1)) ORDER BY id DESC;

-- name: queue_subscriber_mails
-- Let the update ?1 of incident ?2 wait for each subscriber of a component of it.
INSERT INTO subscriber_mails (update_id, subscriber_id)
SELECT ?1, s.id
FROM subscribers s
WHERE EXISTS (
    SELECT 1 FROM json_each(s.components) wanted
    JOIN (SELECT e.value FROM published_incidents p, json_each(p.components) e WHERE p.incident_id = ?2) told
    ON told.value = wanted.value
);

-- name: maintenances_to_tell
-- Work that subscribers were told nothing of and that is not over at ?1, or of whose end they were not told.
SELECT id, title, title_tr, text, text_tr, components, starts_at, ends_at, ended_at, made_at, made_by
FROM maintenances
WHERE CASE WHEN EXISTS (SELECT 1 FROM maintenance_updates u WHERE u.maintenance_id = maintenances.id)
      THEN coalesce(ended_at, ends_at) <= ?1
           AND NOT EXISTS (SELECT 1 FROM maintenance_updates u
                           WHERE u.maintenance_id = maintenances.id AND u.status IN ('completed', 'withdrawn'))
      ELSE coalesce(ended_at, ends_at) > ?1 END;

-- name: tell_of_maintenance
-- Note that subscribers are told of work, once of each status.
INSERT INTO maintenance_updates (id, maintenance_id, status, published_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO NOTHING;

-- name: queue_maintenance_mails
-- Let the update ?1 wait for each subscriber of a component that is worked on.
INSERT INTO subscriber_mails (update_id, subscriber_id)
SELECT u.id, s.id
FROM maintenance_updates u JOIN maintenances m ON m.id = u.maintenance_id, subscribers s
WHERE u.id = ?1 AND EXISTS (
    SELECT 1 FROM json_each(s.components) wanted JOIN json_each(m.components) told ON told.value = wanted.value
);

-- name: subscriber_mails
-- Mails that wait, the oldest updates first; only those about maintenance have its components and times.
SELECT m.update_id, m.subscriber_id, s.address, s.language, u.*
FROM subscriber_mails m
JOIN subscribers s ON s.id = m.subscriber_id
JOIN (SELECT u.id, u.status, p.title, p.title_tr, u.text, u.text_tr,
             NULL AS components, NULL AS starts_at, NULL AS ends_at
      FROM published_updates u JOIN published_incidents p ON p.incident_id = u.incident_id
      UNION ALL
      SELECT u.id, u.status, w.title, w.title_tr, w.text, w.text_tr, w.components, w.starts_at, w.ends_at
      FROM maintenance_updates u JOIN maintenances w ON w.id = u.maintenance_id) u
ON u.id = m.update_id
ORDER BY m.update_id, m.subscriber_id LIMIT ?1;

-- name: drop_subscriber_mail
-- Forget a mail that the queue has taken.
DELETE FROM subscriber_mails WHERE update_id = ?1 AND subscriber_id = ?2;

-- name: note_subscription_request
-- Remember that somebody asked for mails to an address, unless that is too often: then there is no row.
INSERT INTO subscription_requests (id, mailbox, network, requested_at)
SELECT ?1, ?2, ?3, ?4
WHERE (SELECT count(*) FROM subscription_requests WHERE mailbox = ?2 AND requested_at > ?5) < ?6
RETURNING id;

-- name: requests_of_network
-- How often a network has asked since a moment.
SELECT count(*) AS requests FROM subscription_requests WHERE network = ?1 AND requested_at > ?2;

-- name: forget_subscription_requests
-- Drop what no limit counts any more, and what a wrong clock has noted for later.
DELETE FROM subscription_requests WHERE requested_at < ?1 OR requested_at > ?2;

-- name: last_wish
-- When the owner of the address ?2, or of the subscription ?1, said last whether there are to be mails.
SELECT confirmed_at AS at FROM subscribers WHERE id = ?1 OR address = ?2
UNION ALL SELECT ended_at FROM ended_subscriptions WHERE id = ?1
ORDER BY at DESC LIMIT 1;

-- name: subscribe
-- Keep a confirmed subscription; again, with other components, it replaces the one before.
INSERT INTO subscribers (id, address, language, components, confirmed_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (address) DO UPDATE
SET language = excluded.language, components = excluded.components, confirmed_at = excluded.confirmed_at,
    is_shared = 0;

-- name: unsubscribe
-- Forget a subscriber, and the mails that wait for it.
DELETE FROM subscribers WHERE id = ?1;

-- name: keep_end
-- Remember that a subscription was ended, also of one that is not known here yet.
INSERT INTO ended_subscriptions (id, ended_at) VALUES (?1, ?2)
ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, is_shared = 0;

-- name: drop_end
-- It was begun anew.
DELETE FROM ended_subscriptions WHERE id = ?1;

-- name: forget_ends
-- Forget who ended it before a moment.
DELETE FROM ended_subscriptions WHERE ended_at < ?1;

-- name: wishes_here
-- What people wanted last, without an address if that was no mail: of all if ?1, or what others have not heard of.
SELECT id, confirmed_at AS at, address, language, components FROM subscribers WHERE ?1 OR NOT is_shared
UNION ALL SELECT id, ended_at, NULL, NULL, NULL FROM ended_subscriptions WHERE ?1 OR NOT is_shared;

-- name: subscribers_are_shared
-- Others can know of these, a JSON array of objects with id and moment.
UPDATE subscribers SET is_shared = 1
WHERE (id, confirmed_at) IN (SELECT value ->> '$.id', value ->> '$.at' FROM json_each(?1));

-- name: ends_are_shared
-- The same of ends.
UPDATE ended_subscriptions SET is_shared = 1
WHERE (id, ended_at) IN (SELECT value ->> '$.id', value ->> '$.at' FROM json_each(?1));

-- name: adopt_unsubscribing
-- Forget who wants no mails since a moment, a JSON array of objects, unless they want some again.
DELETE FROM subscribers
WHERE confirmed_at < (SELECT value ->> '$.at' FROM json_each(?1) WHERE value ->> '$.id' = subscribers.id);

-- name: adopt_ends
-- Remember who ended it elsewhere.
INSERT INTO ended_subscriptions (id, ended_at, is_shared)
SELECT value ->> '$.id', value ->> '$.at', 1 FROM json_each(?1)
WHERE value ->> '$.id' NOT IN (SELECT id FROM subscribers)
ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, is_shared = 1
WHERE excluded.ended_at > ended_subscriptions.ended_at;

-- name: adopt_subscribers
-- Take over what people wanted elsewhere, unless they wanted something else here later. Where an address has another id
-- here, from when nodes did not know of each other's, it keeps that.
INSERT INTO subscribers (id, address, language, components, confirmed_at, is_shared)
SELECT value ->> '$.id', value ->> '$.wanted.address', value ->> '$.wanted.language', value ->> '$.wanted.components',
       value ->> '$.at', 1
FROM json_each(?1)
WHERE NOT EXISTS (SELECT 1 FROM ended_subscriptions e WHERE e.id = value ->> '$.id' AND e.ended_at >= value ->> '$.at')
ON CONFLICT (id) DO UPDATE
SET language = excluded.language, components = excluded.components, confirmed_at = excluded.confirmed_at, is_shared = 1
WHERE excluded.confirmed_at > subscribers.confirmed_at
ON CONFLICT (address) DO NOTHING;

-- name: adopt_beginning
-- Who wants mails again has not ended it.
DELETE FROM ended_subscriptions WHERE id IN (SELECT id FROM subscribers);

-- name: subscriber_count
-- How many there are.
SELECT count(*) AS subscribers FROM subscribers;

-- name: incident_of_updates
-- Which incident has one of these updates (a JSON array of ids).
SELECT incident_id FROM published_updates WHERE id IN (SELECT value FROM json_each(?1)) LIMIT 1;

-- name: adopt_words
-- Take over what members read of an incident elsewhere, if that is newer.
INSERT INTO published_incidents
    (incident_id, title, title_tr, impact, components, status, published_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (incident_id) DO UPDATE
SET title = excluded.title, title_tr = excluded.title_tr, impact = excluded.impact,
    components = excluded.components, status = excluded.status, updated_at = excluded.updated_at;

-- name: adopt_update
-- Take over one update, once.
INSERT INTO published_updates (id, incident_id, status, text, text_tr, published_at, published_by)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING;
