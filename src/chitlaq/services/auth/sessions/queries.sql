-- name: account_by_login
-- The account that signs in, by address or username; both are unique.
SELECT a.id, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.email,
       a.password_hash, u.name AS university
FROM auth.accounts a
JOIN auth.universities u ON u.id = a.university_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE a.email = $1 OR a.username = $1;

-- name: set_password_hash
-- Store the password rehashed with current parameters.
UPDATE auth.accounts SET password_hash = $2 WHERE id = $1;

-- name: insert_session
-- Open a session.
INSERT INTO auth.sessions (account_id, refresh_hash, user_agent, address, expires_at)
VALUES ($1, $2, $3, $4, now() + make_interval(days => $5))
RETURNING id;

-- name: session_by_refresh
-- The session of a refresh token, current or previous, locked until the transaction ends.
SELECT s.id, s.account_id, s.refresh_hash = $1 AS is_current,
       s.last_used_at > now() - interval '60 seconds' AS is_recent,
       a.username, coalesce(c.display_name, a.display_name) AS display_name, a.email, u.name AS university
FROM auth.sessions s
JOIN auth.accounts a ON a.id = s.account_id
JOIN auth.universities u ON u.id = a.university_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE (s.refresh_hash = $1 OR s.previous_hash = $1) AND s.ended_at IS NULL AND s.expires_at > now()
FOR UPDATE OF s;

-- name: rotate_session
-- Give a session its next refresh token and extend it.
UPDATE auth.sessions
SET previous_hash = refresh_hash, refresh_hash = $2, last_used_at = now(),
    expires_at = now() + make_interval(days => $3)
WHERE id = $1;

-- name: end_session
-- End a session that is not over yet.
UPDATE auth.sessions SET ended_at = now() WHERE id = $1 AND account_id = $2 AND ended_at IS NULL;

-- name: session_account
-- The account behind a live session, for GET /auth/status.
SELECT a.id, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.email, u.name AS university
FROM auth.sessions s
JOIN auth.accounts a ON a.id = s.account_id
JOIN auth.universities u ON u.id = a.university_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > now();

-- name: sessions_of_account
-- Signed-in devices, most recently used first. Index: sessions_by_account.
SELECT id, user_agent, host(address) AS address, created_at, last_used_at, expires_at
FROM auth.sessions
WHERE account_id = $1 AND ended_at IS NULL AND expires_at > now()
ORDER BY last_used_at DESC
LIMIT 100;

-- name: publish_key
-- Publish the public half of the signing key.
INSERT INTO auth.signing_keys (id, public_jwk) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING;
