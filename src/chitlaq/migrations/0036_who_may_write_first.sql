-- Who may write first, how old the ranking is, and files without a picture.

ALTER TABLE websocket.privacy DROP CONSTRAINT privacy_may_message_check;
ALTER TABLE websocket.privacy ADD CONSTRAINT privacy_may_message_check
CHECK (may_message IN ('everyone', 'university', 'followed', 'nobody'));

-- Where there was no ranking yet, one has been due since the first member came.
CREATE VIEW feed.ranking_age AS
SELECT coalesce(extract(epoch FROM now() - coalesce(
    (SELECT max(made_at) FROM feed.rankings), (SELECT min(created_at) FROM feed.members)
)), 0)::float8 AS seconds;
GRANT SELECT ON feed.ranking_age TO chitlaq_ops;

CREATE POLICY sweep_pictures ON jobs.jobs TO chitlaq_feed USING (kind = 'sweep_pictures');
