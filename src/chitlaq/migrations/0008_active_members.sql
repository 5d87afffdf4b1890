-- How many members were here lately: numbers for the dashboards, not who.

CREATE INDEX sessions_by_use ON auth.sessions (last_used_at, account_id);

-- A session is used when somebody logs in, and each time an access token is renewed.
CREATE VIEW auth.active_members AS
SELECT count(*) FILTER (WHERE used_at > now() - interval '1 day') AS day,
       count(*) FILTER (WHERE used_at > now() - interval '7 days') AS week,
       count(*) AS month
FROM (SELECT max(last_used_at) AS used_at
      FROM auth.sessions
      WHERE last_used_at > now() - interval '30 days'
      GROUP BY account_id) AS lately;
GRANT SELECT ON auth.active_members TO chitlaq_ops;
