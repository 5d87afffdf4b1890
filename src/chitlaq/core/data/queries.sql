-- Queries that several services share.

-- name: keys_and_revocations (prepared)
-- The public keys that verify access tokens, a handful; and what was revoked by transactions from $1 on, with the
-- time. Each key comes with the oldest transaction that may still be going on. Index: revoked_by_transaction.
SELECT id AS key_id, public_jwk, pg_snapshot_xmin(pg_current_snapshot())::text AS open_transaction,
       NULL::uuid AS revoked, NULL::float8 AS revoked_at
FROM auth.public_keys
UNION ALL
SELECT NULL, NULL, NULL, id, extract(epoch FROM revoked_at)::float8
FROM auth.revocations WHERE transaction_id >= $1::text::xid8;

-- name: enqueue_job
-- A job that is due after a delay.
INSERT INTO jobs.jobs (id, kind, version, payload, request_id, due_at)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6));

-- name: due_kinds (prepared)
-- Those of these kinds that have due jobs of a version that this process can read. Index: jobs_due. LIMIT
-- keeps the planner from a join with all due jobs.
SELECT k.kind
FROM unnest((SELECT $1::text[]), (SELECT $2::integer[])) AS k (kind, version)
CROSS JOIN LATERAL (SELECT FROM jobs.jobs j
                    WHERE j.kind = k.kind AND j.state <> 'dead' AND j.due_at <= now() AND j.version <= k.version
                    LIMIT 1) AS due;

-- name: try_lock_kind
-- Hold a kind until the transaction ends, so that its running jobs can be counted; false if another does.
SELECT pg_try_advisory_xact_lock(hashtextextended('jobs ' || $1, 0));

-- name: count_running
-- Jobs of a kind whose process is alive.
SELECT count(*) FROM jobs.jobs WHERE kind = $1 AND state = 'running' AND due_at > now();

-- name: claim_jobs (prepared)
-- Take up to $3 due jobs of a kind: new ones, postponed ones, and those whose process lost its lease.
UPDATE jobs.jobs
SET state = 'running', attempts = attempts + 1, due_at = jobs.lease()
WHERE id = ANY (ARRAY(
    SELECT id FROM jobs.jobs
    WHERE kind = $1 AND version <= $2 AND state <> 'dead' AND due_at <= now()
    ORDER BY due_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED))
RETURNING id, attempts, attempts - uncounted AS counted, request_id, payload;

-- name: renew_jobs
-- Extend the leases of jobs that this process still holds. A locked job is being completed and nobody
-- else can claim it; waiting for it would let the other leases end.
UPDATE jobs.jobs SET due_at = jobs.lease()
WHERE id = ANY (ARRAY(
    SELECT id FROM jobs.jobs
    JOIN unnest($1::uuid[], $2::integer[]) AS held (id, attempts) USING (id, attempts)
    WHERE state = 'running'
    FOR UPDATE OF jobs SKIP LOCKED));

-- name: finish_jobs (prepared)
-- Delete finished jobs, except those that another process has taken over.
DELETE FROM jobs.jobs j
USING unnest($1::uuid[], $2::integer[]) AS done (id, attempts)
WHERE j.id = done.id AND j.attempts = done.attempts AND j.state = 'running';

-- name: put_back_job
-- Record a failed attempt ($2): the job waits for the next one, or is dead. An outage ($6) does not count.
UPDATE jobs.jobs
SET state = $3, due_at = now() + make_interval(secs => $4), reason = $5, uncounted = uncounted + $6
WHERE id = $1 AND attempts = $2 AND state = 'running';

-- name: release_jobs
-- Release jobs that this process could not finish; the attempt does not count.
UPDATE jobs.jobs j SET state = 'waiting', due_at = now(), uncounted = j.uncounted + 1
FROM unnest($1::uuid[], $2::integer[]) AS held (id, attempts)
WHERE j.id = held.id AND j.attempts = held.attempts AND j.state = 'running';

-- name: lock_mailbox
-- Hold a mailbox until the transaction ends, so that mails to it are counted one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('mailbox ' || mail.mailbox($1), 0));

-- name: mails_within_an_hour
-- The seconds until fewer than $2 mails with a subject ($3) to a mailbox are younger than an hour; no row if fewer
-- are now. Mails of more than an hour ahead do not count: a clock that was wrong must not keep a mailbox closed.
-- Index: messages_by_mailbox.
SELECT extract(epoch FROM created_at + interval '1 hour' - now())::float8 AS seconds_left
FROM mail.messages
WHERE mail.mailbox(to_address) = mail.mailbox($1)
  AND created_at BETWEEN now() - interval '1 hour' AND now() + interval '1 hour'
  AND subject = $3
ORDER BY created_at DESC
OFFSET $2 - 1 LIMIT 1;

-- name: put_mail
-- A mail to be sent.
INSERT INTO mail.messages (id, to_address, subject, text, html, links, request_id, unsubscribe)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: mail_to_send
-- A mail that is not sent yet.
SELECT id, to_address, subject, text, html, unsubscribe, created_at FROM mail.messages WHERE id = $1 AND sent_at IS NULL;

-- name: forget_sent_mail
-- Mark a mail as sent and delete its text, which may hold secrets.
UPDATE mail.messages SET sent_at = now(), text = '', html = '', links = '{}',
    unsubscribe = split_part(unsubscribe, '?', 1)
WHERE id = $1;

-- name: add_export_file
-- Store a file of this service's part of an export.
SELECT auth.add_export_file($1, $2, $3, $4, $5, $6);

-- name: complete_export_part
-- This service's part of an export is complete.
SELECT auth.complete_export_part($1, $2);

-- name: complete_erasure_part
-- This service has erased its part of an account.
SELECT auth.complete_erasure_part($1, $2);

-- name: written_wal (prepared)
-- How much WAL the primary has written, in bytes since the beginning.
SELECT (pg_current_wal_lsn() - '0/0')::int8 AS written;

-- name: replayed_wal (prepared)
-- How much WAL a standby has replayed; null on a primary.
SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::int8 END AS replayed;
