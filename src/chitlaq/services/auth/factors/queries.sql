-- name: second_factors (prepared)
-- How an account may prove that it is its owner's, beside its password; nothing without a second factor.
SELECT auth.second_factors($1);

-- name: has_any_password
-- Whether an account is opened by a password, and not by other means only.
SELECT password_hash IS NOT NULL FROM auth.accounts WHERE id = $1;

-- name: enroll_totp
-- A key that is to be confirmed, instead of another that was not; none if one is in use.
INSERT INTO auth.totp_keys AS t (account_id, sealed_key) VALUES ($1, $2)
ON CONFLICT (account_id) DO UPDATE
SET sealed_key = $2, enrolled_at = now(), last_step = 0, failures = 0
WHERE t.confirmed_at IS NULL;

-- name: lock_totp
-- The key of an account, the current step, and how many wrong codes came within an hour.
SELECT sealed_key, last_step,
       confirmed_at IS NOT NULL AS is_confirmed,
       confirmed_at IS NULL AND enrolled_at > now() - interval '1 hour' AS is_to_be_confirmed,
       floor(extract(epoch FROM clock_timestamp()) / 30)::bigint AS step,
       CASE WHEN failing_since > now() - interval '1 hour' THEN failures ELSE 0 END AS failures,
       ceil(extract(epoch FROM failing_since + interval '1 hour' - now()))::integer AS seconds_left
FROM auth.totp_keys WHERE account_id = $1
FOR UPDATE;

-- name: accept_totp
-- A code was right: it and those before it count no more.
UPDATE auth.totp_keys
SET last_step = $2, failures = 0, confirmed_at = coalesce(confirmed_at, now())
WHERE account_id = $1;

-- name: refuse_totp
-- A code was wrong: so many by now.
UPDATE auth.totp_keys
SET failures = $2, failing_since = CASE WHEN $2 = 1 THEN now() ELSE failing_since END
WHERE account_id = $1;

-- name: remove_totp
-- Forget an account's key; one that waits to be confirmed as well.
DELETE FROM auth.totp_keys WHERE account_id = $1 RETURNING confirmed_at IS NOT NULL;

-- name: forget_recovery_codes
-- No recovery code of an account works any more.
DELETE FROM auth.recovery_codes WHERE account_id = $1;

-- name: insert_recovery_codes
-- New recovery codes.
INSERT INTO auth.recovery_codes (account_id, code_hash) SELECT $1, unnest($2::bytea[]);

-- name: use_recovery_code
-- A recovery code works once.
DELETE FROM auth.recovery_codes WHERE account_id = $1 AND code_hash = $2;

-- name: count_recovery_codes
-- How many recovery codes are left.
SELECT count(*) FROM auth.recovery_codes WHERE account_id = $1;

-- name: totp_of_account
-- Since when codes of an app are asked for; nothing if they are not.
SELECT confirmed_at FROM auth.totp_keys WHERE account_id = $1 AND confirmed_at IS NOT NULL;

-- name: is_session_recent
-- Whether the member has proved lately who they are; no row: the session is over.
SELECT authenticated_at > now() - make_interval(secs => $2)
FROM auth.sessions
WHERE id = $1 AND ended_at IS NULL AND expires_at > now();

-- name: prove_session
-- The member has just proved again who they are.
UPDATE auth.sessions
SET authenticated_at = now(), methods = ARRAY(SELECT DISTINCT unnest(methods || $2::text[]) ORDER BY 1)
WHERE id = $1 AND ended_at IS NULL AND expires_at > now();

-- name: add_method
-- The member has also proved who they are by this, in a session that is not over.
UPDATE auth.sessions SET methods = methods || $2::text
WHERE id = $1 AND ended_at IS NULL AND NOT methods @> ARRAY[$2::text];

-- name: insert_challenge
-- What a passkey shall sign, for so many seconds. Some that are over go. Index: passkey_challenges_by_expiry.
WITH over AS (
    DELETE FROM auth.passkey_challenges WHERE challenge IN (
        SELECT challenge FROM auth.passkey_challenges WHERE expires_at < now() LIMIT 100 FOR UPDATE SKIP LOCKED
    )
)
INSERT INTO auth.passkey_challenges (challenge, account_id, purpose, expires_at)
VALUES ($1, $2, $3, now() + make_interval(secs => $4));

-- name: use_challenge
-- A challenge works once, for whom and for what it was made. Index: passkey_challenges' primary key.
DELETE FROM auth.passkey_challenges
WHERE challenge = $1 AND account_id IS NOT DISTINCT FROM $2 AND purpose = $3 AND expires_at > now();

-- name: passkeys_of_account
-- The passkeys of an account, oldest first. Index: passkeys_by_account.
SELECT id, name, created_at, last_used_at, credential_id, transports
FROM auth.passkeys WHERE account_id = $1 ORDER BY id;

-- name: count_passkeys
-- How many passkeys an account has. Index: passkeys_by_account.
SELECT count(*) FROM auth.passkeys WHERE account_id = $1;

-- name: insert_passkey
-- A passkey that has just been made.
INSERT INTO auth.passkeys (account_id, credential_id, public_key, sign_count, transports, name)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, name, created_at, last_used_at;

-- name: passkey
-- A passkey, by what its authenticator calls it. Index: passkeys' unique credential_id.
SELECT id, account_id, public_key, name FROM auth.passkeys WHERE credential_id = $1;

-- name: lock_passkey
-- How often a passkey had signed, held until the transaction ends.
SELECT sign_count FROM auth.passkeys WHERE id = $1 FOR UPDATE;

-- name: use_passkey
-- A passkey has signed, so often by now.
UPDATE auth.passkeys SET sign_count = $2, last_used_at = now() WHERE id = $1;

-- name: rename_passkey
-- Call a passkey of an account something else.
UPDATE auth.passkeys SET name = $3 WHERE account_id = $1 AND id = $2;

-- name: remove_passkey
-- Remove a passkey of an account.
DELETE FROM auth.passkeys WHERE account_id = $1 AND id = $2 RETURNING name;

-- name: remove_factors
-- Remove the second factors of an account that are newer than a moment, or all, and its recovery codes.
WITH keys AS (
    DELETE FROM auth.totp_keys
    WHERE account_id = $1 AND ($2::timestamptz IS NULL OR confirmed_at IS NULL OR confirmed_at > $2)
),
passkeys AS (
    DELETE FROM auth.passkeys WHERE account_id = $1 AND ($2::timestamptz IS NULL OR created_at > $2)
)
DELETE FROM auth.recovery_codes WHERE account_id = $1;
