-- Sessions of operators in the console, and the record of who signed in. The token itself is only with the
-- browser.
CREATE TABLE console_sessions (
    token_hash text PRIMARY KEY,
    operator text NOT NULL,
    -- Signed in by a link of `chitlaq console` rather than as one of the operators.
    is_by_link integer NOT NULL,
    address text NOT NULL,
    started_at text NOT NULL,
    seen_at text NOT NULL,
    ended_at text,
    -- The time step of the one-time code, which counts once.
    totp_step integer
) STRICT, WITHOUT ROWID;
CREATE INDEX console_sessions_of_an_operator ON console_sessions (operator, started_at DESC);
