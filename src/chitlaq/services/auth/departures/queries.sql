-- name: export_account
-- An account, as it is kept.
SELECT a.id, a.username, a.display_name, a.email, a.language, u.name AS university, a.created_at, a.verified_at,
       a.password_hash IS NOT NULL AS has_password, a.roles, a.disabled_at, a.disabled_reason
FROM auth.accounts a JOIN auth.universities u ON u.id = a.university_id WHERE a.id = $1;

-- name: export_sessions
-- Devices that are or were signed in. Index: sessions_by_account, for those that are.
SELECT user_agent, host(address) AS address, methods, created_at, last_used_at, expires_at, ended_at
FROM auth.sessions WHERE account_id = $1 ORDER BY id;

-- name: export_devices
-- Devices by which an account is known. Index: devices' primary key.
SELECT first_seen_at, last_seen_at FROM auth.devices WHERE account_id = $1 ORDER BY first_seen_at;

-- name: export_addresses
-- Addresses from which an account signed in last. Index: known_addresses' primary key.
SELECT address, last_seen_at FROM auth.known_addresses WHERE account_id = $1 ORDER BY last_seen_at;

-- name: export_audit
-- The audit log of an account. Index: audit_by_account.
SELECT happened_at, action, operator IS NOT NULL AS by_operator, host(address) AS address, user_agent, detail
FROM auth.audit WHERE account_id = $1 ORDER BY id;

-- name: export_registrations
-- What was registered, as long as it is kept. Index: registrations_by_account.
SELECT email, username, display_name, department, language, created_at, expires_at
FROM auth.registrations WHERE account_id = $1 ORDER BY created_at;

-- name: export_identities
-- By which providers an account is opened, and as whom they know its owner. Index: linked_identities' unique keys.
SELECT p.name, p.title, l.subject, l.linked_at
FROM auth.linked_identities l JOIN auth.identity_providers p ON p.id = l.provider_id
WHERE l.account_id = $1 ORDER BY l.linked_at;

-- name: export_passkeys
-- An account's passkeys, without their keys. Index: passkeys_by_account.
SELECT name, transports, created_at, last_used_at FROM auth.passkeys WHERE account_id = $1 ORDER BY id;

-- name: export_codes
-- Since when an account asks for codes; the key is a secret.
SELECT enrolled_at, confirmed_at FROM auth.totp_keys WHERE account_id = $1;

-- name: export_mails
-- Mails to the account's address, from its registration on: before, it may have been somebody else's.
-- Index: messages_by_address.
SELECT m.subject, m.created_at, m.sent_at
FROM mail.messages m JOIN auth.accounts a ON a.email = m.to_address
WHERE a.id = $1 AND m.created_at > a.created_at - interval '1 day'
ORDER BY m.created_at, m.id;

-- name: export_exports
-- Exports that are kept. Index: exports_by_account.
SELECT requested_at, ready_at, expires_at, bytes FROM auth.exports WHERE account_id = $1 ORDER BY id;

-- name: export_departure
-- The deletion that the owner asked for.
SELECT requested_at, erase_at FROM auth.departures WHERE account_id = $1;

-- name: seconds_to_next_export
-- When an account may have another export; null if it may now. Index: exports_by_account.
SELECT extract(epoch FROM max(requested_at) + interval '1 day' - now())::float8
FROM auth.exports WHERE account_id = $1 HAVING max(requested_at) > now() - interval '1 day';

-- name: insert_export
-- Begin an export. What is not ready within a day is forgotten, and may be asked for again.
INSERT INTO auth.exports (account_id, contributors, expires_at) VALUES ($1, $2, now() + interval '1 day')
RETURNING id;

-- name: exports_of_account
-- An account's exports, newest first. Index: exports_by_account.
SELECT id, requested_at, ready_at, expires_at, bytes FROM auth.exports
WHERE account_id = $1 AND expires_at > now() ORDER BY id DESC;

-- name: is_export_ready
-- Whether an account may fetch an export.
SELECT EXISTS (SELECT FROM auth.exports
               WHERE id = $1 AND account_id = $2 AND ready_at IS NOT NULL AND expires_at > now());

-- name: export_chunk
-- A piece of a ZIP.
SELECT content FROM auth.export_chunks WHERE export_id = $1 AND number = $2;

-- name: export_files
-- The files of an export that is to be packed.
SELECT name, title, rows, suffix FROM auth.export_files WHERE export_id = $1 ORDER BY name;

-- name: export_file
-- One of them.
SELECT content FROM auth.export_files WHERE export_id = $1 AND name = $2;

-- name: lock_export
-- An export that is to be packed, and its owner.
SELECT e.account_id, a.email, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.language
FROM auth.exports e
JOIN auth.accounts a ON a.id = e.account_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE e.id = $1 AND e.ready_at IS NULL
FOR NO KEY UPDATE OF e;

-- name: add_export_chunk
-- Store a piece of a ZIP.
INSERT INTO auth.export_chunks (export_id, number, content) VALUES ($1, $2, $3);

-- name: complete_export
-- An export is ready; its parts are not needed any more.
WITH packed AS (DELETE FROM auth.export_files WHERE export_id = $1)
UPDATE auth.exports SET ready_at = now(), bytes = $2, expires_at = now() + make_interval(days => $3) WHERE id = $1;

-- name: forget_exports
-- Delete exports that are over. Index: exports_by_expiry.
DELETE FROM auth.exports WHERE expires_at < now();

-- name: insert_departure
-- An account is to be erased in $2 days, unless that is so already.
INSERT INTO auth.departures (account_id, erase_at) VALUES ($1, now() + make_interval(days => $2))
ON CONFLICT DO NOTHING RETURNING erase_at;

-- name: departure_of_account
-- When an account is to be erased.
SELECT erase_at FROM auth.departures WHERE account_id = $1;

-- name: delete_departure
-- An account is kept, if its erasure has not begun.
DELETE FROM auth.departures WHERE account_id = $1 AND erasing_since IS NULL;

-- name: hide_member
-- Hide a member from others, or show them again.
SELECT feed.hide_member($1, $2);

-- name: due_departure
-- An account whose time is over. Index: departures_by_time.
SELECT account_id FROM auth.departures WHERE erase_at <= now() AND erasing_since IS NULL ORDER BY erase_at LIMIT 1;

-- name: begin_erasure
-- The services with these roles erase their parts of an account.
UPDATE auth.departures SET erasing_since = now(), contributors = $2
WHERE account_id = $1 AND erase_at <= now() AND erasing_since IS NULL;

-- name: erasable_account
-- An account of which every service has erased its part.
SELECT a.id, a.email, a.username FROM auth.accounts a JOIN auth.departures d ON d.account_id = a.id
WHERE a.id = $1 AND d.erasing_since IS NOT NULL AND d.erased @> d.contributors
FOR UPDATE OF a;

-- name: retire_username
-- Give a name to nobody else.
INSERT INTO auth.retired_usernames (hash) VALUES (sha256(convert_to(auth.skeleton($1), 'UTF8')))
ON CONFLICT DO NOTHING;

-- name: erase_mails
-- Delete the mails to an account's addresses, also former and wanted ones, which the audit log names, unless they are
-- somebody else's by now; and the jobs that would send them. Index: messages_by_address.
WITH addresses AS (
    SELECT email FROM auth.accounts WHERE id = $1
    UNION SELECT email FROM auth.mailed_tokens WHERE account_id = $1
    UNION SELECT detail ->> 'email' FROM auth.audit WHERE account_id = $1
    UNION SELECT detail ->> 'former' FROM auth.audit WHERE account_id = $1
    EXCEPT SELECT email FROM auth.accounts WHERE id <> $1
    EXCEPT SELECT email FROM auth.registrations WHERE account_id IS DISTINCT FROM $1 AND expires_at > now()
),
gone AS (
    DELETE FROM mail.messages WHERE to_address IN (SELECT email FROM addresses) RETURNING id
)
DELETE FROM jobs.jobs WHERE kind = 'send_mail' AND payload ->> 'message_id' IN (SELECT id::text FROM gone);

-- name: erase_jobs
-- Delete what waits to be done for an address.
DELETE FROM jobs.jobs WHERE payload ->> 'email' = $1;

-- name: erase_registrations
-- Delete what was registered with an address. Index: registrations_by_email.
DELETE FROM auth.registrations WHERE email = $1;

-- name: erase_account
-- Delete an account, and by its foreign keys everything that is left of it.
DELETE FROM auth.accounts WHERE id = $1;
