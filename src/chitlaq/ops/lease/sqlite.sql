-- name: told_here
-- What people have said, as one JSON object: stand-ins that are not over at ?1, the newest notes, announced work and what
-- subscribers were told of it, words on components; and ?2, of incidents.
SELECT json_object(
    'incidents', json(?2),
    'overrides', (
        SELECT json_group_array(json_array(id, rotation, person, starts_at, ends_at, made_by, note))
        FROM (SELECT * FROM overrides WHERE ends_at > ?1 ORDER BY id)),
    'handover_notes', (
        SELECT json_group_array(json_array(id, rotation, at, made_by, text))
        FROM (SELECT * FROM handover_notes ORDER BY id DESC LIMIT 100)),
    'notes', (
        SELECT json_group_array(json_array(id, check_id, kind, text, operator, created_at, ended_at))
        FROM (SELECT * FROM notes ORDER BY created_at DESC LIMIT 500)),
    'maintenances', (
        SELECT json_group_array(json_array(id, title, title_tr, text, text_tr, components, starts_at, ends_at,
                                           ended_at, made_at, made_by))
        FROM (SELECT * FROM maintenances ORDER BY id DESC LIMIT 100)),
    'maintenance_updates', (
        SELECT json_group_array(json_array(id, maintenance_id, status, published_at))
        FROM (SELECT * FROM maintenance_updates
              WHERE maintenance_id IN (SELECT id FROM maintenances ORDER BY id DESC LIMIT 100)
              ORDER BY maintenance_id, status)),
    'component_overrides', (
        SELECT json_group_array(json_array(component, state, set_by, set_at))
        FROM (SELECT * FROM component_overrides ORDER BY component))
) AS told;

-- name: adopt_overrides
-- Take over the stand-ins of ?1, a JSON object of `told_here`.
INSERT INTO overrides (id, rotation, person, starts_at, ends_at, made_by, note)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]')
FROM json_each(?1, '$.overrides') WHERE true
ON CONFLICT (id) DO NOTHING;

-- name: drop_overrides
-- Forget stand-ins that are not over at ?2, and that ?1 no longer has.
DELETE FROM overrides
WHERE ends_at > ?2 AND id NOT IN (SELECT json_extract(value, '$[0]') FROM json_each(?1, '$.overrides'));

-- name: adopt_handover_notes
-- Take over what was said when a duty was handed over.
INSERT INTO handover_notes (id, rotation, at, made_by, text)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]')
FROM json_each(?1, '$.handover_notes') WHERE true
ON CONFLICT (id) DO NOTHING;

-- name: adopt_notes
-- Take over notes and acknowledgements of checks, and which have ended.
INSERT INTO notes (id, check_id, kind, text, operator, created_at, ended_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]')
FROM json_each(?1, '$.notes') WHERE true
ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at;

-- name: adopt_maintenances
-- Take over announced work by its number.
INSERT INTO maintenances (id, title, title_tr, text, text_tr, components, starts_at, ends_at, ended_at, made_at, made_by)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[8]'),
       json_extract(value, '$[9]'), json_extract(value, '$[10]')
FROM json_each(?1, '$.maintenances') WHERE true
ON CONFLICT (id) DO UPDATE
SET title = excluded.title, title_tr = excluded.title_tr, text = excluded.text, text_tr = excluded.text_tr,
    components = excluded.components, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
    ended_at = excluded.ended_at, made_at = excluded.made_at, made_by = excluded.made_by;

-- name: adopt_maintenance_updates
-- Take over what subscribers were told of it.
INSERT INTO maintenance_updates (id, maintenance_id, status, published_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]')
FROM json_each(?1, '$.maintenance_updates') WHERE true
ON CONFLICT DO NOTHING;

-- name: adopt_component_overrides
-- Take over people's words on components of the status page.
INSERT INTO component_overrides (component, state, set_by, set_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]')
FROM json_each(?1, '$.component_overrides') WHERE true
ON CONFLICT (component) DO UPDATE
SET state = excluded.state, set_by = excluded.set_by, set_at = excluded.set_at;

-- name: drop_component_overrides
-- Forget words on components that ?1 no longer has.
DELETE FROM component_overrides
WHERE component NOT IN (SELECT json_extract(value, '$[0]') FROM json_each(?1, '$.component_overrides'));
