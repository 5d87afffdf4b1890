-- What members are told where: in the application, by Web Push, by mail; when not; and the browsers that take pushes.

CREATE TABLE websocket.notification_settings (
    account_id uuid PRIMARY KEY REFERENCES auth.accounts ON DELETE CASCADE,
    -- By kind, what the member said: {"like": {"in_app": true, "push": false, "mail": true}}. Kinds that are not in
    -- it are told everywhere.
    kinds jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(kinds) = 'object'),
    -- By the clocks of a time zone; may lie on both sides of midnight.
    quiet_from time,
    quiet_until time,
    time_zone text CHECK (char_length(time_zone) <= 64),
    digest text NOT NULL DEFAULT 'off' CHECK (digest IN ('off', 'daily', 'weekly')),
    -- Whether what strangers do is kept apart.
    filter_strangers boolean NOT NULL DEFAULT false,
    -- The latest digest, or the moment from which digests were wanted: the next one looks at what came after it.
    digested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    digest_due_at timestamptz,
    -- In the links of digests: whoever has it can end them.
    unsubscribe_token uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    CHECK (num_nulls(quiet_from, quiet_until, time_zone) IN (0, 3)),
    CHECK (quiet_from <> quiet_until),
    CHECK ((digest = 'off') = (digest_due_at IS NULL))
);
CREATE INDEX notification_settings_by_digest ON websocket.notification_settings (digest_due_at)
WHERE digest_due_at IS NOT NULL;

-- Whether a member is told of a kind at all.
CREATE FUNCTION websocket.is_told(kinds jsonb, kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN coalesce((kinds -> kind ->> 'in_app')::boolean, true);

-- Whether it is what a stranger does: somebody whom the member does not follow. What they asked for themselves is not: the
-- answer to their request, the poll that they voted in; nor is a request, which they must answer.
CREATE FUNCTION websocket.is_of_stranger(recipient uuid, kind text, actor uuid) RETURNS boolean
LANGUAGE sql STABLE
RETURN kind IN ('follow', 'mention', 'reply', 'like', 'repost', 'quote')
       AND NOT EXISTS (SELECT FROM feed.follow_pairs f WHERE f.follower_id = recipient AND f.followed_id = actor);

-- Devices that are signed in. A subscription to pushes ends with its device's session.
CREATE VIEW auth.live_sessions AS
SELECT id, account_id FROM auth.sessions WHERE ended_at IS NULL AND expires_at > now();
GRANT SELECT ON auth.live_sessions TO chitlaq_websocket;

CREATE TABLE websocket.push_subscriptions (
    session_id uuid PRIMARY KEY REFERENCES auth.sessions ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    -- Whoever knows it can send something that the browser then cannot decrypt: it is not shown.
    endpoint text NOT NULL UNIQUE CHECK (char_length(endpoint) <= 1000),
    -- RFC 8291: the browser's public key, uncompressed, and its secret.
    public_key bytea NOT NULL CHECK (length(public_key) = 65),
    secret bytea NOT NULL CHECK (length(secret) = 16),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- The position up to which it was pushed, and when that was.
    pushed_until timestamptz NOT NULL DEFAULT clock_timestamp(),
    pushed_at timestamptz,
    -- What was not taken in a row; a refusal counts for several failures.
    failures smallint NOT NULL DEFAULT 0 CHECK (failures >= 0),
    -- When the job that pushes is due, if one waits: there is never need for two.
    job_due_at timestamptz
);
CREATE INDEX push_subscriptions_by_account ON websocket.push_subscriptions (account_id, created_at);

CREATE POLICY push ON jobs.jobs TO chitlaq_websocket USING (kind = 'push');
-- The websocket service says what a digest tells; auth-service, which has the addresses, writes the mail.
CREATE POLICY ask_for_digest ON jobs.jobs FOR INSERT TO chitlaq_websocket WITH CHECK (kind = 'mail_digest');
CREATE POLICY mail_digest ON jobs.jobs TO chitlaq_auth USING (kind = 'mail_digest');

CREATE VIEW websocket.digest_backlog AS
SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(digest_due_at)), 0)::float8 AS oldest_seconds
FROM websocket.notification_settings WHERE digest_due_at <= now();
GRANT SELECT ON websocket.digest_backlog TO chitlaq_ops;
