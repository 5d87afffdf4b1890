-- name: insert_audit
-- Add an entry to the audit log.
INSERT INTO auth.audit (account_id, operator, action, session_id, address, user_agent, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: audit_of_account
-- Entries about an account, newest first. Index: audit_by_account.
SELECT id, happened_at, action, operator, session_id, host(address) AS address, user_agent, detail
FROM auth.audit
WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC
OFFSET $3
LIMIT $4;
