-- What people have told the ops-service that acts: the others know it, too, and one of them may have to act next. The
-- version before this one does not read it.

CREATE TABLE ops.told (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    -- Under which epoch of the lease.
    epoch bigint NOT NULL CHECK (epoch > 0),
    -- The text of a JSON object, as who wrote it compares it.
    told text NOT NULL CHECK (told IS JSON OBJECT),
    told_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT SELECT, INSERT, UPDATE ON ops.told TO chitlaq_ops;
