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
    merged_into integer REFERENCES incidents ON DELETE CASCADE CHECK (merged_into <> id),
    -- It is over when its alerts are; otherwise only a person says so.
    resolves_itself integer NOT NULL,
    -- A person keeps it apart: it is never merged with another by itself.
    is_apart integer NOT NULL DEFAULT 0,
    -- Counts the changes: who acts on what they saw names it.
    version integer NOT NULL DEFAULT 1,
    -- What it did to members, once it is over: the access log is rotated away.
    impact text CHECK (impact IS NULL OR json_valid(impact)),
    CHECK ((status = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK (merged_into IS NULL OR status = 'resolved'),
    CHECK (status <> 'acknowledged' OR (acknowledged_at IS NOT NULL AND acknowledged_until IS NOT NULL))
) STRICT;
CREATE INDEX incidents_not_resolved ON incidents (id) WHERE status <> 'resolved';
CREATE INDEX incidents_resolved ON incidents (resolved_at) WHERE status = 'resolved';
CREATE INDEX incidents_without_impact ON incidents (id) WHERE status = 'resolved' AND impact IS NULL AND merged_into IS NULL;
CREATE INDEX incidents_merged ON incidents (merged_into) WHERE merged_into IS NOT NULL;

-- Which episodes of alerts an incident is about.
CREATE TABLE incident_alerts (
    fingerprint text NOT NULL,
    started_at text NOT NULL,
    incident_id integer NOT NULL REFERENCES incidents ON DELETE CASCADE,
    PRIMARY KEY (fingerprint, started_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_alerts_by_incident ON incident_alerts (incident_id);

-- What was done to an incident, and said about it. Alerts, actions, runs and changes of the system are read
-- from their own tables.
CREATE TABLE timeline (
    id text PRIMARY KEY,
    incident_id integer NOT NULL REFERENCES incidents ON DELETE CASCADE,
    at text NOT NULL,
    kind text NOT NULL,
    actor text NOT NULL,
    text text NOT NULL CHECK (length(text) <= 6000)
) STRICT, WITHOUT ROWID;
CREATE INDEX timeline_of_an_incident ON timeline (incident_id, at);

-- What is to be done so that an incident does not come back.
CREATE TABLE action_items (
    id integer PRIMARY KEY,
    incident_id integer NOT NULL REFERENCES incidents ON DELETE CASCADE,
    text text NOT NULL CHECK (length(text) BETWEEN 1 AND 1000),
    owner text NOT NULL CHECK (length(owner) BETWEEN 1 AND 200),
    due_on text NOT NULL CHECK (due_on IS date(due_on)),
    made_at text NOT NULL,
    done_at text
) STRICT;
CREATE INDEX action_items_of_an_incident ON action_items (incident_id);
CREATE INDEX action_items_open ON action_items (due_on) WHERE done_at IS NULL;

-- Restarts and new versions of components, as ops-service saw them.
CREATE TABLE changes (
    id text PRIMARY KEY,
    at text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('restart', 'deploy')),
    text text NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX changes_by_time ON changes (at DESC);

-- What a component was when it was last seen.
CREATE TABLE components_seen (
    component text PRIMARY KEY,
    state text NOT NULL
) STRICT, WITHOUT ROWID;

-- For what ends the earlier episodes of an alert, however many it has had.
CREATE INDEX alerts_firing ON alerts (fingerprint) WHERE ended_at IS NULL;
