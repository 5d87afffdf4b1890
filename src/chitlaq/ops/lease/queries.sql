-- name: hold_lease
-- Take or renew the lease for $3 seconds; no row while somebody else has it. Who has waited for the row's lock decides
-- by the row as it is then.
INSERT INTO ops.lease AS lease (holder, host, expires_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (is_the_one) DO UPDATE SET
    epoch = lease.epoch + (lease.holder <> excluded.holder)::integer,
    held_since = CASE WHEN lease.holder = excluded.holder THEN lease.held_since ELSE clock_timestamp() END,
    taken_at = CASE WHEN lease.holder = excluded.holder THEN lease.taken_at
               ELSE lease.taken_at[greatest(1, cardinality(lease.taken_at) - 18):] || clock_timestamp() END,
    holder = excluded.holder, host = excluded.host,
    expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE lease.holder = excluded.holder OR lease.expires_at <= clock_timestamp()
RETURNING holder, host, epoch, held_since;

-- name: lease
-- Who holds it or held it last, for how many more seconds, and how often it was taken within the last hour.
SELECT holder, host, epoch, held_since, extract(epoch FROM expires_at - clock_timestamp())::float8 AS seconds_left,
       (SELECT count(*) FROM unnest(taken_at) AS t (taken) WHERE taken > now() - interval '1 hour') AS taken_lately
FROM ops.lease;

-- name: begin_turn
-- Begin what is due at $2, if $4 still holds the lease of epoch $5, which nobody takes before this commits; no row if not.
INSERT INTO ops.turns AS turn (what, due_at, host)
SELECT $1, $2::timestamptz, $3 FROM ops.lease
WHERE holder = $4 AND epoch = $5 AND expires_at > clock_timestamp() FOR SHARE
ON CONFLICT (what) DO UPDATE SET
    due_at = greatest(turn.due_at, excluded.due_at), host = excluded.host,
    done_at = CASE WHEN turn.due_at >= excluded.due_at THEN turn.done_at END
RETURNING due_at > $2 OR done_at IS NOT NULL AS is_done;

-- name: end_turn
-- What was due at $2 is done, if $3 still holds the lease of epoch $4.
UPDATE ops.turns SET done_at = clock_timestamp()
WHERE what = $1 AND due_at = $2
  AND EXISTS (SELECT FROM ops.lease WHERE holder = $3 AND epoch = $4 AND expires_at > clock_timestamp());

-- name: told
-- What people have told whoever held the lease.
SELECT epoch, told FROM ops.told;

-- name: keep_told
-- Keep it, if $2 still holds the lease of epoch $3, which nobody takes before this commits.
INSERT INTO ops.told (epoch, told)
SELECT epoch, $1 FROM ops.lease WHERE holder = $2 AND epoch = $3 AND expires_at > clock_timestamp() FOR SHARE
ON CONFLICT (is_the_one) DO UPDATE
SET epoch = excluded.epoch, told = excluded.told, told_at = clock_timestamp();
