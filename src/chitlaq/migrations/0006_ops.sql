-- What ops-service keeps, and what the others let it see: numbers, never contents.

CREATE SCHEMA ops;
GRANT USAGE ON SCHEMA ops TO chitlaq_ops;

-- Every alert that fired, from its first moment to its end. Alertmanager forgets what is over.
CREATE TABLE ops.alerts (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    fingerprint text NOT NULL,
    name text NOT NULL,
    severity text NOT NULL,
    labels jsonb NOT NULL,
    summary text NOT NULL,
    procedure text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz CHECK (ended_at >= started_at),
    reported_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (fingerprint, started_at)
);
CREATE INDEX alerts_active ON ops.alerts (started_at DESC) WHERE ended_at IS NULL;
CREATE INDEX alerts_resolved ON ops.alerts (ended_at DESC) WHERE ended_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.alerts TO chitlaq_ops;

CREATE VIEW feed.delivery_backlog AS
SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
FROM feed.deliveries;

CREATE VIEW mail.backlog AS
SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
FROM mail.messages
WHERE sent_at IS NULL AND attempts > 0;

CREATE VIEW auth.account_counts AS
SELECT CASE WHEN verified_at IS NULL THEN 'unverified' ELSE 'verified' END AS state, count(*) AS accounts
FROM auth.accounts
GROUP BY 1;

GRANT USAGE ON SCHEMA auth, feed, mail TO chitlaq_ops;
GRANT SELECT ON feed.delivery_backlog, mail.backlog, auth.account_counts TO chitlaq_ops;
GRANT SELECT ON auth.public_keys TO chitlaq_ops;
