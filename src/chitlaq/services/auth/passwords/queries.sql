-- name: put_mailed_token
-- A secret that is mailed to an account's owner: its hash, whose, what for, the address that it gives, the session
-- that asked, and its life in seconds. Those of anybody that are over go. Index: mailed_tokens_by_expiry.
WITH over AS (
    DELETE FROM auth.mailed_tokens WHERE token_hash IN (
        SELECT token_hash FROM auth.mailed_tokens WHERE expires_at < now() LIMIT 100 FOR UPDATE SKIP LOCKED
    )
)
INSERT INTO auth.mailed_tokens (token_hash, account_id, purpose, email, session_id, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6));

-- name: mailed_token
-- What a mailed token is for, if it is for one of these, and whose. Index: mailed_tokens' primary key.
SELECT t.account_id, t.purpose, t.email AS given_email, t.session_id, t.created_at AS issued_at,
       a.email, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.language
FROM auth.mailed_tokens t
JOIN auth.accounts a ON a.id = t.account_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE t.token_hash = $1 AND t.purpose = ANY($2) AND t.expires_at > now();

-- name: use_mailed_token
-- Use a token up; no row if it was used or is over. Index: mailed_tokens' primary key.
DELETE FROM auth.mailed_tokens WHERE token_hash = $1 AND expires_at > now();

-- name: forget_mailed_tokens
-- Let none of an account's tokens for these purposes work any more. Index: mailed_tokens_by_account.
DELETE FROM auth.mailed_tokens WHERE account_id = $1 AND purpose = ANY($2);

-- name: account_of_owner
-- An account as mails to its owner and checks of its password need it.
SELECT a.id, a.email, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.language,
       a.password_hash, a.university_id
FROM auth.accounts a
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE a.id = $1;

-- name: set_password
-- The account's new password.
UPDATE auth.accounts SET password_hash = $2 WHERE id = $1;

-- name: replace_password
-- The account's new password, if it still has this one.
UPDATE auth.accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2;

-- name: has_password (prepared)
-- Whether an account still has this password; what changes it waits until the transaction ends.
SELECT EXISTS (SELECT FROM auth.accounts WHERE id = $1 AND password_hash = $2 FOR SHARE);

-- name: set_address
-- The account's new address, and its university; whether that is another one. The caller has locked the account.
WITH before AS MATERIALIZED (SELECT id, university_id FROM auth.accounts WHERE id = $1)
UPDATE auth.accounts a SET email = $2, university_id = $3 FROM before WHERE a.id = before.id
RETURNING before.university_id <> $3;

-- name: move_member
-- The member's university and department, through feed's published function.
SELECT feed.move_member($1, $2, $3);
