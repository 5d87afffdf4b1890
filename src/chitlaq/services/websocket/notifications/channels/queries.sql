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

-- name: end_digests
-- End the digests that a mail's link belongs to; again changes nothing.
UPDATE websocket.notification_settings SET digest = 'off', digest_due_at = NULL WHERE unsubscribe_token = $1;
