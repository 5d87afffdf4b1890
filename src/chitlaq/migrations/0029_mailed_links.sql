-- A mailed link works as long as its mail says, also if another one is asked for meanwhile: that keeps its
-- registration for longer, and the older links of it no longer.

ALTER TABLE auth.registration_links
    ADD COLUMN expires_at timestamptz NOT NULL DEFAULT now() + interval '1 day';
UPDATE auth.registration_links l SET expires_at = r.expires_at
FROM auth.registrations r WHERE r.id = l.registration_id;

-- Devices that have signed in are let through where an address is limited, whose account they want being unknown.
CREATE INDEX devices_by_key ON auth.devices (key_hash);

-- Since sessions have a table of used refresh tokens, and services read what was revoked, nobody reads these.
ALTER TABLE auth.sessions DROP COLUMN previous_hash;
DROP VIEW auth.ended_sessions;
