-- As before, looked up where a page finds its neighbours: what a viewer follows and likes is side by side in an index that
-- begins with the viewer, and all over one that begins with the author or the post. PostgreSQL takes both for equally
-- good, so a range of one value rules the other out. And no EXISTS, of which it may make a hash of all that the viewer
-- likes.
CREATE OR REPLACE FUNCTION feed.permitted_posts(viewer uuid)
RETURNS TABLE (
    id uuid, version integer, author_id uuid, author_version integer, author_university_id uuid, visibility text,
    reply_to uuid, root_id uuid, quote_of uuid, has_poll boolean, has_media boolean, likes_count integer,
    replies_count integer, restricted_replies_count integer, reposts_count integer, created_at timestamptz,
    strangers uuid[]
)
LANGUAGE sql STABLE
AS $$
    SELECT p.id, p.version, p.author_id, a.version, a.university_id, p.visibility, p.reply_to, p.root_id, p.quote_of,
           p.has_poll, p.has_media, p.likes_count, p.replies_count, p.restricted_replies_count, p.reposts_count,
           p.created_at, v.strangers
    FROM (SELECT ARRAY(SELECT b.blocked_id FROM feed.blocks b WHERE b.blocker_id = viewer
                       UNION ALL
                       SELECT b.blocker_id FROM feed.blocks b WHERE b.blocked_id = viewer) AS strangers,
                 (SELECT m.university_id FROM feed.members m WHERE m.id = viewer) AS university_id
          OFFSET 0) v
    CROSS JOIN feed.posts p
    JOIN feed.members a ON a.id = p.author_id
    WHERE p.deleted_at IS NULL AND a.hidden_at IS NULL
      AND CASE
          WHEN p.author_id = viewer THEN true
          WHEN p.visibility = 'self' OR p.author_id = ANY (v.strangers) THEN false
          WHEN p.visibility = 'mentioned'
          THEN (SELECT true FROM feed.post_mentions n WHERE n.post_id = p.id AND n.member_id = viewer) IS NOT NULL
          WHEN (a.is_private OR p.visibility = 'followers')
           AND (SELECT true FROM feed.follows f
                WHERE f.follower_id = viewer AND f.followed_id BETWEEN p.author_id AND p.author_id) IS NULL
          THEN false
          WHEN p.visibility = 'university' THEN v.university_id = coalesce(p.university_id, a.university_id)
          ELSE true
      END
$$;

CREATE OR REPLACE FUNCTION feed.readable_posts(viewer uuid)
RETURNS TABLE (
    id uuid, version integer, author_id uuid, author_version integer, quote_of uuid, has_poll boolean,
    likes integer, replies integer, reposts integer, liked boolean, reposted boolean, bookmarked boolean,
    visibility text, reply_to uuid, root_id uuid, has_media boolean, author_university_id uuid, created_at timestamptz
)
LANGUAGE sql STABLE
AS $$
    SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll,
           p.likes_count - CASE WHEN p.likes_count = 0 OR p.strangers = '{}' THEN 0
                           ELSE (feed.counted_of(p.strangers, p.id)).likes END,
           p.replies_count - CASE WHEN p.replies_count = 0 OR p.strangers = '{}' THEN 0
                             ELSE (feed.counted_of(p.strangers, p.id)).replies END
           + CASE WHEN p.restricted_replies_count = 0 OR viewer IS NULL THEN 0
             ELSE feed.restricted_replies_seen(viewer, p.id) END,
           p.reposts_count - CASE WHEN p.reposts_count = 0 OR p.strangers = '{}' THEN 0
                             ELSE (feed.counted_of(p.strangers, p.id)).reposts END,
           (SELECT true FROM feed.likes l WHERE l.member_id = viewer AND l.post_id BETWEEN p.id AND p.id) IS NOT NULL,
           (SELECT true FROM feed.reposts s WHERE s.post_id = p.id AND s.member_id = viewer) IS NOT NULL,
           (SELECT true FROM feed.bookmarks b WHERE b.member_id = viewer AND b.post_id = p.id) IS NOT NULL,
           p.visibility, p.reply_to, p.root_id, p.has_media, p.author_university_id, p.created_at
    FROM feed.permitted_posts(viewer) p
$$;
