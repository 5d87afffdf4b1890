-- What operations remember. Moments are RFC 3339 in UTC with six digits, so that they sort as text.

CREATE TABLE runs (
    id text PRIMARY KEY,
    routine text NOT NULL,
    verdict text NOT NULL,
    started_at text NOT NULL,
    duration_seconds real NOT NULL CHECK (duration_seconds >= 0),
    started_by text NOT NULL,
    host text NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_time ON runs (started_at DESC);
CREATE INDEX runs_of_a_routine ON runs (routine, started_at DESC);

-- A result as its run has it; the columns beside it are for questions across runs.
CREATE TABLE results (
    run_id text NOT NULL REFERENCES runs ON DELETE CASCADE,
    position integer NOT NULL,
    check_id text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('OK', 'WARNING', 'CRITICAL', 'UNKNOWN', 'SKIPPED')),
    record text NOT NULL CHECK (json_valid(record)),
    PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX results_of_a_check ON results (check_id, run_id DESC);

-- "Document all actions and observations": what an operator says to a check, until when it is known.
CREATE TABLE notes (
    id text PRIMARY KEY,
    check_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('note', 'acknowledgement')),
    text text NOT NULL CHECK (length(text) BETWEEN 1 AND 5000),
    operator text NOT NULL,
    created_at text NOT NULL,
    ended_at text CHECK (ended_at >= created_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX notes_of_a_check ON notes (check_id, created_at DESC);

CREATE TABLE actions (
    id text PRIMARY KEY,
    action text NOT NULL,
    target text NOT NULL,
    operator text NOT NULL,
    reason text NOT NULL,
    started_at text NOT NULL,
    ended_at text,
    succeeded integer,
    output text NOT NULL,
    CHECK ((ended_at IS NULL) = (succeeded IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX actions_by_time ON actions (started_at DESC);

-- Every episode of an alert. Alertmanager forgets what is over.
CREATE TABLE alerts (
    fingerprint text NOT NULL,
    started_at text NOT NULL,
    ended_at text CHECK (ended_at >= started_at),
    name text NOT NULL,
    severity text NOT NULL,
    labels text NOT NULL CHECK (json_valid(labels)),
    summary text NOT NULL,
    procedure text NOT NULL,
    PRIMARY KEY (fingerprint, started_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_active ON alerts (started_at DESC) WHERE ended_at IS NULL;
CREATE INDEX alerts_resolved ON alerts (ended_at DESC) WHERE ended_at IS NOT NULL;

-- A routine of the schedule is claimed before it runs, and finished after it.
CREATE TABLE scheduled_runs (
    routine text NOT NULL,
    due_at text NOT NULL,
    claimed_at text NOT NULL,
    attempts integer NOT NULL,
    finished_at text,
    PRIMARY KEY (routine, due_at)
) STRICT, WITHOUT ROWID;

-- Error lines without what differs from one to the next; what was not here before is new.
CREATE TABLE log_patterns (
    service text NOT NULL,
    pattern text NOT NULL,
    first_seen text NOT NULL,
    last_seen text NOT NULL,
    PRIMARY KEY (service, pattern)
) STRICT, WITHOUT ROWID;

-- Reports that wait for the mail queue, which is in PostgreSQL.
CREATE TABLE waiting_mails (
    id text PRIMARY KEY,
    record text NOT NULL CHECK (json_valid(record))
) STRICT, WITHOUT ROWID;
