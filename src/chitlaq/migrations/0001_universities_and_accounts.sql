-- Who may join, and how they prove who they are. Only auth-service reads these tables.

CREATE SCHEMA auth;
GRANT USAGE ON SCHEMA auth TO
    chitlaq_auth, chitlaq_feed, chitlaq_search, chitlaq_websocket, chitlaq_gateway;

CREATE TABLE auth.universities (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL UNIQUE CHECK (char_length(name) BETWEEN 2 AND 200),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- An address belongs to the university of its domain or of the nearest parent domain listed here.
CREATE TABLE auth.university_domains (
    domain text PRIMARY KEY CHECK (domain = lower(domain) AND domain ~ '^[a-z0-9.-]+\.[a-z0-9-]+$'),
    university_id uuid NOT NULL REFERENCES auth.universities ON DELETE CASCADE
);
CREATE INDEX university_domains_by_university ON auth.university_domains (university_id);

-- username and display_name are what the member asked for; from verification on, the profile in
-- feed.members is the one that others see.
CREATE TABLE auth.accounts (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    university_id uuid NOT NULL REFERENCES auth.universities,
    email text NOT NULL UNIQUE CHECK (email = lower(email) AND char_length(email) <= 254),
    username text NOT NULL UNIQUE CHECK (username ~ '^[a-z0-9_]{3,30}$'),
    display_name text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 80),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz
);
CREATE INDEX accounts_by_university ON auth.accounts (university_id);

-- Secrets that travel by mail; only their SHA-256 is kept. One works until it expires, so that a
-- link that is opened twice says the same twice.
CREATE TABLE auth.mail_tokens (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX mail_tokens_by_account ON auth.mail_tokens (account_id);

-- A session is one device. The refresh token changes with each use (RFC 9700, 4.14.2); one that was
-- used before is a stolen one, and ends the session.
CREATE TABLE auth.sessions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    refresh_hash bytea NOT NULL UNIQUE CHECK (length(refresh_hash) = 32),
    previous_hash bytea UNIQUE CHECK (length(previous_hash) = 32),
    user_agent text NOT NULL CHECK (char_length(user_agent) <= 300),
    address inet,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX sessions_by_account ON auth.sessions (account_id) WHERE ended_at IS NULL;

-- The public halves of the keys that sign access tokens, so that every service can verify them.
CREATE TABLE auth.signing_keys (
    id text PRIMARY KEY,
    public_jwk jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE VIEW auth.public_keys AS SELECT id, public_jwk FROM auth.signing_keys;
CREATE VIEW auth.university_names AS SELECT id, name FROM auth.universities;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA auth TO chitlaq_auth;
GRANT SELECT ON auth.public_keys, auth.university_names TO
    chitlaq_feed, chitlaq_search, chitlaq_websocket, chitlaq_gateway;

-- The demo university of an embedded stack; a real one is added with `chitlaq universities import`.
INSERT INTO auth.universities (name) VALUES ('Example University');
INSERT INTO auth.university_domains (domain, university_id)
SELECT 'example.edu', id FROM auth.universities WHERE name = 'Example University';
