-- The clock of an incident that nobody has acknowledged. A run begins when the incident opens, comes back or
-- becomes more severe, and when an acknowledgement expires.
CREATE TABLE escalations (
    incident_id integer PRIMARY KEY REFERENCES incidents ON DELETE CASCADE,
    run integer NOT NULL,
    severity text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'acknowledged', 'stopped')),
    -- How many levels this run has told, over all rounds.
    level integer NOT NULL,
    -- When the next level is told, or the acknowledgement expires.
    next_at text,
    -- The acknowledgement that stopped the clock, as the incident has it.
    acknowledged_until text,
    -- When the next level would have been told if the incident had not been resolved.
    resumes_at text
) STRICT;
CREATE INDEX escalations_not_stopped ON escalations (incident_id) WHERE state <> 'stopped';

-- One message to one person by one channel. It is claimed before it is sent, and ended after it.
CREATE TABLE pages (
    incident_id integer NOT NULL REFERENCES incidents ON DELETE CASCADE,
    run integer NOT NULL,
    step integer NOT NULL,
    level integer NOT NULL,
    role text NOT NULL,
    person text NOT NULL,
    channel text NOT NULL,
    due_at text NOT NULL,
    claimed_at text,
    ended_at text,
    outcome text CHECK (outcome IN ('sent', 'failed', 'dropped')),
    detail text NOT NULL DEFAULT '',
    may_be_repeated integer NOT NULL DEFAULT 0,
    PRIMARY KEY (incident_id, run, step),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX pages_to_send ON pages (due_at) WHERE ended_at IS NULL;
CREATE INDEX pages_by_claim ON pages (claimed_at) WHERE claimed_at IS NOT NULL;

-- How the wall clock and the time since the machine's start belong together: a clock that is set moves the
-- deadlines with it.
CREATE TABLE clock_anchor (
    id integer PRIMARY KEY CHECK (id = 1),
    boot_id text NOT NULL,
    elapsed real NOT NULL,
    wall text NOT NULL
) STRICT;

-- Who stands in for whom in a rotation.
CREATE TABLE overrides (
    id text PRIMARY KEY,
    rotation text NOT NULL,
    person text NOT NULL,
    starts_at text NOT NULL,
    ends_at text NOT NULL CHECK (ends_at > starts_at),
    made_by text NOT NULL,
    note text NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX overrides_by_end ON overrides (ends_at);

-- What whoever hands a duty over says to whoever takes it.
CREATE TABLE handover_notes (
    id text PRIMARY KEY,
    rotation text NOT NULL,
    at text NOT NULL,
    made_by text NOT NULL,
    text text NOT NULL CHECK (length(text) BETWEEN 1 AND 5000)
) STRICT, WITHOUT ROWID;

-- Components that have answered a probe of ops-service once: others are not here, rather than down.
CREATE TABLE answered_components (
    component text PRIMARY KEY,
    at text NOT NULL
) STRICT, WITHOUT ROWID;

-- Heartbeats that others send here (`chitlaq heartbeat serve`). The token itself is only with the sender.
CREATE TABLE heartbeats (
    name text PRIMARY KEY,
    token_hash text NOT NULL UNIQUE,
    within_seconds integer NOT NULL CHECK (within_seconds > 0),
    made_at text NOT NULL,
    last_at text
) STRICT, WITHOUT ROWID;

-- How the last message of each channel went: a page or a test.
CREATE TABLE deliveries (
    person text NOT NULL,
    channel text NOT NULL,
    at text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('sent', 'failed')),
    detail text NOT NULL,
    PRIMARY KEY (person, channel)
) STRICT, WITHOUT ROWID;
