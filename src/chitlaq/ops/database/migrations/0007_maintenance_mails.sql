-- What subscribers were told of announced work: once of each.
CREATE TABLE maintenance_updates (
    id text PRIMARY KEY,
    maintenance_id integer NOT NULL REFERENCES maintenances ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('scheduled', 'in_progress', 'completed', 'withdrawn')),
    published_at text NOT NULL,
    UNIQUE (maintenance_id, status)
) STRICT, WITHOUT ROWID;

-- Mails wait about these, too: an update is one of either kind.
ALTER TABLE subscriber_mails RENAME TO incident_mails;
CREATE TABLE subscriber_mails (
    update_id text NOT NULL,
    subscriber_id text NOT NULL REFERENCES subscribers ON DELETE CASCADE,
    PRIMARY KEY (update_id, subscriber_id)
) STRICT, WITHOUT ROWID;
INSERT INTO subscriber_mails SELECT update_id, subscriber_id FROM incident_mails;
DROP TABLE incident_mails;
CREATE INDEX mails_of_a_subscriber ON subscriber_mails (subscriber_id);
