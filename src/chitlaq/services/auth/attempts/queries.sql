-- name: limits_reached
-- The seconds until an address ($1) may fail again, of which $2 failures leak away in a minute; and until another name
-- may fail in a network ($3), where $4 may within an hour. Null: now. Index: address_failures' primary key,
-- failed_names_by_time.
SELECT (SELECT (level + 1 - $2::float8) * 60 / $2::float8 - extract(epoch FROM clock_timestamp() - last_at)::float8
        FROM auth.address_failures
        WHERE address = $1
          AND level - extract(epoch FROM clock_timestamp() - last_at)::float8 * $2::float8 / 60 > $2::float8 - 1) AS address,
       (SELECT extract(epoch FROM last_at + interval '1 hour' - now())::float8
        FROM auth.failed_names
        WHERE network = $3 AND last_at > now() - interval '1 hour'
        ORDER BY last_at DESC
        OFFSET $4 - 1 LIMIT 1) AS network;

-- name: place_of_attempt (prepared)
-- Whether a device ($2) is the account's ($1), and whether people have signed in from an address ($3). Whoever they
-- are: if it had to be this account, the pauses would tell which names have one.
SELECT EXISTS (SELECT FROM auth.devices WHERE account_id = $1 AND key_hash = $2) AS is_device,
       EXISTS (SELECT FROM auth.known_addresses
               WHERE address = $3 AND last_seen_at > now() - interval '90 days') AS is_address;

-- name: is_known_device
-- Whether anybody has signed in with a device. Index: devices_by_key.
SELECT EXISTS (SELECT FROM auth.devices WHERE key_hash = $1);

-- name: count_attempt (prepared)
-- Count an attempt as a failure before it is judged, so that attempts at once cannot all pass; no row: it must wait.
-- Failures are forgotten a day after the last.
INSERT INTO auth.attempts AS a (name_hash, place, failures, last_at, next_at)
VALUES ($1, $2, 1, clock_timestamp(), clock_timestamp())
ON CONFLICT (name_hash, place) DO UPDATE SET
    failures = CASE WHEN a.last_at < now() - interval '1 day' THEN 1 ELSE a.failures + 1 END,
    last_at = clock_timestamp(),
    next_at = clock_timestamp()
        + CASE WHEN a.last_at < now() - interval '1 day' THEN interval '0' ELSE auth.pause(a.failures + 1) END
WHERE a.next_at <= clock_timestamp()
RETURNING failures;

-- name: uncount_attempt
-- An attempt was counted and not judged.
UPDATE auth.attempts SET failures = failures - 1, next_at = clock_timestamp()
WHERE name_hash = $1 AND place = $2 AND failures > 0;

-- name: pause_left
-- The seconds until the next attempt is judged.
SELECT extract(epoch FROM next_at - clock_timestamp())::float8 FROM auth.attempts WHERE name_hash = $1 AND place = $2;

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
WITH forgiven AS (DELETE FROM auth.failed_names WHERE network = $3 AND name_hash = $1)
DELETE FROM auth.attempts WHERE name_hash = $1 AND place = $2;

-- name: forgive_names
-- Forget the failures of these names, wherever they came from.
DELETE FROM auth.attempts WHERE name_hash = ANY ($1);

-- name: see_device (prepared)
-- Remember a device of an account, and its address; whether the device is new, to an account that has others. An
-- account vouches for the five addresses that it signed in from last.
WITH seen AS (
    INSERT INTO auth.devices (account_id, key_hash) VALUES ($1, $2)
    ON CONFLICT (account_id, key_hash) DO UPDATE SET last_seen_at = now()
    RETURNING xmax = 0 AS is_new
), here AS (
    INSERT INTO auth.known_addresses (account_id, address) SELECT $1, $3::text WHERE $3::text IS NOT NULL
    ON CONFLICT (account_id, address) DO UPDATE SET last_seen_at = now()
), older AS (
    DELETE FROM auth.known_addresses
    WHERE account_id = $1 AND address <> $3 AND address IN (
        SELECT address FROM auth.known_addresses WHERE account_id = $1 AND address <> $3
        ORDER BY last_seen_at DESC OFFSET 4
    )
)
SELECT is_new AND EXISTS (SELECT FROM auth.devices WHERE account_id = $1) FROM seen;

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
