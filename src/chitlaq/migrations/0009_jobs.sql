-- Work after a commit. A job is written in the transaction that needs it, so it exists only if that
-- transaction commits; any process of the service that runs its kind takes it.

CREATE SCHEMA jobs;
GRANT USAGE ON SCHEMA jobs TO chitlaq_auth, chitlaq_feed, chitlaq_ops;

CREATE TABLE jobs.jobs (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    kind text NOT NULL,
    -- Processes skip payloads of a newer version than theirs.
    version smallint NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'dead')),
    payload jsonb NOT NULL,
    request_id text NOT NULL,
    -- Counted when an attempt begins, so that a job that kills its process becomes dead.
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Waiting: not before this. Running: the lease of its process ends here.
    due_at timestamptz NOT NULL DEFAULT now(),
    -- Why the latest attempt failed.
    reason text,
    CHECK (state <> 'dead' OR reason IS NOT NULL)
);
CREATE INDEX jobs_due ON jobs.jobs (kind, due_at) WHERE state <> 'dead';

-- The end of the lease of a process that starts a job now; it renews the lease while it works.
CREATE FUNCTION jobs.lease() RETURNS timestamptz
LANGUAGE sql STABLE
RETURN now() + interval '5 seconds';

-- Privileges are granted for each kind: a role sees, adds and runs only the jobs of its policies.
ALTER TABLE jobs.jobs ENABLE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.jobs TO chitlaq_auth, chitlaq_feed;

CREATE VIEW jobs.backlog AS
SELECT kind,
       count(*) FILTER (WHERE state <> 'dead') AS waiting,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state <> 'dead')), 0)::float8
           AS oldest_seconds
FROM jobs.jobs
GROUP BY kind;
GRANT SELECT ON jobs.backlog TO chitlaq_ops;
