-- What `chitlaq seed` put here, so that it can tell demo data from a university's own.

CREATE SCHEMA demo;

CREATE TABLE demo.seedings (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    members integer NOT NULL CHECK (members > 0),
    posts integer NOT NULL CHECK (posts >= 0),
    seed bigint NOT NULL,
    report jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
