-- Who has ended a subscription, by its id alone: what another ops-service still says of it does not hold.
CREATE TABLE ended_subscriptions (
    id text PRIMARY KEY,
    ended_at text NOT NULL,
    is_shared integer NOT NULL DEFAULT 0 CHECK (is_shared IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Whether others can know what this person wanted last.
ALTER TABLE subscribers ADD COLUMN is_shared integer NOT NULL DEFAULT 0 CHECK (is_shared IN (0, 1));
