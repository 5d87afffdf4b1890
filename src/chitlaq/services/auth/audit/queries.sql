-- name: insert_audit (prepared)
-- Add an entry to the audit log.
INSERT INTO auth.audit (account_id, operator, action, session_id, address, user_agent, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: audit_entries
-- Entries for operators, newest first: about one account ($1) or all, from a moment on ($2) or all.
-- Index: audit_by_account, or the primary key.
SELECT e.id, e.happened_at, e.action, e.operator, e.session_id, host(e.address) AS address, e.user_agent, e.detail,
       a.username
FROM auth.audit e
JOIN auth.accounts a ON a.id = e.account_id
WHERE ($1::uuid IS NULL OR e.account_id = $1) AND ($2::timestamptz IS NULL OR e.happened_at >= $2)
ORDER BY e.id DESC
LIMIT $3;

-- name: audit_of_account
-- Entries about an account, newest first. Index: audit_by_account.
SELECT id, happened_at, action, operator, session_id, host(address) AS address, user_agent, detail
FROM auth.audit
WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC
OFFSET $3
LIMIT $4;
