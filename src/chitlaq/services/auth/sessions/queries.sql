-- name: account_by_login (prepared)
-- The account that signs in, by address or username; both are unique.
SELECT a.id, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.email,
       a.password_hash, u.name AS university
FROM auth.accounts a
JOIN auth.universities u ON u.id = a.university_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE (a.email = $1 OR a.username = $1) AND NOT a.is_synthetic;

-- name: begin_session (prepared)
-- Begin a session, or say why not, and all that belongs to it: its entry in the audit log, the device, and the attempt
-- that is forgiven. For $6 days unless it is used, and for no more than $7. With the account as signed_in_account has it.
SELECT b.outcome, b.session_id, b.factors, b.is_new_device, a.*
FROM auth.begin_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) b
LEFT JOIN LATERAL auth.signed_in_account(b.session_id, $15) a ON true;

-- name: lock_session
-- The session that a refresh token is or was of, held until the transaction ends; before it its account, as
-- everybody does who ends sessions or revokes tokens. Index: sessions' and used tokens' unique hashes.
WITH found AS MATERIALIZED (
    SELECT id, account_id FROM auth.sessions
    WHERE id = (SELECT id FROM auth.sessions WHERE refresh_hash = $1
                UNION ALL
                SELECT session_id FROM auth.used_refresh_tokens WHERE token_hash = $1
                LIMIT 1)
),
account AS MATERIALIZED (
    SELECT a.id FROM auth.accounts a JOIN found ON found.account_id = a.id FOR SHARE OF a
)
SELECT s.id, s.account_id, s.refresh_hash, s.successor_key,
       s.last_used_at > now() - make_interval(secs => $3) AS is_recent
FROM found
JOIN account ON account.id = found.account_id
JOIN auth.sessions s ON s.id = found.id
WHERE s.ended_at IS NULL AND s.expires_at > now() AND s.created_at > now() - make_interval(days => $2)
FOR UPDATE OF s;

-- name: is_disabled
-- Whether a refresh token is or was of a disabled account. Index: sessions' and used tokens' unique hashes.
SELECT EXISTS (
    SELECT FROM auth.sessions s
    JOIN auth.accounts a ON a.id = s.account_id
    WHERE a.disabled_at IS NOT NULL
      AND s.id IN (SELECT id FROM auth.sessions WHERE refresh_hash = $1
                   UNION ALL
                   SELECT session_id FROM auth.used_refresh_tokens WHERE token_hash = $1)
);

-- name: rotate_session
-- Give a session its next refresh token, remember the one that was used, and extend the session.
WITH used AS (
    INSERT INTO auth.used_refresh_tokens (token_hash, session_id)
    SELECT refresh_hash, id FROM auth.sessions WHERE id = $1
)
UPDATE auth.sessions
SET refresh_hash = $2, successor_key = $3, last_used_at = now(), address = $6,
    expires_at = least(now() + make_interval(days => $4), created_at + make_interval(days => $5))
WHERE id = $1;

-- name: signed_in_account (prepared)
-- The account of a session ($1), as what it is told; if $2, roles need a second factor.
SELECT * FROM auth.signed_in_account($1, $2);

-- name: lacks_second_factor
-- Whether a session's account has no second factor, and its identity provider asked for none.
SELECT NOT 'mfa' = ANY(s.methods) AND auth.second_factors(s.account_id) = '{}' FROM auth.sessions s WHERE s.id = $1;

-- name: end_session
-- End a session of an account that is not over yet.
UPDATE auth.sessions SET ended_at = now()
WHERE id = $1 AND account_id = $2 AND ended_at IS NULL AND expires_at > now();

-- name: end_replaced_session
-- End the session of a refresh token that was not used yet. Index: sessions' unique hashes.
UPDATE auth.sessions SET ended_at = now()
WHERE refresh_hash = $1 AND ended_at IS NULL AND expires_at > now()
RETURNING id, account_id;

-- name: end_sessions
-- End all sessions of an account but one, if any. Index: sessions_by_account.
UPDATE auth.sessions SET ended_at = now()
WHERE account_id = $1 AND ended_at IS NULL AND id IS DISTINCT FROM $2;

-- name: lock_account
-- Hold an account until the transaction ends: nobody else gets tokens of it, or ends its sessions.
SELECT FROM auth.accounts WHERE id = $1 FOR NO KEY UPDATE;

-- name: revoke_tokens
-- Refuse the access tokens that an account has got so far.
SELECT auth.revoke($1);

-- name: session_account
-- The account behind a live session, for GET /auth/status.
SELECT a.id, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.email, u.name AS university
FROM auth.sessions s
JOIN auth.accounts a ON a.id = s.account_id
JOIN auth.universities u ON u.id = a.university_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > now();

-- name: sessions_of_account
-- Signed-in devices: the one that asks ($5) first, then those that signed in last. Index: sessions_by_account.
SELECT id, id = $5 AS current, user_agent, host(address) AS address, methods, created_at, last_used_at, expires_at
FROM auth.sessions
WHERE account_id = $1 AND ended_at IS NULL AND expires_at > now()
  AND ($2::uuid IS NULL OR (id = $5, id) < ($2 = $5, $2))
ORDER BY id = $5 DESC, id DESC
OFFSET $3
LIMIT $4;

-- name: is_live_session
-- Whether a session goes on.
SELECT EXISTS (SELECT FROM auth.sessions WHERE id = $1 AND ended_at IS NULL AND expires_at > now());

-- name: forget_sessions
-- Delete some sessions that are over, with all their tokens, once they count for no statistics of a month.
-- Index: sessions_by_use.
DELETE FROM auth.sessions
WHERE id = ANY (ARRAY(
    SELECT id FROM auth.sessions
    WHERE last_used_at < now() - interval '31 days' AND (ended_at IS NOT NULL OR expires_at < now())
    LIMIT 100
    FOR UPDATE SKIP LOCKED));

-- name: forget_revocations
-- Delete what was revoked so long ago that no access token is left. Index: revoked_by_time.
DELETE FROM auth.revoked WHERE revoked_at < now() - interval '25 hours';

-- name: lock_keys
-- Change the signing keys alone until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('signing keys', 0));

-- name: signing_keys
-- All signing keys, in the order in which they sign. "is_over": nobody has signed with it for longer than an access
-- token lives ($1 seconds), and the two minutes within which use is noted.
SELECT id, public_jwk, created_at, signs_from, last_signed_at, removed_at,
       signs_from <= now() AS has_begun,
       coalesce(last_signed_at < now() - interval '1 minute', true) AS is_unnoted,
       greatest(signs_from, last_signed_at) < now() - make_interval(secs => $1) - interval '2 minutes' AS is_over
FROM auth.signing_keys
ORDER BY signs_from, id;

-- name: published_keys
-- The keys that others may trust.
SELECT public_jwk FROM auth.public_keys ORDER BY id;

-- name: publish_key
-- Publish the public half of a key that signs in so many seconds.
INSERT INTO auth.signing_keys (id, public_jwk, signs_from) VALUES ($1, $2, now() + make_interval(secs => $3));

-- name: hasten_key
-- Let a published key sign within so many seconds.
UPDATE auth.signing_keys SET signs_from = least(signs_from, now() + make_interval(secs => $2)) WHERE id = $1;

-- name: note_signing
-- Note that a key is used.
UPDATE auth.signing_keys SET last_signed_at = now() WHERE id = $1;

-- name: remove_keys
-- Let nobody trust these keys any more.
UPDATE auth.signing_keys SET removed_at = now() WHERE id = ANY($1) AND removed_at IS NULL;
