-- name: overrides
-- Overrides that end after ?1, by their begin.
SELECT id, rotation, person, starts_at, ends_at, made_by, note
FROM overrides WHERE ends_at > ?1 ORDER BY starts_at, id;

-- name: add_override
-- Store an override.
INSERT INTO overrides (id, rotation, person, starts_at, ends_at, made_by, note)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: override_ids
-- Ids that begin or end with ?1.
SELECT id FROM overrides
WHERE substr(id, 1, length(?1)) = ?1 OR substr(id, -length(?1)) = ?1 LIMIT 2;

-- name: remove_override
-- Remove an override, and return it.
DELETE FROM overrides WHERE id = ?1 RETURNING *;

-- name: add_handover_note
-- Store what whoever hands over says.
INSERT INTO handover_notes (id, rotation, at, made_by, text) VALUES (?1, ?2, ?3, ?4, ?5);

-- name: handover_notes
-- The newest note of each rotation.
SELECT rotation, at, made_by, text FROM handover_notes
WHERE id IN (SELECT max(id) FROM handover_notes GROUP BY rotation) ORDER BY rotation;

-- name: keep_delivery
-- Remember how the last message of a channel went.
INSERT INTO deliveries (person, channel, at, outcome, detail) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET at = excluded.at, outcome = excluded.outcome, detail = excluded.detail
WHERE excluded.at >= at;

-- name: deliveries
-- How the last message of each channel went.
SELECT person, channel, at, outcome, detail FROM deliveries ORDER BY person, channel;
