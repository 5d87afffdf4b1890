-- A session is a family of refresh tokens: every token that was used is known, so that a stolen one is found out
-- however late it comes. And what was revoked before its time, for every service to read.

ALTER TABLE auth.sessions
    -- The current token is made with this key from the one before it, which may come again at once: two tabs, or
    -- an answer that got lost. Another for each token, so that no older one leads to the current one.
    ADD COLUMN successor_key bytea CHECK (length(successor_key) = 32),
    -- When and how its member last proved who they are.
    ADD COLUMN authenticated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN methods text[] NOT NULL DEFAULT '{password}' CHECK (cardinality(methods) > 0);
UPDATE auth.sessions SET authenticated_at = created_at;
-- None goes on for more than 90 days.
UPDATE auth.sessions SET expires_at = created_at + interval '90 days' WHERE expires_at > created_at + interval '90 days';

-- Replaces sessions.previous_hash, which only processes of the version before still write.
CREATE TABLE auth.used_refresh_tokens (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    session_id uuid NOT NULL REFERENCES auth.sessions ON DELETE CASCADE
);
CREATE INDEX used_refresh_tokens_by_session ON auth.used_refresh_tokens (session_id);
INSERT INTO auth.used_refresh_tokens (token_hash, session_id)
SELECT previous_hash, id FROM auth.sessions WHERE previous_hash IS NOT NULL;

-- A key is published before it signs, and goes when nobody has signed with it for longer than its tokens live.
-- One that was removed stays as such: a process that still has its private half must not publish it again.
ALTER TABLE auth.signing_keys
    ADD COLUMN signs_from timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN last_signed_at timestamptz,
    ADD COLUMN removed_at timestamptz;
UPDATE auth.signing_keys SET signs_from = created_at, last_signed_at = now();
CREATE OR REPLACE VIEW auth.public_keys AS SELECT id, public_jwk FROM auth.signing_keys WHERE removed_at IS NULL;

-- Sessions that ended, and accounts whose access tokens from before this moment are refused. Each service reads
-- every second what the transactions since its last read have revoked: by their numbers, since a transaction
-- may commit long after the time that it states. Replaces auth.ended_sessions.
CREATE TABLE auth.revoked (
    id uuid PRIMARY KEY,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX revoked_by_transaction ON auth.revoked (transaction_id);
CREATE INDEX revoked_by_time ON auth.revoked (revoked_at);
CREATE VIEW auth.revocations AS SELECT id, revoked_at, transaction_id FROM auth.revoked;
GRANT SELECT ON auth.revocations TO
    chitlaq_feed, chitlaq_search, chitlaq_websocket, chitlaq_gateway, chitlaq_ops;

CREATE FUNCTION auth.revoke(subject uuid) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO auth.revoked (id) VALUES (subject)
    ON CONFLICT (id) DO UPDATE SET revoked_at = clock_timestamp(), transaction_id = pg_current_xact_id();
END;

-- However a session ends: signed out, by its account's deletion, or by hand.
CREATE FUNCTION auth.revoke_session() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM auth.revoke(OLD.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER revoke_ended AFTER UPDATE OF ended_at ON auth.sessions
FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION auth.revoke_session();
CREATE TRIGGER revoke_deleted AFTER DELETE ON auth.sessions
FOR EACH ROW WHEN (OLD.ended_at IS NULL AND OLD.expires_at > now()) EXECUTE FUNCTION auth.revoke_session();
