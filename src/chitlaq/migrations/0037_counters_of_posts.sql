-- What members who leave have liked and reposted is not counted, as they are not listed; when they stay, it is again.
-- A job does that some at a time, so each row says whether it is counted: whatever interrupts the job, or is done
-- meanwhile, a counter is what its rows say.
ALTER TABLE feed.likes ADD COLUMN is_counted boolean NOT NULL DEFAULT true;
ALTER TABLE feed.reposts ADD COLUMN is_counted boolean NOT NULL DEFAULT true;

-- The job goes through a member's likes in the order of their posts.
DROP INDEX feed.likes_by_member;
CREATE INDEX likes_by_member ON feed.likes (member_id, post_id);

CREATE POLICY recount_member ON jobs.jobs TO chitlaq_feed USING (kind = 'recount_member');

-- Other services' roles hide members through functions.
CREATE FUNCTION feed.recount_member() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    INSERT INTO jobs.jobs (kind, payload, request_id)
    VALUES ('recount_member', jsonb_build_object('member_id', NEW.id), '-');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION feed.recount_member FROM public;
CREATE TRIGGER recount_member AFTER UPDATE OF hidden_at ON feed.members
FOR EACH ROW WHEN ((OLD.hidden_at IS NULL) <> (NEW.hidden_at IS NULL))
EXECUTE FUNCTION feed.recount_member();

INSERT INTO jobs.jobs (kind, payload, request_id)
SELECT 'recount_member', jsonb_build_object('member_id', id), '-' FROM feed.members WHERE hidden_at IS NOT NULL;

-- As before, of what is counted.
CREATE OR REPLACE FUNCTION feed.counted_of(
    members uuid[], post uuid, OUT likes integer, OUT replies integer, OUT reposts integer
)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    likes := (SELECT count(*) FROM feed.likes l
              WHERE l.post_id = post AND l.member_id = ANY (members) AND l.is_counted);
    replies := (SELECT count(*) FROM feed.posts r
                WHERE r.reply_to = post AND r.author_id = ANY (members) AND r.deleted_at IS NULL AND NOT r.is_restricted);
    reposts := (SELECT count(*) FROM feed.reposts s
                WHERE s.post_id = post AND s.member_id = ANY (members) AND s.is_counted);
END
$$;

-- What the counters of a post must be. Indexes: likes' and reposts' primary keys, posts_by_parent.
CREATE FUNCTION feed.counted_for(post uuid)
RETURNS TABLE (likes integer, reposts integer, replies integer, restricted_replies integer)
LANGUAGE sql STABLE
AS $$
    SELECT (SELECT count(*)::integer FROM feed.likes l WHERE l.post_id = post AND l.is_counted),
           (SELECT count(*)::integer FROM feed.reposts s WHERE s.post_id = post AND s.is_counted),
           (count(*) FILTER (WHERE NOT r.is_restricted))::integer, (count(*) FILTER (WHERE r.is_restricted))::integer
    FROM feed.posts r WHERE r.reply_to = post AND r.deleted_at IS NULL
$$;

-- The same for posts, of about as many as of members.
DROP FUNCTION feed.counter_faults;
CREATE FUNCTION feed.counter_faults(looked_at integer)
RETURNS TABLE (id uuid, counter text, stored integer, counted integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    WITH rows AS MATERIALIZED (
        SELECT c.oid, least(100, 100.0 * looked_at / greatest(1, c.reltuples)) AS percent
        FROM pg_catalog.pg_class c WHERE c.oid IN ('feed.members'::regclass, 'feed.posts'::regclass)
    ), members AS MATERIALIZED (
        SELECT m.id, m.followers_count, m.following_count
        FROM feed.members m
             TABLESAMPLE SYSTEM ((SELECT r.percent FROM rows r WHERE r.oid = 'feed.members'::regclass))
    ), posts AS MATERIALIZED (
        SELECT p.id, p.likes_count, p.reposts_count, p.replies_count, p.restricted_replies_count
        FROM feed.posts p
             TABLESAMPLE SYSTEM ((SELECT r.percent FROM rows r WHERE r.oid = 'feed.posts'::regclass))
    )
    SELECT m.id, n.*
    FROM members m
    CROSS JOIN LATERAL (VALUES
        ('followers', m.followers_count,
         (SELECT count(*)::integer FROM feed.follows f WHERE f.followed_id = m.id)),
        ('following', m.following_count,
         (SELECT count(*)::integer FROM feed.follows f WHERE f.follower_id = m.id))
    ) AS n (counter, stored, counted)
    WHERE n.stored <> n.counted
    UNION ALL
    SELECT p.id, n.*
    FROM posts p
    CROSS JOIN LATERAL feed.counted_for(p.id) AS c
    CROSS JOIN LATERAL (VALUES
        ('likes', p.likes_count, c.likes),
        ('reposts', p.reposts_count, c.reposts),
        ('replies', p.replies_count, c.replies),
        ('restricted replies', p.restricted_replies_count, c.restricted_replies)
    ) AS n (counter, stored, counted)
    WHERE n.stored <> n.counted
$$;
REVOKE ALL ON FUNCTION feed.counter_faults FROM public;
GRANT EXECUTE ON FUNCTION feed.counter_faults TO chitlaq_ops;
