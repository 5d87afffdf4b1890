-- What the ops-service that acts has told of its incidents: it is applied to those that are opened here.
CREATE TABLE told_incidents (
    id integer PRIMARY KEY CHECK (id = 1),
    told text NOT NULL CHECK (json_valid(told)),
    -- Until when this ops-service waits for its own incidents since it acts itself; null while another acts.
    kept_until text
) STRICT;
