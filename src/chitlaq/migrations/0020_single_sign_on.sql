-- Identity providers, which sign members of a university in with OpenID Connect, and whom they have signed in.

CREATE TABLE auth.identity_providers (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    -- As addresses and commands name it.
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    -- What the sign-in page says.
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 80),
    -- It signs in people with an address of this one, and no others.
    university_id uuid NOT NULL REFERENCES auth.universities ON DELETE CASCADE,
    issuer text NOT NULL CHECK (char_length(issuer) <= 500),
    client_id text NOT NULL CHECK (char_length(client_id) BETWEEN 1 AND 300),
    -- Encrypted with secrets/sealing-key: a copy of the database alone signs nobody in.
    sealed_secret bytea NOT NULL,
    scopes text[] NOT NULL,
    -- The claim that says that an address is verified; '' if all its addresses are.
    verified_claim text NOT NULL,
    -- The values of "amr" and "acr" that stand for a second factor; none if it is not trusted with that.
    second_factors text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE INDEX identity_providers_by_university ON auth.identity_providers (university_id);

-- What the values of a claim say of a member: the pattern has * and ?.
CREATE TABLE auth.claim_rules (
    provider_id uuid NOT NULL REFERENCES auth.identity_providers ON DELETE CASCADE,
    position integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('department', 'role')),
    claim text NOT NULL CHECK (char_length(claim) BETWEEN 1 AND 200),
    pattern text NOT NULL CHECK (char_length(pattern) BETWEEN 1 AND 200),
    value text NOT NULL CHECK (char_length(value) BETWEEN 1 AND 100),
    CHECK (kind <> 'role' OR value IN ('moderator', 'admin')),
    PRIMARY KEY (provider_id, position)
);

-- Whom a provider means by a subject. An account has one for each provider: an address that was given to somebody
-- else opens nothing.
CREATE TABLE auth.linked_identities (
    provider_id uuid NOT NULL REFERENCES auth.identity_providers ON DELETE CASCADE,
    subject text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 255),
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    linked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider_id, subject),
    UNIQUE (account_id, provider_id)
);

-- The sessions that began at a provider, with what ends them there (RP-initiated logout). Without the ID token, which
-- is not kept while a second factor is waited for, the provider asks.
CREATE TABLE auth.provider_sessions (
    session_id uuid PRIMARY KEY REFERENCES auth.sessions ON DELETE CASCADE,
    provider_id uuid NOT NULL REFERENCES auth.identity_providers ON DELETE CASCADE,
    sealed_id_token bytea
);
CREATE INDEX provider_sessions_by_provider ON auth.provider_sessions (provider_id);

CREATE FUNCTION auth.rules_of_provider(provider uuid) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(jsonb_agg(jsonb_build_object('kind', r.kind, 'claim', r.claim, 'pattern', r.pattern,
                                                 'value', r.value) ORDER BY r.position), '[]')::text
    FROM auth.claim_rules r WHERE r.provider_id = provider;
END;
