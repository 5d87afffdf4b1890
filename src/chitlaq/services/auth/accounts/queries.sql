-- name: university_of_domains
-- The university of the longest of these domains. Index: university_domains' primary key.
SELECT u.id, u.name, d.domain
FROM auth.university_domains d
JOIN auth.universities u ON u.id = d.university_id
WHERE d.domain = ANY($1)
ORDER BY length(d.domain) DESC
LIMIT 1;

-- name: release_unverified
-- Release an address or username that was registered but never verified: the first to verify keeps it.
DELETE FROM auth.accounts
WHERE verified_at IS NULL
  AND (email = $1 OR (username = $2 AND created_at < now() - interval '1 day'));

-- name: insert_account
-- The new account, not yet verified.
INSERT INTO auth.accounts (university_id, email, username, display_name, password_hash)
VALUES ($1, $2, $3, $4, $5)
RETURNING id, username, display_name, email;

-- name: insert_mail_token
-- A token that verifies an address.
INSERT INTO auth.mail_tokens (token_hash, account_id, expires_at)
VALUES ($1, $2, now() + make_interval(hours => $3));

-- name: account_of_mail_token
-- The account that a verification token belongs to, locked until the transaction ends.
SELECT a.id, a.university_id, a.username, a.display_name, a.email, a.verified_at, u.name AS university
FROM auth.mail_tokens t
JOIN auth.accounts a ON a.id = t.account_id
JOIN auth.universities u ON u.id = a.university_id
WHERE t.token_hash = $1 AND t.expires_at > now()
FOR UPDATE OF a;

-- name: mark_verified
-- Mark the address as verified.
UPDATE auth.accounts SET verified_at = now() WHERE id = $1;

-- name: create_member
-- Create the member's profile through feed's published function.
SELECT feed.create_member($1, $2, $3, $4);

-- name: unverified_by_email
-- An account whose address is not verified yet.
SELECT id, display_name, email FROM auth.accounts WHERE email = $1 AND verified_at IS NULL;
