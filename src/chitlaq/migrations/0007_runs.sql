-- What the runbook's routines found, what operators said to it, and what they did.

CREATE TABLE ops.runs (
    id uuid PRIMARY KEY,
    routine text NOT NULL,
    verdict text NOT NULL,
    started_at timestamptz NOT NULL,
    duration_seconds double precision NOT NULL CHECK (duration_seconds >= 0),
    started_by text NOT NULL,
    host text NOT NULL
);
CREATE INDEX runs_by_time ON ops.runs (started_at DESC);
CREATE INDEX runs_of_a_routine ON ops.runs (routine, started_at DESC);

CREATE TABLE ops.results (
    run_id uuid NOT NULL REFERENCES ops.runs ON DELETE CASCADE,
    check_id text NOT NULL,
    title text NOT NULL,
    section text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('OK', 'WARNING', 'CRITICAL', 'UNKNOWN', 'SKIPPED')),
    summary text NOT NULL,
    measured jsonb NOT NULL,
    evidence jsonb NOT NULL,
    remedy text NOT NULL,
    duration_seconds double precision NOT NULL,
    PRIMARY KEY (run_id, check_id)
);
CREATE INDEX results_of_a_check ON ops.results (check_id, run_id DESC);

-- "Document all actions and observations": what an operator says to a check, until when it is known.
CREATE TABLE ops.notes (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    check_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('note', 'acknowledgement')),
    text text NOT NULL CHECK (char_length(text) BETWEEN 1 AND 5000),
    operator text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz CHECK (ended_at >= created_at)
);
CREATE INDEX notes_of_a_check ON ops.notes (check_id, created_at DESC);

CREATE TABLE ops.actions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    action text NOT NULL,
    target text NOT NULL,
    operator text NOT NULL,
    reason text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    succeeded boolean,
    output text NOT NULL DEFAULT '',
    CHECK ((ended_at IS NULL) = (succeeded IS NULL))
);
CREATE INDEX actions_by_time ON ops.actions (started_at DESC);

-- A routine of the schedule is claimed before it runs: of several ops-services one runs it, once.
CREATE TABLE ops.scheduled_runs (
    routine text NOT NULL,
    due_at timestamptz NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (routine, due_at)
);

-- Error lines without what differs from one to the next; what was not here before is new.
CREATE TABLE ops.log_patterns (
    service text NOT NULL,
    pattern text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (service, pattern)
);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON ops.runs, ops.results, ops.notes, ops.actions, ops.scheduled_runs, ops.log_patterns TO chitlaq_ops;

CREATE VIEW feed.growth AS
SELECT (SELECT count(*) FROM feed.members) AS members,
       (SELECT count(*) FROM feed.members WHERE created_at > now() - interval '30 days') AS members_month,
       (SELECT count(*) FROM feed.posts WHERE deleted_at IS NULL) AS posts,
       -- The id has the time in it, and an index.
       (SELECT count(*) FROM feed.posts
        WHERE id > (SELECT uuidv7(interval '-30 days')) AND deleted_at IS NULL) AS posts_month;
GRANT SELECT ON feed.growth TO chitlaq_ops;

-- Reports are sent as all mail is.
GRANT INSERT ON mail.messages TO chitlaq_ops;
