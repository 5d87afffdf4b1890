-- Attempts to sign in: how many failed, so that they hold while Valkey is down, and devices that have signed in before.
-- Names are kept as hashes of what was typed, whether there is such an account or not, and for a day.

-- Wrong passwords for a name, by where they come from: a device or an address that is known, or '' for all others
-- together. So strangers delay each other, and nobody who was there before.
CREATE TABLE auth.attempts (
    name_hash bytea NOT NULL CHECK (length(name_hash) = 32),
    place text NOT NULL,
    failures integer NOT NULL,
    last_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    PRIMARY KEY (name_hash, place)
);
CREATE INDEX attempts_by_time ON auth.attempts (last_at);

-- Failures of an address within the last minute, which leak away.
CREATE TABLE auth.address_failures (
    address text PRIMARY KEY,
    level double precision NOT NULL,
    last_at timestamptz NOT NULL
);
CREATE INDEX address_failures_by_time ON auth.address_failures (last_at);

-- Names that failed from a network and did not sign in from it afterwards.
CREATE TABLE auth.failed_names (
    network text NOT NULL,
    name_hash bytea NOT NULL CHECK (length(name_hash) = 32),
    last_at timestamptz NOT NULL,
    PRIMARY KEY (network, name_hash)
);
CREATE INDEX failed_names_by_time ON auth.failed_names (network, last_at);

-- Devices that have signed in: a browser by a secret in its cookie, another client by its address and name.
CREATE TABLE auth.devices (
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    key_hash bytea NOT NULL CHECK (length(key_hash) = 32),
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key_hash)
);

-- Addresses from which accounts have signed in.
CREATE TABLE auth.known_addresses (
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    address text NOT NULL,
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, address)
);
CREATE INDEX known_addresses_by_address ON auth.known_addresses (address, last_seen_at);

-- The pause after so many failures: none after four, then one second, twice as long after each, 15 minutes at most.
CREATE FUNCTION auth.pause(failures integer) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN failures < 5 THEN interval '0' ELSE make_interval(secs => least(2 ^ least(failures - 5, 10), 900)) END;
