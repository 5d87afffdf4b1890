-- name: accounts_found
-- Accounts that operators look for, newest first: whose name or address contains a text ($1), with a role ($2),
-- disabled or not ($3); a null is anything.
SELECT a.id, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.email, u.name AS university,
       a.roles, a.created_at, a.disabled_at, a.disabled_reason,
       (SELECT count(*) FROM auth.sessions s
        WHERE s.account_id = a.id AND s.ended_at IS NULL AND s.expires_at > now()) AS sessions,
       (SELECT max(s.last_used_at) FROM auth.sessions s WHERE s.account_id = a.id) AS last_used_at
FROM auth.accounts a
JOIN auth.universities u ON u.id = a.university_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE ($1::text IS NULL OR strpos(a.username, $1) > 0 OR strpos(a.email, $1) > 0
       OR strpos(lower(coalesce(c.display_name, a.display_name)), $1) > 0)
  AND ($2::text IS NULL OR $2 = ANY (a.roles))
  AND ($3::boolean IS NULL OR (a.disabled_at IS NOT NULL) = $3)
ORDER BY a.id DESC
LIMIT $4;

-- name: account_named
-- One account, by its id, address or name. Index: accounts' unique ids, addresses and names.
SELECT a.id, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.email, u.name AS university,
       a.roles, a.created_at, a.disabled_at, a.disabled_reason,
       (SELECT count(*) FROM auth.sessions s
        WHERE s.account_id = a.id AND s.ended_at IS NULL AND s.expires_at > now()) AS sessions,
       (SELECT max(s.last_used_at) FROM auth.sessions s WHERE s.account_id = a.id) AS last_used_at
FROM auth.accounts a
JOIN auth.universities u ON u.id = a.university_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE a.id = $1 OR a.email = $2 OR a.username = $2;

-- name: lock_account_named
-- An account that is about to be changed, held until the transaction ends.
SELECT id, roles, disabled_at FROM auth.accounts
WHERE (id = $1 OR email = $2 OR username = $2) AND NOT is_synthetic
FOR NO KEY UPDATE;

-- name: set_roles
-- Give an account exactly these roles; tokens from before are refused.
UPDATE auth.accounts SET roles = $2 WHERE id = $1;

-- name: disable_account
-- Let nobody sign in to an account, and end its sessions; the reason may be changed later.
UPDATE auth.accounts SET disabled_at = coalesce(disabled_at, now()), disabled_reason = $2 WHERE id = $1;

-- name: enable_account
-- Let its owner sign in again.
UPDATE auth.accounts SET disabled_at = NULL, disabled_reason = NULL WHERE id = $1;
