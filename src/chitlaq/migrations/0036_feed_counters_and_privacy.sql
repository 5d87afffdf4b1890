-- What others see of members who leave, who may write first, how old the ranking is, and files without a picture.

ALTER TABLE websocket.privacy DROP CONSTRAINT privacy_may_message_check;
ALTER TABLE websocket.privacy ADD CONSTRAINT privacy_may_message_check
CHECK (may_message IN ('everyone', 'university', 'followed', 'nobody'));

-- Who leaves is not counted: their likes and reposts are taken off when they are hidden, and counted again when they
-- come back. They are signed out meanwhile, so nothing is added. The posts are locked in one order.
CREATE FUNCTION feed.count_reactions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    change integer := CASE WHEN NEW.hidden_at IS NULL THEN 1 ELSE -1 END;
BEGIN
    PERFORM FROM feed.posts p
    WHERE p.id IN (SELECT l.post_id FROM feed.likes l WHERE l.member_id = NEW.id
                   UNION ALL SELECT s.post_id FROM feed.reposts s WHERE s.member_id = NEW.id)
    ORDER BY p.id FOR NO KEY UPDATE;
    UPDATE feed.posts p SET likes_count = greatest(p.likes_count + change, 0)
    FROM feed.likes l WHERE l.member_id = NEW.id AND p.id = l.post_id AND p.deleted_at IS NULL;
    UPDATE feed.posts p SET reposts_count = greatest(p.reposts_count + change, 0)
    FROM feed.reposts s WHERE s.member_id = NEW.id AND p.id = s.post_id AND p.deleted_at IS NULL;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION feed.count_reactions FROM public;
CREATE TRIGGER count_reactions AFTER UPDATE OF hidden_at ON feed.members
FOR EACH ROW WHEN ((OLD.hidden_at IS NULL) <> (NEW.hidden_at IS NULL))
EXECUTE FUNCTION feed.count_reactions();

-- Those who are leaving already.
UPDATE feed.posts p SET likes_count = greatest(p.likes_count - h.likes, 0)
FROM (SELECT l.post_id, count(*)::integer AS likes
      FROM feed.likes l JOIN feed.members m ON m.id = l.member_id
      WHERE m.hidden_at IS NOT NULL GROUP BY 1) h
WHERE p.id = h.post_id;
UPDATE feed.posts p SET reposts_count = greatest(p.reposts_count - h.reposts, 0)
FROM (SELECT s.post_id, count(*)::integer AS reposts
      FROM feed.reposts s JOIN feed.members m ON m.id = s.member_id
      WHERE m.hidden_at IS NOT NULL GROUP BY 1) h
WHERE p.id = h.post_id;

-- As before, of those who are counted: a viewer blocks somebody who leaves, too.
CREATE OR REPLACE FUNCTION feed.counted_of(
    members uuid[], post uuid, OUT likes integer, OUT replies integer, OUT reposts integer
)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    likes := (SELECT count(*) FROM feed.likes l JOIN feed.members m ON m.id = l.member_id
              WHERE l.post_id = post AND l.member_id = ANY (members) AND m.hidden_at IS NULL);
    replies := (SELECT count(*) FROM feed.posts r
                WHERE r.reply_to = post AND r.author_id = ANY (members) AND r.deleted_at IS NULL AND NOT r.is_restricted);
    reposts := (SELECT count(*) FROM feed.reposts s JOIN feed.members m ON m.id = s.member_id
                WHERE s.post_id = post AND s.member_id = ANY (members) AND m.hidden_at IS NULL);
END
$$;

-- Where there was no ranking yet, one has been due since the first member came.
CREATE VIEW feed.ranking_age AS
SELECT coalesce(extract(epoch FROM now() - coalesce(
    (SELECT max(made_at) FROM feed.rankings), (SELECT min(created_at) FROM feed.members)
)), 0)::float8 AS seconds;
GRANT SELECT ON feed.ranking_age TO chitlaq_ops;

CREATE POLICY sweep_pictures ON jobs.jobs TO chitlaq_feed USING (kind = 'sweep_pictures');
