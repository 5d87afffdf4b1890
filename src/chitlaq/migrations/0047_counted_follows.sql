-- As likes and reposts (migration 0037): a follow is counted, for both of its members, while neither of them leaves.
ALTER TABLE feed.follows ADD COLUMN is_counted boolean NOT NULL DEFAULT true;

INSERT INTO jobs.jobs (kind, payload, request_id)
SELECT 'recount_member', jsonb_build_object('member_id', id), '-' FROM feed.members WHERE hidden_at IS NOT NULL;

-- What the counters of a member must be. Indexes: follows_by_followed, follows' primary key.
CREATE FUNCTION feed.follows_counted_for(member uuid) RETURNS TABLE (followers integer, following integer)
LANGUAGE sql STABLE
AS $$
    SELECT (SELECT count(*)::integer FROM feed.follows f WHERE f.followed_id = member AND f.is_counted),
           (SELECT count(*)::integer FROM feed.follows f WHERE f.follower_id = member AND f.is_counted)
$$;

-- As before, of what is counted.
CREATE OR REPLACE FUNCTION feed.counter_faults(looked_at integer)
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
    CROSS JOIN LATERAL feed.follows_counted_for(m.id) AS c
    CROSS JOIN LATERAL (VALUES
        ('followers', m.followers_count, c.followers),
        ('following', m.following_count, c.following)
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
