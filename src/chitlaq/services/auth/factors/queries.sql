-- name: second_factors
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
-- Whether the member has proved lately who they are, in a session that is not over.
SELECT EXISTS (
    SELECT FROM auth.sessions
    WHERE id = $1 AND ended_at IS NULL AND expires_at > now()
      AND authenticated_at > now() - make_interval(secs => $2)
);

-- name: prove_session
-- The member has just proved again who they are.
UPDATE auth.sessions
SET authenticated_at = now(), methods = ARRAY(SELECT DISTINCT unnest(methods || $2::text[]) ORDER BY 1)
WHERE id = $1 AND ended_at IS NULL AND expires_at > now();
