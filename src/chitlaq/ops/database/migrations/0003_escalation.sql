-- The clock of an incident that nobody has acknowledged. A run begins when the incident opens, is reopened or
-- becomes more severe, and when an acknowledgement expires.
CREATE TABLE escalations (
    incident_id integer PRIMARY KEY REFERENCES incidents,
    run integer NOT NULL,
    started_at text NOT NULL,
    level integer NOT NULL,
    next_at text
) STRICT;

-- One message to one person by one channel. It is claimed before it is sent, and ended after it.
CREATE TABLE pages (
    incident_id integer NOT NULL REFERENCES incidents,
    run integer NOT NULL,
    step integer NOT NULL,
    level integer NOT NULL,
    person text NOT NULL,
    channel text NOT NULL,
    due_at text NOT NULL,
    claimed_at text,
    ended_at text,
    outcome text CHECK (outcome IN ('sent', 'failed')),
    detail text NOT NULL DEFAULT '',
    may_be_repeated integer NOT NULL DEFAULT 0,
    PRIMARY KEY (incident_id, run, step)
) STRICT, WITHOUT ROWID;

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
