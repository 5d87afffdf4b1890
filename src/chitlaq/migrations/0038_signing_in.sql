-- Signing in takes two round trips: one before the password is compared, and one after it was right. These are functions
-- and not single statements: each step sees what was committed while the one before it waited for a lock.

-- Since 0029 nobody asks when sessions ended.
DROP INDEX auth.sessions_by_end;

-- Which limit has been reached, and for how many more seconds; no row: none. An address may fail so often a minute, and
-- in a network so many names may within an hour. Index: address_failures' primary key, failed_names_by_time.
CREATE FUNCTION auth.limits_reached(
    client text, per_minute double precision, around text, names_per_hour integer
) RETURNS TABLE (reached text, seconds double precision)
LANGUAGE sql
BEGIN ATOMIC
    SELECT 'address', (f.level + 1 - per_minute) * 60 / per_minute - f.seconds_ago
    FROM (SELECT level, extract(epoch FROM clock_timestamp() - last_at)::float8 AS seconds_ago
          FROM auth.address_failures WHERE address = client) f
    WHERE f.level - f.seconds_ago * per_minute / 60 > per_minute - 1
    UNION ALL
    (SELECT 'network', extract(epoch FROM last_at + interval '1 hour' - now())::float8
     FROM auth.failed_names
     WHERE network = around AND last_at > now() - interval '1 hour'
     ORDER BY last_at DESC
     OFFSET names_per_hour - 1 LIMIT 1)
    LIMIT 1;
END;

-- Where an attempt comes from, and count it as a failure before it is judged, so that attempts at once cannot all pass:
-- "place" is the account's device, an address from which people have signed in (whoever they are: if it had to be this
-- account, the pauses would tell which names have one), or all others together. Or "reached", and the seconds to wait.
-- Failures are forgotten a day after the last.
CREATE FUNCTION auth.begin_attempt(
    name bytea, account uuid, device bytea, client text, per_minute double precision, around text, names_per_hour integer,
    OUT place text, OUT is_device boolean, OUT reached text, OUT seconds double precision
)
LANGUAGE plpgsql AS $$
BEGIN
    is_device := EXISTS (SELECT FROM auth.devices d WHERE d.account_id = account AND d.key_hash = device);
    IF is_device THEN
        place := 'device ' || encode(device, 'hex');
    ELSE
        place := CASE WHEN client IS NULL OR EXISTS (
            SELECT FROM auth.known_addresses k
            WHERE k.address = client AND k.last_seen_at > now() - interval '90 days'
        ) THEN concat('address ', client) ELSE '' END;
        IF client IS NOT NULL THEN
            SELECT l.reached, l.seconds INTO reached, seconds
            FROM auth.limits_reached(client, per_minute, around, names_per_hour) l;
            IF FOUND THEN
                RETURN;
            END IF;
        END IF;
    END IF;
    INSERT INTO auth.attempts AS a (name_hash, place, failures, last_at, next_at)
    VALUES (begin_attempt.name, begin_attempt.place, 1, clock_timestamp(), clock_timestamp())
    ON CONFLICT ON CONSTRAINT attempts_pkey DO UPDATE SET
        failures = CASE WHEN a.last_at < now() - interval '1 day' THEN 1 ELSE a.failures + 1 END,
        last_at = clock_timestamp(),
        next_at = clock_timestamp()
            + CASE WHEN a.last_at < now() - interval '1 day' THEN interval '0' ELSE auth.pause(a.failures + 1) END
    WHERE a.next_at <= clock_timestamp();
    IF NOT FOUND THEN
        reached := 'login';
        SELECT extract(epoch FROM a.next_at - clock_timestamp()) INTO seconds
        FROM auth.attempts a WHERE a.name_hash = begin_attempt.name AND a.place = begin_attempt.place;
    END IF;
END
$$;

-- Whoever made an attempt is who they say: it was no failure, nor were those before it from there.
CREATE FUNCTION auth.forgive_attempt(name bytea, from_place text, around text) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    DELETE FROM auth.failed_names WHERE network = around AND name_hash = name;
    DELETE FROM auth.attempts WHERE name_hash = name AND place = from_place;
END;

-- Remember a device of an account, and its address; whether the device is new, to an account that has others. An
-- account vouches for the five addresses that it signed in from last.
CREATE FUNCTION auth.see_device(account uuid, device bytea, client text) RETURNS boolean
LANGUAGE sql
BEGIN ATOMIC
    WITH seen AS (
        INSERT INTO auth.devices (account_id, key_hash) VALUES (account, device)
        ON CONFLICT (account_id, key_hash) DO UPDATE SET last_seen_at = now()
        RETURNING xmax = 0 AS is_new
    ), here AS (
        INSERT INTO auth.known_addresses (account_id, address) SELECT account, client WHERE client IS NOT NULL
        ON CONFLICT (account_id, address) DO UPDATE SET last_seen_at = now()
    ), older AS (
        DELETE FROM auth.known_addresses
        WHERE account_id = account AND address <> client AND address IN (
            SELECT address FROM auth.known_addresses WHERE account_id = account AND address <> client
            ORDER BY last_seen_at DESC OFFSET 4
        )
    )
    SELECT is_new AND EXISTS (SELECT FROM auth.devices WHERE account_id = account) FROM seen;
END;

-- Begin a session for who has proved to be an account's owner, by a password if there is one. Who revokes the account's
-- tokens, disables it or changes its password waits, or is waited for. "outcome": "begun"; "changed", the password is
-- another by now; "disabled"; "incomplete", the account has second factors, and there was a password alone; "new_device",
-- which its owner must be told of in the same transaction, and this caller does not. Nothing but "begun" has changed
-- anything.
CREATE FUNCTION auth.begin_session(
    account uuid, token bytea, agent text, client inet, proved text[], days integer, most_days integer,
    device bytea, limited_client text, tells boolean,
    password text, name bytea, from_place text, around text,
    OUT outcome text, OUT session_id uuid, OUT factors text[], OUT is_new_device boolean
)
LANGUAGE plpgsql AS $$
DECLARE
    owner record;
BEGIN
    SELECT a.password_hash, a.disabled_at INTO owner FROM auth.accounts a WHERE a.id = account FOR SHARE;
    IF password IS NOT NULL AND owner.password_hash IS DISTINCT FROM password THEN
        outcome := 'changed';
        RETURN;
    ELSIF NOT FOUND OR owner.disabled_at IS NOT NULL THEN
        outcome := 'disabled';
        RETURN;
    END IF;
    IF proved = '{password}' THEN
        factors := auth.second_factors(account);
        IF factors <> '{}' THEN
            outcome := 'incomplete';
            RETURN;
        END IF;
    END IF;
    IF NOT tells AND EXISTS (SELECT FROM auth.devices d WHERE d.account_id = account)
       AND NOT EXISTS (SELECT FROM auth.devices d WHERE d.account_id = account AND d.key_hash = device) THEN
        outcome := 'new_device';
        RETURN;
    END IF;
    INSERT INTO auth.sessions AS s (account_id, refresh_hash, user_agent, address, methods, expires_at)
    VALUES (account, token, agent, client, proved, now() + make_interval(days => least(days, most_days)))
    RETURNING s.id INTO session_id;
    INSERT INTO auth.audit (account_id, action, session_id, address, user_agent, detail)
    VALUES (account, 'signed_in', begin_session.session_id, client, agent,
            jsonb_build_object('methods', array_to_string(proved, ' ')));
    is_new_device := auth.see_device(account, device, limited_client);
    IF name IS NOT NULL THEN
        PERFORM auth.forgive_attempt(name, from_place, around);
    END IF;
    outcome := 'begun';
END
$$;

-- The account of a session, as what it is told when it signs in, and until when a token may be valid. The time is read
-- after the session was locked: tokens are revoked by their time. If roles need a second factor, the account has one
-- and the session has shown it, or its identity provider says so. Volatile: it sees the session that the same
-- statement has begun.
CREATE FUNCTION auth.signed_in_account(session uuid, needs_factor boolean) RETURNS TABLE (
    erase_at timestamptz, id uuid, username text, display_name text, email text, language text, roles text[],
    university text, issued_at double precision, session_expires_at double precision
)
LANGUAGE sql
BEGIN ATOMIC
    SELECT d.erase_at, a.id, a.username, coalesce(c.display_name, a.display_name), a.email, a.language,
           CASE WHEN NOT needs_factor OR 'mfa' = ANY(s.methods)
                     OR s.methods && '{totp,recovery_code,passkey}' AND auth.second_factors(a.id) <> '{}'
                THEN a.roles ELSE '{}' END,
           u.name,
           extract(epoch FROM clock_timestamp())::float8,
           extract(epoch FROM s.expires_at)::float8
    FROM auth.sessions s
    JOIN auth.accounts a ON a.id = s.account_id
    JOIN auth.universities u ON u.id = a.university_id
    LEFT JOIN auth.departures d ON d.account_id = a.id
    LEFT JOIN feed.member_cards c ON c.id = a.id
    WHERE s.id = session;
END;
