-- Second factors: codes from an authenticator app (TOTP, RFC 6238), recovery codes, and passkeys (WebAuthn). An
-- account that has a confirmed TOTP key or a passkey is not opened by a password alone.

CREATE TABLE auth.totp_keys (
    account_id uuid PRIMARY KEY REFERENCES auth.accounts ON DELETE CASCADE,
    -- Encrypted with the installation's secrets/sealing-key: a copy of the database alone gives no codes.
    sealed_key bytea NOT NULL CHECK (length(sealed_key) BETWEEN 29 AND 128),
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    -- Of the last code that was accepted, in units of 30 s: a code counts once.
    last_step bigint NOT NULL DEFAULT 0,
    -- Wrong codes since the last right one, and when the first of them came.
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz NOT NULL DEFAULT now()
);

-- Each works once, and is deleted then. They have 120 random bits.
CREATE TABLE auth.recovery_codes (
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (length(code_hash) = 32),
    PRIMARY KEY (account_id, code_hash)
);

CREATE TABLE auth.passkeys (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    credential_id bytea NOT NULL UNIQUE CHECK (length(credential_id) BETWEEN 1 AND 1023),
    public_key bytea NOT NULL,
    -- What the authenticator counted; 0 if it does not count. One that counts backwards was copied.
    sign_count bigint NOT NULL,
    transports text[] NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);
CREATE INDEX passkeys_by_account ON auth.passkeys (account_id);

-- What a passkey is asked to sign: once, within minutes.
CREATE TABLE auth.passkey_challenges (
    challenge bytea PRIMARY KEY CHECK (length(challenge) = 32),
    -- Nobody's when somebody signs in.
    account_id uuid REFERENCES auth.accounts ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose IN ('registration', 'authentication')),
    expires_at timestamptz NOT NULL
);
CREATE INDEX passkey_challenges_by_account ON auth.passkey_challenges (account_id);
CREATE INDEX passkey_challenges_by_expiry ON auth.passkey_challenges (expires_at);

-- How an account may prove that it is its owner's, beside its password; nothing without a second factor.
CREATE FUNCTION auth.second_factors(account uuid) RETURNS text[]
LANGUAGE sql STABLE
RETURN ARRAY(
    SELECT 'totp' FROM auth.totp_keys t WHERE t.account_id = account AND t.confirmed_at IS NOT NULL
    UNION ALL
    SELECT DISTINCT 'passkey' FROM auth.passkeys p WHERE p.account_id = account
);
