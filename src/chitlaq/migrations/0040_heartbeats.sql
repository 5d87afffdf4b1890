-- Whether a process of a service can do its work: it writes a row here every ten seconds (core/data/heartbeat.py).

CREATE SCHEMA health;
CREATE TABLE health.heartbeats (
    role name NOT NULL DEFAULT current_user,
    process integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (role, process)
);
GRANT USAGE ON SCHEMA health TO chitlaq_auth, chitlaq_feed, chitlaq_search, chitlaq_websocket;
GRANT SELECT, INSERT, UPDATE, DELETE ON health.heartbeats
TO chitlaq_auth, chitlaq_feed, chitlaq_search, chitlaq_websocket;
ALTER TABLE health.heartbeats ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_heartbeats ON health.heartbeats USING (role = current_user);
