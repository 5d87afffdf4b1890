-- Sessions of operators in the console. The token itself is only with the browser.
CREATE TABLE console_sessions (
    token_hash text PRIMARY KEY,
    operator text NOT NULL,
    started_at text NOT NULL,
    seen_at text NOT NULL
) STRICT, WITHOUT ROWID;
