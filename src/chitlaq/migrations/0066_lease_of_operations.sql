-- Of several ops-services one acts at a time: who holds the lease, and what was done under it. The version before this
-- one knows nothing of it, and has one ops-service.

CREATE TABLE ops.lease (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    -- Which installation, and the name of its machine.
    holder text NOT NULL,
    host text NOT NULL,
    -- Rises each time that somebody else takes it: what was begun under an earlier one is over.
    epoch bigint NOT NULL DEFAULT 1 CHECK (epoch > 0),
    held_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    -- When it was taken the last twenty times.
    taken_at timestamptz[] NOT NULL DEFAULT ARRAY[clock_timestamp()] CHECK (cardinality(taken_at) BETWEEN 1 AND 20)
);

-- What is done once for all at its time, such as a routine: the last time that it was begun, and whether it was done.
CREATE TABLE ops.turns (
    what text PRIMARY KEY,
    due_at timestamptz NOT NULL,
    host text NOT NULL,
    done_at timestamptz
);

GRANT SELECT, INSERT, UPDATE ON ops.lease, ops.turns TO chitlaq_ops;
