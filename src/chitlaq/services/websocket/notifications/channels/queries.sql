-- name: notification_settings
-- What a member chose.
SELECT kinds, quiet_from, quiet_until, time_zone, digest, filter_strangers
FROM websocket.notification_settings WHERE account_id = $1;

-- name: change_notification_settings
-- Replace what a member chose. Who begins to want digests gets none about what was before.
INSERT INTO websocket.notification_settings AS s
    (account_id, kinds, quiet_from, quiet_until, time_zone, digest, filter_strangers, digest_due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (account_id) DO UPDATE
SET kinds = excluded.kinds, quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until,
    time_zone = excluded.time_zone, digest = excluded.digest, filter_strangers = excluded.filter_strangers,
    digest_due_at = excluded.digest_due_at,
    digested_at = CASE WHEN s.digest = 'off' THEN clock_timestamp() ELSE s.digested_at END;

-- name: is_subscribed
-- Whether a device is pushed to.
SELECT EXISTS (SELECT FROM websocket.push_subscriptions WHERE session_id = $1);

-- name: lock_endpoints
-- Subscribe after all who did it before have committed: else two sign-ins of a browser might keep one endpoint.
SELECT pg_advisory_xact_lock(hashtextextended('push endpoints', 0));

-- name: forget_endpoint
-- End the subscription that a browser had under another sign-in.
DELETE FROM websocket.push_subscriptions WHERE endpoint = $1 AND session_id <> $2;

-- name: subscribe
-- Push to a device that is signed in, from what is told from now on.
INSERT INTO websocket.push_subscriptions AS p (session_id, account_id, endpoint, public_key, secret)
SELECT l.id, l.account_id, $3, $4, $5 FROM auth.live_sessions l WHERE l.id = $1 AND l.account_id = $2
ON CONFLICT (session_id) DO UPDATE
SET endpoint = excluded.endpoint, public_key = excluded.public_key, secret = excluded.secret, failures = 0;

-- name: forget_oldest_subscriptions
-- Keep the newest $2 subscriptions of an account. Index: push_subscriptions_by_account.
DELETE FROM websocket.push_subscriptions WHERE session_id IN (
    SELECT session_id FROM websocket.push_subscriptions WHERE account_id = $1
    ORDER BY created_at DESC, session_id OFFSET $2);

-- name: unsubscribe
-- Push to a device no more.
DELETE FROM websocket.push_subscriptions WHERE session_id = $1;

-- name: enqueue_pushes (prepared)
-- Write a job for each device of these accounts that has none waiting, due after $2 seconds. A job that an operator
-- discarded counts as waiting for an hour. Index: push_subscriptions_by_account.
WITH waiting AS (
    UPDATE websocket.push_subscriptions SET job_due_at = now() + make_interval(secs => $2)
    WHERE account_id = ANY ((SELECT $1::uuid[])::uuid[]) AND (job_due_at IS NULL OR job_due_at < now() - interval '1 hour')
    RETURNING session_id
)
INSERT INTO jobs.jobs (kind, payload, request_id, due_at)
SELECT 'push', jsonb_build_object('session_id', session_id), $3, now() + make_interval(secs => $2) FROM waiting;

-- name: begin_push
-- Where to push to, and when not. From here on, what happens needs another job.
WITH begun AS (
    UPDATE websocket.push_subscriptions SET job_due_at = NULL WHERE session_id = $1 RETURNING *
)
SELECT b.account_id, b.endpoint, b.public_key, b.secret, b.pushed_until, b.pushed_at, b.failures, clock_timestamp() AS now,
       EXISTS (SELECT FROM auth.live_sessions l WHERE l.id = b.session_id) AS is_live,
       s.kinds, s.quiet_from, s.quiet_until, s.time_zone
FROM begun b LEFT JOIN websocket.notification_settings s USING (account_id);

-- name: push_later
-- Write a job that is due at a moment, unless one waits.
WITH waiting AS (
    UPDATE websocket.push_subscriptions SET job_due_at = $2
    WHERE session_id = $1 AND (job_due_at IS NULL OR job_due_at < now() - interval '1 hour')
    RETURNING session_id
)
INSERT INTO jobs.jobs (kind, payload, request_id, due_at)
SELECT 'push', jsonb_build_object('session_id', session_id), $3, $2 FROM waiting;

-- name: unpushed
-- The latest notification of these kinds ($3) that a member has not seen, and that was not pushed up to $2.
SELECT n.id, n.position
FROM websocket.notified_accounts a
JOIN websocket.notifications n ON n.recipient_id = a.account_id AND n.position > greatest(a.seen_until, $2)
WHERE a.account_id = $1 AND n.kind = ANY ($3::text[]) AND NOT n.is_filtered
ORDER BY n.position DESC LIMIT 1;

-- name: note_push
-- Note that a device was pushed to up to a position (null: no further than before), and how much a failure counts (0:
-- there was none); what was counted in a row.
UPDATE websocket.push_subscriptions
SET pushed_until = greatest(pushed_until, $2), pushed_at = clock_timestamp(),
    failures = CASE WHEN $3::smallint = 0 THEN 0 ELSE failures + $3::smallint END
WHERE session_id = $1
RETURNING failures;

-- name: due_digests
-- Members whose digest is due, the longest first, and how much of each kind is unread since the one before: of a group
-- that has grown since then, what it has grown by. Of conversations, each counts as one.
-- Indexes: notification_settings_by_digest, notification_causes_by_group.
SELECT s.account_id, s.kinds, s.time_zone, s.digest, s.unsubscribe_token, now() AS now,
       (SELECT jsonb_object_agg(c.kind, c.number)
        FROM (SELECT n.kind, sum(CASE
                  WHEN n.kind = 'message' THEN 1
                  WHEN n.created_at > s.digested_at THEN n.count
                  ELSE greatest(1, (SELECT count(*) FROM websocket.notification_causes o
                                    WHERE o.notification_id = n.id AND o.at > s.digested_at)) END) AS number
              FROM websocket.notifications n
              WHERE n.recipient_id = s.account_id AND n.position > greatest(a.read_until, s.digested_at)
                AND NOT n.is_filtered
              GROUP BY n.kind) c) AS counts
FROM websocket.notification_settings s
LEFT JOIN websocket.notified_accounts a USING (account_id)
WHERE s.digest_due_at <= now()
ORDER BY s.digest_due_at
LIMIT $1
FOR NO KEY UPDATE OF s SKIP LOCKED;

-- name: plan_digests
-- Note that digests were asked for, and when the next ones are due.
UPDATE websocket.notification_settings s SET digested_at = clock_timestamp(), digest_due_at = planned.due_at
FROM unnest($1::uuid[], $2::timestamptz[]) AS planned (account_id, due_at)
WHERE s.account_id = planned.account_id;

-- name: enqueue_digests
-- Write jobs of auth-service.
INSERT INTO jobs.jobs (kind, payload, request_id) SELECT $1, payload::jsonb, $3 FROM unnest($2::text[]) AS payload;

-- name: end_digests
-- End the digests that a mail's link belongs to; again changes nothing.
UPDATE websocket.notification_settings SET digest = 'off', digest_due_at = NULL WHERE unsubscribe_token = $1;
