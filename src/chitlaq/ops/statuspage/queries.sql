-- name: lock_subscribers
-- Let nobody else change them before this commits: so changes are seen in the order of their numbers.
LOCK TABLE ops.subscribers IN SHARE ROW EXCLUSIVE MODE;

-- name: keep_subscribers
-- Keep what people wanted, unless they wanted something else later.
INSERT INTO ops.subscribers AS kept (id, changed_at, sealed)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::bytea[])
ON CONFLICT (id) DO UPDATE
SET change = nextval('ops.subscriber_changes'), changed_at = excluded.changed_at, sealed = excluded.sealed
WHERE excluded.changed_at > kept.changed_at;

-- name: changed_subscribers
-- What was changed after a change.
SELECT id, change, changed_at, sealed FROM ops.subscribers WHERE change > $1 ORDER BY change;

-- name: forget_ended_subscribers
-- Forget who has ended it: no ops-service was away for so long.
DELETE FROM ops.subscribers WHERE sealed IS NULL AND changed_at < now() - interval '1 year';
