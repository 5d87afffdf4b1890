-- name: limits_reached (prepared)
-- Which limit an address ($1), of which $2 failures leak away in a minute, or its network ($3), where $4 names may fail
-- within an hour, has reached, and the seconds until it has not; no row: none.
SELECT reached, seconds FROM auth.limits_reached($1, $2, $3, $4);

-- name: begin_attempt (prepared)
-- Count an attempt as a failure before it is judged, and say where it comes from, or why it must wait: of a name ($1),
-- whose account may be $2, from a device ($3); and the limits, as limits_reached has them.
SELECT place, is_device, reached, seconds FROM auth.begin_attempt($1, $2, $3, $4, $5, $6, $7);

-- name: is_known_device
-- Whether anybody has signed in with a device. Index: devices_by_key.
SELECT EXISTS (SELECT FROM auth.devices WHERE key_hash = $1);

-- name: uncount_attempt
-- An attempt was counted and not judged.
UPDATE auth.attempts SET failures = failures - 1, next_at = clock_timestamp()
WHERE name_hash = $1 AND place = $2 AND failures > 0;

-- name: count_failure
-- Count a failure of an address ($1), $2 of which leak away in a minute, and of a name in a network ($3).
WITH counted AS (
    INSERT INTO auth.address_failures AS f (address, level, last_at)
    SELECT $1::text, 1, clock_timestamp() WHERE $1::text IS NOT NULL
    ON CONFLICT (address) DO UPDATE SET
        level = 1 + greatest(0, f.level - extract(epoch FROM clock_timestamp() - f.last_at)::float8 * $2::float8 / 60),
        last_at = clock_timestamp()
)
INSERT INTO auth.failed_names (network, name_hash, last_at)
SELECT $3::text, $4::bytea, now() WHERE $3::text IS NOT NULL
ON CONFLICT (network, name_hash) DO UPDATE SET last_at = now();

-- name: forgive_attempt (prepared)
-- Whoever made an attempt is who they say: it was no failure, nor were those before it from there.
SELECT auth.forgive_attempt($1, $2, $3);

-- name: forgive_names
-- Forget the failures of these names, wherever they came from.
DELETE FROM auth.attempts WHERE name_hash = ANY ($1);

-- name: see_device (prepared)
-- Remember a device of an account, and its address; whether the device is new, to an account that has others.
SELECT auth.see_device($1, $2, $3);

-- name: forget_devices
-- Keep the twenty devices of an account that signed in last.
DELETE FROM auth.devices
WHERE account_id = $1 AND key_hash IN (
    SELECT key_hash FROM auth.devices WHERE account_id = $1 ORDER BY last_seen_at DESC OFFSET 20
);

-- name: forget_attempts
-- Forget what no limit looks at any more, and devices that nobody uses.
WITH names AS (DELETE FROM auth.failed_names WHERE last_at < now() - interval '1 hour'),
     addresses AS (DELETE FROM auth.address_failures WHERE last_at < now() - interval '1 hour'),
     known AS (DELETE FROM auth.known_addresses WHERE last_seen_at < now() - interval '90 days'),
     devices AS (DELETE FROM auth.devices WHERE last_seen_at < now() - interval '400 days')
DELETE FROM auth.attempts WHERE last_at < now() - interval '1 day';
