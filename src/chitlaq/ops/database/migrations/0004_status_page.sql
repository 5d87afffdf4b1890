-- A person's word on a component of the status page, which overrides what is measured.
CREATE TABLE component_overrides (
    component text PRIMARY KEY,
    state text NOT NULL,
    set_by text NOT NULL,
    set_at text NOT NULL
) STRICT, WITHOUT ROWID;

-- What was measured of a component, after hysteresis.
CREATE TABLE component_states (
    component text PRIMARY KEY,
    state text NOT NULL,
    since text NOT NULL
) STRICT, WITHOUT ROWID;

-- How long members saw a component in a state on one day: the bars. What nobody looked at is in no row.
CREATE TABLE component_days (
    component text NOT NULL,
    day text NOT NULL,
    state text NOT NULL,
    seconds real NOT NULL CHECK (seconds >= 0),
    PRIMARY KEY (component, day, state)
) STRICT, WITHOUT ROWID;

-- Announced work on components, in members' words.
CREATE TABLE maintenances (
    id integer PRIMARY KEY,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    title_tr text NOT NULL,
    text text NOT NULL CHECK (length(text) <= 2000),
    text_tr text NOT NULL,
    components text NOT NULL CHECK (json_array_length(components) > 0),
    starts_at text NOT NULL,
    ends_at text NOT NULL CHECK (ends_at > starts_at),
    ended_at text,
    made_at text NOT NULL,
    made_by text NOT NULL
) STRICT;
CREATE INDEX maintenances_by_end ON maintenances (ends_at);

-- Silences in Alertmanager that were made for a maintenance; none is left when it has ended.
CREATE TABLE maintenance_silences (
    maintenance_id integer NOT NULL REFERENCES maintenances ON DELETE CASCADE,
    target text NOT NULL,
    silence_id text NOT NULL,
    PRIMARY KEY (maintenance_id, target)
) STRICT, WITHOUT ROWID;

-- An incident as members are told of it: by its number, but in other words than operators'.
CREATE TABLE published_incidents (
    incident_id integer PRIMARY KEY REFERENCES incidents,
    title text NOT NULL,
    title_tr text NOT NULL,
    impact text NOT NULL CHECK (impact IN ('none', 'minor', 'major', 'critical')),
    components text NOT NULL CHECK (json_array_length(components) > 0),
    status text NOT NULL CHECK (status IN ('investigating', 'identified', 'monitoring', 'resolved')),
    published_at text NOT NULL,
    updated_at text NOT NULL
) STRICT;

CREATE TABLE published_updates (
    id text PRIMARY KEY,
    incident_id integer NOT NULL REFERENCES published_incidents ON DELETE CASCADE,
    status text NOT NULL,
    text text NOT NULL,
    text_tr text NOT NULL,
    published_at text NOT NULL,
    published_by text NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX updates_of_an_incident ON published_updates (incident_id, id);

-- Who gets a mail about which components. An address is here only after its owner has confirmed it.
CREATE TABLE subscribers (
    id text PRIMARY KEY,
    address text NOT NULL UNIQUE,
    language text NOT NULL,
    components text NOT NULL CHECK (json_array_length(components) > 0),
    confirmed_at text NOT NULL
) STRICT, WITHOUT ROWID;

-- Mails to subscribers that the mail queue has not taken yet.
CREATE TABLE subscriber_mails (
    update_id text NOT NULL REFERENCES published_updates ON DELETE CASCADE,
    subscriber_id text NOT NULL REFERENCES subscribers ON DELETE CASCADE,
    PRIMARY KEY (update_id, subscriber_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mails_of_a_subscriber ON subscriber_mails (subscriber_id);

-- Requests to subscribe within the last hour, so that nobody can have us flood a mailbox.
CREATE TABLE subscription_requests (
    id text PRIMARY KEY,
    mailbox text NOT NULL,
    network text NOT NULL,
    requested_at text NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_mailbox ON subscription_requests (mailbox, requested_at);
CREATE INDEX requests_by_network ON subscription_requests (network, requested_at);
CREATE INDEX requests_by_time ON subscription_requests (requested_at);
