-- Something that a person must handle. Its number is what people say: incident 12.
CREATE TABLE incidents (
    id integer PRIMARY KEY,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 500),
    severity text NOT NULL CHECK (severity IN ('P0', 'P1', 'P2', 'P3')),
    status text NOT NULL CHECK (status IN ('open', 'acknowledged', 'resolved')),
    subject text NOT NULL,
    opened_at text NOT NULL,
    opened_by text NOT NULL,
    acknowledged_at text,
    acknowledged_by text,
    acknowledged_until text,
    resolved_at text CHECK (resolved_at >= opened_at),
    resolved_by text,
    merged_into integer REFERENCES incidents,
    -- Counts the changes: who acts on what they saw names it.
    version integer NOT NULL DEFAULT 1,
    CHECK ((status = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK (status <> 'acknowledged' OR (acknowledged_at IS NOT NULL AND acknowledged_until IS NOT NULL))
) STRICT;
CREATE INDEX incidents_not_resolved ON incidents (subject) WHERE status <> 'resolved';
CREATE INDEX incidents_by_time ON incidents (opened_at DESC);

-- Which episodes of alerts an incident is about.
CREATE TABLE incident_alerts (
    fingerprint text NOT NULL,
    started_at text NOT NULL,
    incident_id integer NOT NULL REFERENCES incidents,
    PRIMARY KEY (fingerprint, started_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_alerts_by_incident ON incident_alerts (incident_id);

CREATE TABLE timeline (
    id text PRIMARY KEY,
    incident_id integer NOT NULL REFERENCES incidents,
    at text NOT NULL,
    kind text NOT NULL,
    actor text NOT NULL,
    text text NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX timeline_of_an_incident ON timeline (incident_id, at);
